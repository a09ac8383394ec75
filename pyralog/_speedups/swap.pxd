# Puts one cleaned segment file in the place of several segments.
from libc.stdint cimport int64_t, uint8_t

from pyralog._speedups.logstate cimport Log

ctypedef struct Swap:           # all of it int64, as Python packs it; then the base offsets of those that leave, then the
                                # aborted transactions that stay, each with producer id, first, last and last stable offset
    int64_t base_offset
    int64_t size
    int64_t max_timestamp
    int64_t max_timestamp_offset
    int64_t created_ms
    int64_t offset_entries
    int64_t last_offset_key
    int64_t last_offset_value
    int64_t time_entries
    int64_t last_time_key
    int64_t last_time_value
    int64_t n_old
    int64_t n_aborted

cdef bint swap_is_whole(const uint8_t* data, int64_t size) noexcept nogil       # the struct and all that it counts

# Its `.swap` files take their names. 0; 1 when these segments are not there as they were, nothing has changed; or -errno.
cdef int log_swap(Log* log, const Swap* new) noexcept nogil
