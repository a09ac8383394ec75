"""Transactions of a partition (KIP-98, KIP-890): who may open one, the markers that end them, what is stable."""

from libc.errno cimport ENOMEM
from libc.stdint cimport INT32_MAX, int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memmove, memset

from pyralog._speedups.batch cimport MARKER_SIZE, BatchInfo, batch_assign, batch_put_marker, batch_read, batch_set_append_time
from pyralog._speedups.endian cimport load16, load32
from pyralog._speedups.plane.buffers cimport grown
from pyralog._speedups.plane.partition cimport partition_answer, partition_enqueue
from pyralog._speedups.plane.state cimport (
    E_KAFKA_STORAGE_ERROR, E_NOT_LEADER_OR_FOLLOWER, AbortedTxn, Attempt, Command, Connection, Engine, Partition, Promise,
)
from pyralog._speedups.plane.waiters cimport NOBODY, engine_fail
from pyralog._speedups.producers cimport (
    ProducerBatch, ProducerEntry, ProducerMarker, producers_check_marker, producers_end, producers_open, producers_settle,
    producers_stable,
)
from pyralog._speedups.segment cimport LOG_OK, BatchRef, LogSlice, Segment, log_locate
from pyralog._speedups.txnindex cimport txn_index_append, txn_index_collect

cdef enum:
    MAX_ATTEMPTS = 1 << 14      # verified transactions of which no batch has come yet; the oldest give way


# --- what is stable ---

cdef int64_t bytes_from(Partition* p, int64_t offset) noexcept nogil:
    """How many bytes of the log lie at and behind the batch of an offset; 0 where it cannot be found."""
    cdef LogSlice found
    cdef int64_t i, behind = 0
    if log_locate(p.log, offset, p.log.leo, 1, True, True, &found) != LOG_OK or found.segment == NULL:
        return 0
    i = p.log.n_segments
    while i > 0 and p.log.segments[i - 1] != found.segment:
        i -= 1
        behind += p.log.segments[i].size
    return behind + found.segment.size - found.position


cdef void txn_open(Partition* p) noexcept nogil:
    """Bytes are counted from here on: what transactions that are open hold back lies before."""
    cdef int64_t i
    p.taken_bytes = 0
    for i in range(p.producers.n_txns):
        p.producers.txns[i].at_bytes = -bytes_from(p, max(p.producers.txns[i].first_offset, p.log.start))
    txn_stabilize(p)


cdef int64_t txn_stabilize(Partition* p) noexcept nogil:
    cdef int64_t stable = p.taken_bytes, gained
    producers_settle(p.producers, p.hw)
    p.lso = producers_stable(p.producers, p.hw)
    if p.lso < p.hw:
        stable = p.producers.txns[0].at_bytes
    if p.lso < p.log.start:
        p.lso = p.log.start     # its first records have been deleted
    gained = stable - p.stable_bytes
    p.stable_bytes = stable
    return gained if gained > 0 else 0


cdef int txn_note_aborts(Partition* p) noexcept nogil:
    cdef Segment* active = p.log.segments[p.log.n_segments - 1]
    cdef int32_t n = 0
    cdef int rc
    while n < p.n_aborts and p.aborts[n].last_offset < p.log.leo:
        n += 1
    if n == 0:
        return 0
    rc = txn_index_append(p.log, active, p.aborts, n)
    if rc < 0:
        return rc
    p.n_aborts -= n
    memmove(p.aborts, p.aborts + n, p.n_aborts * sizeof(AbortedTxn))
    return 0


# --- who may write ---

cdef Attempt* find_attempt(const Partition* p, int64_t producer_id) noexcept nogil:
    cdef int32_t i
    for i in range(p.n_attempts):
        if p.attempts[i].producer_id == producer_id:
            return &p.attempts[i]
    return NULL


cdef void drop_attempt(Partition* p, Attempt* attempt) noexcept nogil:
    cdef int32_t behind = <int32_t>(p.attempts + p.n_attempts - attempt) - 1
    memmove(attempt, attempt + 1, behind * sizeof(Attempt))
    p.n_attempts -= 1


