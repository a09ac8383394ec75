"""Topics by name and id, permits, and what a partition collects during a cycle: batches, answers, interested fetches."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcmp, memcpy, memset

from pyralog._speedups.plane.buffers cimport grown
from pyralog._speedups.plane.state cimport Answer, Connection, Engine, Partition, Poll, Topic
from pyralog._speedups.segment cimport BatchRef, log_close_idle


cdef uint64_t hash_bytes(const uint8_t* data, int64_t size) noexcept nogil:
    """FNV-1a with a final mix; names are short and not attacker-chosen faster than topics can be created."""
    cdef uint64_t h = 0xCBF29CE484222325ULL
    cdef int64_t i
    for i in range(size):
        h = (h ^ data[i]) * 0x100000001B3ULL
    return h ^ (h >> 29)


cdef Topic* topic_by_name(Engine* e, const uint8_t* name, int64_t size) noexcept nogil:
    cdef uint64_t h
    cdef uint64_t at
    cdef Topic* topic
    if e.table_size == 0 or size < 0:
        return NULL
    h = hash_bytes(name, size)
    at = h & <uint64_t>(e.table_size - 1)
    while e.by_name[at] != NULL:
        topic = e.by_name[at]
        if topic.name_hash == h and topic.name_size == size and memcmp(topic.name, name, size) == 0:
            return topic
        at = (at + 1) & <uint64_t>(e.table_size - 1)
    return NULL


cdef Topic* topic_by_id(Engine* e, const uint8_t* id) noexcept nogil:
    cdef uint64_t h
    cdef uint64_t at
    if e.table_size == 0:
        return NULL
    h = hash_bytes(id, 16)
    at = h & <uint64_t>(e.table_size - 1)
    while e.by_id[at] != NULL:
        if e.by_id[at].id_hash == h and memcmp(e.by_id[at].id, id, 16) == 0:
            return e.by_id[at]
        at = (at + 1) & <uint64_t>(e.table_size - 1)
    return NULL


cdef void table_put(Topic** table, int64_t size, Topic* topic, uint64_t h) noexcept nogil:
    cdef uint64_t at = h & <uint64_t>(size - 1)
    while table[at] != NULL:
        at = (at + 1) & <uint64_t>(size - 1)
    table[at] = topic


cdef int tables_rebuild(Engine* e, int64_t size, Topic* without) noexcept nogil:
    """Both tables anew with `size` places and without one topic: 0, or -1 when memory is out."""
    cdef Topic** names = <Topic**>calloc(size, sizeof(Topic*))
    cdef Topic** ids = <Topic**>calloc(size, sizeof(Topic*))
    cdef int64_t i
    cdef Topic* topic
    if names == NULL or ids == NULL:
        free(names)
        free(ids)
        return -1
    for i in range(e.table_size):
        topic = e.by_name[i]
        if topic != NULL and topic != without:
            table_put(names, size, topic, topic.name_hash)
            table_put(ids, size, topic, topic.id_hash)
    free(e.by_name)
    free(e.by_id)
    e.by_name = names
    e.by_id = ids
    e.table_size = size
    return 0


cdef Topic* topic_obtain(Engine* e, const uint8_t* name, int64_t size, const uint8_t* id) noexcept nogil:
    """The topic with this id, made if it is new; NULL when memory is out."""
    cdef Topic* topic = topic_by_id(e, id)
    if topic != NULL:
        return topic
    if (e.n_topics + 1) * 2 > e.table_size and tables_rebuild(e, e.table_size * 2 if e.table_size else 64, NULL) < 0:
        return NULL
    topic = <Topic*>calloc(1, sizeof(Topic))
    if topic == NULL:
        return NULL
    topic.name = <uint8_t*>calloc(1, size + 1)
    if topic.name == NULL:
        free(topic)
        return NULL
    memcpy(topic.name, name, size)
    memcpy(topic.id, id, 16)
    topic.name_size = size
    topic.name_hash = hash_bytes(name, size)
    topic.id_hash = hash_bytes(id, 16)
    table_put(e.by_name, e.table_size, topic, topic.name_hash)
    table_put(e.by_id, e.table_size, topic, topic.id_hash)
    e.n_topics += 1
    return topic


cdef void topic_free(Topic* topic) noexcept nogil:
    free(topic.name)
    free(topic.partitions)
    free(topic.permits)
    free(topic)


cdef void topic_drop(Engine* e, Topic* topic) noexcept nogil:
    """Forgets a topic none of whose partitions is hosted any more."""
    if tables_rebuild(e, e.table_size, topic) == 0:
        e.n_topics -= 1
        topic_free(topic)


cdef void topics_free(Engine* e) noexcept nogil:
    cdef int64_t i
    for i in range(e.table_size):
        if e.by_name[i] != NULL:
            topic_free(e.by_name[i])
    free(e.by_name)
    free(e.by_id)
    e.by_name = NULL
    e.by_id = NULL
    e.table_size = 0
    e.n_topics = 0


cdef int permit_set(Engine* e, Topic* topic, uint32_t principal, uint8_t bits) noexcept nogil:
    """Adds permit or deny bits of a principal: 0, or -1 when memory is out."""
    cdef uint8_t* bigger
    if topic.permit_version != e.permit_version:
        if topic.n_permits:
            memset(topic.permits, 0, topic.n_permits)
        topic.permit_version = e.permit_version
    if principal >= topic.n_permits:
        bigger = <uint8_t*>realloc(topic.permits, principal + 1)
        if bigger == NULL:
            return -1
        memset(bigger + topic.n_permits, 0, principal + 1 - topic.n_permits)
        topic.permits = bigger
        topic.n_permits = principal + 1
    topic.permits[principal] |= bits
    return 0


cdef int partition_attach(Engine* e, Topic* topic, Partition* p) noexcept nogil:
    """Serves the partition from now on: 0, or -1 when memory is out."""
    cdef Partition** bigger
    cdef int32_t n = p.index + 1
    if n > topic.n_partitions:
        bigger = <Partition**>realloc(topic.partitions, n * sizeof(Partition*))
        if bigger == NULL:
            return -1
        memset(bigger + topic.n_partitions, 0, (n - topic.n_partitions) * sizeof(Partition*))
        topic.partitions = bigger
        topic.n_partitions = n
    if topic.partitions[p.index] == NULL:
        topic.hosted += 1
    topic.partitions[p.index] = p
    p.topic = topic
    return 0


cdef void partition_detach(Engine* e, Partition* p) noexcept nogil:
    cdef Topic* topic = p.topic
    if topic == NULL or topic.partitions[p.index] != p:
        return
    topic.partitions[p.index] = NULL
    topic.hosted -= 1
    p.topic = NULL
    if topic.hosted == 0:
        topic_drop(e, topic)


cdef int64_t close_idle(Engine* e, int64_t not_used_since_ms) noexcept nogil:
    """Closes descriptors of segments that nobody has used since; how many."""
    cdef int64_t i
    cdef int32_t k
    cdef int64_t closed = 0
    cdef Topic* topic
    for i in range(e.table_size):
        topic = e.by_name[i]
        if topic == NULL:
            continue
        for k in range(topic.n_partitions):
            if topic.partitions[k] != NULL:
                closed += log_close_idle(topic.partitions[k].log, not_used_since_ms)
    return closed


cdef void partition_free(Partition* p) noexcept nogil:
    free(p.pending)
    free(p.answers)
    free(p.waiters)
    free(p.polls)
    free(p.aborts)
    free(p.attempts)
    free(p)


cdef int partition_enqueue(Engine* e, Partition* p, const BatchRef* ref) noexcept nogil:
    """One more batch to write at the cycle's end; its bytes stay where they are until then. 0, or -1 when memory is out."""
    cdef BatchRef* bigger
    cdef Partition** dirty
    if not p.dirty:
        dirty = <Partition**>grown(e.dirty, e.n_dirty + 1, &e.dirty_capacity, sizeof(Partition*))
        if dirty == NULL:
            return -1
        e.dirty = dirty
        e.dirty[e.n_dirty] = p
        e.n_dirty += 1
        p.dirty = True
    bigger = <BatchRef*>grown(p.pending, p.n_pending + 1, &p.pending_capacity, sizeof(BatchRef))
    if bigger == NULL:
        return -1
    p.pending = bigger
    p.pending[p.n_pending] = ref[0]
    p.n_pending += 1
    p.next_offset = ref.last_offset + 1
    p.taken_bytes += ref.size
    return 0


