from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t

from pyralog._speedups.cursor cimport Cursor
from pyralog._speedups.plane.state cimport Connection, Engine

cdef enum:
    SERVED = 0
    FORWARD = 1                 # reason in Request.reason
    MALFORMED = 2

ctypedef struct Request:        # one frame without its length, header read
    uint8_t* frame
    int64_t size
    int16_t api
    int16_t version
    int32_t correlation
    bint flexible
    bint final                  # Python has seen it: what is unknown now is answered so
    int32_t reason
    int16_t refused             # error code for every partition of a produce, found while it was looked through
    Cursor body

cdef int request_open(Request* r, uint8_t* frame, int64_t size) noexcept nogil
cdef int64_t response_begin(Connection* c, const Request* r) noexcept nogil
cdef void response_end(Connection* c, int64_t start, int64_t file_bytes) noexcept nogil
