"""Whether a produced batch may be appended: every check that Kafka makes of one, and what only Python can tell."""

from libc.stdint cimport int16_t, uint8_t

from pyralog._speedups.batch cimport (
    ATTR_CODEC, ATTR_LOG_APPEND_TIME, ATTR_TRANSACTIONAL,
    BatchInfo, batch_check_client, batch_crc_ok, batch_parse, batch_set_append_time, batch_set_max_timestamp,
)
from pyralog._speedups.cursor cimport Span
from pyralog._speedups.endian cimport load32
from pyralog._speedups.plane.frame cimport Request
from pyralog._speedups.plane.state cimport (
    E_CORRUPT_MESSAGE, E_INVALID_PRODUCER_EPOCH, E_INVALID_RECORD, E_INVALID_REQUEST, E_INVALID_TIMESTAMP,
    E_INVALID_TXN_STATE, E_KAFKA_STORAGE_ERROR, E_MESSAGE_TOO_LARGE, E_NONE, E_NOT_ENOUGH_REPLICAS,
    E_OUT_OF_ORDER_SEQUENCE_NUMBER, E_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, E_UNSUPPORTED_COMPRESSION_TYPE,
    FORWARD_RECORDS, FORWARD_TRANSACTION, Connection, Engine, Partition,
)
from pyralog._speedups.plane.transactions cimport txn_attempt, txn_begun, txn_known, txn_overtakes
from pyralog._speedups.producers cimport (
    PRODUCER_DUPLICATE, PRODUCER_NEW, ProducerBatch, ProducerVerdict, batch_producer, producers_append, producers_check,
    producers_knows,
)
from pyralog._speedups.records cimport RecordWalk, records_walk

cdef enum:
    ZSTD = 4
    ZSTD_FROM = 7               # Produce version
    SECOND_FROM = 12            # a client that speaks transactions of the second version
    AT_LENGTH = 8               # in a batch
    BATCH_PREFIX = 12           # what a batch's length does not count


# --- what Python is asked ---

cdef bint hides_records(Engine* e, const Partition* p, const BatchInfo* info) noexcept nogil:
    """A compressed batch whose records have to be looked at: keyless ones on a compacted topic, another codec, a lower
    bound of timestamps, which no header tells."""
    cdef int codec = info.attributes & ATTR_CODEC
    if p.settings.compression >= 0 and codec != p.settings.compression:
        return True
    return codec != 0 and (p.settings.compacted or (
        not p.settings.append_time and p.settings.timestamp_before_max_ms < e.now_ms))


cdef bint unverified(Engine* e, Connection* c, Partition* p, const BatchInfo* info, bint second) noexcept nogil:
    """The coordinator has to be asked about the transaction of this batch. Not where it is a duplicate, or of an old epoch:
    the producer table says enough of those. It is noted where the table would take any sequence."""
    cdef ProducerBatch batch
    cdef ProducerVerdict verdict
    cdef int rc
    if txn_known(e, c, p, info.producer_id, info.producer_epoch):
        return False
    batch_producer(info, &batch)
    rc = producers_check(p.producers, &batch, &verdict)
    if rc == PRODUCER_NEW:
        txn_attempt(e, p, info.producer_id, info.producer_epoch, info.base_sequence, second)
    return rc != PRODUCER_DUPLICATE and rc != E_INVALID_PRODUCER_EPOCH


cdef int look(Engine* e, Connection* c, Request* r, Partition* p, Span records, bint named) noexcept nogil:
    """Why this batch has to go to Python, by its header; NO_REASON when it need not. Notes what the request is refused for."""
    cdef BatchInfo info
    if p == NULL or records.data == NULL or batch_parse(records.data, records.size, &info) != 0:
        return NO_REASON
    if info.attributes & ATTR_TRANSACTIONAL and info.producer_id >= 0:
        if not named:
            r.refused = E_TRANSACTIONAL_ID_AUTHORIZATION_FAILED     # nobody can say whether its producer may write it
        elif unverified(e, c, p, &info, r.version >= SECOND_FROM):
            return FORWARD_TRANSACTION
    return FORWARD_RECORDS if hides_records(e, p, &info) else NO_REASON


# --- what is wrong with it ---

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
        if txn_overtakes(p, batch.producer_id, batch.producer_epoch, batch.first_sequence):
            return E_OUT_OF_ORDER_SEQUENCE_NUMBER
    if producers_append(p.producers, &batch, e.now_ms) != 0:
        return E_KAFKA_STORAGE_ERROR
    if batch.transactional:
        txn_begun(e, c, p, &batch)
    return E_NONE
