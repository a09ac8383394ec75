# Producer table of one partition: idempotence by (producer id, epoch, sequence), five batches remembered, and which
# transactions are open. KIP-98, KIP-360, KIP-890.
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t

from pyralog._speedups.batch cimport BatchInfo

cdef enum:
    PRODUCER_NEW = 0            # append it
    PRODUCER_DUPLICATE = -1     # answer with the stored offset; do not append
    # > 0: a Kafka error code (45 OUT_OF_ORDER_SEQUENCE_NUMBER, 47 INVALID_PRODUCER_EPOCH, 48 INVALID_TXN_STATE)

    PRODUCER_BATCHES = 5        # remembered per producer

ctypedef struct ProducerEntry:  # private to producers.pyx and producer_snapshot.pyx
    int64_t producer_id
    int64_t last_timestamp      # of the newest batch, as the producer set it
    int64_t seen_ms             # when it was appended: what expiry goes by
    int64_t txn_first           # first offset of its open transaction, -1 = none
    uint64_t permit_version     # what may continue that transaction without being asked for its transactional id:
    uint32_t principal          # this principal, until ACLs change. 0 = nobody; not kept over a restart
    int32_t coordinator_epoch   # of the last marker, -1 = none
    int32_t last_sequence
    int16_t epoch
    uint8_t count               # batches remembered, the newest at `newest`
    uint8_t newest
    int32_t first_sequences[5]
    int32_t last_sequences[5]
    int64_t base_offsets[5]
    int64_t last_offsets[5]
    int64_t timestamps[5]

ctypedef struct OpenTxn:        # nothing at or above the first of these is stable
    int64_t first_offset
    int64_t end_offset          # of its marker, -1 = still open; ended, but the marker is not below the high watermark yet
    int64_t at_bytes            # what the partition had taken in before it, for the wait of read_committed fetches


ctypedef struct AbortedTxn:
    int64_t producer_id
    int64_t first_offset
    int64_t last_offset         # of the marker
    int64_t last_stable         # what was stable once this transaction had ended


ctypedef struct ProducerTable:  # private to the same
    OpenTxn* txns               # by first offset
    int64_t n_txns
    int64_t txns_capacity
    int64_t n_ended             # of the txns
    ProducerEntry* entries      # dense
    uint32_t* slots             # open addressing: index into entries + 1, 0 = free
    int64_t n_entries
    int64_t capacity
    int64_t n_slots             # a power of two

ctypedef struct ProducerVerdict:
    int64_t base_offset         # of the duplicate
    int64_t timestamp           # its max timestamp

ctypedef struct ProducerBatch:
    int64_t producer_id
    int16_t producer_epoch
    int32_t first_sequence
    int32_t last_sequence       # wraps at 2^31-1 to 0
    int64_t base_offset
    int64_t last_offset
    int64_t timestamp
    bint transactional
    int64_t at_bytes            # OpenTxn.at_bytes, should it begin a transaction

ctypedef struct ProducerMarker:
    int64_t producer_id
    int16_t producer_epoch
    int32_t coordinator_epoch
    bint commit
    int64_t offset
    int64_t timestamp

ctypedef struct ProducerState:  # what DescribeProducers answers
    int64_t producer_id
    int16_t producer_epoch
    int32_t last_sequence
    int64_t last_timestamp
    int32_t coordinator_epoch
    int64_t txn_first


cdef ProducerTable* producers_new() noexcept nogil
cdef void producers_free(ProducerTable* table) noexcept nogil
cdef int producers_check(ProducerTable* table, const ProducerBatch* batch, ProducerVerdict* out) noexcept nogil
cdef int producers_append(ProducerTable* table, const ProducerBatch* batch, int64_t now_ms) noexcept nogil  # 0 or -ENOMEM
# The entry if its transaction is open in this epoch, else NULL.
cdef ProducerEntry* producers_open(const ProducerTable* table, int64_t producer_id, int16_t epoch) noexcept nogil
cdef bint producers_knows(const ProducerTable* table, int64_t producer_id) noexcept nogil
# Whether a batch of the coordinator, which has no sequence, may be appended: 0 or 47.
cdef int producers_check_epoch(const ProducerTable* table, int64_t producer_id, int16_t epoch) noexcept nogil
# Whether a marker may be appended: 0, 47, or 52 TRANSACTION_COORDINATOR_FENCED.
cdef int producers_check_marker(const ProducerTable* table, const ProducerMarker* marker) noexcept nogil
# Ends the producer's transaction: 1 when an open one was aborted (*out says which), 0, or -ENOMEM. It stays among `txns`
# until producers_settle is told that its marker is below the high watermark.
cdef int producers_end(ProducerTable* table, const ProducerMarker* marker, int64_t now_ms, AbortedTxn* out) noexcept nogil
cdef void producers_settle(ProducerTable* table, int64_t hw) noexcept nogil
# What a batch found in a log means (recovery): 1 with an aborted transaction in *out, 0, or -ENOMEM.
cdef int producers_replay(ProducerTable* table, const uint8_t* data, const BatchInfo* info, int64_t now_ms,
                          AbortedTxn* out) noexcept nogil
cdef void batch_producer(const BatchInfo* info, ProducerBatch* out) noexcept nogil     # what the table wants to know of it
cdef int64_t producers_expire(ProducerTable* table, int64_t not_after_ms) noexcept nogil      # number removed
cdef int64_t producers_count(const ProducerTable* table) noexcept nogil
cdef int64_t producers_states(const ProducerTable* table, ProducerState* out, int64_t capacity) noexcept nogil
cdef void producers_clear(ProducerTable* table) noexcept nogil
# For producer_snapshot: the entry or NULL; a new one, NULL without memory; room for entries, for one more open transaction.
cdef ProducerEntry* producers_find(const ProducerTable* table, int64_t producer_id) noexcept nogil
cdef ProducerEntry* producers_insert(ProducerTable* table, int64_t producer_id) noexcept nogil
cdef int producers_resize(ProducerTable* table, int64_t capacity) noexcept nogil
cdef int producers_reserve_txn(ProducerTable* table) noexcept nogil

cdef inline int64_t producers_stable(const ProducerTable* table, int64_t hw) noexcept nogil:
    """The last stable offset."""
    if table.n_txns > 0 and table.txns[0].first_offset < hw:
        return table.txns[0].first_offset
    return hw


cdef list states_of(const ProducerTable* table)     # (producer id, epoch, last sequence, last timestamp)
cdef list transactions_of(const ProducerTable* table)   # (producer id, coordinator epoch, first offset of the open one)
