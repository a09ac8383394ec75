"""Fetch (versions 4-18): sessions, whole batches below the high watermark, long polls, small reads copied, large ones by
sendfile, uncached ones warmed by the cold thread first."""

from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc

from pyralog._speedups.cursor cimport (
    MAX_ELEMENTS, Cursor, Span, read_count, read_i16, read_i32, read_i64, read_i8, read_string, read_uvarint, skip_tags, take,
)
from pyralog._speedups.plane.buffers cimport (
    buffer_reserve, put_count, put_i16, put_i32, put_i64, put_raw, put_string, put_uvarint,
)
from pyralog._speedups.plane.commit cimport write_dirty
from pyralog._speedups.plane.connection cimport output_file, park, unpark
from pyralog._speedups.plane.frame cimport FORWARD, MALFORMED, SERVED, Request, response_begin, response_end
from pyralog._speedups.plane.gate cimport deadline_set, touch
from pyralog._speedups.plane.partition cimport (
    partition_poll, permits_of, topic_by_id, topic_by_name, topic_partition,
)
from pyralog._speedups.plane.ring cimport histogram_add, submit_job
from pyralog._speedups.plane.session cimport (
    session_create, session_find, session_forget, session_item, session_next_epoch, session_remove, session_room, session_set,
    session_sweep,
)
from pyralog._speedups.plane.state cimport (
    DENY_READ, E_CORRUPT_MESSAGE, E_FENCED_LEADER_EPOCH, E_FETCH_SESSION_ID_NOT_FOUND, E_FETCH_SESSION_TOPIC_ID_ERROR, E_INVALID_FETCH_SESSION_EPOCH,
    E_KAFKA_STORAGE_ERROR, E_NONE, E_NOT_LEADER_OR_FOLLOWER, E_OFFSET_OUT_OF_RANGE,
    E_TOPIC_AUTHORIZATION_FAILED, E_UNKNOWN_LEADER_EPOCH, E_UNKNOWN_TOPIC_ID, E_UNKNOWN_TOPIC_OR_PARTITION,
    FORWARD_TOPIC, JOB_WARM, PERMIT_READ,
    Connection, Engine, Job, Partition, Session, SessionItem, Topic,
)
from pyralog._speedups.segment cimport LOG_COLD, LOG_OK, LOG_OUT_OF_RANGE, LogSlice, Segment, log_locate, segment_acquire

cdef extern from "<errno.h>" nogil:
    int EAGAIN
    int EBADMSG

cdef enum:
    COPIED_BYTES = 65536        # up to here a slice is read into the output, above it is sent from the file
    COPIED_AT_MOST = 1 << 20    # in the output of one connection; beyond it only the tiniest slices are copied
    TINY_BYTES = 4096
    RECENT_BYTES = 64 << 20     # the end of the active segment is taken to be cached
    PROBE_STEP = 128 << 10
    COLD_TRIES = 3              # then the plane reads it whatever it costs
    TOPIC_ID_FROM = 13
    SMALLEST_TOPIC = 3          # bytes of an element of the request: flexible, with nothing in it
    PLAN_KEPT = 4096            # items; the scratch of a larger fetch is given back
    ITEM_ANSWER = 80            # bytes of one partition's answer without records, at most

    SESSIONLESS = 0
    FULL = 1                    # a session begins with this answer
    INCREMENTAL = 2


ctypedef struct Item:           # one partition of this fetch, and its outcome
    Topic* topic
    Span name                   # or its 16 id bytes
    int32_t partition
    int32_t leader_epoch
    int64_t offset
    int32_t max_bytes
    int32_t session_item        # index in the session, -1 = none
    Partition* p
    int16_t error
    int64_t hw
    int64_t start
    LogSlice slice


ctypedef struct Plan:
    int32_t replica_id
    int32_t max_wait_ms
    int32_t min_bytes
    int64_t max_bytes
    int8_t isolation
    int32_t session_id
    int32_t session_epoch
    int32_t mode
    int16_t error               # of the whole request
    Session* session
    Item* items
    int32_t n_items
    int64_t bytes               # found
    bint any_error
    bint urgent                 # an error that is told at once, or nothing to wait for
    Item* cold                  # the item whose pages are missing
    Cursor forgotten            # where the forgotten topics begin
    bint unpermitted
    bint again                  # a parked request: it was authorised when it came


