"""What recovery learns from segment files: takes what is good, steps over what is not, feeds the producer table."""

from libc.errno cimport EIO, ENOMEM
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memset

from pyralog._speedups.batch cimport ATTR_CONTROL, BatchInfo
from pyralog._speedups.endian cimport load64
from pyralog._speedups.epochmend cimport NO_EPOCH_LIMIT, settle_epoch
from pyralog._speedups.logstate cimport BadRange, Log, Segment
from pyralog._speedups.partition_log cimport PartitionLog, check
from pyralog._speedups.producers cimport AbortedTxn, producers_replay
from pyralog._speedups.recover cimport segment_number
from pyralog._speedups.scanwalk cimport CHUNK, NO_LIMIT, Scan, fill, find_good, next_batch
from pyralog._speedups.segfile cimport segment_open
from pyralog._speedups.segment cimport segment_index
from pyralog._speedups.txnindex cimport txn_index_append


cdef int remember(Scan* s, int64_t position, const BatchInfo* info) noexcept nogil:
    """Tells the producer table of a batch, and the segment of a transaction that it aborts. 0 or -errno."""
    cdef AbortedTxn aborted
    cdef int result = 0
    if s.producers == NULL or info.producer_id < 0 or info.base_offset < s.producers_from:
        return 0
    if info.attributes & ATTR_CONTROL and (position < s.start or position + info.size > s.start + s.filled):
        result = fill(s, position, min(s.end - position, <int64_t>CHUNK))   # its record counts, not its header alone
        if result != 0:
            return result
    result = producers_replay(s.producers, s.buffer + (position - s.start), info, s.now_ms, &aborted)
    if result > 0:
        result = (txn_index_append(s.log, s.segment, &aborted, 1) if s.segment.base_offset >= s.aborted_from else 0)
    return result


cdef int take(Scan* s, int64_t position, const BatchInfo* info) noexcept nogil:
    cdef Segment* segment = s.segment
    if segment_index(s.log, segment, info.base_offset, position, info.size, info.max_timestamp, info.base_offset) != 0:
        return -ENOMEM
    segment.size = position + info.size
    segment.next_offset = info.base_offset + info.last_offset_delta + 1
    s.leader_epoch = max(s.leader_epoch, info.leader_epoch)
    return remember(s, position, info)


cdef int step_over(Scan* s, int64_t position) noexcept nogil:
    """Notes an unreadable range and moves the segment's end behind it. 1; 0 where the log has to end instead; or -errno."""
    cdef Segment* segment = s.segment
    cdef BadRange* grown
    cdef BadRange* bad
    cdef int64_t good, upcoming = s.limit_offset
    if not s.resync or segment.next_offset >= s.prefix_from:
        return 0
    good = find_good(s, position + 1)
    if good < 0:
        return <int>good
    if good < s.end:
        if (good < s.start or good + 8 > s.start + s.filled) and fill(s, good, min(s.end - good, <int64_t>CHUNK)) != 0:
            return -EIO
        upcoming = load64(s.buffer + (good - s.start))
    if upcoming > s.prefix_from:
        return 0
    grown = <BadRange*>realloc(segment.bad, <size_t>(segment.n_bad + 1) * sizeof(BadRange))
    if grown == NULL:
        return -ENOMEM
    segment.bad = grown
    bad = &segment.bad[segment.n_bad]
    segment.n_bad += 1
    bad.position = position
    bad.end = good
    bad.offset = segment.next_offset
    bad.next_offset = upcoming
    segment.size = good
    segment.next_offset = upcoming
    segment.since_index = <int64_t>1 << 40      # an index entry for what comes next: no walk crosses the gap
    return 1


cdef int run(Scan* s) noexcept nogil:
    """Takes every good batch from segment.size on. 0 or -errno; segment.size is where it ended."""
    cdef int64_t position
    cdef BatchInfo info
    cdef int result = segment_open(s.log, s.segment, 0)
    if result < 0:
        return result
    memset(&info, 0, sizeof(info))
    while s.segment.size < s.end:
        position = s.segment.size
        result = next_batch(s, position, &info)
        if result > 0:
            result = settle_epoch(s, position, &info)
            if result == 0:
                break
            if result > 0:
                result = take(s, position, &info)
        elif result == 0:
            result = step_over(s, position)
            if result == 0:
                break
        if result < 0:
            return result
    return 0


