# The log of one partition: segment files with sparse offset and time indexes. Written by its plane only.
#
# What a plane needs is all to be had from here; the parts live in logstate, segfile, locate and truncate.
from libc.stdint cimport int64_t

from pyralog._speedups.locate cimport log_locate, log_locate_time
from pyralog._speedups.logstate cimport (
    LOG_COLD, LOG_FILE_MODE, LOG_MARKS, LOG_OK, LOG_OUT_OF_RANGE, LOG_PATH_SIZE,
    BadRange, BatchRef, IndexDelta, Log, LogConfig, LogMark, LogSlice, Segment,
)
from pyralog._speedups.segfile cimport (
    log_close_idle, log_index_delta, log_index_pending, log_index_written, log_trim,
    segment_acquire, segment_path, segment_release,
)
from pyralog._speedups.truncate cimport log_set_start, log_truncate

# How many of the n batches (from the first) still belong into the active segment; 0 = roll first.
cdef int log_fit(const Log* log, const BatchRef* batches, int n, int64_t now_ms) noexcept nogil
# One pwritev (more above IOV_MAX or on short writes); leo, size and index move only when all of it is written. 0 or -errno.
cdef int log_append(Log* log, const BatchRef* batches, int n, int64_t now_ms) noexcept nogil
# Closes the active segment at leo and opens the next. The old one keeps its in-memory index until log_index_written. 0 or -errno.
cdef int log_roll(Log* log, int64_t now_ms) noexcept nogil
# How many bytes from segment.size on the sync thread should fallocate for the active segment; 0 = none needed.
cdef int64_t log_wants_prealloc(const Log* log) noexcept nogil

# For recovery alone.
cdef int segment_index(Log* log, Segment* segment, int64_t base_offset, int64_t position, int64_t size, int64_t max_timestamp,
                       int64_t max_timestamp_offset) noexcept nogil # accounts for one batch of it; 0 or -ENOMEM
