"""Record-batch header (magic 2, KIP-98): parse, check, and patch in place without touching the records."""

from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint32_t
from libc.string cimport memset

from pyralog._speedups.crc32c cimport crc32c
from pyralog._speedups.endian cimport load16, load32, load64, store16, store32, store64

cdef enum:
    CORRUPT_MESSAGE = 2
    INVALID_RECORD = 87
    SMALLEST_LENGTH = 14        # what Kafka asks of the length field before it looks at the magic byte

    # The record of a marker: length, attributes, timestamp and offset delta, then key (version, type), value (version,
    # coordinator epoch), each behind its length, and no headers. All varints are of one byte until compaction gives the
    # batch a delete horizon in the place of its base timestamp (KIP-534).
    LONGEST_MARKER = BATCH_HEADER + 48
    RECORD_LENGTH = 16
    AT_KEY_LENGTH = BATCH_HEADER + 4
    AT_KEY = BATCH_HEADER + 5
    AT_VALUE_LENGTH = BATCH_HEADER + 9
    AT_VALUE = BATCH_HEADER + 10


cdef int batch_parse(const uint8_t* p, int64_t remaining, BatchInfo* out) noexcept nogil:
    cdef int64_t length
    cdef int8_t magic
    if remaining < BATCH_OVERHEAD:
        return CORRUPT_MESSAGE
    length = load32(p + AT_LENGTH)
    if length < SMALLEST_LENGTH or length > remaining - BATCH_OVERHEAD:
        return CORRUPT_MESSAGE
    magic = <int8_t>p[AT_MAGIC]
    if magic == 0 or magic == 1:
        return INVALID_RECORD
    if magic != 2 or length < BATCH_HEADER - BATCH_OVERHEAD:
        return CORRUPT_MESSAGE
    out.size = length + BATCH_OVERHEAD
    batch_read(p, out)
    return 0


cdef int batch_peek(const uint8_t* p, int64_t limit, BatchInfo* out) noexcept nogil:
    cdef int64_t length = load32(p + AT_LENGTH)
    if length < BATCH_HEADER - BATCH_OVERHEAD or length > limit - BATCH_OVERHEAD or p[AT_MAGIC] != 2:
        return CORRUPT_MESSAGE
    out.size = length + BATCH_OVERHEAD
    batch_read(p, out)
    if out.last_offset_delta < 0 or out.base_offset < 0 or out.base_offset > <int64_t>0x7fffffff00000000:
        return CORRUPT_MESSAGE
    return 0


cdef void batch_read(const uint8_t* p, BatchInfo* out) noexcept nogil:
    out.base_offset = load64(p)
    out.leader_epoch = load32(p + AT_LEADER_EPOCH)
    out.crc = <uint32_t>load32(p + AT_CRC)
    out.attributes = load16(p + AT_ATTRIBUTES)
    out.last_offset_delta = load32(p + AT_LAST_OFFSET_DELTA)
    out.base_timestamp = load64(p + AT_BASE_TIMESTAMP)
    out.max_timestamp = load64(p + AT_MAX_TIMESTAMP)
    out.producer_id = load64(p + AT_PRODUCER_ID)
    out.producer_epoch = load16(p + AT_PRODUCER_EPOCH)
    out.base_sequence = load32(p + AT_BASE_SEQUENCE)
    out.count = load32(p + AT_COUNT)


cdef bint batch_crc_ok(const uint8_t* p, const BatchInfo* info) noexcept nogil:
    return crc32c(0, p + AT_ATTRIBUTES, <size_t>(info.size - AT_ATTRIBUTES)) == info.crc


cdef int batch_check_client(const BatchInfo* info) noexcept nogil:
    if info.attributes & ATTR_CONTROL or (info.attributes & ATTR_CODEC) > 4:
        return INVALID_RECORD
    if info.count <= 0 or <int64_t>info.last_offset_delta + 1 != info.count:
        return INVALID_RECORD
    if info.producer_id >= 0 and (info.base_sequence < 0 or info.producer_epoch < 0):
        return INVALID_RECORD
    return 0


cdef void batch_assign(uint8_t* p, int64_t base_offset, int32_t leader_epoch) noexcept nogil:
    store64(p, base_offset)
    store32(p + AT_LEADER_EPOCH, leader_epoch)


cdef void seal(uint8_t* p, BatchInfo* info) noexcept nogil:
    info.crc = crc32c(0, p + AT_ATTRIBUTES, <size_t>(info.size - AT_ATTRIBUTES))
    store32(p + AT_CRC, <int32_t>info.crc)


cdef void batch_set_append_time(uint8_t* p, BatchInfo* info, int64_t now_ms) noexcept nogil:
    info.attributes = <int16_t>(info.attributes | ATTR_LOG_APPEND_TIME)
    info.max_timestamp = now_ms
    store16(p + AT_ATTRIBUTES, info.attributes)
    store64(p + AT_MAX_TIMESTAMP, now_ms)
    seal(p, info)


