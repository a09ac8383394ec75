"""Requests that are taken before they become Python's, as the dispatcher counts them and answers for them."""

import logging

from libc.stdint cimport int32_t, int64_t, uint64_t

from pyralog._speedups.plane.delivery cimport Lane
from pyralog._speedups.plane.state cimport Event

log = logging.getLogger(__name__)


cdef class Desk:
    """Counts the requests of one API that are taken before they become Python's, and says why one cannot be answered:
    failed(token, frame, connection id, began_ns, error). `took(ns, times)` gets durations; `stats` is the dispatcher's."""

    def __init__(self, str name not None, stats not None, took not None, failed not None):
        self.name = name
        self.stats = stats
        self.took = took
        self.failed = failed

    cdef int answered(self, int32_t count, int64_t ns) except -1:
        self.stats.requests[self.name] += count
        self.stats.waiting -= count
        self.took(ns, count)
        return 0

    cdef int refuse(self, uint64_t token, bytes frame, int64_t connection, int64_t began_ns, object error) except -1:
        self.stats.requests[self.name] += 1
        self.stats.waiting -= 1
        self.failed(token, frame, connection, began_ns, error)
        return 0


cdef class Tally:
    """How many requests of a desk wait for the same batch, and since when the first of them does."""


cdef Py_ssize_t tally_in(list tallies, Desk desk, int64_t now_ns) except -1:
    """One more request of this desk: which tally it is in."""
    cdef Tally tally
    cdef Py_ssize_t at
    for at in range(len(tallies)):
        tally = tallies[at]
        if tally.desk is desk:
            tally.count += 1
            return at
    tally = Tally.__new__(Tally)
    tally.desk = desk
    tally.count = 1
    tally.began_ns = now_ns
    tallies.append(tally)
    return len(tallies) - 1


cdef class DeskLane(Lane):
    """A lane whose requests a desk counts. `consider` takes them one by one; what it raises leaves one to the messages."""

    cdef void end(self) noexcept:
        if self.taken > 0:
            self.desk.stats.waiting += self.taken
            self.taken = 0

    cdef bint take(self, Event* event) noexcept:
        try:
            if not self.consider(event):
                return False
        except Exception:
            log.exception("%s was left to the messages", self.desk.name)
            return False
        self.taken += 1
        return True

    cdef bint consider(self, Event* event) except -1:
        """Whether it is taken. False: nothing has happened."""
        return False
