"""Produce (KIP-98 batches, versions 3-13): every check Kafka makes of a batch, offsets patched in place, answers gated."""

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t

from pyralog._speedups.batch cimport (
    ATTR_CODEC, ATTR_LOG_APPEND_TIME, ATTR_TRANSACTIONAL,
    BatchInfo, batch_assign, batch_check_client, batch_crc_ok, batch_parse, batch_set_append_time, batch_set_max_timestamp,
)
from pyralog._speedups.cursor cimport (
    MAX_ELEMENTS, Cursor, Span, read_bytes, read_count, read_i16, read_i32, read_string, skip_tags, take,
)
from pyralog._speedups.endian cimport load16, load32
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
    DENY_WRITE, E_CORRUPT_MESSAGE, E_INVALID_PRODUCER_EPOCH, E_INVALID_RECORD, E_INVALID_REQUEST, E_INVALID_REQUIRED_ACKS, E_INVALID_TIMESTAMP,
    E_INVALID_TXN_STATE, E_KAFKA_STORAGE_ERROR, E_MESSAGE_TOO_LARGE, E_NONE, E_NOT_ENOUGH_REPLICAS,
    E_NOT_LEADER_OR_FOLLOWER, E_OUT_OF_ORDER_SEQUENCE_NUMBER, E_TOPIC_AUTHORIZATION_FAILED,
    E_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, E_UNKNOWN_TOPIC_ID, E_UNKNOWN_TOPIC_OR_PARTITION,
    E_UNSUPPORTED_COMPRESSION_TYPE, FORWARD_RECORDS, FORWARD_TOPIC, FORWARD_TRANSACTION, PERMIT_WRITE,
    Connection, Engine, Partition, Topic,
)
from pyralog._speedups.plane.transactions cimport txn_begun, txn_known
from pyralog._speedups.plane.waiters cimport partition_await, waits_for_sync
from pyralog._speedups.producers cimport (
    PRODUCER_DUPLICATE, PRODUCER_NEW, ProducerBatch, ProducerVerdict, batch_producer, producers_append, producers_check,
    producers_knows,
)
from pyralog._speedups.records cimport RecordWalk, records_walk
from pyralog._speedups.segment cimport BatchRef

cdef enum:
    ZSTD = 4
    ZSTD_FROM = 7               # Produce version
    NO_REASON = -1
    SECOND_FROM = 12            # a client that speaks transactions of the second version
    TOPIC_ID_FROM = 13
    PARTITION_ANSWER = 64       # bytes of one partition's answer, at most
    REFUSAL_SIZE = 2            # no batch is that short
    SMALLEST_TOPIC = 3          # bytes of an element: flexible, with nothing in it
    SMALLEST_PARTITION = 6
    AT_LENGTH = 8               # in a batch
    BATCH_PREFIX = 12           # what a batch's length does not count


ctypedef struct Outcome:        # of one partition
    int16_t error
    int64_t base_offset
    int64_t append_time
    int64_t log_start
    bint appended
    bint duplicate


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


cdef bint hides_records(Engine* e, const Partition* p, const BatchInfo* info) noexcept nogil:
    """A compressed batch whose records have to be looked at: keyless ones on a compacted topic, another codec, a lower
    bound of timestamps, which no header tells."""
    cdef int codec = info.attributes & ATTR_CODEC
    if p.settings.compression >= 0 and codec != p.settings.compression:
        return True
    return codec != 0 and (p.settings.compacted or (
        not p.settings.append_time and p.settings.timestamp_before_max_ms < e.now_ms))


cdef bint unverified(Engine* e, Connection* c, Partition* p, const BatchInfo* info) noexcept nogil:
    """The coordinator has to be asked about the transaction of this batch. Not where it is a duplicate, or of an old epoch:
    the producer table says enough of those."""
    cdef ProducerBatch batch
    cdef ProducerVerdict verdict
    cdef int rc
    if txn_known(e, c, p, info.producer_id, info.producer_epoch):
        return False
    batch_producer(info, &batch)
    rc = producers_check(p.producers, &batch, &verdict)
    return rc != PRODUCER_DUPLICATE and rc != E_INVALID_PRODUCER_EPOCH


cdef int look(Engine* e, Connection* c, Request* r, Partition* p, Span records, bint named) noexcept nogil:
    """Why this batch has to go to Python, by its header; NO_REASON when it need not. Notes what the request is refused for."""
    cdef BatchInfo info
    if p == NULL or records.data == NULL or batch_parse(records.data, records.size, &info) != 0:
        return NO_REASON
    if info.attributes & ATTR_TRANSACTIONAL and info.producer_id >= 0:
        if not named:
            r.refused = E_TRANSACTIONAL_ID_AUTHORIZATION_FAILED     # nobody can say whether its producer may write it
        elif unverified(e, c, p, &info):
            return FORWARD_TRANSACTION
    return FORWARD_RECORDS if hides_records(e, p, &info) else NO_REASON


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
            if verdict == SERVED or r.reason == FORWARD_RECORDS:
                reason = look(e, c, r, topic_partition(topic, index), records, head.transactional)
                if reason != NO_REASON:
                    verdict = FORWARD
                    r.reason = reason
        if r.flexible:
            skip_tags(&body)
    if r.flexible:
        skip_tags(&body)
    return MALFORMED if body.bad else verdict


