"""The ack gate: answers of a connection leave in request order, each when its conditions are met; and the deadline heap."""

from libc.stdint cimport int16_t, int32_t, int64_t, uint32_t

from pyralog._speedups.plane.buffers cimport grown, patch_i16, patch_i64
from pyralog._speedups.plane.ring cimport histogram_add, monotonic_ns
from pyralog._speedups.plane.state cimport Connection, Engine, HeapEntry, Slot


cdef Connection* connection_at(Engine* e, uint32_t index, uint32_t generation) noexcept nogil:
    """The connection if it is still the one that was meant, else NULL."""
    cdef Connection* c
    if index >= e.n_connections:
        return NULL
    c = e.connections[index]
    if c == NULL or c.generation != generation or c.dead:
        return NULL
    return c


cdef void touch(Engine* e, Connection* c) noexcept nogil:
    """Looked at once more before the cycle ends: output to send, or an end to make."""
    cdef uint32_t* bigger
    if c.listed:
        return
    bigger = <uint32_t*>grown(e.touched, <int32_t>e.n_touched + 1, <int32_t*>&e.touched_capacity, sizeof(uint32_t))
    if bigger == NULL:
        return
    e.touched = bigger
    e.touched[e.n_touched] = c.index
    e.n_touched += 1
    c.listed = True


cdef void resume_later(Engine* e, Connection* c) noexcept nogil:
    """Has whole requests, or the right to read, left over for the next cycle."""
    cdef uint32_t* bigger
    if c.resumable:
        return
    bigger = <uint32_t*>grown(e.resume, <int32_t>e.n_resume + 1, <int32_t*>&e.resume_capacity, sizeof(uint32_t))
    if bigger == NULL:
        return
    e.resume = bigger
    e.resume[e.n_resume] = c.index
    e.n_resume += 1
    c.resumable = True


cdef int64_t gate_open(Engine* e, Connection* c, int64_t start) noexcept nogil:
    """A slot for the answer that begins at `start`; its sequence number, or -1 when memory is out."""
    cdef Slot* slots
    cdef int32_t i
    if c.slots_head > 0 and c.slots_head + c.n_slots == c.slots_capacity:
        for i in range(c.n_slots):
            c.slots[i] = c.slots[c.slots_head + i]
        c.slots_head = 0
    slots = <Slot*>grown(c.slots, c.slots_head + c.n_slots + 1, &c.slots_capacity, sizeof(Slot))
    if slots == NULL:
        return -1
    c.slots = slots
    i = c.slots_head + c.n_slots
    slots[i].start = start
    slots[i].pending = 0
    slots[i].since_ns = e.now_ns
    c.n_slots += 1
    return c.slots_base + c.n_slots - 1


cdef void gate_wait(Connection* c, int64_t slot) noexcept nogil:
    c.slots[c.slots_head + <int32_t>(slot - c.slots_base)].pending += 1


cdef void gate_met(Engine* e, uint32_t index, uint32_t generation, int64_t slot) noexcept nogil:
    """One condition of the slot is met."""
    cdef Connection* c = connection_at(e, index, generation)
    if c == NULL or slot < c.slots_base:
        return
    c.slots[c.slots_head + <int32_t>(slot - c.slots_base)].pending -= 1
    touch(e, c)


cdef int64_t gate_releasable(Engine* e, Connection* c) noexcept nogil:
    """Retires the slots at the head that wait for nothing; the absolute position up to which output may leave."""
    cdef Slot* head
    cdef int64_t now = 0
    while c.n_slots > 0:
        head = &c.slots[c.slots_head]
        if head.pending > 0:
            return head.start
        if now == 0:
            now = monotonic_ns()        # not the cycle's: most answers leave in the cycle that their request came in
        histogram_add(&e.produce_ns, now - head.since_ns, 1)
        c.slots_head += 1
        c.slots_base += 1
        c.n_slots -= 1
    c.slots_head = 0
    return c.origin + c.output.size


cdef void answer_failed(Engine* e, uint32_t index, uint32_t generation, int64_t answer, int16_t error) noexcept nogil:
    """Overwrites the error code and base offset of a produce answer that has not left yet."""
    cdef Connection* c = connection_at(e, index, generation)
    if c == NULL or answer < c.sent:
        return
    patch_i16(c.output.data + (answer - c.origin), error)
    patch_i64(c.output.data + (answer - c.origin) + 2, -1)


# --- deadlines of parked requests: a binary heap of connection indexes ---

cdef void heap_put(Engine* e, int32_t at, HeapEntry entry) noexcept nogil:
    e.heap[at] = entry
    e.connections[entry.connection].parked.heap_at = at


cdef void heap_up(Engine* e, int32_t at, HeapEntry entry) noexcept nogil:
    cdef int32_t parent
    while at > 0:
        parent = (at - 1) >> 1
        if e.heap[parent].deadline_ms <= entry.deadline_ms:
            break
        heap_put(e, at, e.heap[parent])
        at = parent
    heap_put(e, at, entry)


cdef void heap_down(Engine* e, int32_t at, HeapEntry entry) noexcept nogil:
    cdef int32_t child = 2 * at + 1
    while child < e.n_heap:
        if child + 1 < e.n_heap and e.heap[child + 1].deadline_ms < e.heap[child].deadline_ms:
            child += 1
        if e.heap[child].deadline_ms >= entry.deadline_ms:
            break
        heap_put(e, at, e.heap[child])
        at = child
        child = 2 * at + 1
    heap_put(e, at, entry)


cdef int deadline_set(Engine* e, Connection* c, int64_t deadline_ms) noexcept nogil:
    """0, or -1 when memory is out."""
    cdef HeapEntry entry
    cdef HeapEntry* bigger
    deadline_clear(e, c)
    bigger = <HeapEntry*>grown(e.heap, e.n_heap + 1, &e.heap_capacity, sizeof(HeapEntry))
    if bigger == NULL:
        return -1
    e.heap = bigger
    entry.deadline_ms = deadline_ms
    entry.connection = c.index
    e.n_heap += 1
    heap_up(e, e.n_heap - 1, entry)
    return 0


cdef void deadline_clear(Engine* e, Connection* c) noexcept nogil:
    cdef int32_t at = c.parked.heap_at
    cdef HeapEntry last
    if at < 0:
        return
    c.parked.heap_at = -1
    e.n_heap -= 1
    if at == e.n_heap:
        return
    last = e.heap[e.n_heap]
    if at > 0 and e.heap[(at - 1) >> 1].deadline_ms > last.deadline_ms:
        heap_up(e, at, last)
    else:
        heap_down(e, at, last)


cdef Connection* deadline_due(Engine* e, int64_t now_ms) noexcept nogil:
    """Takes one connection whose deadline has passed out of the heap; NULL when there is none."""
    cdef Connection* c
    if e.n_heap == 0 or e.heap[0].deadline_ms > now_ms:
        return NULL
    c = e.connections[e.heap[0].connection]
    deadline_clear(e, c)
    return c
