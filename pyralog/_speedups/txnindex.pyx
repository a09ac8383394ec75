"""Aborted transactions of a segment, in memory and in its .txnindex file, in Kafka's format (TransactionIndex, KIP-98).

An entry stands in the segment that holds the marker, so the entries of a log follow each other by last offset. A search
begins at the first marker not below the range and ends at the first entry whose last stable offset lies behind it: what
was aborted later began later.
"""

from libc.errno cimport EIO, ENOENT, ENOMEM
from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport free, malloc, qsort, realloc
from libc.string cimport memset
from posix.fcntl cimport O_CREAT, O_RDONLY, O_RDWR

from pyralog._speedups.endian cimport load16, load64, store16, store64
from pyralog._speedups.fileops cimport iovec
from pyralog._speedups.logstate cimport LOG_FILE_MODE, LOG_PATH_SIZE, Log, Segment
from pyralog._speedups.producers cimport AbortedTxn
from pyralog._speedups.segfile cimport segment_path

cdef enum:
    ENTRY = 34                  # version 0, producer id, first offset, last offset, last stable offset
    AT_ONCE = 64


cdef void encode(const AbortedTxn* entry, uint8_t* out) noexcept nogil:
    store16(out, 0)
    store64(out + 2, entry.producer_id)
    store64(out + 10, entry.first_offset)
    store64(out + 18, entry.last_offset)
    store64(out + 26, entry.last_stable)


cdef int reserve(Segment* segment, int64_t n) noexcept nogil:
    cdef AbortedTxn* bigger
    cdef int64_t capacity = max(segment.aborted_capacity, <int64_t>4)
    while capacity < segment.n_aborted + n:
        capacity *= 2
    if capacity == segment.aborted_capacity:
        return 0
    bigger = <AbortedTxn*>realloc(segment.aborted, <size_t>capacity * sizeof(AbortedTxn))
    if bigger == NULL:
        return -ENOMEM
    segment.aborted = bigger
    segment.aborted_capacity = capacity
    return 0


cdef int write_entries(Log* log, int fd, const AbortedTxn* entries, int64_t n, int64_t position) noexcept nogil:
    cdef uint8_t data[ENTRY * AT_ONCE]
    cdef iovec iov
    cdef int64_t done = 0, i, count, written
    while done < n:
        count = min(n - done, <int64_t>AT_ONCE)
        for i in range(count):
            encode(&entries[done + i], data + i * ENTRY)
        iov.iov_base = data
        iov.iov_len = <size_t>(count * ENTRY)
        while iov.iov_len > 0:
            written = log.ops.pwritev(log.ops.ctx, fd, &iov, 1, position)
            if written <= 0:
                return <int>written if written < 0 else -EIO
            position += written
            iov.iov_base = <uint8_t*>iov.iov_base + written
            iov.iov_len -= <size_t>written
        done += count
    return 0


cdef int txn_index_append(Log* log, Segment* segment, const AbortedTxn* entries, int64_t n) noexcept nogil:
    cdef char path[LOG_PATH_SIZE]
    cdef int64_t i
    cdef int fd, result = reserve(segment, n)
    if result == 0:
        result = segment_path(log, segment, ".txnindex", path, LOG_PATH_SIZE)
    if result < 0:
        return result
    fd = log.ops.open(log.ops.ctx, path, O_RDWR | O_CREAT, LOG_FILE_MODE)
    if fd < 0:
        return fd
    result = write_entries(log, fd, entries, n, segment.n_aborted * ENTRY)
    log.ops.close(log.ops.ctx, fd)
    if result != 0:
        return result
    if segment.n_aborted == 0:
        log.dir_dirty = True
    for i in range(n):
        segment.aborted[segment.n_aborted + i] = entries[i]
    segment.n_aborted += n
    segment.aborted_unsynced = True
    return 0


cdef int64_t first_at(const Segment* segment, int64_t offset) noexcept nogil:
    """Number of the first entry whose marker is at or above the offset."""
    cdef int64_t low = 0, high = segment.n_aborted, middle
    while low < high:
        middle = (low + high) // 2
        if segment.aborted[middle].last_offset < offset:
            low = middle + 1
        else:
            high = middle
    return low


cdef int txn_index_cut(Log* log, Segment* segment, int64_t offset) noexcept nogil:
    cdef char path[LOG_PATH_SIZE]
    cdef int64_t keep = first_at(segment, offset)
    cdef int fd, result
    result = segment_path(log, segment, ".txnindex", path, LOG_PATH_SIZE)
    if result < 0 or (keep == segment.n_aborted and keep > 0):
        return min(result, 0)
    segment.n_aborted = keep
    if keep == 0:
        result = log.ops.unlink(log.ops.ctx, path)
        if result == 0:
            log.dir_dirty = True
        return result if result != -ENOENT else 0
    fd = log.ops.open(log.ops.ctx, path, O_RDWR, LOG_FILE_MODE)
    if fd < 0:
        return fd if fd != -ENOENT else 0
    result = log.ops.ftruncate(log.ops.ctx, fd, keep * ENTRY)
    log.ops.close(log.ops.ctx, fd)
    segment.aborted_unsynced = True
    return result


