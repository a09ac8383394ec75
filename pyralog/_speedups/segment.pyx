"""The log of one partition: append, locate, roll, move its start, truncate; segment files with sparse indexes."""

cimport cython
from libc.errno cimport EAGAIN, EBADMSG, EIO, ENAMETOOLONG, ENOENT, ENOMEM, EOPNOTSUPP
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memmove, memset, strlen
from posix.fcntl cimport O_CREAT, O_RDWR, O_TRUNC

from pyralog._speedups.batch cimport BATCH_HEADER, BatchInfo, batch_peek
from pyralog._speedups.fileops cimport FileOps, Files, iovec
from pyralog._speedups.index cimport (
    INDEX_ENTRY, SegmentIndex, index_append, index_at, index_count, index_cut, index_floor, index_floor_value, index_free,
    index_key, index_load, index_needs_disk, index_new, index_settle, index_unload, index_value,
)
from pyralog._speedups.producers cimport (
    ProducerBatch, ProducerVerdict, dump_of, producers_append, producers_check, producers_free, producers_load, producers_new,
    states_of,
)
from pyralog._speedups.endian cimport load64

cdef enum:
    PATH_SIZE = 4096
    MODE = 0o600
    IOV_AT_ONCE = 256
    WINDOW = 8192               # read at once while walking over small batches
    LARGE_BATCH = 2048          # beyond it, only headers are read
    KAFKA_INDEX_ENTRY = 8       # segment.index.bytes counts entries of this size, so that it rolls where Kafka would
    SETTLE_ENTRIES = 65536
    PREALLOCATE_FROM = 1 << 20
    PREALLOCATE_MOST = 64 << 20


# --- segments ---

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
    free(segment)


cdef int segment_path(const Log* log, const Segment* segment, const char* suffix, char* out, size_t size) noexcept nogil:
    cdef int n = snprintf(out, size, "%s/%020lld%s", log.directory, <long long>segment.base_offset, suffix)
    return n if n > 0 and <size_t>n < size else -ENAMETOOLONG


cdef int segment_open(Log* log, Segment* segment, int flags) noexcept nogil:
    cdef char path[PATH_SIZE]
    cdef int n
    segment.used = True
    if segment.fd >= 0:
        return segment.fd
    n = segment_path(log, segment, ".log", path, PATH_SIZE)
    if n < 0:
        return n
    n = log.ops.open(log.ops.ctx, path, O_RDWR | flags, MODE)
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


cdef inline Segment* active_of(const Log* log) noexcept nogil:
    return log.segments[log.n_segments - 1]


# --- append ---

cdef inline int64_t mix(uint64_t x) noexcept nogil:
    x = (x ^ (x >> 31)) * <uint64_t>0x9E3779B97F4A7C15
    x = (x ^ (x >> 29)) * <uint64_t>0xBF58476D1CE4E5B9
    return <int64_t>((x ^ (x >> 32)) >> 1)


cdef bint is_expired(const Log* log, const Segment* segment, int64_t now_ms) noexcept nogil:
    cdef int64_t jitter = min(log.config.segment_jitter_ms, log.config.segment_ms)
    if segment.created_ms < 0 or log.config.segment_ms <= 0:
        return False
    if jitter > 0:
        jitter = mix(<uint64_t>segment.base_offset ^ <uint64_t>log.seed << 32) % jitter
    return now_ms - segment.created_ms > log.config.segment_ms - jitter


