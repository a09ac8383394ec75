"""Leader epochs of batches that recovery reads: no checksum covers them, so a flipped bit is told from a log that diverges."""

from libc.errno cimport EIO
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t

from pyralog._speedups.batch cimport AT_LEADER_EPOCH, BATCH_HEADER, BatchInfo, batch_peek
from pyralog._speedups.endian cimport store32
from pyralog._speedups.fileops cimport iovec
from pyralog._speedups.logstate cimport Segment
from pyralog._speedups.scanwalk cimport NO_LIMIT, Scan, fill, long_crc
from pyralog._speedups.segfile cimport segment_open


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
