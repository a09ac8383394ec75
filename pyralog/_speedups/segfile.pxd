# Segment objects and their files: open, close, count references; index entries on their way to disk.
from libc.stdint cimport int64_t

from pyralog._speedups.fileops cimport FileOps
from pyralog._speedups.index cimport SegmentIndex
from pyralog._speedups.logstate cimport IndexDelta, Log, Segment

cdef int segment_acquire(Log* log, Segment* segment) noexcept nogil     # opens the file if needed, refs + 1; fd or -errno
cdef void segment_release(Log* log, Segment* segment) noexcept nogil    # refs - 1; closes and frees a detached one at zero
cdef int segment_path(const Log* log, const Segment* segment, const char* suffix, char* out, size_t size) noexcept nogil
cdef int64_t log_close_idle(Log* log, int64_t not_used_since_ms) noexcept nogil  # closes idle descriptors; number closed

cdef int64_t log_index_pending(const Log* log, const Segment* segment) noexcept nogil  # entries in memory, not on disk
cdef int log_index_delta(Log* log, Segment* segment, IndexDelta* out) noexcept nogil   # 0 or -ENOMEM
cdef void log_index_written(Log* log, Segment* segment, const IndexDelta* delta) noexcept nogil
# Gives back preallocated blocks. 0 or -errno.
cdef int log_trim(Log* log, Segment* segment) noexcept nogil

# For the modules of the log alone.
cdef Segment* segment_new(int64_t base_offset, int64_t offset_entries, int64_t time_entries) noexcept nogil  # NULL: no memory
cdef void segment_free(const FileOps* ops, Segment* segment) noexcept nogil
cdef int segment_open(Log* log, Segment* segment, int flags) noexcept nogil     # fd or -errno
cdef int log_attach(Log* log, Segment* segment) noexcept nogil      # as the new last one; 0 or -ENOMEM
cdef void keep_from(Log* log, int64_t first) noexcept nogil         # drops the pointers to the first segments
cdef void forget(Log* log, Segment* segment) noexcept nogil         # one that left the log and has no file any more
cdef void unmark(Log* log, const Segment* segment) noexcept nogil   # NULL: all marks
cdef int need_index(Log* log, Segment* segment, SegmentIndex* index, const char* suffix) noexcept nogil
cdef int finish_times(Segment* segment) noexcept nogil              # 0 or -ENOMEM


cdef inline Segment* active_of(const Log* log) noexcept nogil:
    return log.segments[log.n_segments - 1]
