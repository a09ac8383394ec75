"""Reads a segment file batch by batch and tells good ones from bad; looks for the next good one behind damage."""

from libc.errno cimport EIO
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memset

from pyralog._speedups.batch cimport (
    AT_ATTRIBUTES, AT_LENGTH, AT_MAGIC, BATCH_HEADER, BATCH_OVERHEAD, BatchInfo, batch_crc_ok, batch_peek,
)
from pyralog._speedups.crc32c cimport crc32c
from pyralog._speedups.endian cimport load32, load64

cdef enum:
    SPARSE = 1 << 14            # after a batch of this size only headers are read, where no CRC is wanted
    PEEK = 1 << 12

cdef int64_t NO_LIMIT = <int64_t>1 << 62


cdef int fill(Scan* s, int64_t position, int64_t size) noexcept nogil:
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


cdef int64_t find_good(Scan* s, int64_t position) noexcept nogil:
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
