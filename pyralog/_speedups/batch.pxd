# Record-batch header (magic 2): parse, check, patch in place. KIP-98; field layout in data order.
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint32_t

cdef enum:
    BATCH_HEADER = 61           # bytes up to the first record
    BATCH_OVERHEAD = 12         # base offset and length, before what `length` counts
    AT_LENGTH = 8
    AT_LEADER_EPOCH = 12
    AT_MAGIC = 16
    AT_CRC = 17
    AT_ATTRIBUTES = 21          # the CRC covers from here to the end
    AT_LAST_OFFSET_DELTA = 23
    AT_BASE_TIMESTAMP = 27
    AT_MAX_TIMESTAMP = 35
    AT_PRODUCER_ID = 43
    AT_PRODUCER_EPOCH = 51
    AT_BASE_SEQUENCE = 53
    AT_COUNT = 57

    ATTR_CODEC = 0x07           # 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd
    ATTR_LOG_APPEND_TIME = 0x08
    ATTR_TRANSACTIONAL = 0x10
    ATTR_CONTROL = 0x20
    ATTR_DELETE_HORIZON = 0x40

    MARKER_SIZE = 78            # bytes of a batch that ends a transaction
    MARKER_NONE = -1            # another control batch, such as a change of leader


ctypedef struct BatchInfo:
    int64_t base_offset
    int64_t size                # whole batch in bytes, overhead included
    int32_t leader_epoch
    uint32_t crc
    int16_t attributes
    int32_t last_offset_delta
    int64_t base_timestamp
    int64_t max_timestamp
    int64_t producer_id
    int16_t producer_epoch
    int32_t base_sequence
    int32_t count


# Reads the header of the batch at p; `remaining` bytes are there. Returns 0 or a Kafka error code:
# 2 CORRUPT_MESSAGE (length < 14, beyond remaining, unknown magic), 87 INVALID_RECORD (magic 0, 1).
cdef int batch_parse(const uint8_t* p, int64_t remaining, BatchInfo* out) noexcept nogil

# True when the stored CRC-32C matches the bytes.
cdef bint batch_crc_ok(const uint8_t* p, const BatchInfo* info) noexcept nogil

# What a client may not send: a control batch, an empty batch, a count that disagrees with the last offset delta,
# an unknown codec (5-7) -> 87. Trap 10 and compatibility.md section 7.
cdef int batch_check_client(const BatchInfo* info) noexcept nogil

cdef void batch_assign(uint8_t* p, int64_t base_offset, int32_t leader_epoch) noexcept nogil

# LogAppendTime: set attribute bit 3 and the max timestamp, and compute the CRC anew.
cdef void batch_set_append_time(uint8_t* p, BatchInfo* info, int64_t now_ms) noexcept nogil

# CreateTime whose header lies about the maximum: store the true one and compute the CRC anew.
cdef void batch_set_max_timestamp(uint8_t* p, BatchInfo* info, int64_t max_timestamp) noexcept nogil

# The header of a batch whose bytes need not all be there (at least BATCH_HEADER are): for walks over log files.
# 0, or 2 when it is no batch of at most `limit` bytes.
cdef int batch_peek(const uint8_t* p, int64_t limit, BatchInfo* out) noexcept nogil
# Every field but `size`, without a check.
cdef void batch_read(const uint8_t* p, BatchInfo* out) noexcept nogil

# What a whole control batch says of its producer's transaction: 0 abort, 1 commit, or MARKER_NONE.
cdef int batch_marker(const uint8_t* p, const BatchInfo* info, int32_t* coordinator_epoch) noexcept nogil
# Kafka's EndTransactionMarker as a batch of MARKER_SIZE bytes: offset and leader epoch 0, sealed.
cdef void batch_put_marker(uint8_t* out, int64_t producer_id, int16_t producer_epoch, int32_t coordinator_epoch, bint commit,
                           int64_t timestamp) noexcept nogil
