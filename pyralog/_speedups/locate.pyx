"""Finds batches in a log: by offset for fetches, by timestamp for searches; few reads, and none for a tailing consumer."""

from libc.errno cimport EAGAIN, EBADMSG
from libc.stdint cimport int32_t, int64_t, uint8_t

from pyralog._speedups.batch cimport BATCH_HEADER, BatchInfo, batch_peek
from pyralog._speedups.endian cimport load64
from pyralog._speedups.index cimport (
    SegmentIndex, index_count, index_floor, index_floor_value, index_key, index_needs_disk, index_value,
)
from pyralog._speedups.logstate cimport LOG_BEHIND, LOG_COLD, LOG_MARKS, LOG_OK, LOG_OUT_OF_RANGE, Log, LogSlice, Segment
from pyralog._speedups.segfile cimport active_of, need_index, segment_open

cdef enum:
    LARGE_BATCH = 2048          # behind a batch of this size only headers are read


cdef void walker_init(Walker* w, const Log* log, const Segment* segment, bint nowait) noexcept nogil:
    w.log = log
    w.segment = segment
    w.nowait = nowait
    w.start = w.filled = w.last_size = 0


cdef int walker_read(Walker* w, int64_t position, BatchInfo* out) noexcept nogil:
    """Header of the batch at `position`. 0, LOG_COLD, -EBADMSG or -errno."""
    cdef int64_t left = w.segment.size - position, n
    if position < 0 or left < BATCH_HEADER:
        return -EBADMSG
    if position < w.start or position + BATCH_HEADER > w.start + w.filled:
        n = min(left, <int64_t>WALK_WINDOW if w.last_size < LARGE_BATCH else <int64_t>BATCH_HEADER)
        n = w.log.ops.pread(w.log.ops.ctx, w.segment.fd, w.window, <size_t>n, position, w.nowait)
        if n < BATCH_HEADER:
            w.filled = 0
            if w.nowait and (n >= 0 or n == -EAGAIN):
                return LOG_COLD         # or the file is shorter than it was: reading it for good will tell
            return <int>n if n < 0 else -EBADMSG
        w.start = position
        w.filled = n
    if batch_peek(w.window + (position - w.start), left, out) != 0:
        return -EBADMSG
    if out.base_offset < w.segment.base_offset or out.base_offset + out.last_offset_delta >= w.segment.next_offset:
        return -EBADMSG                 # it claims offsets of other segments
    w.last_size = out.size
    return 0


cdef int64_t offset_floor(Log* log, Segment* segment, int64_t offset) noexcept nogil:
    """Number of the last offset index entry at or below the offset; -1 = none."""
    if index_needs_disk(segment.offsets, offset) and need_index(log, segment, segment.offsets, ".index") < 0:
        return -1
    return index_floor(segment.offsets, offset, index_count(segment.offsets))


cdef int64_t find_segment(const Log* log, int64_t offset) noexcept nogil:
    """Number of the segment that holds the offset, or the first one after it."""
    cdef int64_t low = 0, high = log.n_segments, middle
    if log.segments[high - 1].base_offset <= offset:
        return high - 1
    while low < high:                   # those before low begin at or below the offset
        middle = (low + high) >> 1
        if log.segments[middle].base_offset <= offset:
            low = middle + 1
        else:
            high = middle
    low = max(low - 1, 0)
    # An offset in a gap between two segments belongs to the later one, and so does one in a segment that lost all it had.
    while low + 1 < log.n_segments and (log.segments[low].next_offset <= offset or log.segments[low].size == 0):
        low += 1
    return low


cdef void mark(Log* log, int64_t offset, Segment* segment, int64_t position) noexcept nogil:
    cdef int32_t i
    for i in range(LOG_MARKS):
        if log.marks[i].offset == offset:
            break
    else:
        i = log.next_mark
        log.next_mark = (i + 1) % LOG_MARKS
    log.marks[i].offset = offset
    log.marks[i].segment = segment
    log.marks[i].position = position


cdef int64_t behind_bad(const Segment* segment, int64_t position) noexcept nogil:
    """Where the range ends that recovery noted as unreadable and that begins at the position; else the position."""
    cdef int32_t i
    for i in range(segment.n_bad):
        if segment.bad[i].position == position:
            return segment.bad[i].end
    return position


