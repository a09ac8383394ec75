# Walks over the records of a batch, and output that grows: what the modules of the log cleaner share.
from libc.stdint cimport int64_t, uint8_t, uint64_t

cdef enum:
    MAX_VARINT = 10
    AT_ONCE = 32                # records whose keys are looked up together
    C_MORE = 0                  # what is left is no whole batch
    C_COMPRESSED = 1            # the batch at the position has to be decompressed first
    C_FULL = 2                  # the map
    C_CORRUPT = 3
    C_DONE = 4                  # the end offset is reached

ctypedef struct Bytes:
    uint8_t* data
    int64_t size
    int64_t capacity


ctypedef struct Rec:            # one record
    const uint8_t* start        # at its length
    const uint8_t* after_time   # at its offset delta
    const uint8_t* end
    uint8_t attributes
    int64_t timestamp_delta
    int64_t offset_delta
    const uint8_t* key          # NULL = none
    int64_t key_size
    bint tombstone


cdef inline int64_t plus(int64_t a, int64_t b) noexcept nogil:
    """Wraps, as deltas from a hostile batch may."""
    return <int64_t>(<uint64_t>a + <uint64_t>b)


cdef int reserve(Bytes* b, int64_t more) noexcept nogil             # room for `more` bytes; 0 or -1
cdef bytes as_bytes(const Bytes* b)
# Behind the record, NULL when it is none.
cdef const uint8_t* read_record(const uint8_t* p, const uint8_t* end, Rec* out) noexcept nogil
