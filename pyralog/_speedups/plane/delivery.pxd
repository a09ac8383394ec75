# Events on their way into Python.
from libc.stdint cimport int16_t

from pyralog._speedups.plane.state cimport Event


cdef class Lane:
    cdef readonly int16_t api      # the key of its requests

    cdef void begin(self) noexcept
    cdef void end(self) noexcept
    cdef bint take(self, Event* event) noexcept


cdef list deliver(Event* event, dict handles, list lanes, object landed)
