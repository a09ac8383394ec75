# Producer table of one partition: idempotence by (producer id, epoch, sequence), five batches remembered. KIP-98, KIP-360.
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t

cdef enum:
    PRODUCER_NEW = 0            # append it
    PRODUCER_DUPLICATE = -1     # answer with the stored offset; do not append
    # > 0: a Kafka error code (45 OUT_OF_ORDER_SEQUENCE_NUMBER, 47 INVALID_PRODUCER_EPOCH)

    PRODUCER_BATCHES = 5        # remembered per producer

ctypedef struct ProducerEntry:  # private to producers.pyx
    int64_t producer_id
    int64_t last_timestamp      # of the newest batch, as the producer set it
    int64_t seen_ms             # when it was appended: what expiry goes by
    int32_t last_sequence
    int16_t epoch
    uint8_t count               # batches remembered, the newest at `newest`
    uint8_t newest
    int32_t first_sequences[5]
    int32_t last_sequences[5]
    int64_t base_offsets[5]
    int64_t last_offsets[5]
    int64_t timestamps[5]

ctypedef struct ProducerTable:  # private to producers.pyx
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

ctypedef struct ProducerState:  # what DescribeProducers answers
    int64_t producer_id
    int16_t producer_epoch
    int32_t last_sequence
    int64_t last_timestamp


cdef ProducerTable* producers_new() noexcept nogil
cdef void producers_free(ProducerTable* table) noexcept nogil
cdef int producers_check(ProducerTable* table, const ProducerBatch* batch, ProducerVerdict* out) noexcept nogil
cdef int producers_append(ProducerTable* table, const ProducerBatch* batch, int64_t now_ms) noexcept nogil  # 0 or -ENOMEM
cdef int64_t producers_expire(ProducerTable* table, int64_t not_after_ms) noexcept nogil      # number removed
cdef int64_t producers_count(const ProducerTable* table) noexcept nogil
cdef int64_t producers_states(const ProducerTable* table, ProducerState* out, int64_t capacity) noexcept nogil
# Serialized with a CRC; *out is malloc'd and the caller's. Returns bytes or -ENOMEM. Offset = log end it belongs to.
cdef int64_t producers_dump(const ProducerTable* table, int64_t offset, uint8_t** out) noexcept nogil
cdef int producers_load(ProducerTable* table, const uint8_t* data, int64_t size, int64_t* offset) noexcept nogil  # 0 or -EINVAL
cdef void producers_clear(ProducerTable* table) noexcept nogil

cdef list states_of(const ProducerTable* table)                     # (producer id, epoch, last sequence, last timestamp)
cdef bytes dump_of(const ProducerTable* table, int64_t offset)