# --- reading the request ---

cdef int add_item(Engine* e, Plan* plan, Topic* topic, Span name) noexcept nogil:
    cdef Item* bigger
    cdef int64_t wanted
    if plan.n_items >= MAX_ELEMENTS:
        return -1
    if plan.n_items >= e.plan_capacity:
        wanted = e.plan_capacity * 2 if e.plan_capacity else 16
        bigger = <Item*>realloc(e.plan, wanted * sizeof(Item))
        if bigger == NULL:
            return -1
        e.plan = bigger
        e.plan_capacity = wanted
    plan.items = <Item*>e.plan
    plan.items[plan.n_items].topic = topic
    plan.items[plan.n_items].name = name
    plan.items[plan.n_items].session_item = -1
    plan.n_items += 1
    return 0


cdef Topic* find_topic(Engine* e, bint by_id, Span name) noexcept nogil:
    return topic_by_id(e, name.data) if by_id else topic_by_name(e, name.data, name.size)


cdef Span read_topic(Request* r, Cursor* body) noexcept nogil:
    cdef Span name
    if r.version >= TOPIC_ID_FROM:
        name.data = take(body, 16)
        name.size = 16
    else:
        name = read_string(body, r.flexible)
        if name.data == NULL:
            body.bad = True
    return name


cdef void read_replica_state(Request* r, Cursor* body, Plan* plan) noexcept nogil:
    """The tagged fields at the end of the request: 0 cluster id, 1 replica state (id, epoch) from version 15."""
    cdef Cursor tags = body[0]
    cdef uint64_t n = read_uvarint(&tags)
    cdef uint64_t tag
    cdef int64_t size
    skip_tags(body)
    while n > 0 and not tags.bad:
        tag = read_uvarint(&tags)
        size = <int64_t>read_uvarint(&tags)
        if tag == 1 and r.version >= 15 and size >= 4:
            plan.replica_id = read_i32(&tags)
            size -= 4
        take(&tags, size)
        n -= 1


cdef int read_items(Engine* e, Connection* c, Request* r, Cursor* body, Plan* plan) noexcept nogil:
    cdef int64_t n_topics = read_count(body, r.flexible, SMALLEST_TOPIC)
    cdef int64_t n
    cdef int64_t t
    cdef int64_t i
    cdef Span name
    cdef Topic* topic
    cdef Item* item
    for t in range(n_topics):
        name = read_topic(r, body)
        n = read_count(body, r.flexible, 16)
        if body.bad:
            return MALFORMED
        topic = find_topic(e, r.version >= TOPIC_ID_FROM, name)
        if topic == NULL or permits_of(e, topic, c.principal) & (PERMIT_READ | DENY_READ) == 0:
            plan.unpermitted = True
        for i in range(n):
            if add_item(e, plan, topic, name) < 0:
                return MALFORMED
            item = &plan.items[plan.n_items - 1]
            item.partition = read_i32(body)
            item.leader_epoch = read_i32(body) if r.version >= 9 else -1
            item.offset = read_i64(body)
            if r.version >= 12:
                read_i32(body)                  # last fetched epoch: followers only
            if r.version >= 5:
                read_i64(body)                  # the follower's log start
            item.max_bytes = read_i32(body)
            if r.flexible:
                skip_tags(body)
            if body.bad:
                return MALFORMED
        if r.flexible:
            skip_tags(body)
    return MALFORMED if body.bad else SERVED


cdef int skip_forgotten(Request* r, Cursor* body) noexcept nogil:
    cdef int64_t n = read_count(body, r.flexible, SMALLEST_TOPIC)
    cdef int64_t i
    for i in range(n):
        read_topic(r, body)
        take(body, read_count(body, r.flexible, 4) * 4)
        if r.flexible:
            skip_tags(body)
        if body.bad:
            return MALFORMED
    return SERVED


