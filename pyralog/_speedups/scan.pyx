"""Walks segment files and checks every batch: takes what is good, finds what is not, feeds the producer table."""

from libc.errno cimport EIO, ENOMEM
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memset

from pyralog._speedups.batch cimport (
    ATTR_CONTROL, AT_ATTRIBUTES, AT_LEADER_EPOCH, AT_LENGTH, AT_MAGIC, BATCH_HEADER, BATCH_OVERHEAD, BatchInfo,
    batch_crc_ok, batch_peek,
)
from pyralog._speedups.crc32c cimport crc32c
from pyralog._speedups.endian cimport load32, load64, store32
from pyralog._speedups.fileops cimport iovec
from pyralog._speedups.logstate cimport BadRange, Log, Segment
from pyralog._speedups.producers cimport AbortedTxn, ProducerTable, producers_replay
from pyralog._speedups.recover cimport segment_number
from pyralog._speedups.segfile cimport segment_open
from pyralog._speedups.segment cimport PartitionLog, check, segment_index
from pyralog._speedups.txnindex cimport txn_index_append

cdef enum:
    CHUNK = 1 << 18             # read at once; small enough that the CRC finds it in the second-level cache
    SPARSE = 1 << 14            # after a batch of this size only headers are read, where no CRC is wanted
    PEEK = 1 << 12

cdef int64_t NO_LIMIT = <int64_t>1 << 62
cdef int32_t NO_EPOCH_LIMIT = 0x7fffffff


ctypedef struct Scan:
    Log* log
    Segment* segment
    int64_t end                 # of the file
    int64_t limit_offset        # base offset of the next segment
    int64_t crc_from            # batches that reach this offset have their CRC checked
    bint resync                 # step over what is unreadable, as far as prefix_from
    int64_t prefix_from         # behind this offset neither a gap nor a falling leader epoch is passed
    int32_t leader_epoch        # of the batches so far, -1 = not known
    int32_t epoch_limit         # the newest that the metadata gave this partition
    int64_t number              # of the segment in its log
    int64_t mended              # leader epochs that one flipped bit had changed
    ProducerTable* producers    # NULL: not wanted
    int64_t producers_from      # offset
    int64_t aborted_from        # base offset of the first segment whose aborted transactions are noted
    int64_t now_ms
    uint8_t* buffer
    int64_t start               # of the buffer, in the file
    int64_t filled


cdef int fill(Scan* s, int64_t position, int64_t size) noexcept nogil:
    """Reads the buffer anew from `position`: all of `size`, or the file is shorter than it says (-EIO)."""
    cdef int64_t done = 0, n
    while done < size:
        n = s.log.ops.pread(s.log.ops.ctx, s.segment.fd, s.buffer + done, <size_t>(size - done), position + done, False)
        if n <= 0:
            s.filled = 0
            return <int>n if n < 0 else -EIO
        done += n
    s.start = position
    s.filled = size
    return 0


cdef int long_crc(Scan* s, int64_t position, const BatchInfo* info) noexcept nogil:
    """1 = right, 0 = wrong, for a batch larger than the buffer; or -errno."""
    cdef uint32_t crc = 0
    cdef int64_t at = position + AT_ATTRIBUTES, end = position + info.size, n
    cdef int result
    while at < end:
        n = min(end - at, <int64_t>CHUNK)
        result = fill(s, at, n)
        if result != 0:
            return result
        crc = crc32c(crc, s.buffer, <size_t>n)
        at += n
    return crc == info.crc


cdef int batch_right(Scan* s, int64_t position, const BatchInfo* info) noexcept nogil:
    """1 = the CRC is right, 0 = wrong, or -errno."""
    cdef int result
    if position + info.size > s.start + s.filled:
        if info.size > CHUNK:
            return long_crc(s, position, info)
        result = fill(s, position, min(s.end - position, <int64_t>CHUNK))
        if result != 0:
            return result
    return batch_crc_ok(s.buffer + (position - s.start), info)


cdef int misnumbered(Scan* s, int64_t position, const BatchInfo* info) noexcept nogil:
    """1 when the batch after this one goes back behind a gap that this one opened: then it is this one's base offset that
    is wrong. No checksum covers it, and believing it would cost everything that follows. 0, or -errno."""
    cdef uint8_t header[BATCH_HEADER]
    cdef BatchInfo after
    cdef int64_t at = position + info.size, n
    if info.base_offset == s.segment.next_offset or s.end - at < BATCH_HEADER:
        return 0
    n = s.log.ops.pread(s.log.ops.ctx, s.segment.fd, header, BATCH_HEADER, at, False)
    if n != BATCH_HEADER:
        return <int>n if n < 0 else -EIO
    return (batch_peek(header, s.end - at, &after) == 0 and s.segment.next_offset <= after.base_offset
            and after.base_offset < info.base_offset)


cdef int next_batch(Scan* s, int64_t position, BatchInfo* out) noexcept nogil:
    """1 = a good batch lies there, 0 = none, or -errno."""
    cdef int64_t last, n
    cdef int result
    if s.end - position < BATCH_HEADER:
        return 0
    if position < s.start or position + BATCH_HEADER > s.start + s.filled:
        n = CHUNK if s.segment.next_offset >= s.crc_from or out.size < SPARSE else PEEK
        result = fill(s, position, min(s.end - position, n))
        if result != 0:
            return result
    if batch_peek(s.buffer + (position - s.start), s.end - position, out) != 0:
        out.size = 0
        return 0
    last = out.base_offset + out.last_offset_delta
    if out.base_offset < s.segment.next_offset or last >= s.limit_offset:
        return 0
    if last >= s.prefix_from and out.base_offset > max(s.segment.next_offset, s.prefix_from):
        return 0
    result = misnumbered(s, position, out)
    if result != 0:
        return 0 if result > 0 else result
    return batch_right(s, position, out) if last >= s.crc_from else 1


