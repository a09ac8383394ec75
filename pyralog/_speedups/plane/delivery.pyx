"""Events on their way into Python: tuples, or nothing at all where a lane takes the request."""

from cpython.bytes cimport PyBytes_FromStringAndSize

from pyralog._speedups.plane.ring cimport free_event
from pyralog._speedups.plane.state cimport EVENT_REQUEST, Event


class EventKind:
    """Kinds of the tuples that PlaneEngine.events returns."""

    REQUEST = 1
    HANDOVER = 2
    DONE = 3
    ROLLED = 4
    DETACHED = 5
    FAILED = 6
    CLOSED = 7
    CONNECTED = 8
    GONE = 9
    APPENDED = 10


cdef class Lane:
    """Takes requests of which so many come that a Python object for each part of them would be too much."""

    cdef void begin(self) noexcept:
        """Events come that have happened meanwhile; until `end` nothing else happens in Python."""

    cdef void end(self) noexcept:
        """These were all."""

    cdef bint take(self, Event* event) noexcept:
        """True: the event is the lane's to free, and it answers the request. False: nothing has happened."""
        return False


cdef list deliver(Event* event, dict handles, Lane lane):
    """(kind, handle or None, token, data, a, b, cookie) of each; they are freed.

    What the lane takes overtakes what came before it in this list: nobody has been answered any of it, so that nobody
    can tell.
    """
    cdef list out = []
    cdef Event* following
    if lane is not None:
        lane.begin()
    while event != NULL:
        following = event.next
        if lane is not None and event.kind == EVENT_REQUEST and lane.take(event):
            event = following
            continue
        data = PyBytes_FromStringAndSize(<char*>event.data, event.size) if event.size > 0 else b""
        out.append((event.kind, handles.get(<size_t>event.partition) if event.partition != NULL else None, event.token,
                    data, event.a, event.b, event.cookie))
        free_event(event)
        event = following
    if lane is not None:
        lane.end()
    return out
