# Events on their way into Python.
from libc.stdint cimport int32_t, int64_t, uint64_t

from pyralog._speedups.plane.state cimport Event


cdef class Lane:
    cdef void begin(self) noexcept
    cdef void end(self) noexcept
    cdef bint take(self, Event* event) noexcept


cdef list deliver(Event* event, dict handles, Lane lane)