cdef int read_request(Engine* e, Connection* c, Request* r, Plan* plan) noexcept nogil:
    cdef Cursor body = r.body
    plan.replica_id = read_i32(&body) if r.version < 15 else -1
    plan.max_wait_ms = read_i32(&body)
    plan.min_bytes = read_i32(&body)
    plan.max_bytes = read_i32(&body)
    plan.isolation = read_i8(&body)
    plan.session_id = 0
    plan.session_epoch = -1
    if r.version >= 7:
        plan.session_id = read_i32(&body)
        plan.session_epoch = read_i32(&body)
    plan.n_items = 0
    plan.unpermitted = False
    if read_items(e, c, r, &body, plan) != SERVED:
        return MALFORMED
    plan.forgotten = body
    if r.version >= 7 and skip_forgotten(r, &body) != SERVED:
        return MALFORMED
    if r.version >= 11:
        read_string(&body, r.flexible)          # rack
    if r.flexible and not body.bad:
        read_replica_state(r, &body, plan)
    return MALFORMED if body.bad else SERVED


# --- sessions ---

cdef void forget(Engine* e, Request* r, Plan* plan) noexcept nogil:
    cdef Cursor body = plan.forgotten
    cdef int64_t n = read_count(&body, r.flexible, SMALLEST_TOPIC)
    cdef int64_t partitions
    cdef int64_t t
    cdef int64_t i
    cdef Span name
    for t in range(n):
        name = read_topic(r, &body)
        partitions = read_count(&body, r.flexible, 4)
        for i in range(partitions):
            session_forget(plan.session, name, read_i32(&body))
        if r.flexible:
            skip_tags(&body)
    if n > 0:
        e.session_items -= session_sweep(plan.session)


cdef int update_session(Engine* e, Plan* plan) noexcept nogil:
    cdef int32_t before = plan.session.n_items
    cdef int32_t i
    cdef Item* item
    cdef int rc = 0
    for i in range(plan.n_items):
        item = &plan.items[i]
        rc = session_set(plan.session, item.name, item.partition, item.leader_epoch, item.offset, item.max_bytes)
        if rc < 0:
            break
    e.session_items += plan.session.n_items - before
    return rc


cdef void drop_session(Engine* e, Plan* plan) noexcept nogil:
    session_remove(e, plan.session.id)
    plan.session = NULL


cdef bint permits_known(Engine* e, Connection* c, const Session* s) noexcept nogil:
    """False when Python would have to be asked about a topic of the session, because ACLs have changed."""
    cdef int32_t i
    cdef Span name
    cdef Topic* topic
    for i in range(s.n_topics):
        name.data = s.topics[i].name
        name.size = s.topics[i].name_size
        topic = find_topic(e, s.by_id, name)
        if topic != NULL and permits_of(e, topic, c.principal) & (PERMIT_READ | DENY_READ) == 0:
            return False
    return True


cdef void begin_session(Engine* e, Request* r, Plan* plan) noexcept nogil:
    """Epoch 0 or -1: any old session of that id ends; epoch 0 begins one if there is room (KIP-227)."""
    if plan.session_id != 0:
        session_remove(e, plan.session_id)
    plan.mode = SESSIONLESS
    if plan.session_epoch == 0 and plan.n_items > 0 and session_room(e, plan.n_items):
        plan.session = session_create(e, r.version >= TOPIC_ID_FROM)
        if plan.session != NULL:
            plan.mode = FULL
            if update_session(e, plan) < 0:
                drop_session(e, plan)
                plan.mode = SESSIONLESS


