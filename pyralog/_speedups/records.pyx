"""Walk over the records of one uncompressed batch (KIP-98): every length, count and delta is checked, nothing is copied."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from pyralog._speedups.batch cimport BATCH_HEADER, BatchInfo, batch_parse

cdef enum:
    INVALID_RECORD = 87


cdef inline const uint8_t* read_varint(const uint8_t* p, const uint8_t* end, int32_t* out) noexcept nogil:
    """Zig-zag varint of at most five bytes; NULL when it is longer or runs past the end."""
    cdef uint32_t value, byte
    cdef int shift = 7
    if p >= end:
        return NULL
    value = p[0]
    p += 1
    if value >= 0x80:
        value &= 0x7f
        while True:
            if p >= end or shift > 28:
                return NULL
            byte = p[0]
            p += 1
            value |= (byte & 0x7f) << shift
            if byte < 0x80:
                break
            shift += 7
    out[0] = <int32_t>((value >> 1) ^ (0 - (value & 1)))
    return p


cdef inline const uint8_t* read_varlong(const uint8_t* p, const uint8_t* end, int64_t* out) noexcept nogil:
    """Zig-zag varint of at most ten bytes; NULL when it is longer or runs past the end."""
    cdef uint64_t value, byte
    cdef int shift = 7
    if p >= end:
        return NULL
    value = p[0]
    p += 1
    if value >= 0x80:
        value &= 0x7f
        while True:
            if p >= end or shift > 63:
                return NULL
            byte = p[0]
            p += 1
            value |= (byte & 0x7f) << shift
            if byte < 0x80:
                break
            shift += 7
    out[0] = <int64_t>((value >> 1) ^ (0 - (value & 1)))
    return p


cdef const uint8_t* skip_headers(const uint8_t* p, const uint8_t* end) noexcept nogil:
    cdef int32_t count, size
    p = read_varint(p, end, &count)
    if p == NULL or count < 0 or count > end - p:
        return NULL
    while count > 0:
        p = read_varint(p, end, &size)
        if p == NULL or size < 0 or size > end - p:
            return NULL
        p = read_varint(p + size, end, &size)
        if p == NULL or size > end - p:
            return NULL
        if size > 0:
            p += size
        count -= 1
    return p


cdef int records_walk(const uint8_t* batch, const BatchInfo* info, RecordWalk* out) noexcept nogil:
    cdef const uint8_t* p = batch + BATCH_HEADER
    cdef const uint8_t* end = batch + info.size
    cdef const uint8_t* record_end
    cdef int32_t size, delta, n
    cdef int64_t timestamp, time_delta, biggest, smallest
    out.null_key = False
    out.max_timestamp_offset_delta = 0
    biggest = smallest = 0
    # A record takes at least seven bytes, so the count cannot send us around for nothing.
    if info.count < 0 or <int64_t>info.count * 7 > end - p:
        return INVALID_RECORD
    for n in range(info.count):
        p = read_varint(p, end, &size)
        if p == NULL or size < 6 or size > end - p:
            return INVALID_RECORD
        record_end = p + size
        p = read_varlong(p + 1, record_end, &time_delta)    # attributes are unused
        if p == NULL:
            return INVALID_RECORD
        p = read_varint(p, record_end, &delta)
        if p == NULL or delta < 0 or delta > info.last_offset_delta:
            return INVALID_RECORD
        timestamp = <int64_t>(<uint64_t>info.base_timestamp + <uint64_t>time_delta)
        if n == 0:
            biggest = smallest = timestamp
            out.max_timestamp_offset_delta = delta
        elif timestamp > biggest:
            biggest = timestamp
            out.max_timestamp_offset_delta = delta
        elif timestamp < smallest:
            smallest = timestamp
        p = read_varint(p, record_end, &size)
        if p == NULL or size > record_end - p:
            return INVALID_RECORD
        if size < 0:
            out.null_key = True
        else:
            p += size
        p = read_varint(p, record_end, &size)
        if p == NULL or size > record_end - p:
            return INVALID_RECORD
        if size > 0:
            p += size
        if record_end - p == 1 and p[0] == 0:
            p = record_end
            continue
        p = skip_headers(p, record_end)
        if p != record_end:
            return INVALID_RECORD
    if p != end:
        return INVALID_RECORD
    out.max_timestamp = biggest
    out.min_timestamp = smallest
    return 0


def walk(const uint8_t[::1] batch not None) -> dict:
    """Walks the batch at the start of the buffer: `error` (0, or a Kafka error code) and what was found."""
    cdef BatchInfo info
    cdef RecordWalk found
    cdef int error
    if batch.shape[0] == 0:
        return {"error": 2}
    error = batch_parse(&batch[0], batch.shape[0], &info)
    if error == 0:
        with nogil:
            error = records_walk(&batch[0], &info, &found)
    if error != 0:
        return {"error": error}
    return {"error": 0, **found}
