# Bounds-checked big-endian reads and varints over one buffer: the only place where lengths from the wire are tested.
#
# A Cursor is sticky: the first read that would leave the buffer sets `bad`, and every read after it returns 0 or NULL,
# so a caller tests `bad` once, at the end. Lengths are int64 and compared with the bytes left before anything is touched.
from libc.stdint cimport int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

cdef extern from *:
    """
    #define be16(x) __builtin_bswap16(x)
    #define be32(x) __builtin_bswap32(x)
    #define be64(x) __builtin_bswap64(x)
    """
    uint16_t be16(uint16_t) noexcept nogil
    uint32_t be32(uint32_t) noexcept nogil
    uint64_t be64(uint64_t) noexcept nogil

cdef enum:
    MAX_ELEMENTS = 1000000      # of any array (Kafka 4.4)
    MAX_TAGS = 10000            # tagged fields in one section (Kafka 4.4)
    MAX_STRING = 32767          # bytes of a string, compact ones included

ctypedef struct Cursor:
    const uint8_t* p
    const uint8_t* end
    bint bad

ctypedef struct Span:           # bytes inside the buffer; data NULL and size -1 for null
    const uint8_t* data
    int64_t size


cdef inline void cursor_init(Cursor* c, const uint8_t* data, int64_t size) noexcept nogil:
    c.p = data
    c.end = data + size
    c.bad = False


cdef inline int64_t cursor_left(const Cursor* c) noexcept nogil:
    return c.end - c.p


cdef inline const uint8_t* take(Cursor* c, int64_t size) noexcept nogil:
    """The next `size` bytes, or NULL (and bad) when they are not all there or size is negative."""
    cdef const uint8_t* p = c.p
    if c.bad or size < 0 or size > c.end - c.p:
        c.bad = True
        return NULL
    c.p += size
    return p


cdef inline int8_t read_i8(Cursor* c) noexcept nogil:
    cdef const uint8_t* p = take(c, 1)
    return <int8_t>p[0] if p != NULL else 0


cdef inline int16_t read_i16(Cursor* c) noexcept nogil:
    cdef uint16_t v
    cdef const uint8_t* p = take(c, 2)
    if p == NULL:
        return 0
    memcpy(&v, p, 2)
    return <int16_t>be16(v)


cdef inline int32_t read_i32(Cursor* c) noexcept nogil:
    cdef uint32_t v
    cdef const uint8_t* p = take(c, 4)
    if p == NULL:
        return 0
    memcpy(&v, p, 4)
    return <int32_t>be32(v)


cdef inline int64_t read_i64(Cursor* c) noexcept nogil:
    cdef uint64_t v
    cdef const uint8_t* p = take(c, 8)
    if p == NULL:
        return 0
    memcpy(&v, p, 8)
    return <int64_t>be64(v)


cdef inline uint64_t read_uvarint(Cursor* c) noexcept nogil:
    """Unsigned LEB128 of at most five bytes (32 bits), as Kafka's compact lengths are."""
    cdef uint64_t value = 0
    cdef int shift = 0
    while c.p < c.end and shift < 35:
        value |= <uint64_t>(c.p[0] & 0x7F) << shift
        c.p += 1
        if (c.p - 1)[0] < 0x80:
            if value > 0xFFFFFFFFULL:
                break
            return value
        shift += 7
    c.bad = True
    return 0


cdef inline int64_t read_varlong(Cursor* c) noexcept nogil:
    """Zigzag LEB128 of at most ten bytes."""
    cdef uint64_t value = 0
    cdef int shift = 0
    while c.p < c.end and shift < 70:
        value |= <uint64_t>(c.p[0] & 0x7F) << shift
        c.p += 1
        if (c.p - 1)[0] < 0x80:
            return <int64_t>(value >> 1) ^ -<int64_t>(value & 1)
        shift += 7
    c.bad = True
    return 0


cdef inline int64_t read_string_size(Cursor* c, bint flexible) noexcept nogil:
    """Length of a (nullable) string; -1 for null. Below -1 counts as null, as Kafka has it; above MAX_STRING is bad."""
    cdef int64_t size
    if flexible:
        size = <int64_t>read_uvarint(c) - 1
        if size > MAX_STRING:
            c.bad = True
            return -1
        return size
    size = read_i16(c)
    return -1 if size < 0 else size


cdef inline int64_t read_bytes_size(Cursor* c, bint flexible) noexcept nogil:
    cdef int64_t size
    if flexible:
        return <int64_t>read_uvarint(c) - 1
    size = read_i32(c)
    return -1 if size < 0 else size


cdef inline Span read_span(Cursor* c, int64_t size) noexcept nogil:
    cdef Span span
    span.data = NULL
    span.size = -1
    if size >= 0:
        span.data = take(c, size)
        span.size = size if span.data != NULL else -1
    return span


cdef inline Span read_string(Cursor* c, bint flexible) noexcept nogil:
    return read_span(c, read_string_size(c, flexible))


cdef inline Span read_bytes(Cursor* c, bint flexible) noexcept nogil:
    return read_span(c, read_bytes_size(c, flexible))


cdef inline int64_t read_count(Cursor* c, bint flexible, int64_t element_size) noexcept nogil:
    """Element count of an array, -1 for null; bad when more than MAX_ELEMENTS or than the bytes left can hold."""
    cdef int64_t count = read_bytes_size(c, flexible)
    if count > MAX_ELEMENTS or count * element_size > c.end - c.p:
        c.bad = True
    return count if not c.bad else 0


cdef inline void skip_tags(Cursor* c) noexcept nogil:
    """Passes over a tagged section, whatever is in it."""
    cdef uint64_t n = read_uvarint(c)
    if n > MAX_TAGS:
        c.bad = True
    while n > 0 and not c.bad:
        read_uvarint(c)
        take(c, <int64_t>read_uvarint(c))
        n -= 1
