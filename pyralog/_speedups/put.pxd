# Bytes and varints into memory that the caller has measured: nothing is checked here.
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy


cdef inline uint8_t* put_raw(uint8_t* p, const void* data, int64_t size) noexcept nogil:
    """The byte behind them."""
    memcpy(p, data, size)
    return p + size


cdef inline uint8_t* put_uvarint(uint8_t* p, uint64_t value) noexcept nogil:
    """Unsigned LEB128; the byte behind it."""
    while value >= 0x80:
        p[0] = <uint8_t>(value & 0x7F | 0x80)
        p += 1
        value >>= 7
    p[0] = <uint8_t>value
    return p + 1


cdef inline uint8_t* put_varlong(uint8_t* p, int64_t value) noexcept nogil:
    """Zigzag LEB128; the byte behind it."""
    return put_uvarint(p, (<uint64_t>value << 1) ^ <uint64_t>(value >> 63))


cdef inline int64_t uvarint_size(uint64_t value) noexcept nogil:
    cdef int64_t n = 1
    while value >= 0x80:
        value >>= 7
        n += 1
    return n


cdef inline int64_t varlong_size(int64_t value) noexcept nogil:
    return uvarint_size((<uint64_t>value << 1) ^ <uint64_t>(value >> 63))