cdef void continue_session(Engine* e, Connection* c, Request* r, Plan* plan) noexcept nogil:
    plan.session = session_find(e, plan.session_id)
    if plan.session == NULL:
        plan.error = E_FETCH_SESSION_ID_NOT_FOUND
        return
    if plan.session.epoch != plan.session_epoch:
        plan.error = E_INVALID_FETCH_SESSION_EPOCH
        return
    if plan.session.by_id != (r.version >= TOPIC_ID_FROM):
        plan.error = E_FETCH_SESSION_TOPIC_ID_ERROR
        return
    # Without room, or without a word on who may read its topics, the session ends: the client begins anew, with a request
    # that names all its partitions.
    if not (permits_known(e, c, plan.session) and session_room(e, plan.n_items)) or update_session(e, plan) < 0:
        drop_session(e, plan)
        plan.error = E_FETCH_SESSION_ID_NOT_FOUND
        return
    plan.mode = INCREMENTAL
    forget(e, r, plan)
    plan.session.epoch = session_next_epoch(plan.session.epoch)
    if plan.session.n_items == 0:
        session_remove(e, plan.session.id)
        plan.session = NULL
        plan.mode = SESSIONLESS             # what the request itself names is served all the same


cdef void open_session(Engine* e, Connection* c, Request* r, Plan* plan) noexcept nogil:
    plan.session = NULL
    plan.mode = SESSIONLESS
    plan.error = E_NONE
    if c.parked.active:                         # run again: the session has this request in it already
        if c.parked.session_id != 0:
            plan.session = session_find(e, c.parked.session_id)
            if plan.session == NULL:
                plan.error = E_FETCH_SESSION_ID_NOT_FOUND
            else:
                plan.mode = INCREMENTAL if plan.session_epoch > 0 else FULL
    elif r.version < 7 or plan.session_epoch == 0 or plan.session_epoch == -1:
        begin_session(e, r, plan)
    else:
        continue_session(e, c, r, plan)


cdef int items_of_session(Engine* e, Plan* plan) noexcept nogil:
    """The fetch is of everything in the session, beginning where the last answer stopped."""
    cdef Session* s = plan.session
    cdef SessionItem* from_session
    cdef Item* item
    cdef Span name
    cdef int32_t i
    cdef int32_t k
    plan.n_items = 0
    for i in range(s.n_items):
        k = (s.first + i) % s.n_items
        from_session = &s.items[k]
        name.data = s.topics[from_session.topic].name
        name.size = s.topics[from_session.topic].name_size
        if add_item(e, plan, find_topic(e, s.by_id, name), name) < 0:
            return -1
        item = &plan.items[plan.n_items - 1]
        item.partition = from_session.partition
        item.leader_epoch = from_session.leader_epoch
        item.offset = from_session.offset
        item.max_bytes = from_session.max_bytes
        item.session_item = k
    return 0


# --- finding the records ---

cdef bint cached(Engine* e, Partition* p, const LogSlice* slice) noexcept nogil:
    """Whether the pages of the slice are in memory, judged by samples."""
    cdef Segment* segment = slice.segment
    cdef int64_t at = slice.position
    cdef int64_t end = slice.position + slice.length
    cdef uint8_t byte
    if segment == p.log.segments[p.log.n_segments - 1] and segment.size - at <= RECENT_BYTES:
        return True
    while at < end:
        if e.ops.pread(e.ops.ctx, segment.fd, &byte, 1, at, True) == -EAGAIN:
            return False
        at += PROBE_STEP
    return e.ops.pread(e.ops.ctx, segment.fd, &byte, 1, end - 1, True) != -EAGAIN


cdef int16_t admit(Engine* e, Connection* c, Request* r, const Plan* plan, Item* item) noexcept nogil:
    """Whether this partition may be fetched here: 0 or a Kafka error code."""
    cdef uint8_t permits
    if item.topic == NULL:
        return E_UNKNOWN_TOPIC_ID if r.version >= TOPIC_ID_FROM else E_UNKNOWN_TOPIC_OR_PARTITION
    permits = permits_of(e, item.topic, c.principal)
    if permits & DENY_READ:
        return E_TOPIC_AUTHORIZATION_FAILED
    item.p = topic_partition(item.topic, item.partition)
    if item.p == NULL or (permits & PERMIT_READ == 0 and not plan.again):
        return E_UNKNOWN_TOPIC_OR_PARTITION
    if not item.p.leading or plan.replica_id >= 0:      # followers fetch on the peer port
        return E_NOT_LEADER_OR_FOLLOWER
    item.hw = item.p.hw
    item.start = item.p.log.start
    if item.leader_epoch >= 0 and item.leader_epoch < item.p.leader_epoch:
        return E_FENCED_LEADER_EPOCH
    if item.leader_epoch > item.p.leader_epoch:
        return E_UNKNOWN_LEADER_EPOCH
    if item.p.failed:
        return E_KAFKA_STORAGE_ERROR
    return E_NONE