cdef int txn_index_sync(Log* log, Segment* segment) noexcept nogil:
    cdef char path[LOG_PATH_SIZE]
    cdef int fd, result
    if not segment.aborted_unsynced:
        return 0
    result = segment_path(log, segment, ".txnindex", path, LOG_PATH_SIZE)
    if result < 0:
        return result
    fd = log.ops.open(log.ops.ctx, path, O_RDWR, LOG_FILE_MODE)
    if fd < 0:
        return fd if fd != -ENOENT else 0
    result = log.ops.fdatasync(log.ops.ctx, fd)
    log.ops.close(log.ops.ctx, fd)
    if result == 0:
        segment.aborted_unsynced = False
    return result


cdef int64_t segment_of(const Log* log, int64_t offset) noexcept nogil:
    cdef int64_t low = 0, high = log.n_segments - 1, middle
    while low < high:
        middle = (low + high + 1) // 2
        if log.segments[middle].base_offset <= offset:
            low = middle
        else:
            high = middle - 1
    return low


cdef int by_first_offset(const void* a, const void* b) noexcept nogil:
    cdef int64_t x = (<const AbortedTxn*>a).first_offset, y = (<const AbortedTxn*>b).first_offset
    return (x > y) - (x < y)


cdef int add(AbortedList* out, const AbortedTxn* entry) noexcept nogil:
    cdef AbortedTxn* bigger
    cdef int64_t capacity = out.capacity * 2 if out.capacity > 0 else 16
    if out.n == out.capacity:
        bigger = <AbortedTxn*>realloc(out.entries, <size_t>capacity * sizeof(AbortedTxn))
        if bigger == NULL:
            return -ENOMEM
        out.entries = bigger
        out.capacity = capacity
    out.entries[out.n] = entry[0]
    out.n += 1
    return 0


cdef int txn_index_collect(const Log* log, int64_t start, int64_t end, AbortedList* out) noexcept nogil:
    cdef int64_t i, k
    cdef const Segment* segment
    cdef const AbortedTxn* entry
    cdef bint over = False
    out.n = 0
    if start >= end:
        return 0
    for i in range(segment_of(log, start), log.n_segments):
        segment = log.segments[i]
        for k in range(first_at(segment, start), segment.n_aborted):
            entry = &segment.aborted[k]
            if entry.first_offset < end and add(out, entry) != 0:
                return -ENOMEM
            if entry.last_stable >= end:
                over = True
                break
        if over:
            break
    if out.n > 1:
        qsort(out.entries, <size_t>out.n, sizeof(AbortedTxn), &by_first_offset)
    return 0


cdef bint decode(const uint8_t* data, int64_t n, const Segment* segment, AbortedTxn* out) noexcept nogil:
    """False when the entries are none of Kafka's, out of order or of another segment."""
    cdef int64_t i, last = segment.base_offset - 1
    for i in range(n):
        out[i].producer_id = load64(data + 2)
        out[i].first_offset = load64(data + 10)
        out[i].last_offset = load64(data + 18)
        out[i].last_stable = load64(data + 26)
        if (load16(data) != 0 or out[i].last_offset <= last or out[i].first_offset > out[i].last_offset
                or out[i].first_offset < 0 or out[i].last_stable < 0):
            return False
        last = out[i].last_offset
        data += ENTRY
    return True


cdef int load_entries(Log* log, Segment* segment, int64_t size) noexcept nogil:
    cdef char path[LOG_PATH_SIZE]
    cdef uint8_t* data
    cdef int64_t n = size // ENTRY, done = 0, got = 0
    cdef bint right
    cdef int fd, result = reserve(segment, n)
    if result == 0:
        result = segment_path(log, segment, ".txnindex", path, LOG_PATH_SIZE)
    if result < 0:
        return result
    fd = log.ops.open(log.ops.ctx, path, O_RDONLY, 0)
    if fd < 0:
        return fd
    data = <uint8_t*>malloc(<size_t>max(size, <int64_t>1))
    while data != NULL and done < size:
        got = log.ops.pread(log.ops.ctx, fd, data + done, <size_t>(size - done), done, False)
        if got <= 0:
            break
        done += got
    log.ops.close(log.ops.ctx, fd)
    right = data != NULL and done == size and decode(data, n, segment, segment.aborted)
    free(data)
    if got < 0:
        return <int>got
    if data == NULL:
        return -ENOMEM
    segment.n_aborted = n if right else 0
    return right


cdef int txn_index_load(Log* log, Segment* segment, int64_t size) noexcept nogil:
    cdef int result
    segment.n_aborted = 0
    if size % ENTRY != 0:
        return 0
    if size == 0:
        return 1
    result = load_entries(log, segment, size)
    return 0 if result == -ENOENT else result


cdef list aborted_of(const Log* log, int64_t start, int64_t end):
    cdef AbortedList found
    cdef int64_t i
    memset(&found, 0, sizeof(found))
    if txn_index_collect(log, start, end, &found) != 0:
        free(found.entries)
        raise MemoryError
    try:
        return [(found.entries[i].producer_id, found.entries[i].first_offset, found.entries[i].last_offset,
                 found.entries[i].last_stable) for i in range(found.n)]
    finally:
        free(found.entries)
