# Walk over the records inside one uncompressed batch (KIP-98 record format, varints).
from libc.stdint cimport int32_t, int64_t, uint8_t

from pyralog._speedups.batch cimport BatchInfo


ctypedef struct RecordWalk:
    int64_t max_timestamp
    int64_t min_timestamp
    int64_t max_timestamp_offset_delta
    bint null_key               # some record has no key


# Checks sizes, count, offset deltas within [0, last_offset_delta], header counts. Returns 0 or 87 INVALID_RECORD.
cdef int records_walk(const uint8_t* batch, const BatchInfo* info, RecordWalk* out) noexcept nogil
