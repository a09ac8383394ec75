"""Produce (KIP-98 batches, versions 3-13): requests walked, offsets patched in place, answers gated."""

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t

from pyralog._speedups.batch cimport BatchInfo, batch_assign
from pyralog._speedups.cursor cimport (
    MAX_ELEMENTS, Cursor, Span, read_bytes, read_count, read_i16, read_i32, read_string, skip_tags, take,
)
from pyralog._speedups.endian cimport load16
from pyralog._speedups.plane.admission cimport NO_REASON, Outcome, check_batch, check_sequence, look
from pyralog._speedups.plane.buffers cimport (
    buffer_reserve, put_count, put_i16, put_i32, put_i64, put_raw, put_string, put_uvarint,
)
from pyralog._speedups.plane.connection cimport connection_kill
from pyralog._speedups.plane.frame cimport FORWARD, MALFORMED, SERVED, Request, response_begin, response_end
from pyralog._speedups.plane.gate cimport gate_open, gate_wait, output_end, touch
from pyralog._speedups.plane.partition cimport (
    partition_answer, partition_enqueue, permits_of, topic_by_id, topic_by_name, topic_partition,
)
from pyralog._speedups.plane.ring cimport count_error, histogram_add
from pyralog._speedups.plane.state cimport (
    DENY_WRITE, E_INVALID_REQUIRED_ACKS, E_KAFKA_STORAGE_ERROR, E_NONE, E_NOT_LEADER_OR_FOLLOWER,
    E_TOPIC_AUTHORIZATION_FAILED, E_UNKNOWN_TOPIC_ID, E_UNKNOWN_TOPIC_OR_PARTITION, FORWARD_RECORDS, FORWARD_TOPIC,
    PERMIT_WRITE, Connection, Engine, Partition, Topic,
)
from pyralog._speedups.plane.waiters cimport partition_await, waits_for_sync
from pyralog._speedups.segment cimport BatchRef

cdef enum:
    TOPIC_ID_FROM = 13
    PARTITION_ANSWER = 64       # bytes of one partition's answer, at most
    REFUSAL_SIZE = 2            # no batch is that short
    SMALLEST_TOPIC = 3          # bytes of an element: flexible, with nothing in it
    SMALLEST_PARTITION = 6


ctypedef struct Head:
    bint transactional          # it names a transactional id
    int16_t acks
    int64_t n_topics


cdef Head read_head(Request* r, Cursor* body) noexcept nogil:
    cdef Head head
    head.transactional = read_string(body, r.flexible).data != NULL
    head.acks = read_i16(body)
    read_i32(body)                      # timeout: nothing waits for other replicas here
    head.n_topics = read_count(body, r.flexible, SMALLEST_TOPIC)
    return head


cdef Topic* read_topic(Engine* e, Request* r, Cursor* body, Span* name) noexcept nogil:
    """The topic if the plane knows it; `name` spans its name or its 16 id bytes."""
    if r.version >= TOPIC_ID_FROM:
        name.data = take(body, 16)
        name.size = 16
        return topic_by_id(e, name.data) if name.data != NULL else NULL
    name[0] = read_string(body, r.flexible)
    if name.data == NULL:
        body.bad = True
        return NULL
    return topic_by_name(e, name.data, name.size)


cdef int check(Engine* e, Connection* c, Request* r) noexcept nogil:
    """Walks the whole request before anything of it takes effect."""
    cdef Cursor body = r.body
    cdef Head head = read_head(r, &body)
    cdef int64_t t, i, n
    cdef int32_t index
    cdef Span name
    cdef Span records
    cdef Topic* topic
    cdef uint8_t permits
    cdef int64_t total = 0
    cdef int verdict = SERVED
    cdef int reason
    r.refused = E_NONE
    for t in range(head.n_topics):
        topic = read_topic(e, r, &body, &name)
        n = read_count(&body, r.flexible, SMALLEST_PARTITION)
        total += n
        if body.bad or total > MAX_ELEMENTS:
            return MALFORMED
        permits = permits_of(e, topic, c.principal) if topic != NULL else 0
        if permits & (PERMIT_WRITE | DENY_WRITE) == 0:
            verdict = FORWARD
            r.reason = FORWARD_TOPIC
        for i in range(n):
            index = read_i32(&body)
            records = read_bytes(&body, r.flexible)
            if r.flexible:
                skip_tags(&body)
            if body.bad:
                return MALFORMED
            # All of them are looked at: that a transaction begins is noted with the first that has to be asked about.
            reason = look(e, c, r, topic_partition(topic, index), records, head.transactional)
            if reason != NO_REASON and (verdict == SERVED or r.reason == FORWARD_RECORDS):
                verdict = FORWARD
                r.reason = reason
        if r.flexible:
            skip_tags(&body)
    if r.flexible:
        skip_tags(&body)
    return MALFORMED if body.bad else verdict