cdef void locate(Engine* e, Plan* plan, Item* item, bint blocking) noexcept nogil:
    cdef int64_t room = plan.max_bytes - plan.bytes
    cdef int rc
    if item.max_bytes < room:
        room = item.max_bytes
    if room <= 0 and plan.bytes > 0:
        if item.offset < item.p.log.start or item.offset > item.p.log.leo:
            item.error = E_OFFSET_OUT_OF_RANGE
        return
    rc = log_locate(item.p.log, item.offset, item.p.hw, room if room > 0 else 0, plan.bytes == 0, blocking, &item.slice)
    if rc == LOG_OUT_OF_RANGE:
        item.error = E_OFFSET_OUT_OF_RANGE
    elif rc == -EBADMSG:
        item.error = E_CORRUPT_MESSAGE          # no batch where one must be: the rest of the log is served
    elif rc < 0:
        item.error = E_KAFKA_STORAGE_ERROR
    elif item.slice.length == 0:
        item.slice.segment = NULL
    elif rc == LOG_COLD or (not blocking and not cached(e, item.p, &item.slice)):
        plan.cold = item
    else:
        plan.bytes += item.slice.length


cdef inline bint is_permanent(int16_t error) noexcept nogil:
    """Told along with the rest, but no reason to cut the wait of the others short: a consumer of several topics, one of
    which is gone, would ask again and again."""
    return error == E_UNKNOWN_TOPIC_OR_PARTITION or error == E_UNKNOWN_TOPIC_ID or error == E_TOPIC_AUTHORIZATION_FAILED


cdef void search(Engine* e, Connection* c, Request* r, Plan* plan, bint blocking) noexcept nogil:
    """Fills in the outcome of every item; stops at the first whose pages are missing."""
    cdef int32_t i
    cdef int32_t failed = 0
    cdef Item* item
    plan.bytes = 0
    plan.any_error = False
    plan.urgent = False
    plan.cold = NULL
    if plan.max_bytes > e.limits.fetch_max_bytes:
        plan.max_bytes = e.limits.fetch_max_bytes
    for i in range(plan.n_items):
        item = &plan.items[i]
        item.p = NULL
        item.hw = -1
        item.start = -1
        item.slice.segment = NULL
        item.slice.length = 0
        item.error = admit(e, c, r, plan, item)
        if item.error == 0:
            locate(e, plan, item, blocking)
            if plan.cold != NULL:
                return
        if item.error != 0:
            failed += 1
            plan.any_error = True
            plan.urgent = plan.urgent or plan.again or not is_permanent(item.error)
    plan.urgent = plan.urgent or failed == plan.n_items


# --- waiting ---

cdef int wait_for_pages(Engine* e, Connection* c, Request* r, Plan* plan) noexcept nogil:
    cdef Item* item = plan.cold
    cdef Job* job = <Job*>calloc(1, sizeof(Job))
    if job == NULL or park(e, c, r.frame, r.size) < 0:
        free(job)
        return MALFORMED
    c.parked.cold += 1
    c.parked.session_id = plan.session.id if plan.session != NULL else 0
    c.parked.needed = (<int64_t>1) << 60
    job.fd = segment_acquire(item.p.log, item.slice.segment)
    if job.fd < 0:
        free(job)
        return MALFORMED
    job.kind = JOB_WARM
    job.partition = item.p
    job.segment = item.slice.segment
    job.position = item.slice.position
    job.length = item.slice.length
    job.connection = c.index
    job.sequence = c.parked.sequence
    item.p.uses += 1
    e.counters.cold_reads += 1
    submit_job(e, &e.cold_queue, job)
    return SERVED