cdef int check_records(Engine* e, Partition* p, uint8_t* data, BatchInfo* info) noexcept nogil:
    """Records and timestamps of one batch; may rewrite timestamps and CRC. Returns a Kafka error code."""
    cdef RecordWalk walk
    cdef int rc
    cdef bint plain = info.attributes & ATTR_CODEC == 0
    walk.max_timestamp = info.max_timestamp
    walk.min_timestamp = -1
    walk.null_key = False
    if plain:
        rc = records_walk(data, info, &walk)
        if rc != 0:
            return rc
        if walk.null_key and p.settings.compacted:
            return E_INVALID_RECORD
    if p.settings.append_time:
        batch_set_append_time(data, info, e.now_ms)
        return E_NONE
    # No subtraction before its operands are known to be positive: a client may send any 64 bits.
    if walk.max_timestamp > e.now_ms and walk.max_timestamp - e.now_ms > p.settings.timestamp_after_max_ms:
        return E_INVALID_TIMESTAMP
    if plain and walk.min_timestamp >= 0 and e.now_ms - walk.min_timestamp > p.settings.timestamp_before_max_ms:
        return E_INVALID_TIMESTAMP
    if info.attributes & ATTR_LOG_APPEND_TIME:
        return E_INVALID_TIMESTAMP
    if plain and walk.max_timestamp != info.max_timestamp:
        batch_set_max_timestamp(data, info, walk.max_timestamp)
    return E_NONE


cdef int check_batch(Engine* e, Partition* p, const Request* r, Span records, int16_t acks, BatchInfo* info) noexcept nogil:
    cdef BatchInfo second
    cdef int rc
    if acks == -1 and p.settings.min_insync_replicas > 1:
        return E_NOT_ENOUGH_REPLICAS
    if records.data == NULL:
        return E_INVALID_REQUEST
    if records.size < BATCH_PREFIX or load32(records.data + AT_LENGTH) > records.size - BATCH_PREFIX:
        return E_INVALID_RECORD         # no whole batch
    rc = batch_parse(records.data, records.size, info)
    if rc != 0:
        return rc
    if info.size > p.settings.max_message_bytes:
        return E_MESSAGE_TOO_LARGE
    if info.size < records.size and batch_parse(records.data + info.size, records.size - info.size, &second) == 0:
        return E_INVALID_RECORD         # one batch per partition and request
    if not batch_crc_ok(records.data, info):
        return E_CORRUPT_MESSAGE
    rc = batch_check_client(info)
    if rc != 0:
        return rc
    if info.attributes & ATTR_CODEC == ZSTD and r.version < ZSTD_FROM and not r.final:  # Python has checked what it was
        return E_UNSUPPORTED_COMPRESSION_TYPE
    if info.attributes & ATTR_TRANSACTIONAL and info.producer_id < 0:
        return E_INVALID_RECORD
    if info.producer_id >= 0 and (info.base_sequence < 0 or info.producer_epoch < 0):
        return E_INVALID_RECORD
    return check_records(e, p, <uint8_t*>records.data, info)


cdef int check_sequence(Engine* e, Connection* c, Partition* p, const Request* r, BatchInfo* info, Outcome* out) noexcept nogil:
    """Idempotence and transactions: 0 to go on, a Kafka error, or out.duplicate with the first answer's offset."""
    cdef ProducerBatch batch
    cdef ProducerVerdict verdict
    cdef int rc
    if info.producer_id < 0:
        return E_NONE
    info.base_offset = p.next_offset
    batch_producer(info, &batch)
    batch.at_bytes = p.taken_bytes
    rc = producers_check(p.producers, &batch, &verdict)
    if rc == PRODUCER_DUPLICATE:
        out.duplicate = True
        out.base_offset = verdict.base_offset
        out.append_time = verdict.timestamp
        return E_NONE
    if rc != PRODUCER_NEW:
        return rc
    if batch.transactional:
        if r.version >= SECOND_FROM and batch.first_sequence != 0 and not producers_knows(p.producers, batch.producer_id):
            return E_OUT_OF_ORDER_SEQUENCE_NUMBER
        if not txn_known(e, c, p, batch.producer_id, batch.producer_epoch):
            return E_INVALID_TXN_STATE
    if producers_append(p.producers, &batch, e.now_ms) != 0:
        return E_KAFKA_STORAGE_ERROR
    if batch.transactional:
        txn_begun(e, c, p, &batch)
    return E_NONE


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
