"""Request headers and response framing of the two APIs that the plane serves itself."""

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t

from pyralog._speedups.cursor cimport Cursor, cursor_init, read_i16, read_i32, read_string, skip_tags
from pyralog._speedups.plane.buffers cimport buffer_reserve, patch_i32, put_i32, put_uvarint
from pyralog._speedups.plane.gate cimport output_end
from pyralog._speedups.plane.state cimport API_FETCH, API_PRODUCE, Connection

cdef enum:
    PRODUCE_FLEXIBLE = 9
    FETCH_FLEXIBLE = 12


cdef int request_open(Request* r, uint8_t* frame, int64_t size) noexcept nogil:
    """Reads the header. The body cursor is set for Produce and Fetch only; MALFORMED when the header is cut short."""
    cursor_init(&r.body, frame, size)
    r.frame = frame
    r.size = size
    r.reason = 0
    r.final = False
    r.api = read_i16(&r.body)
    r.version = read_i16(&r.body)
    r.correlation = read_i32(&r.body)
    read_string(&r.body, False)         # the client id keeps its old form in flexible headers
    r.flexible = (r.api == API_PRODUCE and r.version >= PRODUCE_FLEXIBLE) or (
        r.api == API_FETCH and r.version >= FETCH_FLEXIBLE)
    if r.flexible:
        skip_tags(&r.body)
    return MALFORMED if r.body.bad else SERVED


cdef int64_t response_begin(Connection* c, const Request* r) noexcept nogil:
    """Length (patched by response_end), correlation id and, if flexible, the empty tag section; -1 when memory is out."""
    cdef int64_t start = output_end(c)
    if buffer_reserve(&c.output, 64) < 0:
        return -1
    put_i32(&c.output, 0)
    put_i32(&c.output, r.correlation)
    if r.flexible:
        put_uvarint(&c.output, 0)
    return start


cdef void response_end(Connection* c, int64_t start, int64_t file_bytes) noexcept nogil:
    patch_i32(c.output.data + (start - c.origin), output_end(c) - start - 4 + file_bytes)
