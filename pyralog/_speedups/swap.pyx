"""Puts one cleaned segment in the place of several: names on disk and pointers in memory change in one step."""

from libc.errno cimport ENOENT, ENOMEM
from libc.stdint cimport int64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport malloc
from libc.string cimport memcpy, memmove

from pyralog._speedups.index cimport index_cut
from pyralog._speedups.logstate cimport LOG_PATH_SIZE, Log, Segment
from pyralog._speedups.producers cimport AbortedTxn
from pyralog._speedups.segfile cimport forget, log_index_pending, segment_free, segment_new, segment_path
from pyralog._speedups.segment cimport PartitionLog, check


cdef int take_name(Log* log, const Segment* segment, const char* suffix) noexcept nogil:
    """`<base><suffix>.swap` becomes `<base><suffix>`."""
    cdef char path[LOG_PATH_SIZE]
    cdef char source[LOG_PATH_SIZE + 8]
    cdef int n = segment_path(log, segment, suffix, path, LOG_PATH_SIZE)
    if n < 0:
        return n
    snprintf(source, LOG_PATH_SIZE + 8, "%s.swap", path)
    return log.ops.rename(log.ops.ctx, source, path)


cdef int take_aborted(Segment* segment, Log* log, int64_t first, int64_t n) noexcept nogil:
    """The aborted transactions of the old segments, in memory; their file has been written."""
    cdef int64_t i, count = 0
    cdef const Segment* old
    for i in range(first, first + n):
        count += log.segments[i].n_aborted
    if count == 0:
        return 0
    segment.aborted = <AbortedTxn*>malloc(<size_t>count * sizeof(AbortedTxn))
    if segment.aborted == NULL:
        return -ENOMEM
    segment.aborted_capacity = count
    for i in range(first, first + n):
        old = log.segments[i]
        if old.n_aborted > 0:
            memcpy(segment.aborted + segment.n_aborted, old.aborted, <size_t>old.n_aborted * sizeof(AbortedTxn))
        segment.n_aborted += old.n_aborted
    return 0


cdef int64_t find(const Log* log, const Swap* new, const int64_t* old_bases) noexcept nogil:
    """Number of the first segment to be replaced; -1 when they are not there as they were, or still being written to."""
    cdef int64_t first = 0, i
    while first < log.n_segments and log.segments[first].base_offset < new.base_offset:
        first += 1
    if new.n_old < 1 or first + new.n_old >= log.n_segments:        # the last one is active
        return -1
    for i in range(new.n_old):
        if (log.segments[first + i].base_offset != old_bases[i] or log_index_pending(log, log.segments[first + i]) > 0
                or log.segments[first + i].n_bad > 0 or log.segments[first + i].next_offset > log.synced):
            return -1
    return first if old_bases[0] == new.base_offset else -1


cdef int log_swap(Log* log, const Swap* new, const int64_t* old_bases) noexcept nogil:
    cdef int64_t first = find(log, new, old_bases), i
    cdef Segment* segment
    cdef Segment* old
    cdef int result
    if first < 0:
        return 1
    segment = segment_new(new.base_offset, new.offset_entries, new.time_entries)
    if segment == NULL:
        return -ENOMEM
    segment.next_offset = log.segments[first + new.n_old - 1].next_offset
    segment.size = segment.allocated = new.size
    segment.max_timestamp = new.max_timestamp
    segment.max_timestamp_offset = new.max_timestamp_offset
    segment.created_ms = new.created_ms
    if new.offset_entries > 0:
        segment.offsets.last_key = new.last_offset_key
        segment.offsets.last_value = new.last_offset_value
    if new.time_entries > 0:
        segment.times.last_key = new.last_time_key
        segment.times.last_value = new.last_time_value
    segment.since_index = new.size - (new.last_offset_value if new.offset_entries > 0 else 0)
    result = take_aborted(segment, log, first, new.n_old)
    if result == 0:
        result = take_name(log, segment, ".log")
    if result < 0:
        segment_free(log.ops, segment)
        return result
    # From here on it is the truth. Without its indexes a search walks from its start; the caller renames them again.
    if take_name(log, segment, ".index") < 0:
        index_cut(segment.offsets, 0)
    if take_name(log, segment, ".timeindex") < 0:
        index_cut(segment.times, 0)
    if segment.n_aborted > 0:
        take_name(log, segment, ".txnindex")
    log.size += segment.size
    for i in range(first, first + new.n_old):
        old = log.segments[i]
        log.size -= old.size
        forget(log, old)
    log.segments[first] = segment
    memmove(log.segments + first + 1, log.segments + first + new.n_old,
            <size_t>(log.n_segments - first - new.n_old) * sizeof(Segment*))
    log.n_segments -= new.n_old - 1
    log.dir_dirty = True
    log.dirty = True
    return 0


def swap(PartitionLog log, bytes data not None) -> bool:
    """The same on a log that no plane owns: False when the segments are not there as they were."""
    cdef const char* p = data
    cdef int result = log_swap(log.mine(), <const Swap*>p, <const int64_t*>(p + sizeof(Swap)))
    check(min(result, 0), log.directory)
    return result == 0
