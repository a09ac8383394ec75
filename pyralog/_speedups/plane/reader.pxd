from libc.stdint cimport int32_t, int64_t, uint8_t

from pyralog._speedups.plane.state cimport Connection, Engine

cdef void connection_read(Engine* e, Connection* c) noexcept nogil
cdef void connection_feed(Engine* e, Connection* c, const uint8_t* data, int64_t size) noexcept nogil
cdef int64_t resume_all(Engine* e) noexcept nogil
cdef void run_parked(Engine* e, Connection* c, bint expired) noexcept nogil
cdef void serve_frame(Engine* e, Connection* c, uint8_t* frame, int64_t size, bint final) noexcept nogil
