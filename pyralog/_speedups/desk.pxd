# Requests that are taken before they become Python's.
from libc.stdint cimport int32_t, int64_t, uint64_t

from pyralog._speedups.plane.delivery cimport Lane
from pyralog._speedups.plane.state cimport Event


cdef class Desk:
    cdef object name
    cdef object stats
    cdef object took
    cdef readonly object failed

    cdef int answered(self, int32_t count, int64_t ns) except -1
    cdef int refuse(self, uint64_t token, bytes frame, int64_t connection, int64_t began_ns, object error) except -1


cdef class Tally:
    cdef Desk desk
    cdef int32_t count
    cdef int64_t began_ns


cdef Py_ssize_t tally_in(list tallies, Desk desk, int64_t now_ns) except -1


cdef class DeskLane(Lane):
    cdef Desk desk
    cdef int64_t taken          # and not counted yet

    cdef bint consider(self, Event* event) except -1