cdef int find_batch(Log* log, Walker* w, Segment* segment, int64_t offset, int64_t* position) noexcept nogil:
    """Position of the batch that holds the offset (or the first after it). 0, LOG_BEHIND, LOG_COLD or -errno."""
    cdef int64_t at = 0, key = -1, i
    cdef BatchInfo info
    cdef int result
    if offset <= segment.base_offset:
        position[0] = 0
        return 0
    i = offset_floor(log, segment, offset)
    if i >= 0:
        key = index_key(segment.offsets, i)
        at = index_value(segment.offsets, i)
    position[0] = at
    while at < segment.size or key >= 0:
        result = walker_read(w, at, &info)
        if key >= 0 and (result == -EBADMSG or (result == 0 and info.base_offset != key)):
            key = -1                    # the index lies: walk from the start of the segment
            at = 0
            continue
        key = -1
        position[0] = at
        if result == -EBADMSG and behind_bad(segment, at) > at:
            at = behind_bad(segment, at)
            continue
        if result != 0:
            return result
        if info.base_offset + info.last_offset_delta >= offset:
            return 0
        at += info.size
    position[0] = at
    return LOG_BEHIND if at == segment.size else -EBADMSG


cdef int64_t slice_jump(Log* log, Segment* segment, int64_t end_offset, int64_t limit) noexcept nogil:
    """The last index entry that a slice up to these two may end at; -1 = none."""
    cdef SegmentIndex* index = segment.offsets
    cdef int64_t i = offset_floor(log, segment, end_offset)
    if i < 0 or index_value(index, i) <= limit:
        return i
    if i >= index.disk_count and load64(index.tail + 8) <= limit:
        return index_floor_value(index, limit, i + 1)
    if index.disk_count > 0 and index.disk == NULL and need_index(log, segment, index, ".index") < 0:
        return -1
    return index_floor_value(index, limit, i + 1)


cdef int slice_end(Log* log, Walker* w, Segment* segment, int64_t end_offset, int64_t limit, bint at_least_one,
                   LogSlice* out) noexcept nogil:
    """Sets length and next_offset of a slice that begins at out.position. 0, LOG_COLD or -errno."""
    cdef int64_t at = out.position, i, jumped = -1
    cdef BatchInfo info
    cdef int result
    if end_offset >= segment.next_offset and segment.size <= limit:
        out.length = segment.size - at
        out.next_offset = segment.next_offset
        return 0
    i = slice_jump(log, segment, end_offset, limit)
    if i >= 0 and index_value(segment.offsets, i) > at and index_value(segment.offsets, i) < segment.size:
        jumped = at = index_value(segment.offsets, i)
    while at < segment.size:
        result = walker_read(w, at, &info)
        if at == jumped and (result == -EBADMSG or (result == 0 and info.base_offset != index_key(segment.offsets, i))):
            jumped = -1                 # the index lies
            at = out.position
            continue
        if result != 0:
            if at > out.position and at != jumped:
                break                   # what is known to be good goes out first
            return result
        if at == jumped:
            out.next_offset = info.base_offset
        if info.base_offset + info.last_offset_delta >= end_offset:
            break
        if info.size > limit - at and (at > out.position or not at_least_one):
            break
        at += info.size
        out.next_offset = info.base_offset + info.last_offset_delta + 1
    out.length = at - out.position
    return 0


cdef int64_t before_bad(const Segment* segment, int64_t offset, int64_t position, int64_t limit) noexcept nogil:
    """Where a slice must end because of what recovery found unreadable; -EBADMSG when the offset itself is."""
    cdef int32_t i
    for i in range(segment.n_bad):
        if segment.bad[i].offset <= offset and offset < segment.bad[i].next_offset:
            return -EBADMSG
        if segment.bad[i].position >= position:
            return min(limit, segment.bad[i].position)
    return limit


