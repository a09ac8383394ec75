"""Incremental fetch sessions (KIP-227): what a client fetches and what it was last told, so that only changes travel."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy

from pyralog._speedups.cursor cimport Span
from pyralog._speedups.plane.buffers cimport grown
from pyralog._speedups.plane.partition cimport hash_bytes
from pyralog._speedups.plane.state cimport Engine, Session, SessionItem, SessionTopic

cdef enum:
    EVICT_AFTER_MS = 120000     # min.incremental.fetch.session.eviction.ms
    MAX_ITEMS = 100000          # partitions of one session: a client with more does without
    MAX_ALL_ITEMS = 2000000     # of all sessions together
    RECENT_TOPICS = 64


cdef Session* session_find(Engine* e, int32_t id) noexcept nogil:
    cdef int32_t i
    for i in range(e.n_sessions):
        if e.sessions[i].id == id:
            e.sessions[i].used_ms = e.now_ns // 1000000
            return e.sessions[i]
    return NULL


cdef void free_session(Session* s) noexcept nogil:
    cdef int32_t i
    for i in range(s.n_topics):
        free(s.topics[i].name)
    free(s.topics)
    free(s.items)
    free(s.table)
    free(s)


cdef bint session_room(const Engine* e, int64_t items) noexcept nogil:
    """Whether so many partitions more may be kept. Clients are not known to be honest when they open sessions."""
    return items <= MAX_ITEMS and e.session_items + items <= MAX_ALL_ITEMS


cdef void remove_at(Engine* e, int32_t i) noexcept nogil:
    e.session_items -= e.sessions[i].n_items
    free_session(e.sessions[i])
    e.n_sessions -= 1
    e.sessions[i] = e.sessions[e.n_sessions]


cdef void session_remove(Engine* e, int32_t id) noexcept nogil:
    cdef int32_t i
    for i in range(e.n_sessions):
        if e.sessions[i].id == id:
            remove_at(e, i)
            return


cdef bint make_room(Engine* e) noexcept nogil:
    """Evicts the session unused for longest, if for long enough; several where the limit was lowered. False: the client
    does without a session."""
    cdef int32_t i
    cdef int32_t oldest
    while e.n_sessions >= e.limits.max_sessions:
        if e.n_sessions == 0:
            return False
        oldest = 0
        for i in range(e.n_sessions):
            if e.sessions[i].used_ms < e.sessions[oldest].used_ms:
                oldest = i
        if e.now_ns // 1000000 - e.sessions[oldest].used_ms < EVICT_AFTER_MS:
            return False
        remove_at(e, oldest)
    return True


cdef Session* session_create(Engine* e, bint by_id) noexcept nogil:
    """A new, empty session, or NULL when there is no room for one."""
    cdef Session** bigger
    cdef Session* s
    if not make_room(e):
        return NULL
    bigger = <Session**>grown(e.sessions, e.n_sessions + 1, &e.sessions_capacity, sizeof(Session*))
    if bigger == NULL:
        return NULL
    e.sessions = bigger
    s = <Session*>calloc(1, sizeof(Session))
    if s == NULL:
        return NULL
    s.id = 0
    while s.id == 0 or session_find(e, s.id) != NULL:
        e.session_seed = e.session_seed * 1664525 + 1013904223
        s.id = <int32_t>(e.session_seed >> 1)
    s.epoch = 1
    s.by_id = by_id
    s.used_ms = e.now_ns // 1000000
    e.sessions[e.n_sessions] = s
    e.n_sessions += 1
    return s


cdef inline bint same_topic(const Session* s, int32_t topic, Span name) noexcept nogil:
    return s.topics[topic].name_size == name.size and memcmp(s.topics[topic].name, name.data, name.size) == 0


cdef uint64_t item_hash(Span topic, int32_t partition) noexcept nogil:
    return (hash_bytes(topic.data, topic.size) ^ <uint32_t>partition) * 0x9E3779B97F4A7C15ULL >> 20


cdef int32_t session_item(const Session* s, Span topic, int32_t partition) noexcept nogil:
    """Index of the item, or -1."""
    cdef uint64_t at
    cdef int32_t i
    if s.table_size == 0:
        return -1
    at = item_hash(topic, partition) & <uint64_t>(s.table_size - 1)
    while s.table[at] != 0:
        i = s.table[at] - 1
        if s.items[i].partition == partition and same_topic(s, s.items[i].topic, topic):
            return i
        at = (at + 1) & <uint64_t>(s.table_size - 1)
    return -1


cdef void table_put(Session* s, int32_t i) noexcept nogil:
    cdef Span name
    cdef uint64_t at
    name.data = s.topics[s.items[i].topic].name
    name.size = s.topics[s.items[i].topic].name_size
    at = item_hash(name, s.items[i].partition) & <uint64_t>(s.table_size - 1)
    while s.table[at] != 0:
        at = (at + 1) & <uint64_t>(s.table_size - 1)
    s.table[at] = i + 1


cdef int resize(Session* s, int32_t size) noexcept nogil:
    cdef int32_t* table = <int32_t*>calloc(size, sizeof(int32_t))
    cdef int32_t i
    if table == NULL:
        return -1
    free(s.table)
    s.table = table
    s.table_size = size
    for i in range(s.n_items):
        table_put(s, i)
    return 0


cdef int32_t session_sweep(Session* s) noexcept nogil:
    """Takes out what session_forget has marked, in one go however much it is; the number taken out."""
    cdef int32_t kept = 0
    cdef int32_t before = s.n_items
    cdef int32_t i
    for i in range(before):
        if not s.items[i].gone:
            s.items[kept] = s.items[i]
            kept += 1
    s.n_items = kept
    if kept < before:
        for i in range(s.table_size):
            s.table[i] = 0
        for i in range(kept):
            table_put(s, i)
    return before - kept


cdef int32_t topic_index(Session* s, Span name) noexcept nogil:
    cdef int32_t i
    cdef SessionTopic* bigger
    # Partitions of a topic come together. To look further back would cost the square of the topics.
    for i in range(s.n_topics - 1, max(s.n_topics - RECENT_TOPICS, 0) - 1, -1):
        if same_topic(s, i, name):
            return i
    if s.n_topics > 2 * s.n_items + RECENT_TOPICS:
        return -1               # names of forgotten partitions have piled up: let the session end
    bigger = <SessionTopic*>grown(s.topics, s.n_topics + 1, &s.topics_capacity, sizeof(SessionTopic))
    if bigger == NULL:
        return -1
    s.topics = bigger
    i = s.n_topics
    s.topics[i].name = <uint8_t*>malloc(name.size + 1)
    if s.topics[i].name == NULL:
        return -1
    memcpy(s.topics[i].name, name.data, name.size)
    s.topics[i].name_size = name.size
    s.n_topics += 1
    return i


cdef int session_set(Session* s, Span topic, int32_t partition, int32_t leader_epoch, int64_t offset, int32_t max_bytes) noexcept nogil:
    """Adds or updates one partition: 0, or -1 when there is no room."""
    cdef int32_t i = session_item(s, topic, partition)
    cdef SessionItem* bigger
    if i < 0 and s.n_items >= MAX_ITEMS:
        return -1
    if i < 0:
        bigger = <SessionItem*>grown(s.items, s.n_items + 1, &s.items_capacity, sizeof(SessionItem))
        if bigger == NULL:
            return -1
        s.items = bigger
        i = s.n_items
        s.items[i].topic = topic_index(s, topic)
        if s.items[i].topic < 0:
            return -1
        s.items[i].partition = partition
        s.items[i].sent_hw = -1
        s.items[i].sent_start = -1
        s.items[i].failed = False
        s.n_items += 1
        if s.n_items * 2 > s.table_size:
            if resize(s, s.table_size * 2 if s.table_size else 16) < 0:
                s.n_items -= 1
                return -1
        else:
            table_put(s, i)
    s.items[i].gone = False
    s.items[i].leader_epoch = leader_epoch
    s.items[i].offset = offset
    s.items[i].max_bytes = max_bytes
    return 0


cdef void session_forget(Session* s, Span topic, int32_t partition) noexcept nogil:
    """Marks it; session_sweep is to follow."""
    cdef int32_t i = session_item(s, topic, partition)
    if i >= 0:
        s.items[i].gone = True


cdef void sessions_free(Engine* e) noexcept nogil:
    while e.n_sessions > 0:
        remove_at(e, e.n_sessions - 1)
    free(e.sessions)
    e.sessions = NULL
