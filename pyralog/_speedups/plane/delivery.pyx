"""Events on their way into Python: tuples, or nothing at all where a lane takes the request."""

import logging

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int16_t, int64_t, uint8_t, uint64_t
from libc.stdlib cimport calloc, malloc
from libc.string cimport memcpy

from pyralog._speedups.plane.ring cimport free_event
from pyralog._speedups.plane.state cimport EVENT_APPENDED, EVENT_REQUEST, FORWARD_API, Event

log = logging.getLogger(__name__)


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
        """Events come that have happened meanwhile; until `end` nothing else happens in Python but what follows from rounds
        that are in the log."""

    cdef void end(self) noexcept:
        """These were all."""

    cdef bint take(self, Event* event) noexcept:
        """True: the event is the lane's to free, and it answers the request. False: nothing has happened."""
        return False

    def offer(self, uint64_t token, bytes frame not None, int64_t connection) -> bool:
        """Whether a request is taken; what the plane does with each that it has for Python, as one call."""
        cdef Event* event = <Event*>calloc(1, sizeof(Event))
        if event == NULL:
            raise MemoryError
        event.size = PyBytes_GET_SIZE(frame)
        event.data = <uint8_t*>malloc(event.size + 1)
        if event.data != NULL:
            memcpy(event.data, PyBytes_AS_STRING(frame), event.size)
            event.kind = EVENT_REQUEST
            event.token = token
            event.a = connection
            self.begin()
            if taken(event, [self]):
                self.end()
                return True
        free_event(event)
        return False


cdef bint taken(Event* event, list lanes) noexcept:
    """Whether a lane has taken a request, and with it the event."""
    cdef Lane lane
    cdef int16_t api
    if event.size < 2 or event.b != FORWARD_API:
        return False
    api = <int16_t>(event.data[0] << 8 | event.data[1])
    for lane in lanes:
        if lane.api == api:
            return lane.take(event)
    return False


cdef void tell(object landed, Event* event) noexcept:
    try:
        landed(event.cookie, PyBytes_FromStringAndSize(<char*>event.data, event.size))
    except Exception:
        log.exception("what follows from records in the log failed")


cdef list deliver(Event* event, dict handles, list lanes, object landed):
    """(kind, handle or None, token, data, a, b, cookie) of each; they are freed.

    Rounds that have been written and what a lane takes stay in their order, and overtake the rest of this list: nobody has
    been answered any of that, so that nobody can tell.
    """
    cdef list out = []
    cdef Event* following
    cdef Lane lane
    for lane in lanes:
        lane.begin()
    while event != NULL:
        following = event.next
        if event.kind == EVENT_REQUEST and taken(event, lanes):
            event = following
            continue
        if event.kind == EVENT_APPENDED and landed is not None:
            tell(landed, event)
        else:
            data = PyBytes_FromStringAndSize(<char*>event.data, event.size) if event.size > 0 else b""
            out.append((event.kind, handles.get(<size_t>event.partition) if event.partition != NULL else None, event.token,
                        data, event.a, event.b, event.cookie))
        free_event(event)
        event = following
    for lane in lanes:
        lane.end()
    return out