cdef int log_fit(const Log* log, const BatchRef* batches, int n, int64_t now_ms) noexcept nogil:
    cdef const Segment* segment = active_of(log)
    cdef int64_t size = segment.size, since = segment.since_index, entries = index_count(segment.offsets)
    cdef int64_t most = max(log.config.segment_index_bytes // KAFKA_INDEX_ENTRY, 1)
    cdef int i
    if size > 0 and is_expired(log, segment, now_ms):
        return 0
    for i in range(n):
        # A batch that no segment has room for gets one of its own.
        if size > 0:
            if batches[i].size > log.config.segment_bytes - size or entries >= most:
                return i
            if batches[i].last_offset - segment.base_offset > 0x7fffffff:
                return i                # Kafka's tools count offsets from the base in 32 bits
        if since >= log.config.index_interval_bytes:
            entries += 1
            since = 0
        since += batches[i].size
        size += batches[i].size
    return n


cdef int segment_index(Log* log, Segment* segment, int64_t base_offset, int64_t position, int64_t size, int64_t max_timestamp,
                       int64_t max_timestamp_offset) noexcept nogil:
    if segment.since_index >= log.config.index_interval_bytes:
        if index_append(segment.offsets, base_offset, position) != 0:
            return -ENOMEM
        if segment.max_timestamp > segment.times.last_key:
            if index_append(segment.times, segment.max_timestamp, segment.max_timestamp_offset) != 0:
                return -ENOMEM
        segment.since_index = 0
    segment.since_index += size
    if max_timestamp > segment.max_timestamp:
        segment.max_timestamp = max_timestamp
        segment.max_timestamp_offset = max_timestamp_offset
    return 0


cdef int write_all(Log* log, Segment* segment, const BatchRef* batches, int n) noexcept nogil:
    """Every byte of the batches behind the segment's end. 0 or -errno."""
    cdef iovec iov[IOV_AT_ONCE]
    cdef int64_t position = segment.size, written
    cdef int i = 0, count, first
    cdef int64_t skip = 0               # bytes of batches[i] that are written
    while i < n:
        count = min(n - i, IOV_AT_ONCE)
        for first in range(count):
            iov[first].iov_base = <void*>batches[i + first].data
            iov[first].iov_len = <size_t>batches[i + first].size
        iov[0].iov_base = <void*>(batches[i].data + skip)
        iov[0].iov_len = <size_t>(batches[i].size - skip)
        written = log.ops.pwritev(log.ops.ctx, segment.fd, iov, count, position)
        if written < 0:
            return <int>written
        if written == 0:
            return -EIO
        position += written
        written += skip
        while i < n and written >= batches[i].size:
            written -= batches[i].size
            i += 1
        skip = written
    return 0


cdef int log_append(Log* log, const BatchRef* batches, int n, int64_t now_ms) noexcept nogil:
    cdef Segment* segment = active_of(log)
    cdef int64_t before = segment.size
    cdef int i, result
    if n <= 0:
        return 0
    result = segment_open(log, segment, O_CREAT if segment.size == 0 else 0)
    if result < 0:
        return result
    result = write_all(log, segment, batches, n)
    if result != 0:
        # What was written of a batch that is refused must not come to life when the log is opened again.
        log.ops.ftruncate(log.ops.ctx, segment.fd, before)
        segment.allocated = min(segment.allocated, before)
        return result
    if before == 0:
        segment.created_ms = now_ms
    for i in range(n):
        # Without memory for an index entry the log is still right: the walk to an offset is longer.
        segment_index(log, segment, batches[i].base_offset, segment.size, batches[i].size, batches[i].max_timestamp,
                      batches[i].max_timestamp_offset)
        segment.size += batches[i].size
    segment.last_used_ms = now_ms
    segment.next_offset = log.leo = batches[n - 1].last_offset + 1
    if segment.allocated < segment.size:
        segment.allocated = segment.size
    log.size += segment.size - before
    log.dirty = True
    return 0


cdef int64_t log_wants_prealloc(const Log* log) noexcept nogil:
    cdef const Segment* segment = active_of(log)
    cdef int64_t step
    if log.config.preallocate:
        return log.config.segment_bytes - segment.size if segment.allocated < log.config.segment_bytes else 0
    if segment.size < PREALLOCATE_FROM:
        return 0
    step = PREALLOCATE_FROM
    while step < PREALLOCATE_MOST and step * 2 <= segment.size:
        step *= 2
    if segment.allocated - segment.size >= step // 2 or segment.size >= log.config.segment_bytes:
        return 0
    return max(min(step, log.config.segment_bytes - segment.size), 0)


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


cdef int log_roll(Log* log, int64_t now_ms) noexcept nogil:
    cdef Segment* old = active_of(log)
    cdef Segment* segment
    cdef int result
    if old.base_offset == log.leo:
        return 0                        # it is empty: as good as new
    segment = segment_new(log.leo, 0, 0)
    if segment == NULL:
        return -ENOMEM
    segment.last_used_ms = now_ms
    result = finish_times(old)
    if result == 0:
        result = log_trim(log, old)
    if result == 0:
        result = segment_open(log, segment, O_CREAT | O_TRUNC)
    if result >= 0:
        result = log_attach(log, segment)
    if result < 0:
        segment_free(log.ops, segment)
        return result
    log.dir_dirty = True
    log.dirty = True
    return 0


# --- locate ---

ctypedef struct Walker:         # reads batch headers of one segment, a window at a time
    const Log* log
    const Segment* segment
    bint nowait
    int64_t start               # of the window
    int64_t filled
    int64_t last_size           # of the batch read last
    uint8_t window[WINDOW]


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
        n = min(left, <int64_t>WINDOW if w.last_size < LARGE_BATCH else <int64_t>BATCH_HEADER)
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
    w.last_size = out.size
    return 0


cdef int need_index(Log* log, Segment* segment, SegmentIndex* index, const char* suffix) noexcept nogil:
    """Loads what a search needs. A missing or unreadable index is as good as an empty one: the walk starts earlier."""
    cdef char path[PATH_SIZE]
    cdef int result = segment_path(log, segment, suffix, path, PATH_SIZE)
    if result >= 0:
        result = index_load(index, log.ops, path, log.config.use_mmap and segment != active_of(log))
    return result


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
    # An offset in a gap between two segments belongs to the later one.
    while low + 1 < log.n_segments and log.segments[low].next_offset <= offset:
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


cdef void unmark(Log* log, const Segment* segment) noexcept nogil:
    cdef int i
    for i in range(LOG_MARKS):
        if segment == NULL or log.marks[i].segment == segment:
            log.marks[i].offset = -1
            log.marks[i].segment = NULL


cdef int find_batch(Log* log, Walker* w, Segment* segment, int64_t offset, int64_t* position) noexcept nogil:
    """Position of the batch that holds the offset (or the first after it). 0, LOG_COLD or -errno."""
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
        if result != 0:
            return result
        if info.base_offset + info.last_offset_delta >= offset:
            return 0
        at += info.size
    return -EBADMSG


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
    if result == 0:
        limit = out.position + min(max(max_bytes, 0), <int64_t>1 << 62)
        if segment.n_bad > 0:
            limit = before_bad(segment, offset, out.position, limit)
            at_least_one = at_least_one and limit > out.position
        if limit < 0:
            return <int>limit
        result = slice_end(log, &w, segment, end_offset, limit, at_least_one, out)
    if result == LOG_COLD:
        out.length = min(segment.size - out.position, max(max_bytes, <int64_t>WINDOW))
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


# --- start, truncation ---

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


cdef int remove_files(Log* log, const Segment* segment) noexcept nogil:
    cdef char path[PATH_SIZE]
    cdef int result, worst = 0
    cdef int i
    for i in range(3):
        # The log goes first: an index without it is a stray that recovery removes.
        result = segment_path(log, segment, ".log" if i == 0 else (".index" if i == 1 else ".timeindex"), path, PATH_SIZE)
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


cdef void forget(Log* log, Segment* segment) noexcept nogil:
    unmark(log, segment)
    segment.detached = True
    if segment.refs == 0:
        segment_free(log.ops, segment)


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
        result = log.ops.ftruncate(log.ops.ctx, segment.fd, position)
    if result == 0:
        result = log.ops.fdatasync(log.ops.ctx, segment.fd)
    if result != 0:
        return result
    unmark(log, segment)
    log.size -= segment.size - position
    segment.size = segment.allocated = position
    segment.next_offset = next_offset
    i = index_count(segment.offsets)
    segment.since_index = position - (segment.offsets.last_value if i > 0 else 0)
    segment.max_timestamp = segment.times.last_key if index_count(segment.times) > 0 else -1
    segment.max_timestamp_offset = segment.times.last_value if index_count(segment.times) > 0 else -1
    return 0


cdef int cut_index_files(Log* log, Segment* segment, int64_t position, int64_t next_offset) noexcept nogil:
    cdef char path[PATH_SIZE]
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
        segment_path(log, segment, ".index" if which == 0 else ".timeindex", path, PATH_SIZE)
        fd = log.ops.open(log.ops.ctx, path, O_RDWR, MODE)
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
        if result != 0:
            return result
        if info.max_timestamp > segment.max_timestamp:
            segment.max_timestamp = info.max_timestamp
            segment.max_timestamp_offset = info.base_offset
        at += info.size
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
        result = find_batch(log, &w, segment, offset, &position)
        if result == 0:
            result = walker_read(&w, position, &info)
        if result == 0:
            result = cut_segment(log, segment, position, min(offset, info.base_offset))
        if result == 0:
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


# --- Python ---

@cython.no_gc_clear     # __dealloc__ closes files through `files`
cdef class PartitionLog:
    """One partition's log. Built by storage.recovery; nothing here may be called while a plane owns it."""

    def __cinit__(self, bytes directory, Files files, config):
        self.directory = directory
        self.files = files
        self.log.directory = self.directory
        self.log.ops = &files.ops
        self.log.seed = <uint32_t>hash(directory)
        unmark(&self.log, NULL)
        self.producers = producers_new()
        if self.producers == NULL:
            raise MemoryError
        self.configure(config)

    def __dealloc__(self):
        cdef int64_t i
        for i in range(self.log.n_segments):
            segment_free(self.log.ops, self.log.segments[i])
        free(self.log.segments)
        producers_free(self.producers)

    cdef Log* mine(self) except NULL:
        if self.owned:
            raise RuntimeError("the log belongs to a plane")
        if self.log.n_segments == 0:
            raise ValueError("the log has no segment yet")
        return &self.log

    def configure(self, config) -> None:
        """Takes the fields of LogConfig from an object that has them as attributes."""
        cdef LogConfig* c = &self.log.config
        c.segment_bytes = config.segment_bytes
        c.segment_ms = config.segment_ms
        c.segment_jitter_ms = config.segment_jitter_ms
        c.index_interval_bytes = config.index_interval_bytes
        c.segment_index_bytes = config.segment_index_bytes
        c.preallocate = config.preallocate
        c.use_mmap = config.use_mmap

    @property
    def log_start(self) -> int:
        return self.log.start

    @property
    def log_end(self) -> int:
        return self.log.leo

    @property
    def synced(self) -> int:
        return self.log.synced

    @property
    def size_bytes(self) -> int:
        return self.log.size

    @property
    def dirty(self) -> bool:
        return bool(self.log.dirty)

    def segments(self) -> list:
        """(base offset, next offset, bytes, max timestamp, its offset, created ms) of each, in order."""
        cdef int64_t i
        cdef Segment* s
        found = []
        for i in range(self.log.n_segments):
            s = self.log.segments[i]
            found.append((s.base_offset, s.next_offset, s.size, s.max_timestamp, s.max_timestamp_offset, s.created_ms))
        return found

    def producer_states(self) -> list:
        """(producer id, epoch, last sequence, last timestamp) of each producer."""
        return states_of(self.producers)

    def producer_snapshot(self) -> bytes:
        return dump_of(self.producers, self.log.leo)

    def load_producers(self, const uint8_t[::1] data not None) -> int:
        """Takes over a snapshot; the offset it belongs to, -1 when it is damaged (the table is unchanged then)."""
        cdef int64_t offset = -1
        if data.shape[0] == 0 or producers_load(self.producers, &data[0], data.shape[0], &offset) != 0:
            return -1
        return offset

    def append(self, list batches, int64_t now_ms, bint idempotent=True) -> None:
        """Appends whole batches whose offsets are assigned, rolling where log_fit says so."""
        cdef Log* log = self.mine()
        cdef int n = len(batches), done = 0, fit, result = 0, i
        cdef BatchRef* refs = <BatchRef*>malloc(max(n, 1) * sizeof(BatchRef))
        if refs == NULL:
            raise MemoryError
        try:
            for i in range(n):
                fill_ref(batches[i], &refs[i])
            while done < n and result == 0:
                with nogil:
                    fit = log_fit(log, refs + done, n - done, now_ms)
                    if fit > 0:
                        result = log_append(log, refs + done, fit, now_ms)
                    else:
                        result = log_roll(log, now_ms)
                check(result, self.directory)
                for i in range(done, done + fit if idempotent else done):
                    remember(self.producers, batches[i], now_ms)
                done += fit
        finally:
            free(refs)

    def locate(self, int64_t offset, int64_t end_offset=-1, int64_t max_bytes=1 << 20, bint at_least_one=True,
               bint blocking=True) -> tuple:
        """(LOG_* code, segment base offset or -1, position, length, next offset); end_offset -1 = log end."""
        cdef Log* log = self.mine()
        cdef LogSlice out
        cdef int result
        with nogil:
            result = log_locate(log, offset, end_offset if end_offset >= 0 else log.leo, max_bytes, at_least_one, blocking,
                                &out)
        if result < 0:
            check(result, self.directory)
        return result, out.segment.base_offset if out.segment != NULL else -1, out.position, out.length, out.next_offset

    def locate_time(self, int64_t timestamp) -> tuple | None:
        """(segment base offset, position, length) where the search for the first record >= timestamp begins, or None."""
        cdef LogSlice out
        check(log_locate_time(self.mine(), timestamp, &out), self.directory)
        return (out.segment.base_offset, out.position, out.length) if out.length > 0 else None

    def read(self, int64_t offset, int64_t end_offset=-1, int64_t max_bytes=1 << 20, bint at_least_one=True) -> bytes:
        """The bytes of whole batches from the one that holds the offset. IndexError when it is out of range."""
        cdef Log* log = self.mine()
        cdef LogSlice out
        cdef int result
        cdef int64_t n
        result = log_locate(log, offset, end_offset if end_offset >= 0 else log.leo, max_bytes, at_least_one, True, &out)
        if result == LOG_OUT_OF_RANGE:
            raise IndexError(offset)
        check(result, self.directory)
        cdef bytearray data = bytearray(out.length)
        cdef uint8_t* target = data
        if out.length > 0:
            with nogil:
                n = log.ops.pread(log.ops.ctx, out.segment.fd, target, <size_t>out.length, out.position, False)
            check(n if n == out.length or n < 0 else -EIO, self.directory)
        return bytes(data)

    def roll(self, int64_t now_ms) -> None:
        check(log_roll(self.mine(), now_ms), self.directory)

    def truncate(self, int64_t offset) -> None:
        check(log_truncate(self.mine(), offset), self.directory)

    def set_start(self, int64_t offset) -> list:
        """Moves the log start; base offsets of the segments that left, whose files are still there."""
        cdef Segment* detached[64]
        cdef int64_t n, i
        cdef Log* log = self.mine()
        left = []
        while True:
            n = log_set_start(log, offset, detached, 64)
            for i in range(n):
                left.append(detached[i].base_offset)
                segment_release(log, detached[i])
            if n < 64:
                return left

    def close_idle(self, int64_t not_used_since_ms) -> int:
        """Closes descriptors and unmaps indexes that were not used since; the number of descriptors closed."""
        return log_close_idle(self.mine(), not_used_since_ms)

    def wants_prealloc(self) -> int:
        return log_wants_prealloc(self.mine())

    def preallocate(self, int64_t size) -> None:
        """What the sync thread does with the answer of wants_prealloc."""
        cdef Log* log = self.mine()
        cdef Segment* segment = active_of(log)
        check(segment_open(log, segment, 0), self.directory)
        check(log.ops.fallocate(log.ops.ctx, segment.fd, segment.size, size), self.directory)
        segment.allocated = segment.size + size

    def sync(self) -> None:
        """fdatasync of every segment that holds records above `synced`, and of the directory."""
        cdef Log* log = self.mine()
        cdef Segment* segment
        cdef int64_t i
        cdef int result = 0
        with nogil:
            for i in range(log.n_segments):
                segment = log.segments[i]
                if segment.next_offset <= log.synced or segment.size == 0:
                    continue
                result = segment_open(log, segment, 0)
                if result >= 0:
                    result = log.ops.fdatasync(log.ops.ctx, segment.fd)
                if result < 0:
                    break
            if result >= 0 and log.dir_dirty:
                result = log.ops.fsync_dir(log.ops.ctx, log.directory)
        check(result, self.directory)
        log.dir_dirty = False
        log.synced = log.leo

    def write_indexes(self, bint sync=False) -> None:
        """Writes the index entries that are only in memory."""
        cdef Log* log = self.mine()
        cdef int64_t i
        cdef int result
        for i in range(log.n_segments):
            if log_index_pending(log, log.segments[i]) > 0:
                with nogil:
                    result = write_index(log, log.segments[i], sync)
                check(result, self.directory)

    def seal(self) -> None:
        """Before a clean close: the active segment's maximum into its time index, blocks given back, indexes on disk."""
        cdef Log* log = self.mine()
        cdef int64_t i
        check(finish_times(active_of(log)), self.directory)
        for i in range(log.n_segments):
            check(log_trim(log, log.segments[i]), self.directory)
        self.write_indexes(True)

    def close(self) -> None:
        """Closes every descriptor; the log can still be used."""
        cdef Log* log = self.mine()
        cdef int64_t i
        for i in range(log.n_segments):
            log.segments[i].used = False
        log_close_idle(log, <int64_t>1 << 62)

    def mark_clean(self) -> None:
        self.log.dirty = False

    def mark_dirty(self) -> None:
        self.log.dirty = True


cdef int write_index(Log* log, Segment* segment, bint sync) noexcept nogil:
    cdef IndexDelta delta
    cdef char path[PATH_SIZE]
    cdef iovec iov
    cdef int which, fd
    cdef int64_t position, size, n, result
    result = log_index_delta(log, segment, &delta)
    if result != 0:
        return <int>result
    for which in range(2):
        iov.iov_base = delta.offsets if which == 0 else delta.times
        size = delta.offsets_size if which == 0 else delta.times_size
        position = delta.offsets_position if which == 0 else delta.times_position
        if size == 0:
            continue
        segment_path(log, segment, ".index" if which == 0 else ".timeindex", path, PATH_SIZE)
        fd = log.ops.open(log.ops.ctx, path, O_RDWR | O_CREAT, MODE)
        result = fd
        while result >= 0 and size > 0:
            iov.iov_len = <size_t>size
            n = log.ops.pwritev(log.ops.ctx, fd, &iov, 1, position)
            result = n if n != 0 else -EIO
            if n > 0:
                size -= n
                position += n
                iov.iov_base = <uint8_t*>iov.iov_base + n
        if result >= 0 and sync:
            result = log.ops.fdatasync(log.ops.ctx, fd)
        if fd >= 0:
            log.ops.close(log.ops.ctx, fd)
        if result < 0:
            break
    if result >= 0:
        log_index_written(log, segment, &delta)
        log.dir_dirty = True
    free(delta.offsets)
    free(delta.times)
    return <int>min(result, 0)


cdef int check(int64_t result, bytes path) except -1:
    import os
    if result == -EBADMSG:
        raise ValueError(f"{os.fsdecode(path)}: no record batch where one must be")
    if result == -ENOMEM:
        raise MemoryError
    if result < 0:
        raise OSError(-result, os.strerror(<int>-result), os.fsdecode(path))
    return 0


cdef int fill_ref(bytes batch, BatchRef* out) except -1:
    cdef BatchInfo info
    cdef const uint8_t* data = batch
    if len(batch) < BATCH_HEADER or batch_peek(data, len(batch), &info) != 0 or info.size != len(batch):
        raise ValueError("not one record batch")
    out.data = data
    out.size = info.size
    out.base_offset = info.base_offset
    out.last_offset = info.base_offset + info.last_offset_delta
    out.max_timestamp = info.max_timestamp
    out.max_timestamp_offset = info.base_offset
    return 0


cdef int remember(ProducerTable* table, bytes batch, int64_t now_ms) except -1:
    cdef BatchInfo info
    cdef ProducerBatch entry
    batch_peek(batch, len(batch), &info)
    if info.producer_id >= 0:
        batch_producer(&info, &entry)
        if producers_append(table, &entry, now_ms) != 0:
            raise MemoryError
    return 0


cdef void batch_producer(const BatchInfo* info, ProducerBatch* out) noexcept nogil:
    out.producer_id = info.producer_id
    out.producer_epoch = info.producer_epoch
    out.first_sequence = info.base_sequence
    out.last_sequence = <int32_t>((<int64_t>info.base_sequence + info.last_offset_delta) & 0x7fffffff)
    out.base_offset = info.base_offset
    out.last_offset = info.base_offset + info.last_offset_delta
    out.timestamp = info.max_timestamp