cdef Attempt* new_attempt(Partition* p, int64_t producer_id) noexcept nogil:
    """NULL without memory."""
    cdef Attempt* bigger
    if p.n_attempts == MAX_ATTEMPTS:
        drop_attempt(p, p.attempts)
    bigger = <Attempt*>grown(p.attempts, p.n_attempts + 1, &p.attempts_capacity, sizeof(Attempt))
    if bigger == NULL:
        return NULL
    p.attempts = bigger
    memset(&bigger[p.n_attempts], 0, sizeof(Attempt))
    bigger[p.n_attempts].producer_id = producer_id
    bigger[p.n_attempts].epoch = -1
    p.n_attempts += 1
    return &bigger[p.n_attempts - 1]


cdef void begin_attempt(Attempt* attempt, int16_t epoch, int32_t sequence) noexcept nogil:
    attempt.epoch = epoch
    attempt.promised = False
    attempt.verified = False
    attempt.second = False
    attempt.lowest_sequence = sequence


cdef void txn_attempt(const Engine* e, Partition* p, int64_t producer_id, int16_t epoch, int32_t sequence, bint second) noexcept nogil:
    cdef Attempt* attempt = find_attempt(p, producer_id)
    if attempt == NULL:
        attempt = new_attempt(p, producer_id)
    if attempt == NULL or epoch < attempt.epoch:
        return
    if epoch > attempt.epoch:
        begin_attempt(attempt, epoch, sequence)
    attempt.lowest_sequence = min(attempt.lowest_sequence, sequence)
    attempt.second = second
    attempt.seen_ms = e.now_ms


cdef bint txn_overtakes(const Partition* p, int64_t producer_id, int16_t epoch, int32_t sequence) noexcept nogil:
    cdef const Attempt* attempt = find_attempt(p, producer_id)
    return attempt != NULL and attempt.epoch == epoch and sequence > attempt.lowest_sequence


cdef void txn_expire(Partition* p, int64_t not_after_ms) noexcept nogil:
    cdef int32_t i, kept = 0
    for i in range(p.n_attempts):
        if p.attempts[i].seen_ms > not_after_ms:
            p.attempts[kept] = p.attempts[i]
            kept += 1
    p.n_attempts = kept


cdef bint txn_known(const Engine* e, const Connection* c, const Partition* p, int64_t producer_id, int16_t epoch) noexcept nogil:
    cdef const ProducerEntry* entry = producers_open(p.producers, producer_id, epoch)
    cdef const Attempt* attempt
    if entry != NULL and entry.principal == c.principal + 1 and entry.permit_version == e.permit_version:
        return True
    attempt = find_attempt(p, producer_id)
    return (attempt != NULL and attempt.verified and attempt.epoch == epoch and attempt.principal == c.principal
            and attempt.permit_version == e.permit_version)


cdef void txn_begun(const Engine* e, const Connection* c, Partition* p, const ProducerBatch* batch) noexcept nogil:
    cdef ProducerEntry* entry = producers_open(p.producers, batch.producer_id, batch.producer_epoch)
    cdef Attempt* attempt = find_attempt(p, batch.producer_id)
    if attempt != NULL:
        drop_attempt(p, attempt)    # there is a batch now that says what is next, of a newer epoch too
    if entry != NULL:
        entry.principal = c.principal + 1
        entry.permit_version = e.permit_version


cdef Attempt* attempt_of(Partition* p, int64_t producer_id, int16_t epoch) noexcept nogil:
    """That of this epoch; NULL when there is a later one, or no memory: its batch is refused then, and comes again."""
    cdef Attempt* attempt = find_attempt(p, producer_id)
    if attempt == NULL:
        attempt = new_attempt(p, producer_id)
    if attempt == NULL or epoch < attempt.epoch:
        return NULL
    if epoch > attempt.epoch:
        begin_attempt(attempt, epoch, INT32_MAX)
    return attempt


cdef void verified(Engine* e, Attempt* attempt, uint32_t principal, uint64_t permit_version) noexcept nogil:
    attempt.verified = True
    attempt.principal = principal
    attempt.permit_version = permit_version
    attempt.seen_ms = e.now_ms


cdef void verify(Engine* e, Command* command) noexcept nogil:
    """token = principal, a = producer id, b = its epoch: the coordinator has this partition in the transaction."""
    cdef Attempt* attempt = attempt_of(command.partition, command.a, <int16_t>command.b)
    if attempt != NULL:
        verified(e, attempt, <uint32_t>command.token, e.permit_version)


cdef void promise_give(Engine* e, Promise* promise) noexcept nogil:
    cdef Attempt* attempt = attempt_of(promise.partition, promise.producer_id, promise.epoch)
    promise.permit_version = e.permit_version
    if attempt != NULL:
        attempt.promised = True
        attempt.seen_ms = e.now_ms


