"""Segment objects and their files: opened lazily, counted by reference; index entries on their way to disk."""

from libc.errno cimport ENAMETOOLONG, ENOMEM
from libc.stdint cimport int64_t, uint8_t
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memmove
from posix.fcntl cimport O_RDWR

from pyralog._speedups.fileops cimport FileOps
from pyralog._speedups.index cimport (
    INDEX_ENTRY, SegmentIndex, index_append, index_free, index_load, index_new, index_settle, index_unload,
)
from pyralog._speedups.logstate cimport LOG_FILE_MODE, LOG_MARKS, LOG_PATH_SIZE, IndexDelta, Log, Segment

cdef enum:
    SETTLE_ENTRIES = 65536      # written index entries of an active segment that are no longer kept in memory


cdef Segment* segment_new(int64_t base_offset, int64_t offset_entries, int64_t time_entries) noexcept nogil:
    cdef Segment* segment = <Segment*>calloc(1, sizeof(Segment))
    if segment == NULL:
        return NULL
    segment.offsets = index_new(offset_entries)
    segment.times = index_new(time_entries)
    if segment.offsets == NULL or segment.times == NULL:
        segment_free(NULL, segment)
        return NULL
    segment.base_offset = segment.next_offset = base_offset
    segment.max_timestamp = segment.max_timestamp_offset = -1
    segment.created_ms = -1
    segment.fd = -1
    return segment


cdef void segment_free(const FileOps* ops, Segment* segment) noexcept nogil:
    if segment == NULL:
        return
    if segment.fd >= 0:
        ops.close(ops.ctx, segment.fd)
    index_free(segment.offsets)
    index_free(segment.times)
    free(segment.bad)
    free(segment.aborted)
    free(segment)


cdef int segment_path(const Log* log, const Segment* segment, const char* suffix, char* out, size_t size) noexcept nogil:
    cdef int n = snprintf(out, size, "%s/%020lld%s", log.directory, <long long>segment.base_offset, suffix)
    return n if n > 0 and <size_t>n < size else -ENAMETOOLONG


cdef int segment_open(Log* log, Segment* segment, int flags) noexcept nogil:
    cdef char path[LOG_PATH_SIZE]
    cdef int n
    segment.used = True
    if segment.fd >= 0:
        return segment.fd
    n = segment_path(log, segment, ".log", path, LOG_PATH_SIZE)
    if n < 0:
        return n
    n = log.ops.open(log.ops.ctx, path, O_RDWR | flags, LOG_FILE_MODE)
    if n >= 0:
        segment.fd = n
    return n


cdef int segment_acquire(Log* log, Segment* segment) noexcept nogil:
    cdef int fd = segment_open(log, segment, 0)
    if fd >= 0:
        segment.refs += 1
    return fd


cdef void segment_release(Log* log, Segment* segment) noexcept nogil:
    if segment.refs > 0:
        segment.refs -= 1
    if segment.refs == 0 and segment.detached:
        segment_free(log.ops, segment)


cdef int64_t log_close_idle(Log* log, int64_t not_used_since_ms) noexcept nogil:
    cdef int64_t i, closed = 0
    cdef Segment* segment
    for i in range(log.n_segments):
        segment = log.segments[i]
        if segment.used:                # since the last look; give it until the next one
            segment.used = False
            if segment.last_used_ms < not_used_since_ms:
                segment.last_used_ms = not_used_since_ms
        if segment.refs == 0 and segment.last_used_ms < not_used_since_ms:
            if segment.fd >= 0:
                log.ops.close(log.ops.ctx, segment.fd)
                segment.fd = -1
                closed += 1
            index_unload(segment.offsets)
            index_unload(segment.times)
    return closed


cdef int log_attach(Log* log, Segment* segment) noexcept nogil:
    cdef Segment** grown
    # The array doubles at powers of two; no capacity has to be kept.
    if log.n_segments & (log.n_segments - 1) == 0:
        grown = <Segment**>realloc(log.segments, <size_t>(2 * log.n_segments + 1) * sizeof(Segment*))
        if grown == NULL:
            return -ENOMEM
        log.segments = grown
    log.segments[log.n_segments] = segment
    log.n_segments += 1
    return 0