cdef void append(Engine* e, Connection* c, Partition* p, const Request* r, Span records, int16_t acks, Outcome* out) noexcept nogil:
    """One partition's batch: checked, given its offsets, queued for the write at the cycle's end."""
    cdef BatchInfo info
    cdef BatchRef ref
    cdef int rc
    out.base_offset = -1
    out.append_time = -1
    out.log_start = -1
    out.appended = False
    out.duplicate = False
    if not p.leading:
        out.error = E_NOT_LEADER_OR_FOLLOWER
        return
    if e.failed or p.failed:
        out.error = E_KAFKA_STORAGE_ERROR
        return
    rc = check_batch(e, p, r, records, acks, &info)
    if rc == 0:
        rc = check_sequence(e, c, p, r, &info, out)
    out.error = <int16_t>rc
    if rc != 0:
        return
    out.log_start = p.log.start
    if out.duplicate:
        return
    ref.data = records.data
    ref.size = info.size
    ref.base_offset = p.next_offset
    ref.last_offset = p.next_offset + info.last_offset_delta
    ref.max_timestamp = info.max_timestamp
    ref.max_timestamp_offset = ref.last_offset
    batch_assign(<uint8_t*>records.data, ref.base_offset, p.leader_epoch)
    if partition_enqueue(e, p, &ref) < 0:
        out.error = E_KAFKA_STORAGE_ERROR
        return
    out.base_offset = ref.base_offset
    out.appended = True
    if p.settings.append_time:
        out.append_time = e.now_ms
    p.bytes_in += info.size
    p.records_in += info.count
    p.batches_in += 1
    histogram_add(&e.batch_bytes, info.size, 1)
    histogram_add(&e.batch_records, info.count, 1)


cdef void put_outcome(Connection* c, const Request* r, int32_t index, const Outcome* out) noexcept nogil:
    put_i32(&c.output, index)
    put_i16(&c.output, out.error)
    put_i64(&c.output, out.base_offset)
    put_i64(&c.output, out.append_time)
    if r.version >= 5:
        put_i64(&c.output, out.log_start)
    if r.version >= 8:
        put_count(&c.output, 0, r.flexible)         # record errors
        if r.flexible:
            put_uvarint(&c.output, 0)               # no message
        else:
            put_i16(&c.output, -1)
    if r.flexible:
        put_uvarint(&c.output, 0)


cdef int64_t gate_answer(Engine* e, Connection* c, Partition* p, const Outcome* out, int64_t start, int64_t slot,
                         int64_t answer) noexcept nogil:
    """Ties the answer to the fate of its batch. Returns the request's slot (opened when the first partition waits)."""
    cdef int64_t offset = p.next_offset if out.appended else out.base_offset + 1
    cdef bint waits = waits_for_sync(e, p) and (out.appended or offset > p.log.synced)
    cdef int rc = 0
    if waits:
        if slot < 0:
            slot = gate_open(e, c, start)
        if slot < 0:
            connection_kill(e, c)               # no memory to wait with, and no right to answer
            return slot
        gate_wait(c, slot)
    if out.appended or (out.duplicate and p.dirty):
        rc = partition_answer(e, p, c.index, c.generation, slot if waits else -1, answer, offset)
    elif waits:
        rc = partition_await(p, c.index, c.generation, slot, answer, offset)
        e.sync_wanted = True
    if rc < 0:
        connection_kill(e, c)
    return slot


