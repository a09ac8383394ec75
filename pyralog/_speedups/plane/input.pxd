# The bytes of a connection that have been received and not served.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.string cimport memcpy

from pyralog._speedups.cursor cimport be32
from pyralog._speedups.plane.state cimport Connection, Engine


cdef inline int64_t frame_length(const uint8_t* p) noexcept nogil:
    cdef uint32_t raw
    memcpy(&raw, p, 4)
    return <int32_t>be32(raw)


cdef void input_free(Engine* e, Connection* c) noexcept nogil
# Doubles the input of a large request, whose bytes have all arrived so far: 0, or -1 where memory is short.
cdef int input_grow(Engine* e, Connection* c) noexcept nogil
# Keeps what has been received and not served. Whole requests among it are served in a later cycle.
cdef void stash(Engine* e, Connection* c, const uint8_t* data, int64_t size) noexcept nogil