cdef void keep_from(Log* log, int64_t first) noexcept nogil:
    """Drops the pointers to the first segments. The array is laid out anew: log_attach counts on its size."""
    cdef int64_t left = log.n_segments - first, capacity = 1
    cdef Segment** fresh
    memmove(log.segments, log.segments + first, <size_t>left * sizeof(Segment*))
    log.n_segments = left
    while capacity < left:
        capacity *= 2
    fresh = <Segment**>realloc(log.segments, <size_t>(2 * capacity + 1) * sizeof(Segment*))
    if fresh != NULL:
        log.segments = fresh


cdef void unmark(Log* log, const Segment* segment) noexcept nogil:
    cdef int i
    for i in range(LOG_MARKS):
        if segment == NULL or log.marks[i].segment == segment:
            log.marks[i].offset = -1
            log.marks[i].segment = NULL


cdef void forget(Log* log, Segment* segment) noexcept nogil:
    unmark(log, segment)
    segment.detached = True
    if segment.refs == 0:
        segment_free(log.ops, segment)


cdef int log_trim(Log* log, Segment* segment) noexcept nogil:
    cdef int result
    if segment.allocated <= segment.size:
        return 0
    result = segment_open(log, segment, 0)
    if result >= 0:
        result = log.ops.ftruncate(log.ops.ctx, segment.fd, segment.size)
    if result == 0:
        segment.allocated = segment.size
    return result


cdef int finish_times(Segment* segment) noexcept nogil:
    """The last time entry of a segment holds its maximum: that is where a later start reads it."""
    if segment.max_timestamp > segment.times.last_key and segment.max_timestamp >= 0:
        return index_append(segment.times, segment.max_timestamp, segment.max_timestamp_offset)
    return 0


cdef int need_index(Log* log, Segment* segment, SegmentIndex* index, const char* suffix) noexcept nogil:
    """Loads what a search needs. A missing or unreadable index is as good as an empty one: the walk starts earlier."""
    cdef char path[LOG_PATH_SIZE]
    cdef int result = segment_path(log, segment, suffix, path, LOG_PATH_SIZE)
    if result >= 0:
        result = index_load(index, log.ops, path, log.config.use_mmap and segment != active_of(log))
    return result


# --- index entries on their way to disk ---

cdef int64_t log_index_pending(const Log* log, const Segment* segment) noexcept nogil:
    return (segment.offsets.tail_count - segment.offsets.tail_written
            + segment.times.tail_count - segment.times.tail_written)


cdef uint8_t* copy_pending(const SegmentIndex* index, int64_t* size, int64_t* position) noexcept nogil:
    cdef uint8_t* copy
    size[0] = (index.tail_count - index.tail_written) * INDEX_ENTRY
    position[0] = (index.disk_count + index.tail_written) * INDEX_ENTRY
    copy = <uint8_t*>malloc(<size_t>max(size[0], 1))
    if copy != NULL and size[0] > 0:
        memcpy(copy, index.tail + index.tail_written * INDEX_ENTRY, <size_t>size[0])
    return copy


cdef int log_index_delta(Log* log, Segment* segment, IndexDelta* out) noexcept nogil:
    out.offsets = copy_pending(segment.offsets, &out.offsets_size, &out.offsets_position)
    out.times = copy_pending(segment.times, &out.times_size, &out.times_position)
    if out.offsets == NULL or out.times == NULL:
        free(out.offsets)
        free(out.times)
        out.offsets = out.times = NULL
        return -ENOMEM
    return 0


cdef void count_written(SegmentIndex* index, int64_t position, int64_t size, bint closed) noexcept nogil:
    cdef int64_t written = (position + size) // INDEX_ENTRY - index.disk_count
    # A truncation in between took entries back: what the file has beyond them is overwritten later.
    if written <= index.tail_count and written > index.tail_written:
        index.tail_written = written
    if index.tail_written == index.tail_count and index.tail_count > (0 if closed else SETTLE_ENTRIES):
        index_settle(index)


cdef void log_index_written(Log* log, Segment* segment, const IndexDelta* delta) noexcept nogil:
    cdef bint closed = segment.detached or segment != active_of(log)
    count_written(segment.offsets, delta.offsets_position, delta.offsets_size, closed)
    count_written(segment.times, delta.times_position, delta.times_size, closed)