cdef int execute(Engine* e, Connection* c, Request* r) noexcept nogil:
    """Runs a request that `check` has walked, writing the answer as it goes."""
    cdef Cursor body = r.body
    cdef Head head = read_head(r, &body)
    cdef int64_t start = response_begin(c, r) if head.acks != 0 else -1
    cdef int64_t slot = -1
    cdef int64_t t
    cdef int64_t i, n
    cdef int32_t index
    cdef Span name
    cdef Span records
    cdef Topic* topic
    cdef Partition* p
    cdef Outcome out
    cdef int16_t first_error = 0
    if head.acks != 0:
        if start < 0 or buffer_reserve(&c.output, 16) < 0:
            return MALFORMED
        put_count(&c.output, head.n_topics if head.n_topics >= 0 else 0, r.flexible)
    for t in range(head.n_topics):
        topic = read_topic(e, r, &body, &name)
        n = read_count(&body, r.flexible, SMALLEST_PARTITION)
        if head.acks != 0:
            if buffer_reserve(&c.output, name.size + 32) < 0:
                return MALFORMED
            if r.version >= TOPIC_ID_FROM:
                put_raw(&c.output, name.data, 16)
            else:
                put_string(&c.output, name.data, name.size, r.flexible)
            put_count(&c.output, n if n >= 0 else 0, r.flexible)
        for i in range(n):
            index = read_i32(&body)
            records = read_bytes(&body, r.flexible)
            if r.flexible:
                skip_tags(&body)
            p = topic_partition(topic, index)
            serve_partition(e, c, r, topic, p, records, head.acks, &out)
            if first_error == 0:
                first_error = out.error
            if out.appended:
                c.produced = e.flushes
            if head.acks != 0:
                if buffer_reserve(&c.output, PARTITION_ANSWER) < 0:
                    return MALFORMED
                if p != NULL and out.error == 0:
                    slot = gate_answer(e, c, p, &out, start, slot, output_end(c) + 4)
                put_outcome(c, r, index, &out)
        if r.flexible:
            skip_tags(&body)
            if head.acks != 0 and buffer_reserve(&c.output, 16) == 0:
                put_uvarint(&c.output, 0)
    if first_error != 0:
        e.counters.failed_produce += 1
        count_error(e.produce_errors, first_error)
    e.answered += slot < 0 and head.acks != 0
    return finish(e, c, r, head.acks, start, first_error != 0)


cdef int finish(Engine* e, Connection* c, Request* r, int16_t acks, int64_t start, bint any_error) noexcept nogil:
    if acks == 0:
        if any_error:
            connection_kill(e, c)       # the only way to tell a client that does not listen
        return SERVED
    if buffer_reserve(&c.output, 16) < 0:
        return MALFORMED
    put_i32(&c.output, 0)               # throttle time
    if r.flexible:
        put_uvarint(&c.output, 0)
    response_end(c, start, 0)
    touch(e, c)
    return SERVED


cdef int16_t refusal(const Request* r, Span records) noexcept nogil:
    """What Python has found wrong with this batch: in a request that it hands back the error code stands in for it."""
    return load16(records.data) if r.final and records.data != NULL and records.size == REFUSAL_SIZE else E_NONE


cdef void serve_partition(Engine* e, Connection* c, Request* r, Topic* topic, Partition* p, Span records, int16_t acks,
                          Outcome* out) noexcept nogil:
    cdef uint8_t permits = permits_of(e, topic, c.principal) if topic != NULL else 0
    out.base_offset = -1
    out.append_time = -1
    out.log_start = -1
    out.appended = False
    out.duplicate = False
    if acks != 0 and acks != 1 and acks != -1:
        out.error = E_INVALID_REQUIRED_ACKS
    elif permits & DENY_WRITE:
        out.error = E_TOPIC_AUTHORIZATION_FAILED
    elif topic == NULL and r.version >= TOPIC_ID_FROM:
        out.error = E_UNKNOWN_TOPIC_ID
    elif p == NULL or permits & PERMIT_WRITE == 0:
        out.error = E_UNKNOWN_TOPIC_OR_PARTITION
    else:
        out.error = r.refused if r.refused != E_NONE else refusal(r, records)
        if out.error == E_NONE:
            append(e, c, p, r, records, acks, out)


cdef int produce_serve(Engine* e, Connection* c, Request* r) noexcept nogil:
    """SERVED, FORWARD (nothing done; r.reason says why) or MALFORMED (close the connection)."""
    cdef int verdict = check(e, c, r)
    if verdict == MALFORMED or (verdict == FORWARD and not r.final):
        return verdict
    e.counters.requests_produce += 1
    return execute(e, c, r)
