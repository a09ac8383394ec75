"""Who waits for a partition, and what they are told: produce answers, appends of Python, parked fetches, its removal."""

from libc.stdint cimport int16_t, int32_t, int64_t, uint32_t, uint64_t
from libc.string cimport memmove

from pyralog._speedups.plane.buffers cimport grown
from pyralog._speedups.plane.gate cimport answer_failed, gate_met
from pyralog._speedups.plane.ring cimport count_error, post_event
from pyralog._speedups.plane.state cimport EVENT_DONE, EVENT_FAILED, Answer, Connection, Engine, Part, Partition, Waiter

cdef int64_t MANY = <int64_t>1 << 60


# --- failures ---

cdef void engine_fail(Engine* e, Partition* p, int32_t error) noexcept nogil:
    """The log directory is not to be trusted any more: no append is acknowledged from now on. A failed write or fsync
    is never tried again, since the kernel may have dropped the pages (the lesson of fsyncgate)."""
    if not e.failed:
        e.failed = True
        e.failure = error
        post_event(e, EVENT_FAILED, p, 0, NULL, 0, error, 0, 0)


cdef void settle_part(Engine* e, Part* part, int64_t result) noexcept nogil:
    """A batch of a round: the rest follows at the cycle's end (appends.pyx)."""
    part.result = result
    part.next = e.settled
    e.settled = part


cdef void settle(Engine* e, const Answer* answer, int32_t error) noexcept nogil:
    """Tells whoever waits for this append how it went."""
    if answer.connection == A_PART:
        settle_part(e, <Part*>answer.answer, answer.slot if error == 0 else -error)
        return
    if answer.connection == NOBODY:
        post_event(e, EVENT_DONE, NULL, 0, NULL, 0, answer.slot if error == 0 else -error, 0, <uint64_t>answer.answer)
        return
    if error != 0:
        answer_failed(e, answer.connection, answer.generation, answer.answer, <int16_t>error)
        e.counters.failed_produce += 1
        count_error(e.produce_errors, error)
    if answer.slot >= 0:
        gate_met(e, answer.connection, answer.generation, answer.slot)


cdef void partition_fail_waiters(Engine* e, Partition* p, int32_t error) noexcept nogil:
    cdef int64_t i
    cdef Answer answer
    for i in range(p.waiters_head, p.waiters_head + p.n_waiters):
        answer.connection = p.waiters[i].connection
        answer.generation = p.waiters[i].generation
        answer.slot = p.waiters[i].slot
        answer.answer = p.waiters[i].answer
        answer.offset = p.waiters[i].offset
        settle(e, &answer, error)
    p.n_waiters = 0
    p.waiters_head = 0


# --- answers that wait for the disk ---

cdef int partition_await(Partition* p, uint32_t connection, uint32_t generation, int64_t slot, int64_t answer,
                         int64_t offset) noexcept nogil:
    """One more answer that waits for `offset` to be synced: 0, or -1 when memory is out."""
    cdef int32_t capacity = <int32_t>p.waiters_capacity
    cdef Waiter* bigger
    cdef Waiter* w
    if p.waiters_head > 1024 and p.waiters_head > p.n_waiters:
        memmove(p.waiters, p.waiters + p.waiters_head, p.n_waiters * sizeof(Waiter))
        p.waiters_head = 0
    bigger = <Waiter*>grown(p.waiters, <int32_t>(p.waiters_head + p.n_waiters + 1), &capacity, sizeof(Waiter))
    if bigger == NULL:
        return -1
    p.waiters = bigger
    p.waiters_capacity = capacity
    w = &bigger[p.waiters_head + p.n_waiters]
    w.connection = connection
    w.generation = generation
    w.slot = slot
    w.answer = answer
    w.offset = offset
    p.n_waiters += 1
    return 0


cdef void release_synced(Engine* e, Partition* p) noexcept nogil:
    cdef Answer answer
    cdef Waiter* w
    while p.n_waiters > 0:
        w = &p.waiters[p.waiters_head]
        if w.offset > p.log.synced:
            return
        answer.connection = w.connection
        answer.generation = w.generation
        answer.slot = w.slot
        answer.answer = w.answer
        answer.offset = w.offset
        p.waiters_head += 1
        p.n_waiters -= 1
        settle(e, &answer, 0)
    p.waiters_head = 0


# --- parked fetches ---

cdef void wake(Engine* e, Connection* c) noexcept nogil:
    cdef uint32_t* bigger = <uint32_t*>grown(e.woken, <int32_t>e.n_woken + 1, <int32_t*>&e.woken_capacity, sizeof(uint32_t))
    if bigger == NULL:
        return      # it is answered at its deadline instead
    e.woken = bigger
    e.woken[e.n_woken] = c.index
    e.n_woken += 1
    c.parked.woken = True


cdef void partition_wake(Engine* e, Partition* p, int64_t arrived, int64_t stable) noexcept nogil:
    """`arrived` bytes more, `stable` for read_committed: fetches that have enough are run again at the cycle's end; stale
    entries go."""
    cdef int64_t i
    cdef int64_t kept = 0
    cdef Connection* c
    for i in range(p.n_polls):
        c = e.connections[p.polls[i].connection]
        if c == NULL or not c.parked.active or c.parked.sequence != p.polls[i].sequence or c.parked.woken:
            continue
        c.parked.needed -= stable if c.parked.committed else arrived
        if c.parked.needed <= 0:
            wake(e, c)
        else:
            p.polls[kept] = p.polls[i]
            kept += 1
    p.n_polls = kept


cdef void partition_wake_all(Engine* e, Partition* p) noexcept nogil:
    partition_wake(e, p, MANY, MANY)


# --- removal ---

cdef void partition_unused(Engine* e, Partition* p) noexcept nogil:
    """Answers a removal as soon as nothing refers to the partition any more."""
    cdef uint64_t cookie = p.remove_cookie
    if p.removed and p.uses == 0 and not p.dirty and not p.unsynced and cookie != 0:
        p.remove_cookie = 0
        post_event(e, EVENT_DONE, p, 0, NULL, 0, 0, 0, cookie)
