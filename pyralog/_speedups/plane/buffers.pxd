# Growable byte buffers and arrays, and the big-endian writes into a connection's output.
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from pyralog._speedups.cursor cimport be16, be32, be64
from pyralog._speedups.plane.state cimport Buffer


cdef inline void* grown(void* array, int32_t needed, int32_t* capacity, size_t item) noexcept nogil:
    """The array with room for `needed` items, doubled when it must move; NULL (array kept) when memory is out."""
    cdef int32_t wanted = capacity[0]
    cdef void* bigger
    if needed <= wanted:
        return array
    wanted = wanted * 2 if wanted > 0 else 4
    if wanted < needed:
        wanted = needed
    bigger = realloc(array, <size_t>wanted * item)
    if bigger != NULL:
        capacity[0] = wanted
    return bigger


cdef inline int buffer_reserve(Buffer* b, int64_t extra) noexcept nogil:
    """Room for `extra` more bytes: 0, or -1 when memory is out."""
    cdef int64_t wanted = b.capacity
    cdef uint8_t* bigger
    if b.size + extra <= wanted:
        return 0
    wanted = wanted * 2 if wanted > 0 else 512
    if wanted < b.size + extra:
        wanted = b.size + extra
    bigger = <uint8_t*>realloc(b.data, wanted)
    if bigger == NULL:
        return -1
    b.data = bigger
    b.capacity = wanted
    return 0


cdef inline void buffer_free(Buffer* b) noexcept nogil:
    free(b.data)
    b.data = NULL
    b.size = 0
    b.capacity = 0


# The writes below assume that the caller has reserved the room.

cdef inline void put_i8(Buffer* b, int64_t v) noexcept nogil:
    b.data[b.size] = <uint8_t>v
    b.size += 1


cdef inline void put_i16(Buffer* b, int64_t v) noexcept nogil:
    cdef uint16_t raw = be16(<uint16_t>v)
    memcpy(b.data + b.size, &raw, 2)
    b.size += 2


cdef inline void put_i32(Buffer* b, int64_t v) noexcept nogil:
    cdef uint32_t raw = be32(<uint32_t>v)
    memcpy(b.data + b.size, &raw, 4)
    b.size += 4


cdef inline void put_i64(Buffer* b, int64_t v) noexcept nogil:
    cdef uint64_t raw = be64(<uint64_t>v)
    memcpy(b.data + b.size, &raw, 8)
    b.size += 8


cdef inline void put_raw(Buffer* b, const void* data, int64_t size) noexcept nogil:
    if size > 0:            # data may be NULL otherwise
        memcpy(b.data + b.size, data, size)
        b.size += size


cdef inline void put_uvarint(Buffer* b, uint64_t v) noexcept nogil:
    while v > 0x7F:
        b.data[b.size] = <uint8_t>(v | 0x80)
        b.size += 1
        v >>= 7
    b.data[b.size] = <uint8_t>v
    b.size += 1


cdef inline void put_count(Buffer* b, int64_t n, bint flexible) noexcept nogil:
    """Array or bytes length; -1 = null."""
    if flexible:
        put_uvarint(b, <uint64_t>(n + 1))
    else:
        put_i32(b, n)


cdef inline void put_string(Buffer* b, const uint8_t* data, int64_t size, bint flexible) noexcept nogil:
    if flexible:
        put_uvarint(b, <uint64_t>(size + 1))
    else:
        put_i16(b, size)
    put_raw(b, data, size)


cdef inline void patch_i16(uint8_t* at, int64_t v) noexcept nogil:
    cdef uint16_t raw = be16(<uint16_t>v)
    memcpy(at, &raw, 2)


cdef inline void patch_i32(uint8_t* at, int64_t v) noexcept nogil:
    cdef uint32_t raw = be32(<uint32_t>v)
    memcpy(at, &raw, 4)


cdef inline void patch_i64(uint8_t* at, int64_t v) noexcept nogil:
    cdef uint64_t raw = be64(<uint64_t>v)
    memcpy(at, &raw, 8)
