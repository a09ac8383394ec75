# Pieces of requests and answers that the quick way reads and writes without messages.
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t

from pyralog._speedups.cursor cimport Cursor, Span, read_uvarint
from pyralog._speedups.endian cimport store16, store32
from pyralog._speedups.put cimport put_raw, put_uvarint


cdef inline str text(Span span):
    """UnicodeDecodeError where it is no UTF-8."""
    return "" if span.size == 0 else PyUnicode_DecodeUTF8(<const char*>span.data, span.size, NULL)


cdef inline void no_tags(Cursor* c, bint flexible) noexcept:
    if flexible and read_uvarint(c) != 0:
        c.bad = True


cdef inline uint8_t* put_count(uint8_t* p, int64_t count, bint flexible) noexcept:
    if flexible:
        return put_uvarint(p, count + 1)
    store32(p, <int32_t>count)
    return p + 4


cdef inline uint8_t* put_text(uint8_t* p, Span span, bint flexible) noexcept:
    if flexible:
        p = put_uvarint(p, span.size + 1)
    else:
        store16(p, <int16_t>span.size)
        p += 2
    return put_raw(p, span.data, span.size)


cdef inline uint8_t* end_struct(uint8_t* p, bint flexible) noexcept:
    if flexible:
        p[0] = 0
        p += 1
    return p
