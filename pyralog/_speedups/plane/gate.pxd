from libc.stdint cimport int16_t, int32_t, int64_t, uint32_t, uint64_t

from pyralog._speedups.plane.state cimport Connection, Engine

cdef inline int64_t output_end(const Connection* c) noexcept nogil:
    """Absolute position behind the last byte of output."""
    return c.origin + c.output.size

cdef Connection* connection_at(Engine* e, uint32_t index, uint32_t generation) noexcept nogil
cdef void touch(Engine* e, Connection* c) noexcept nogil
cdef void resume_later(Engine* e, Connection* c) noexcept nogil

cdef int64_t gate_open(Engine* e, Connection* c, int64_t start) noexcept nogil
cdef void gate_wait(Connection* c, int64_t slot) noexcept nogil
cdef void gate_met(Engine* e, uint32_t index, uint32_t generation, int64_t slot) noexcept nogil
cdef int64_t gate_releasable(Engine* e, Connection* c) noexcept nogil
cdef void answer_failed(Engine* e, uint32_t index, uint32_t generation, int64_t answer, int16_t error) noexcept nogil

cdef int deadline_set(Engine* e, Connection* c, int64_t deadline_ms) noexcept nogil
cdef void deadline_clear(Engine* e, Connection* c) noexcept nogil
cdef Connection* deadline_due(Engine* e, int64_t now_ms) noexcept nogil
