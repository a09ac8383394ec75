"""The Fetch response: what is new to the client, small slices copied, large ones left to sendfile."""

from libc.stdint cimport int16_t, int32_t, int64_t

from pyralog._speedups.plane.buffers cimport (
    buffer_reserve, put_count, put_i16, put_i32, put_i64, put_raw, put_string, put_uvarint,
)
from pyralog._speedups.plane.connection cimport output_file
from pyralog._speedups.plane.fetch_request cimport INCREMENTAL, READ_COMMITTED, TOPIC_ID_FROM, Item, Plan
from pyralog._speedups.plane.frame cimport MALFORMED, SERVED, Request, response_begin, response_end
from pyralog._speedups.plane.gate cimport touch
from pyralog._speedups.plane.ring cimport count_error, histogram_add, monotonic_ns
from pyralog._speedups.plane.session cimport session_item
from pyralog._speedups.plane.state cimport Connection, Engine, SessionItem
from pyralog._speedups.txnindex cimport txn_index_collect

cdef enum:
    COPIED_BYTES = 65536        # up to here a slice is read into the output, above it is sent from the file
    COPIED_AT_MOST = 1 << 20    # in the output of one connection; beyond it only the tiniest slices are copied
    TINY_BYTES = 4096
    ITEM_ANSWER = 80            # bytes of one partition's answer without records and aborted transactions, at most
    ABORTED_ANSWER = 17


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


cdef int put_aborted(Engine* e, Connection* c, Request* r, Plan* plan, Item* item) noexcept nogil:
    """Which transactions with records in the slice were aborted, by first offset (trap 11); null for read_uncommitted."""
    cdef int64_t i
    if plan.isolation != READ_COMMITTED:
        put_count(&c.output, -1, r.flexible)
        return 0
    e.aborted.n = 0
    if item.slice.length > 0 and txn_index_collect(item.p.log, item.offset, item.slice.next_offset, &e.aborted) < 0:
        return -1
    if buffer_reserve(&c.output, ITEM_ANSWER + e.aborted.n * ABORTED_ANSWER) < 0:
        return -1
    put_count(&c.output, e.aborted.n, r.flexible)
    for i in range(e.aborted.n):
        put_i64(&c.output, e.aborted.entries[i].producer_id)
        put_i64(&c.output, e.aborted.entries[i].first_offset)
        if r.flexible:
            put_uvarint(&c.output, 0)
    return 0


cdef int64_t put_item(Engine* e, Connection* c, Request* r, Plan* plan, Item* item) noexcept nogil:
    cdef int64_t sent
    if buffer_reserve(&c.output, ITEM_ANSWER) < 0:
        return -1
    put_i32(&c.output, item.partition)
    put_i16(&c.output, item.error)
    put_i64(&c.output, item.hw)
    put_i64(&c.output, item.lso)
    if r.version >= 5:
        put_i64(&c.output, item.start)
    if put_aborted(e, c, r, plan, item) < 0:
        return -1
    if r.version >= 11:
        put_i32(&c.output, -1)                  # preferred read replica
    sent = put_records(e, c, r, item)
    if sent < 0 or buffer_reserve(&c.output, 16) < 0:
        return -1
    if r.flexible:
        put_uvarint(&c.output, 0)
    if item.p != NULL:
        item.p.bytes_out += item.slice.length
        if item.slice.length > 0:
            item.p.records_out += item.slice.next_offset - item.offset
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


cdef int16_t first_error(const Plan* plan) noexcept nogil:
    cdef int32_t i
    for i in range(plan.n_items):
        if plan.items[i].error != 0:
            return plan.items[i].error
    return 0


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
        count_error(e.fetch_errors, plan.error if plan.error != 0 else first_error(plan))
    if not c.parked.active:
        histogram_add(&e.fetch_ns, monotonic_ns() - e.now_ns, 1)
    elif c.parked.deadline_ms == 0:             # it has waited for pages, not for records
        histogram_add(&e.fetch_ns, monotonic_ns() - c.parked.since_ns, 1)
    touch(e, c)
    return SERVED
