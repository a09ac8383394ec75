"""The log of one partition: which batches fit, appends, and rolls to the next segment."""

from libc.errno cimport EIO, ENOMEM
from libc.stdint cimport int64_t, uint64_t
from posix.fcntl cimport O_CREAT, O_TRUNC

from pyralog._speedups.fileops cimport iovec
from pyralog._speedups.index cimport index_append, index_count
from pyralog._speedups.segfile cimport active_of, finish_times, log_attach, segment_free, segment_new, segment_open

cdef enum:
    IOV_AT_ONCE = 256
    KAFKA_INDEX_ENTRY = 8       # segment.index.bytes counts entries of this size, so that it rolls where Kafka would
    PREALLOCATE_FROM = 1 << 20
    PREALLOCATE_MOST = 64 << 20


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