cdef void promise_keep(Engine* e, const Promise* promise) noexcept nogil:
    cdef Attempt* attempt = find_attempt(promise.partition, promise.producer_id)
    if attempt != NULL and attempt.promised and attempt.epoch == promise.epoch:
        attempt.promised = False
        verified(e, attempt, promise.principal, promise.permit_version)


# --- markers ---

cdef int64_t take_append_time(Engine* e, uint8_t* data) noexcept nogil:
    cdef BatchInfo info
    batch_read(data, &info)
    info.size = MARKER_SIZE
    batch_set_append_time(data, &info, e.now_ms)
    return e.now_ms


cdef void end_attempt(Partition* p, const ProducerMarker* marker) noexcept nogil:
    """What was verified may have been the transaction that has ended. Its next one may have begun already, where the
    epoch of the marker is its own: of that the sequences are kept."""
    cdef Attempt* attempt = find_attempt(p, marker.producer_id)
    if attempt == NULL:
        return
    if attempt.second and attempt.epoch == marker.producer_epoch:
        attempt.promised = attempt.verified = False
    else:
        drop_attempt(p, attempt)


cdef int append_marker(
    Engine* e, Partition* p, ProducerMarker* marker, uint8_t* room, uint32_t who, int64_t answer
) noexcept nogil:
    cdef BatchRef ref
    cdef AbortedTxn* bigger
    cdef int rc
    if not p.leading:
        return E_NOT_LEADER_OR_FOLLOWER
    if e.failed or p.failed:
        return E_KAFKA_STORAGE_ERROR
    marker.offset = p.next_offset
    rc = producers_check_marker(p.producers, marker)
    if rc != 0:
        return rc
    bigger = <AbortedTxn*>grown(p.aborts, p.n_aborts + 1, &p.aborts_capacity, sizeof(AbortedTxn))
    if bigger == NULL:
        return E_KAFKA_STORAGE_ERROR
    p.aborts = bigger
    batch_put_marker(room, marker.producer_id, marker.producer_epoch, marker.coordinator_epoch, marker.commit, marker.timestamp)
    if p.settings.append_time:
        marker.timestamp = take_append_time(e, room)
    batch_assign(room, p.next_offset, p.leader_epoch)
    ref.data = room
    ref.size = MARKER_SIZE
    ref.base_offset = p.next_offset
    ref.last_offset = p.next_offset
    ref.max_timestamp = marker.timestamp
    ref.max_timestamp_offset = p.next_offset
    if partition_answer(e, p, who, 0, ref.base_offset, answer, ref.last_offset + 1) < 0:
        return E_KAFKA_STORAGE_ERROR
    if partition_enqueue(e, p, &ref) < 0:
        p.n_answers -= 1
        return E_KAFKA_STORAGE_ERROR
    rc = producers_end(p.producers, marker, e.now_ms, &p.aborts[p.n_aborts])
    if rc < 0:
        engine_fail(e, p, ENOMEM)   # the log would say more than the producer table knows
    elif rc > 0:
        p.n_aborts += 1
    end_attempt(p, marker)
    p.bytes_in += MARKER_SIZE
    p.records_in += 1
    p.batches_in += 1
    return 0


cdef int write_marker(Engine* e, Command* command) noexcept nogil:
    """a = producer id, b = timestamp, data: producer epoch, coordinator epoch, commit. Ends the producer's transaction."""
    cdef ProducerMarker marker
    cdef uint8_t* data
    marker.producer_id = command.a
    marker.producer_epoch = load16(command.data)
    marker.coordinator_epoch = load32(command.data + 2)
    marker.commit = command.data[6] != 0
    marker.timestamp = command.b
    data = <uint8_t*>realloc(command.data, MARKER_SIZE)
    if data == NULL:
        return E_KAFKA_STORAGE_ERROR
    command.data = data
    command.size = MARKER_SIZE
    return append_marker(e, command.partition, &marker, data, NOBODY, <int64_t>command.cookie)


cdef int64_t list_aborted(Engine* e, Command* command) noexcept nogil:
    e.aborted.n = 0
    if txn_index_collect(command.partition.log, command.a, command.b, &e.aborted) < 0:
        return -E_KAFKA_STORAGE_ERROR
    return e.aborted.n