cdef void batch_set_max_timestamp(uint8_t* p, BatchInfo* info, int64_t max_timestamp) noexcept nogil:
    info.max_timestamp = max_timestamp
    store64(p + AT_MAX_TIMESTAMP, max_timestamp)
    seal(p, info)


cdef inline uint8_t zigzag(int n) noexcept nogil:
    return <uint8_t>(n * 2)


cdef inline int64_t behind_varint(const uint8_t* p, int64_t at, int64_t end) noexcept nogil:
    while at < end and p[at] & 0x80:
        at += 1
    return at + 1


cdef int batch_marker(const uint8_t* p, const BatchInfo* info, int32_t* coordinator_epoch) noexcept nogil:
    cdef int64_t end = min(info.size, <int64_t>LONGEST_MARKER), at
    cdef int kind
    if info.attributes & ATTR_CONTROL == 0 or info.count <= 0:
        return MARKER_NONE
    at = behind_varint(p, BATCH_HEADER, end) + 1                            # length, attributes
    at = behind_varint(p, behind_varint(p, at, end), end)                   # the deltas of timestamp and offset
    # Later versions of key or value may be longer, never shorter; Kafka has written none.
    if (at + 12 > end or p[at] != zigzag(4) or p[at + 5] < zigzag(6) or p[at + 5] & 0x81 or load16(p + at + 1) < 0):
        return MARKER_NONE
    kind = load16(p + at + 3)
    coordinator_epoch[0] = load32(p + at + 8)
    return kind if kind == 0 or kind == 1 else MARKER_NONE


cdef void batch_put_marker(uint8_t* out, int64_t producer_id, int16_t producer_epoch, int32_t coordinator_epoch, bint commit,
                           int64_t timestamp) noexcept nogil:
    cdef BatchInfo info
    memset(out, 0, MARKER_SIZE)
    store32(out + AT_LENGTH, MARKER_SIZE - BATCH_OVERHEAD)
    out[AT_MAGIC] = 2
    store16(out + AT_ATTRIBUTES, ATTR_TRANSACTIONAL | ATTR_CONTROL)
    store64(out + AT_BASE_TIMESTAMP, timestamp)
    store64(out + AT_MAX_TIMESTAMP, timestamp)
    store64(out + AT_PRODUCER_ID, producer_id)
    store16(out + AT_PRODUCER_EPOCH, producer_epoch)
    store32(out + AT_BASE_SEQUENCE, -1)
    store32(out + AT_COUNT, 1)
    out[BATCH_HEADER] = zigzag(RECORD_LENGTH)
    out[AT_KEY_LENGTH] = zigzag(4)
    store16(out + AT_KEY + 2, 1 if commit else 0)
    out[AT_VALUE_LENGTH] = zigzag(6)
    store32(out + AT_VALUE + 2, coordinator_epoch)
    info.size = MARKER_SIZE
    seal(out, &info)


def marker(int64_t producer_id, int16_t producer_epoch, int32_t coordinator_epoch, bint commit, int64_t timestamp) -> bytes:
    """The batch that ends a transaction, at offset 0."""
    cdef uint8_t out[MARKER_SIZE]
    batch_put_marker(out, producer_id, producer_epoch, coordinator_epoch, commit, timestamp)
    return out[:MARKER_SIZE]


def parse(const uint8_t[::1] data not None) -> dict:
    """Header of the batch at the start of the buffer as a dict, with `error` (a Kafka error code, 0 = fine)."""
    cdef BatchInfo info
    cdef int error
    if data.shape[0] == 0:
        return {"error": CORRUPT_MESSAGE}
    error = batch_parse(&data[0], data.shape[0], &info)
    if error != 0:
        return {"error": error}
    return {
        "error": 0,
        "crc_ok": bool(batch_crc_ok(&data[0], &info)),
        "client_error": batch_check_client(&info),
        **info,
    }


def assign(uint8_t[::1] data not None, int64_t base_offset, int32_t leader_epoch) -> None:
    """Writes base offset and leader epoch into the batch; the CRC does not cover them."""
    check_header(data)
    batch_assign(&data[0], base_offset, leader_epoch)


def set_append_time(uint8_t[::1] data not None, int64_t now_ms) -> None:
    """Marks the batch LogAppendTime with `now_ms` and computes the CRC anew."""
    cdef BatchInfo info = check_header(data)
    batch_set_append_time(&data[0], &info, now_ms)


def set_max_timestamp(uint8_t[::1] data not None, int64_t max_timestamp) -> None:
    """Stores another max timestamp and computes the CRC anew."""
    cdef BatchInfo info = check_header(data)
    batch_set_max_timestamp(&data[0], &info, max_timestamp)


cdef BatchInfo check_header(uint8_t[::1] data) except *:
    cdef BatchInfo info
    if data.shape[0] < BATCH_HEADER or batch_parse(&data[0], data.shape[0], &info) != 0:
        raise ValueError("not a record batch")
    return info
