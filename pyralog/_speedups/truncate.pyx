"""Both ends of a log: the start that retention and DeleteRecords move, the end that a new leader may cut back."""

from libc.errno cimport EBADMSG, ENOENT, ENOMEM
from libc.stdint cimport int32_t, int64_t
from posix.fcntl cimport O_CREAT, O_RDWR, O_TRUNC

from pyralog._speedups.batch cimport BatchInfo
from pyralog._speedups.index cimport (
    INDEX_ENTRY, SegmentIndex, index_count, index_cut, index_floor, index_floor_value, index_value,
)
from pyralog._speedups.locate cimport Walker, behind_bad, find_batch, walker_init, walker_read
from pyralog._speedups.logstate cimport LOG_BEHIND, LOG_FILE_MODE, LOG_PATH_SIZE, Log, Segment
from pyralog._speedups.segfile cimport (
    active_of, forget, keep_from, need_index, segment_free, segment_new, segment_open, segment_path, unmark,
)
from pyralog._speedups.txnindex cimport txn_index_cut


cdef int64_t log_set_start(Log* log, int64_t offset, Segment** detached, int64_t capacity) noexcept nogil:
    cdef int64_t n = 0, i
    if offset > log.start:
        log.start = min(offset, log.leo)
        log.dirty = True
    while n < capacity and n + 1 < log.n_segments and log.segments[n + 1].base_offset <= log.start:
        detached[n] = log.segments[n]
        detached[n].detached = True
        detached[n].refs += 1
        log.size -= detached[n].size
        unmark(log, detached[n])
        n += 1
    if n > 0:
        keep_from(log, n)
    return n


cdef int remove_files(Log* log, const Segment* segment) noexcept nogil:
    cdef char path[LOG_PATH_SIZE]
    cdef int result, worst = 0
    cdef int i
    cdef const char** suffixes = [".log", ".index", ".timeindex", ".txnindex"]
    for i in range(4):
        # The log goes first: an index without it is a stray that recovery removes.
        result = segment_path(log, segment, suffixes[i], path, LOG_PATH_SIZE)
        if result >= 0:
            result = log.ops.unlink(log.ops.ctx, path)
        if result < 0 and result != -ENOENT:
            worst = result
    log.dir_dirty = True
    return worst


cdef int drop_last(Log* log) noexcept nogil:
    cdef Segment* segment = active_of(log)
    cdef int result = remove_files(log, segment)
    if result != 0:
        return result
    log.size -= segment.size
    log.n_segments -= 1
    log.leo = segment.base_offset
    forget(log, segment)
    return 0


cdef int cut_segment(Log* log, Segment* segment, int64_t position, int64_t next_offset) noexcept nogil:
    """Ends the segment at a batch boundary, its indexes with it."""
    cdef int64_t i
    cdef int result = segment_open(log, segment, 0)
    if result < 0:
        return result
    if need_index(log, segment, segment.offsets, ".index") < 0:
        index_cut(segment.offsets, 0)
    if need_index(log, segment, segment.times, ".timeindex") < 0:
        index_cut(segment.times, 0)
    result = cut_index_files(log, segment, position, next_offset)
    if result == 0:
        result = txn_index_cut(log, segment, next_offset)
    if result == 0:
        result = log.ops.ftruncate(log.ops.ctx, segment.fd, position)
    if result == 0:
        result = log.ops.fdatasync(log.ops.ctx, segment.fd)
    if result != 0:
        return result
    unmark(log, segment)
    log.size -= segment.size - position
    segment.size = segment.allocated = position
    segment.next_offset = next_offset
    while segment.n_bad > 0 and segment.bad[segment.n_bad - 1].position >= position:
        segment.n_bad -= 1
    i = index_count(segment.offsets)
    segment.since_index = position - (segment.offsets.last_value if i > 0 else 0)
    segment.max_timestamp = segment.times.last_key if index_count(segment.times) > 0 else -1
    segment.max_timestamp_offset = segment.times.last_value if index_count(segment.times) > 0 else -1
    return 0


