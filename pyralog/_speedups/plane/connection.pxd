from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t

from pyralog._speedups.plane.state cimport Connection, Engine, Partition
from pyralog._speedups.segment cimport Segment

cdef Connection* connection_open(Engine* e, int fd) noexcept nogil
cdef void connection_kill(Engine* e, Connection* c) noexcept nogil
cdef void connection_destroy(Engine* e, Connection* c) noexcept nogil
cdef void connection_interest(Engine* e, Connection* c, bint reading, bint writing) noexcept nogil
cdef void connection_send(Engine* e, Connection* c) noexcept nogil
cdef void drop_chunks(Engine* e, Connection* c, int32_t n) noexcept nogil
cdef void output_left(Engine* e, Connection* c) noexcept nogil
cdef int64_t connection_backlog(const Connection* c) noexcept nogil
cdef int connection_handover(Engine* e, Connection* c, const uint8_t* data, int64_t size) noexcept nogil

cdef int output_file(Engine* e, Connection* c, Partition* p, Segment* segment, int64_t position, int64_t length) noexcept nogil

cdef void forward(Engine* e, Connection* c, const uint8_t* frame, int64_t size, int32_t reason) noexcept nogil
cdef Connection* forwarded(Engine* e, uint64_t token) noexcept nogil
cdef void unblock(Engine* e, Connection* c) noexcept nogil
cdef int park(Engine* e, Connection* c, const uint8_t* frame, int64_t size) noexcept nogil
cdef void unpark(Engine* e, Connection* c) noexcept nogil
