"""The Fetch request (versions 4-18) and its session (KIP-227): which partitions are asked for, from where."""

from libc.stdint cimport int32_t, int64_t, uint64_t
from libc.stdlib cimport realloc

from pyralog._speedups.cursor cimport (
    MAX_ELEMENTS, Cursor, Span, read_count, read_i32, read_i64, read_i8, read_string, read_uvarint, skip_tags, take,
)
from pyralog._speedups.plane.frame cimport MALFORMED, SERVED, Request
from pyralog._speedups.plane.partition cimport permits_of, topic_by_id, topic_by_name
from pyralog._speedups.plane.session cimport (
    session_create, session_find, session_forget, session_item, session_next_epoch, session_remove, session_room, session_set,
    session_sweep,
)
from pyralog._speedups.plane.state cimport (
    DENY_READ, E_FETCH_SESSION_ID_NOT_FOUND, E_FETCH_SESSION_TOPIC_ID_ERROR, E_INVALID_FETCH_SESSION_EPOCH,
    E_NONE, PERMIT_READ,
    Connection, Engine, Session, SessionItem, Topic,
)

cdef enum:
    SMALLEST_TOPIC = 3          # bytes of an element of the request: flexible, with nothing in it


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