cdef int next_segment(Log* log, Walker* w, int64_t offset, int64_t end_offset, LogSlice* out) noexcept nogil:
    """Compaction took what was behind the offset in its segment: the start of the next one that has a batch. 0, 1 when
    there is none below the end, or -errno."""
    cdef Segment* segment = out.segment
    cdef int64_t number
    cdef int fd
    if segment.n_bad > 0 and before_bad(segment, offset, segment.size, 0) < 0:
        return -EBADMSG
    number = find_segment(log, segment.next_offset)
    while log.segments[number].size == 0 and number + 1 < log.n_segments:
        number += 1
    out.segment = log.segments[number]
    if out.segment.base_offset >= end_offset:
        return 1
    out.position = 0
    fd = segment_open(log, out.segment, 0)
    walker_init(w, log, out.segment, w.nowait)
    return min(fd, 0)


cdef int log_locate(Log* log, int64_t offset, int64_t end_offset, int64_t max_bytes, bint at_least_one, bint blocking,
                    LogSlice* out) noexcept nogil:
    cdef Segment* segment = NULL
    cdef Walker w
    cdef int64_t limit
    cdef bint marked = False
    cdef int i, result = 0
    out.segment = NULL
    out.position = out.length = 0
    out.next_offset = offset
    if offset < log.start or offset > log.leo:
        return LOG_OUT_OF_RANGE
    end_offset = min(end_offset, log.leo)
    if offset >= end_offset:
        segment = active_of(log)
        if offset == segment.next_offset:
            mark(log, offset, segment, segment.size)    # a consumer at the end: this is where the next batch will be
        return LOG_OK
    for i in range(LOG_MARKS):
        if log.marks[i].offset == offset and offset < log.marks[i].segment.next_offset:
            segment = log.marks[i].segment
            out.position = log.marks[i].position
            marked = True
            break
    if not marked:
        segment = log.segments[find_segment(log, offset)]
    out.segment = segment
    result = segment_open(log, segment, 0)
    if result < 0:
        return result
    walker_init(&w, log, segment, not blocking)
    result = 0
    if not marked:
        result = find_batch(log, &w, segment, offset, &out.position)
    if (result == LOG_BEHIND or (marked and out.position == segment.size)) and segment != active_of(log):
        result = next_segment(log, &w, offset, end_offset, out)
        if result > 0:
            return LOG_OK
        segment = out.segment
    if result == LOG_BEHIND:
        result = -EBADMSG
    if result == 0:
        limit = out.position + min(max(max_bytes, 0), <int64_t>1 << 62)
        if segment.n_bad > 0:
            limit = before_bad(segment, offset, out.position, limit)
            at_least_one = at_least_one and limit > out.position
        if limit < 0:
            return <int>limit
        result = slice_end(log, &w, segment, end_offset, limit, at_least_one, out)
    if result == LOG_COLD:
        out.length = min(segment.size - out.position, max(max_bytes, <int64_t>WALK_WINDOW))
    elif result == 0 and out.length > 0 and out.next_offset <= offset:
        out.length = 0                  # an offset on disk lies (no checksum covers it): a reader would come back for ever
        result = -EBADMSG
    elif result == 0 and out.length > 0:
        mark(log, out.next_offset, segment, out.position + out.length)
    return result


cdef int log_locate_time(Log* log, int64_t timestamp, LogSlice* out) noexcept nogil:
    cdef Segment* segment
    cdef int64_t i, entry, position, offset
    out.segment = NULL
    out.position = out.length = 0
    out.next_offset = log.leo
    for i in range(find_segment(log, log.start), log.n_segments):
        segment = log.segments[i]
        if segment.size == 0 or segment.max_timestamp < timestamp:
            continue
        offset = max(log.start, segment.base_offset)
        if timestamp > 0 and (not index_needs_disk(segment.times, timestamp - 1)
                              or need_index(log, segment, segment.times, ".timeindex") >= 0):
            # Every record up to that entry's offset is older than what is looked for.
            entry = index_floor(segment.times, timestamp - 1, index_count(segment.times))
            if entry >= 0:
                offset = max(offset, index_value(segment.times, entry))
        entry = offset_floor(log, segment, offset)
        position = index_value(segment.offsets, entry) if entry >= 0 else 0
        if position < 0 or position >= segment.size:
            position = 0                # the index lies
        out.segment = segment
        out.position = position
        out.length = segment.size - position
        out.next_offset = segment.next_offset
        return LOG_OK
    return LOG_OK