cdef int cut_index_files(Log* log, Segment* segment, int64_t position, int64_t next_offset) noexcept nogil:
    cdef char path[LOG_PATH_SIZE]
    cdef SegmentIndex* index
    cdef int64_t keep
    cdef int which, fd, result = 0
    for which in range(2):
        index = segment.offsets if which == 0 else segment.times
        keep = index_count(index)
        if which == 0:
            keep = index_floor_value(index, position - 1, keep) + 1
        else:
            while keep > 0 and index_value(index, keep - 1) >= next_offset:
                keep -= 1
        index_cut(index, keep)          # first, so that nothing stays mapped
        segment_path(log, segment, ".index" if which == 0 else ".timeindex", path, LOG_PATH_SIZE)
        fd = log.ops.open(log.ops.ctx, path, O_RDWR, LOG_FILE_MODE)
        if fd == -ENOENT:
            continue
        if fd < 0:
            return fd
        result = log.ops.ftruncate(log.ops.ctx, fd, (index.disk_count + index.tail_written) * INDEX_ENTRY)
        log.ops.close(log.ops.ctx, fd)
        if result != 0:
            return result
    return 0


cdef int find_maximum(Log* log, Segment* segment) noexcept nogil:
    """The max timestamp of batches behind the last time entry, after a cut."""
    cdef Walker w
    cdef BatchInfo info
    cdef int64_t at = 0
    cdef int64_t i
    cdef int result
    if segment.max_timestamp_offset >= 0:
        i = index_floor(segment.offsets, segment.max_timestamp_offset, index_count(segment.offsets))
        at = index_value(segment.offsets, i) if i >= 0 else 0
    walker_init(&w, log, segment, False)
    while at < segment.size:
        result = walker_read(&w, at, &info)
        if result == -EBADMSG:          # unreadable since before: an index entry lies behind it, or nothing follows
            i = index_floor_value(segment.offsets, at, index_count(segment.offsets)) + 1
            if behind_bad(segment, at) > at:
                at = behind_bad(segment, at)
            elif i < index_count(segment.offsets):
                at = index_value(segment.offsets, i)
            else:
                break
            continue
        if result != 0:
            return result
        if info.max_timestamp > segment.max_timestamp:
            segment.max_timestamp = info.max_timestamp
            segment.max_timestamp_offset = info.base_offset
        at += info.size
    return 0


cdef int cut_at_bad(Log* log, Segment* segment, int64_t offset) noexcept nogil:
    """Where nothing can be read at the offset, what cannot be read goes with what follows. 1 = done, 0, or -errno."""
    cdef int32_t i
    cdef int result
    for i in range(segment.n_bad):
        if segment.bad[i].offset <= offset < segment.bad[i].next_offset:
            result = cut_segment(log, segment, segment.bad[i].position, segment.bad[i].offset)
            return 1 if result == 0 else result
    return 0


cdef int log_truncate(Log* log, int64_t offset) noexcept nogil:
    cdef Segment* segment
    cdef Segment* fresh
    cdef Walker w
    cdef BatchInfo info
    cdef int64_t position = 0
    cdef int result
    if offset >= log.leo:
        return 0
    log.dirty = True
    while log.n_segments > 1 and active_of(log).base_offset >= offset:      # the last first: what stays is a prefix
        result = drop_last(log)
        if result != 0:
            return result
    segment = active_of(log)
    if offset < segment.base_offset:    # below everything: begin anew at the offset
        fresh = segment_new(offset, 0, 0)
        if fresh == NULL:
            return -ENOMEM
        result = segment_open(log, fresh, O_CREAT | O_TRUNC)
        if result >= 0:
            result = remove_files(log, segment)
        if result < 0:
            segment_free(log.ops, fresh)
            return result
        log.segments[0] = fresh
        log.size = 0
        forget(log, segment)
        log.start = offset
    elif offset < segment.next_offset:
        result = segment_open(log, segment, 0)
        if result < 0:
            return result
        walker_init(&w, log, segment, False)
        result = cut_at_bad(log, segment, offset)
        if result == 0:
            result = find_batch(log, &w, segment, offset, &position)
            if result == LOG_BEHIND:    # compaction has taken what was there
                segment.next_offset = offset
                result = 1
            if result == 0:
                result = walker_read(&w, position, &info)
            if result == 0:
                result = cut_segment(log, segment, position, min(offset, info.base_offset))
        if result >= 0:
            result = find_maximum(log, segment)
        if result != 0:
            return result
    log.leo = active_of(log).next_offset
    log.start = min(log.start, log.leo)
    log.synced = min(log.synced, log.leo)
    result = log.ops.fsync_dir(log.ops.ctx, log.directory)
    if result == 0:
        log.dir_dirty = False
    return result