cdef int wait_for_records(Engine* e, Connection* c, Request* r, Plan* plan) noexcept nogil:
    cdef int32_t i
    cdef int64_t deadline = c.parked.deadline_ms
    if deadline == 0:
        deadline = e.now_ns // 1000000 + plan.max_wait_ms
        c.parked.since_ns = e.now_ns
    if park(e, c, r.frame, r.size) < 0 or deadline_set(e, c, deadline) < 0:
        return MALFORMED
    c.parked.deadline_ms = deadline
    c.parked.needed = plan.min_bytes - plan.bytes
    c.parked.session_id = plan.session.id if plan.session != NULL else 0
    for i in range(plan.n_items):
        if plan.items[i].p != NULL and partition_poll(plan.items[i].p, e, c.index, c.parked.sequence) < 0:
            return MALFORMED
    return SERVED


# --- the answer ---

cdef bint worth_telling(Plan* plan, Item* item) noexcept nogil:
    """Whether the client does not know this yet; an incremental answer leaves out the rest."""
    cdef SessionItem* known
    if plan.mode != INCREMENTAL:
        return True
    known = &plan.session.items[item.session_item]
    return (item.slice.length > 0 or item.error != 0 or known.failed or known.sent_hw != item.hw
            or known.sent_start != item.start)


cdef void remember(Plan* plan, Item* item) noexcept nogil:
    """Notes in the session what this answer tells the client."""
    cdef SessionItem* known
    cdef int32_t k = item.session_item
    if plan.session == NULL:
        return
    if k < 0:
        k = session_item(plan.session, item.name, item.partition)
        if k < 0:
            return
    known = &plan.session.items[k]
    known.sent_hw = item.hw
    known.sent_start = item.start
    known.failed = item.error != 0
    if item.slice.length > 0 and plan.mode == INCREMENTAL:
        plan.session.first = (k + 1) % plan.session.n_items


cdef int64_t put_records(Engine* e, Connection* c, Request* r, Item* item) noexcept nogil:
    """The records field; returns the bytes that travel by sendfile, or -1 to break the connection off."""
    cdef int64_t n = item.slice.length
    cdef int64_t got
    if n > 0 and item.slice.segment.fd < 0:
        return -1
    if n <= (COPIED_BYTES if c.output.size < COPIED_AT_MOST else TINY_BYTES):
        if buffer_reserve(&c.output, n + 16) < 0:
            return -1
        put_count(&c.output, n, r.flexible)
        if n > 0:
            got = e.ops.pread(e.ops.ctx, item.slice.segment.fd, c.output.data + c.output.size, n, item.slice.position, False)
            if got != n:
                return -1
            c.output.size += n
        return 0
    put_count(&c.output, n, r.flexible)
    return n if output_file(e, c, item.p, item.slice.segment, item.slice.position, n) == 0 else -1


cdef int64_t put_item(Engine* e, Connection* c, Request* r, Plan* plan, Item* item) noexcept nogil:
    cdef int64_t sent
    if buffer_reserve(&c.output, ITEM_ANSWER) < 0:
        return -1
    put_i32(&c.output, item.partition)
    put_i16(&c.output, item.error)
    put_i64(&c.output, item.hw)
    put_i64(&c.output, item.hw)                 # last stable offset: no transaction is open
    if r.version >= 5:
        put_i64(&c.output, item.start)
    put_count(&c.output, 0 if plan.isolation == 1 else -1, r.flexible)     # aborted transactions
    if r.version >= 11:
        put_i32(&c.output, -1)                  # preferred read replica
    sent = put_records(e, c, r, item)
    if sent < 0 or buffer_reserve(&c.output, 16) < 0:
        return -1
    if r.flexible:
        put_uvarint(&c.output, 0)
    if item.p != NULL:
        item.p.bytes_out += item.slice.length
    return sent


cdef bint same_topic(const Item* a, const Item* b) noexcept nogil:
    """Consecutive partitions of one topic share an entry; their names are the same bytes of request or session."""
    return a.name.data == b.name.data


