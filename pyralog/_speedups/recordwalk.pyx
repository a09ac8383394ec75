"""Walks over the records of a batch: where the key lies, whether there is a value, what has to be copied."""

from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport realloc


cdef int reserve(Bytes* b, int64_t more) noexcept nogil:
    cdef int64_t capacity = max(b.capacity, <int64_t>1 << 16)
    cdef uint8_t* grown
    while capacity < b.size + more:
        capacity *= 2
    if capacity != b.capacity:
        grown = <uint8_t*>realloc(b.data, <size_t>capacity)
        if grown == NULL:
            return -1
        b.data = grown
        b.capacity = capacity
    return 0


cdef bytes as_bytes(const Bytes* b):
    return b"" if b.size == 0 else (<char*>b.data)[:b.size]


cdef const uint8_t* varint(const uint8_t* p, const uint8_t* end, int64_t* out) noexcept nogil:
    """Behind the varint, NULL when there is none."""
    cdef unsigned long long value = 0
    cdef int shift = 0
    while p < end and shift < 64:
        value |= <unsigned long long>(p[0] & 0x7f) << shift
        if p[0] < 0x80:
            out[0] = <int64_t>(value >> 1) ^ -<int64_t>(value & 1)
            return p + 1
        p += 1
        shift += 7
    return NULL


cdef const uint8_t* read_record(const uint8_t* p, const uint8_t* end, Rec* out) noexcept nogil:
    cdef int64_t size
    out.start = p
    p = varint(p, end, &size)
    if p == NULL or size < 6 or size > end - p:
        return NULL
    out.end = p + size
    out.attributes = p[0]
    p = varint(p + 1, out.end, &out.timestamp_delta)
    if p == NULL:
        return NULL
    out.after_time = p
    p = varint(p, out.end, &out.offset_delta)
    if p != NULL:
        p = varint(p, out.end, &size)
    if p == NULL or size > out.end - p:
        return NULL
    out.key = p if size >= 0 else NULL
    out.key_size = size
    p = varint(p + max(size, 0), out.end, &size)
    if p == NULL or size > out.end - p:
        return NULL
    out.tombstone = size < 0
    return out.end
