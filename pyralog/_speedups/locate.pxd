# Where the batches of a log lie: by offset, by timestamp.
from libc.stdint cimport int64_t, uint8_t

from pyralog._speedups.batch cimport BatchInfo
from pyralog._speedups.logstate cimport Log, LogSlice, Segment

cdef enum:
    WALK_WINDOW = 8192          # read at once while walking over small batches

ctypedef struct Walker:         # reads batch headers of one segment, a window at a time
    const Log* log
    const Segment* segment
    bint nowait
    int64_t start               # of the window
    int64_t filled
    int64_t last_size           # of the batch read last
    uint8_t window[WALK_WINDOW]


# Whole batches from the one that holds `offset`, below end_offset (HW or LSO), at most max_bytes, but the first batch always
# when at_least_one. Reads headers with `nowait` unless blocking. length 0 = nothing below end_offset.
cdef int log_locate(Log* log, int64_t offset, int64_t end_offset, int64_t max_bytes, bint at_least_one, bint blocking,
                    LogSlice* out) noexcept nogil
# Where a scan for the first record with timestamp >= ts must begin; out.length 0 = no such record. Memory and index only.
cdef int log_locate_time(Log* log, int64_t timestamp, LogSlice* out) noexcept nogil

# For the modules of the log alone.
cdef void walker_init(Walker* w, const Log* log, const Segment* segment, bint nowait) noexcept nogil
cdef int walker_read(Walker* w, int64_t position, BatchInfo* out) noexcept nogil    # 0, LOG_COLD, -EBADMSG or -errno
cdef int64_t behind_bad(const Segment* segment, int64_t position) noexcept nogil
cdef int find_batch(Log* log, Walker* w, Segment* segment, int64_t offset, int64_t* position) noexcept nogil
