"""Puts one cleaned segment in the place of several: names on disk and pointers in memory change in one step."""

from libc.errno cimport ENOENT, ENOMEM
from libc.stdint cimport int64_t, uint8_t
from libc.stdio cimport snprintf
from libc.stdlib cimport malloc
from libc.string cimport memmove

from pyralog._speedups.index cimport index_cut
from pyralog._speedups.logstate cimport LOG_PATH_SIZE, Log, Segment
from pyralog._speedups.partition_log cimport PartitionLog, check
from pyralog._speedups.producers cimport AbortedTxn
from pyralog._speedups.segfile cimport forget, log_index_pending, segment_free, segment_new, segment_path


cdef int take_name(Log* log, const Segment* segment, const char* suffix) noexcept nogil:
    """`<base><suffix>.swap` becomes `<base><suffix>`."""
    cdef char path[LOG_PATH_SIZE]
    cdef char source[LOG_PATH_SIZE + 8]
    cdef int n = segment_path(log, segment, suffix, path, LOG_PATH_SIZE)
    if n < 0:
        return n
    snprintf(source, LOG_PATH_SIZE + 8, "%s.swap", path)
    return log.ops.rename(log.ops.ctx, source, path)


cdef bint swap_is_whole(const uint8_t* data, int64_t size) noexcept nogil:
    cdef const Swap* new = <const Swap*>data
    cdef int64_t room = size - <int64_t>sizeof(Swap)
    if room < 0:        # before the division, which would round it up to nothing
        return False
    room //= 8
    return (0 <= new.n_old <= room and 0 <= new.n_aborted <= (room - new.n_old) // 4)


cdef int take_aborted(Segment* segment, const int64_t* fields, int64_t n) noexcept nogil:
    """The aborted transactions that readers still have to know of, in memory; their file has been written."""
    cdef int64_t i
    if n == 0:
        return 0
    segment.aborted = <AbortedTxn*>malloc(<size_t>n * sizeof(AbortedTxn))
    if segment.aborted == NULL:
        return -ENOMEM
    segment.n_aborted = segment.aborted_capacity = n
    for i in range(n):
        segment.aborted[i].producer_id = fields[4 * i]
        segment.aborted[i].first_offset = fields[4 * i + 1]
        segment.aborted[i].last_offset = fields[4 * i + 2]
        segment.aborted[i].last_stable = fields[4 * i + 3]
    return 0


cdef int64_t find(const Log* log, const Swap* new) noexcept nogil:
    """Number of the first segment to be replaced; -1 when they are not there as they were, or still being written to."""
    cdef const int64_t* old_bases = <const int64_t*>(new + 1)
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


cdef int log_swap(Log* log, const Swap* new) noexcept nogil:
    cdef int64_t first = find(log, new), i
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
    result = take_aborted(segment, <const int64_t*>(new + 1) + new.n_old, new.n_aborted)
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
    take_name(log, segment, ".txnindex")        # where there is one
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
    cdef const uint8_t* p = data
    cdef int result
    if not swap_is_whole(p, len(data)):
        raise ValueError("not a swap")
    result = log_swap(log.mine(), <const Swap*>p)
    check(min(result, 0), log.directory)
    return result == 0
