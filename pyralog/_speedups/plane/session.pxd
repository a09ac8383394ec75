from libc.stdint cimport int32_t, int64_t, uint8_t

from pyralog._speedups.cursor cimport Span
from pyralog._speedups.plane.state cimport Engine, Session, SessionItem

cdef Session* session_find(Engine* e, int32_t id) noexcept nogil
cdef Session* session_create(Engine* e, bint by_id) noexcept nogil
cdef void session_remove(Engine* e, int32_t id) noexcept nogil
cdef int session_set(Session* s, Span topic, int32_t partition, int32_t leader_epoch, int64_t offset, int32_t max_bytes) noexcept nogil
cdef void session_forget(Session* s, Span topic, int32_t partition) noexcept nogil
cdef int32_t session_sweep(Session* s) noexcept nogil
cdef int32_t session_item(const Session* s, Span topic, int32_t partition) noexcept nogil
cdef bint session_room(const Engine* e, int64_t items) noexcept nogil
cdef void sessions_free(Engine* e) noexcept nogil

cdef inline int32_t session_next_epoch(int32_t epoch) noexcept nogil:
    """KIP-227: epochs run from 1 and wrap past 0, which means 'make a new session'."""
    return 1 if epoch == 0x7FFFFFFF else epoch + 1