cdef int batch_after(Scan* s, int64_t position, const BatchInfo* info, BatchInfo* out) noexcept nogil:
    """1 when a whole batch with a right CRC follows this one, in its segment or in the next; 0, or -errno."""
    cdef Segment* here = s.segment
    cdef int64_t end = s.end, at = position + info.size
    cdef int result = 0
    if s.end - at < BATCH_HEADER and s.number + 1 < s.log.n_segments:
        at = 0
        s.segment = s.log.segments[s.number + 1]
        s.end = NO_LIMIT            # its size is not known here: a batch that is not whole cannot be read
        result = segment_open(s.log, s.segment, 0)
    if result >= 0 and s.end - at >= BATCH_HEADER:
        result = fill(s, at, BATCH_HEADER)
        if result == 0 and batch_peek(s.buffer, s.end - at, out) == 0 \
                and out.base_offset >= info.base_offset + info.last_offset_delta + 1:
            result = long_crc(s, at, out)
        if result == -EIO:          # the file ends within it
            result = 0
    s.segment = here
    s.end = end
    s.start = s.filled = 0          # what the buffer held is gone
    return min(result, 1)


cdef int32_t one_bit_from(int32_t epoch, int32_t low, int32_t high) noexcept nogil:
    """The smallest epoch in [low, high] that one flipped bit turns into this one; -1 = none."""
    cdef int64_t found = -1, other
    cdef int bit
    for bit in range(32):
        other = <int32_t>(<uint32_t>epoch ^ (<uint32_t>1 << bit))
        if low <= other <= high and (found < 0 or other < found):
            found = other
    return <int32_t>found


cdef int64_t true_epoch(Scan* s, int64_t position, const BatchInfo* info) noexcept nogil:
    """The leader epoch under which the batch was written: the field is outside the CRC. Or -errno - 2^32.

    Epochs never fall in a log (KIP-101). What is above the limit is damage. So is a batch that stands out above both
    its neighbours: to think it older than it is costs a replica a comparison, to believe it would cost all that
    follows. One that stands out below is damaged when a single flipped bit explains it. Where a log really diverges
    (what was truncated came back with a crash), epochs stay low, behind more than one that was higher.
    """
    cdef int32_t claimed = info.leader_epoch, before = max(s.leader_epoch, 0), high = s.epoch_limit, found
    cdef BatchInfo after
    cdef int result
    if claimed == s.leader_epoch <= s.epoch_limit or claimed == -1:
        return claimed
    result = batch_after(s, position, info, &after)
    if result < 0:
        return result - (<int64_t>1 << 32)
    if result > 0:
        high = min(after.leader_epoch, s.epoch_limit)
    elif claimed < before and s.epoch_limit == NO_EPOCH_LIMIT:
        high = before
    if before <= claimed <= high:
        return claimed
    found = one_bit_from(claimed, before, high)
    if found < 0 and (claimed > s.epoch_limit or before <= high < claimed):
        found = before
    return found if found >= 0 else claimed


cdef int settle_epoch(Scan* s, int64_t position, BatchInfo* info) noexcept nogil:
    """Mends a damaged leader epoch, in the file too where the CRC says that it is a batch. 1; 0 = the log ends before
    this batch, as its epoch falls; or -errno."""
    cdef int64_t last = info.base_offset + info.last_offset_delta, epoch = true_epoch(s, position, info)
    cdef uint8_t field[4]
    cdef iovec iov
    if epoch < -(<int64_t>1 << 31):
        return <int>(epoch + (<int64_t>1 << 32))
    if epoch == info.leader_epoch:
        return 0 if last >= s.prefix_from and 0 <= epoch < s.leader_epoch else 1
    info.leader_epoch = <int32_t>epoch
    if last >= s.crc_from:
        s.mended += 1
        store32(field, info.leader_epoch)
        iov.iov_base = field
        iov.iov_len = 4
        epoch = s.log.ops.pwritev(s.log.ops.ctx, s.segment.fd, &iov, 1, position + AT_LEADER_EPOCH)
        if epoch != 4:
            return <int>epoch if epoch < 0 else -EIO
    return 1


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


cdef int64_t find_good(Scan* s, int64_t position) noexcept nogil:
    """Position of the first batch with a right CRC from `position` on; s.end = none; or -errno."""
    cdef int64_t crc_from = s.crc_from, prefix_from = s.prefix_from, found
    s.crc_from = 0
    s.prefix_from = NO_LIMIT
    found = search_good(s, position)
    s.crc_from = crc_from
    s.prefix_from = prefix_from
    return found


cdef int64_t search_good(Scan* s, int64_t at) noexcept nogil:
    cdef int64_t i, usable, length
    cdef const uint8_t* p
    cdef BatchInfo info
    cdef int result
    memset(&info, 0, sizeof(info))
    while s.end - at >= BATCH_HEADER:
        result = fill(s, at, min(s.end - at, <int64_t>CHUNK))
        if result != 0:
            return result
        usable = s.filled - BATCH_HEADER + 1
        for i in range(usable):
            p = s.buffer + i
            if p[AT_MAGIC] != 2:
                continue
            length = load32(p + AT_LENGTH)
            if length < BATCH_HEADER - BATCH_OVERHEAD or length > s.end - at - i - BATCH_OVERHEAD:
                continue
            if load64(p) < s.segment.next_offset or load64(p) >= s.limit_offset:
                continue
            result = next_batch(s, at + i, &info)
            if result != 0:
                return at + i if result > 0 else result
            if s.start != at or i >= s.filled:      # the check moved the buffer: go on behind the candidate
                usable = i + 1
                break
        at += usable
    return s.end


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
