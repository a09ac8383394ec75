from libc.stdint cimport int32_t, int64_t, uint32_t

from pyralog._speedups.plane.state cimport Answer, Connection, Engine, Part, Partition

cdef enum:
    NOBODY = 0xFFFFFF           # Answer.connection of an append that Python asked for; `answer` is its cookie
    A_PART = 0xFFFFFE           # the same of a batch of a round; `answer` is the address of its Part

cdef inline bint waits_for_sync(const Engine* e, const Partition* p) noexcept nogil:
    return e.limits.sync_on_write or e.limits.inline_sync or p.settings.flush_messages == 1

cdef void engine_fail(Engine* e, Partition* p, int32_t error) noexcept nogil
cdef void settle_part(Engine* e, Part* part, int64_t result) noexcept nogil
cdef void settle(Engine* e, const Answer* answer, int32_t error) noexcept nogil
cdef void partition_fail_waiters(Engine* e, Partition* p, int32_t error) noexcept nogil
cdef int partition_await(Partition* p, uint32_t connection, uint32_t generation, int64_t slot, int64_t answer,
                         int64_t offset) noexcept nogil
cdef void release_synced(Engine* e, Partition* p) noexcept nogil
cdef void wake(Engine* e, Connection* c) noexcept nogil
cdef void partition_wake(Engine* e, Partition* p, int64_t arrived, int64_t stable) noexcept nogil
cdef void partition_wake_all(Engine* e, Partition* p) noexcept nogil
cdef void partition_unused(Engine* e, Partition* p) noexcept nogil