cdef int partition_answer(Engine* e, Partition* p, uint32_t connection, uint32_t generation, int64_t slot, int64_t answer,
                          int64_t offset) noexcept nogil:
    """Remembers whose answer depends on the write: 0, or -1 when memory is out."""
    cdef Answer* bigger = <Answer*>grown(p.answers, p.n_answers + 1, &p.answers_capacity, sizeof(Answer))
    if bigger == NULL:
        return -1
    p.answers = bigger
    bigger[p.n_answers].connection = connection
    bigger[p.n_answers].generation = generation
    bigger[p.n_answers].slot = slot
    bigger[p.n_answers].answer = answer
    bigger[p.n_answers].offset = offset
    p.n_answers += 1
    return 0


cdef int partition_poll(Partition* p, Engine* e, uint32_t connection, uint64_t sequence) noexcept nogil:
    """A parked fetch wants to hear of appends. Stale entries go when the list has doubled, so its cost stays constant."""
    cdef Poll* bigger
    cdef Connection* c
    cdef int64_t i
    cdef int64_t kept = 0
    cdef int32_t capacity = <int32_t>p.polls_capacity
    if p.n_polls >= p.polls_limit:
        for i in range(p.n_polls):
            c = e.connections[p.polls[i].connection]
            if c != NULL and c.parked.active and c.parked.sequence == p.polls[i].sequence:
                p.polls[kept] = p.polls[i]
                kept += 1
        p.n_polls = kept
        p.polls_limit = kept * 2 if kept > 8 else 16
    bigger = <Poll*>grown(p.polls, <int32_t>p.n_polls + 1, &capacity, sizeof(Poll))
    if bigger == NULL:
        return -1
    p.polls = bigger
    p.polls_capacity = capacity
    bigger[p.n_polls].connection = connection
    bigger[p.n_polls].sequence = sequence
    p.n_polls += 1
    return 0