cdef int64_t put_topics(Engine* e, Connection* c, Request* r, Plan* plan) noexcept nogil:
    """All topics with something to tell; returns the bytes that travel by sendfile, or -1."""
    cdef int32_t i = 0
    cdef int32_t k
    cdef int32_t last
    cdef int64_t topics = 0
    cdef int64_t n
    cdef int64_t sent
    cdef int64_t files = 0
    cdef Item* items = plan.items
    for i in range(plan.n_items):
        if worth_telling(plan, &items[i]):
            items[topics] = items[i]
            remember(plan, &items[topics])
            topics += 1
    plan.n_items = <int32_t>topics
    topics = 0
    for i in range(plan.n_items):
        if i == 0 or not same_topic(&items[i - 1], &items[i]):
            topics += 1
    put_count(&c.output, topics, r.flexible)
    i = 0
    while i < plan.n_items:
        last = i
        while last + 1 < plan.n_items and same_topic(&items[i], &items[last + 1]):
            last += 1
        if buffer_reserve(&c.output, items[i].name.size + 32) < 0:
            return -1
        if r.version >= TOPIC_ID_FROM:
            put_raw(&c.output, items[i].name.data, 16)
        else:
            put_string(&c.output, items[i].name.data, items[i].name.size, r.flexible)
        put_count(&c.output, last - i + 1, r.flexible)
        for k in range(i, last + 1):
            sent = put_item(e, c, r, plan, &items[k])
            if sent < 0:
                return -1
            files += sent
        if r.flexible:
            put_uvarint(&c.output, 0)
        i = last + 1
    return files


cdef int answer(Engine* e, Connection* c, Request* r, Plan* plan) noexcept nogil:
    cdef int64_t start = response_begin(c, r)
    cdef int64_t files
    if start < 0 or buffer_reserve(&c.output, 64) < 0:
        return MALFORMED
    if plan.error != 0:
        plan.n_items = 0
    put_i32(&c.output, 0)                       # throttle time
    if r.version >= 7:
        put_i16(&c.output, plan.error)
        put_i32(&c.output, plan.session.id if plan.session != NULL and plan.error == 0 else 0)
    files = put_topics(e, c, r, plan)
    if files < 0 or buffer_reserve(&c.output, 16) < 0:
        return MALFORMED
    if r.flexible:
        put_uvarint(&c.output, 0)
    response_end(c, start, files)
    if plan.error != 0 or plan.any_error:
        e.counters.failed_fetch += 1
    if not c.parked.active:
        histogram_add(&e.fetch_ns, e.now_ns - c.parked.since_ns if c.parked.since_ns else 0, 1)
    touch(e, c)
    return SERVED


cdef int fetch_serve(Engine* e, Connection* c, Request* r, bint expired) noexcept nogil:
    """SERVED (answered, or parked: c.parked.active), FORWARD or MALFORMED. A parked request comes back with its frame."""
    cdef Plan plan
    cdef bint again = c.parked.active
    cdef bint blocking = c.parked.cold >= COLD_TRIES or not e.cold_queue.running
    if e.plan_capacity > PLAN_KEPT:
        free(e.plan)
        e.plan = NULL
        e.plan_capacity = 0
    plan.again = again
    if read_request(e, c, r, &plan) != SERVED:
        return MALFORMED
    if plan.unpermitted and not r.final and not again:
        r.reason = FORWARD_TOPIC
        return FORWARD
    if not again:
        if c.produced == e.flushes:
            write_dirty(e)                      # what it has produced before it must see, answered or not
        e.counters.requests_fetch += 1
        c.parked.since_ns = 0
    open_session(e, c, r, &plan)
    if plan.error != 0:
        return answer(e, c, r, &plan)
    if plan.mode == INCREMENTAL and items_of_session(e, &plan) < 0:
        return MALFORMED
    search(e, c, r, &plan, blocking)
    if plan.cold != NULL:
        return wait_for_pages(e, c, r, &plan)
    if (plan.bytes >= plan.min_bytes or plan.urgent or expired or plan.max_wait_ms <= 0 or e.draining):
        return answer(e, c, r, &plan)
    return wait_for_records(e, c, r, &plan)