def scan(PartitionLog log, int64_t i, int64_t file_size, int64_t limit_offset, *, int64_t crc_from=0, bint producers=False,
         int64_t producers_from=0, int64_t now_ms=0, bint resync=False, int64_t prefix_from=NO_LIMIT,
         int32_t leader_epoch=-1, int32_t epoch_limit=NO_EPOCH_LIMIT) -> tuple:
    """Takes batches from the segment's end up to `file_size` and extends the indexes:
    (end, next offset, leader epoch, how many damaged leader epochs were mended).

    Batches below offset `crc_from` have only their headers checked. It ends at the first bad
    batch; with `resync` bad ranges are noted and stepped over that end at or below offset `prefix_from`. Behind that
    offset gaps and leader epochs that fall (the first against `leader_epoch`) end it too; see true_epoch for those that
    are damaged and do not. The log end follows when it is the last segment.
    """
    cdef Segment* segment = segment_number(log, i)
    cdef Scan s
    cdef int result
    cdef int64_t before = segment.size
    memset(&s, 0, sizeof(Scan))
    s.log = &log.log
    s.segment = segment
    s.end = file_size
    s.limit_offset = limit_offset
    s.crc_from = crc_from
    s.producers = log.producers if producers else NULL
    s.producers_from = producers_from
    s.now_ms = now_ms
    s.resync = resync
    s.prefix_from = prefix_from
    s.leader_epoch = leader_epoch
    s.epoch_limit = epoch_limit
    s.number = i
    s.buffer = <uint8_t*>malloc(CHUNK)
    if s.buffer == NULL:
        raise MemoryError
    with nogil:
        result = run(&s)
    free(s.buffer)
    check(result, log.directory)
    log.log.size += segment.size - before
    segment.allocated = segment.size
    if i == log.log.n_segments - 1:
        log.log.leo = segment.next_offset
    return segment.size, segment.next_offset, s.leader_epoch, s.mended


def intact(PartitionLog log, int64_t i, int64_t position, int64_t file_size) -> bool:
    """Whether a whole batch with a right CRC lies there, whatever its offsets."""
    cdef Segment copy = segment_number(log, i)[0]
    cdef Scan s
    cdef BatchInfo info
    cdef int result
    check(segment_open(&log.log, segment_number(log, i), 0), log.directory)
    copy.fd = segment_number(log, i).fd
    copy.next_offset = 0
    memset(&s, 0, sizeof(Scan))
    memset(&info, 0, sizeof(info))
    s.log = &log.log
    s.segment = &copy
    s.end = file_size
    s.limit_offset = s.prefix_from = NO_LIMIT
    s.buffer = <uint8_t*>malloc(CHUNK)
    if s.buffer == NULL:
        raise MemoryError
    with nogil:
        result = next_batch(&s, position, &info)
    free(s.buffer)
    check(result, log.directory)
    return result > 0


cdef int replay_segment(Scan* s, int64_t end_offset) noexcept nogil:
    cdef int64_t position = s.segment.size, good
    cdef BatchInfo info
    cdef int result
    memset(&info, 0, sizeof(info))
    while position < s.end:
        result = next_batch(s, position, &info)
        if result < 0:
            return result
        if result == 0:
            good = find_good(s, position + 1)
            if good < 0:
                return <int>good
            position = good
            continue
        if info.base_offset >= end_offset:
            break
        s.segment.next_offset = info.base_offset + info.last_offset_delta + 1
        result = remember(s, position, &info)
        if result != 0:
            return result
        position += info.size
    return 0


def replay_producers(PartitionLog log, int64_t from_offset, int64_t end_offset, int64_t now_ms, *, int64_t aborted_of=-1) -> None:
    """Feeds the batches in [from_offset, end_offset) to the producer table, by their headers alone.

    What was aborted by markers in the segment of number `aborted_of` is noted in its index, which must be empty.
    """
    cdef Log* l = &log.log
    cdef Segment copy           # its end moves with the walk, the segment's does not
    cdef Segment* segment
    cdef Scan s
    cdef int64_t i
    cdef int result = 0
    memset(&s, 0, sizeof(Scan))
    s.log = l
    s.crc_from = NO_LIMIT
    s.prefix_from = NO_LIMIT
    s.limit_offset = NO_LIMIT
    s.producers = log.producers
    s.producers_from = from_offset
    s.now_ms = now_ms
    s.buffer = <uint8_t*>malloc(CHUNK)
    if s.buffer == NULL:
        raise MemoryError
    try:
        for i in range(l.n_segments):
            segment = segment_number(log, i)
            if segment.next_offset <= from_offset or segment.base_offset >= end_offset or segment.size == 0:
                continue
            check(segment_open(l, segment, 0), log.directory)
            copy = segment[0]
            copy.size = 0
            copy.next_offset = copy.base_offset
            s.segment = &copy
            s.end = segment.size
            s.filled = 0
            s.aborted_from = 0 if i == aborted_of else NO_LIMIT
            with nogil:
                result = replay_segment(&s, end_offset)
            if i == aborted_of:
                segment.aborted = copy.aborted
                segment.n_aborted = copy.n_aborted
                segment.aborted_capacity = copy.aborted_capacity
                segment.aborted_unsynced = copy.aborted_unsynced
            check(result, log.directory)
    finally:
        free(s.buffer)
