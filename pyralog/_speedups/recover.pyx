"""Recovery of a partition's segments: attach, walk and check, rebuild indexes and producers, cut what is torn."""

from libc.errno cimport EBADMSG, EIO, ENOENT, ENOMEM
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memset
from posix.fcntl cimport O_RDONLY, O_RDWR

from pyralog._speedups.batch cimport (
    AT_ATTRIBUTES, AT_LENGTH, AT_MAGIC, BATCH_HEADER, BATCH_OVERHEAD, BatchInfo, batch_crc_ok, batch_peek,
)
from pyralog._speedups.crc32c cimport crc32c
from pyralog._speedups.endian cimport load32, load64
from pyralog._speedups.fileops cimport FileOps
from pyralog._speedups.index cimport INDEX_ENTRY, SegmentIndex, index_cut, index_floor, index_key, index_load, index_value
from pyralog._speedups.producers cimport ProducerBatch, ProducerTable, producers_append, producers_clear
from pyralog._speedups.segment cimport (
    BadRange, Log, PartitionLog, Segment, batch_producer, check, finish_times, log_attach, segment_free, segment_index, segment_new,
    segment_open, segment_path,
)

cdef extern from * nogil:
    """
    #include <fcntl.h>
    #include <stdint.h>
    #include <sys/stat.h>

    /* Milliseconds since 1970 at which the file came to be, or was last written where the file system does not know. */
    static int64_t file_born_ms(const char *path) {
    #if defined(__linux__) && defined(STATX_BTIME)
        struct statx s;
        if (statx(AT_FDCWD, path, 0, STATX_BTIME | STATX_MTIME, &s) != 0) return -1;
        if (s.stx_mask & STATX_BTIME) return (int64_t)s.stx_btime.tv_sec * 1000 + s.stx_btime.tv_nsec / 1000000;
        return (int64_t)s.stx_mtime.tv_sec * 1000 + s.stx_mtime.tv_nsec / 1000000;
    #else
        struct stat s;
        if (stat(path, &s) != 0) return -1;
        return (int64_t)s.st_mtime * 1000;
    #endif
    }
    """
    int64_t file_born_ms(const char* path) noexcept

cdef enum:
    PATH_SIZE = 4096
    MODE = 0o600
    CHUNK = 1 << 18             # read at once; small enough that the CRC finds it in the second-level cache
    SPARSE = 1 << 14            # after a batch of this size only headers are read, where no CRC is wanted
    PEEK = 1 << 12


ctypedef struct Scan:
    Log* log
    Segment* segment
    int64_t end                 # of the file
    int64_t limit_offset        # base offset of the next segment
    int64_t crc_from            # batches that reach this offset have their CRC checked
    ProducerTable* producers    # NULL: not wanted
    int64_t producers_from      # offset
    int64_t now_ms
    bint resync                 # step over what is unreadable
    uint8_t* buffer
    int64_t start               # of the buffer, in the file
    int64_t filled
    int64_t batches


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
    return batch_right(s, position, out) if last >= s.crc_from else 1


cdef int take(Scan* s, int64_t position, const BatchInfo* info) noexcept nogil:
    cdef ProducerBatch batch
    cdef Segment* segment = s.segment
    if segment_index(s.log, segment, info.base_offset, position, info.size, info.max_timestamp, info.base_offset) != 0:
        return -ENOMEM
    segment.size = position + info.size
    segment.next_offset = info.base_offset + info.last_offset_delta + 1
    s.batches += 1
    if s.producers != NULL and info.producer_id >= 0 and info.base_sequence >= 0 and info.base_offset >= s.producers_from:
        batch_producer(info, &batch)
        return producers_append(s.producers, &batch, s.now_ms)
    return 0


cdef int64_t find_good(Scan* s, int64_t position) noexcept nogil:
    """Position of the first batch with a right CRC from `position` on; s.end = none; or -errno."""
    cdef int64_t at = position, i, usable, length, crc_from = s.crc_from
    cdef const uint8_t* p
    cdef BatchInfo info
    cdef int result
    s.crc_from = 0
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
                s.crc_from = crc_from
                return at + i if result > 0 else result
            if s.start != at or i >= s.filled:      # the check moved the buffer: go on behind the candidate
                usable = i + 1
                break
        at += usable
    s.crc_from = crc_from
    return s.end


cdef int step_over(Scan* s, int64_t position) noexcept nogil:
    """Notes an unreadable range and moves the segment's end behind it. 0 or -errno."""
    cdef Segment* segment = s.segment
    cdef BadRange* grown
    cdef BadRange* bad
    cdef int64_t good = find_good(s, position + 1)
    if good < 0:
        return <int>good
    grown = <BadRange*>realloc(segment.bad, <size_t>(segment.n_bad + 1) * sizeof(BadRange))
    if grown == NULL:
        return -ENOMEM
    segment.bad = grown
    bad = &segment.bad[segment.n_bad]
    segment.n_bad += 1
    bad.position = position
    bad.end = good
    bad.offset = segment.next_offset
    if good < s.end:
        bad.next_offset = load64(s.buffer + (good - s.start)) if s.start <= good and good + 8 <= s.start + s.filled else -1
        if bad.next_offset < 0:
            if fill(s, good, min(s.end - good, <int64_t>CHUNK)) != 0:
                return -EIO
            bad.next_offset = load64(s.buffer)
    else:
        bad.next_offset = s.limit_offset
    segment.size = good
    segment.next_offset = bad.next_offset
    segment.since_index = <int64_t>1 << 40      # an index entry for what comes next: no walk crosses the gap
    return 0


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
            result = take(s, position, &info)
        elif result == 0 and s.resync:
            result = step_over(s, position)
        elif result == 0:
            break
        if result < 0:
            return result
    return 0


cdef int read_last(Log* log, Segment* segment, SegmentIndex* index, const char* suffix) noexcept nogil:
    """Last key and value of an index file with disk_count entries. 0 or -errno."""
    cdef char path[PATH_SIZE]
    cdef uint8_t entry[INDEX_ENTRY]
    cdef int fd
    cdef int64_t n
    if index.disk_count == 0:
        return 0
    fd = segment_path(log, segment, suffix, path, PATH_SIZE)
    if fd >= 0:
        fd = log.ops.open(log.ops.ctx, path, O_RDONLY, 0)
    if fd < 0:
        return fd
    n = log.ops.pread(log.ops.ctx, fd, entry, INDEX_ENTRY, (index.disk_count - 1) * INDEX_ENTRY, False)
    log.ops.close(log.ops.ctx, fd)
    if n != INDEX_ENTRY:
        return <int>n if n < 0 else -EIO
    index.last_key = load64(entry)
    index.last_value = load64(entry + 8)
    return 0


def attach(PartitionLog log, int64_t base_offset, int64_t next_offset, int64_t size, int64_t offset_entries,
           int64_t time_entries) -> bool:
    """Adds a segment as the last one, trusting its file and the last entries of its indexes.

    False when the indexes contradict the file: then they count as empty and have to be rebuilt.
    """
    cdef Segment* segment = segment_new(base_offset, offset_entries, time_entries)
    cdef char path[PATH_SIZE]
    cdef bint right
    if segment == NULL:
        raise MemoryError
    if log_attach(&log.log, segment) != 0:
        segment_free(log.log.ops, segment)
        raise MemoryError
    segment.size = segment.allocated = size
    segment.next_offset = next_offset
    log.log.size += size
    log.log.leo = next_offset
    right = (read_last(&log.log, segment, segment.offsets, ".index") == 0
             and read_last(&log.log, segment, segment.times, ".timeindex") == 0)
    if right and offset_entries > 0:
        right = (base_offset <= segment.offsets.last_key and 0 <= segment.offsets.last_value
                 and segment.offsets.last_value <= size - BATCH_HEADER)
    if right and time_entries > 0:
        right = base_offset <= segment.times.last_value and segment.times.last_key >= 0
    if not right:
        index_cut(segment.offsets, 0)
        index_cut(segment.times, 0)
    if right and time_entries > 0:
        segment.max_timestamp = segment.times.last_key
        segment.max_timestamp_offset = segment.times.last_value
    segment.since_index = size - (segment.offsets.last_value if right and offset_entries > 0 else 0)
    if segment_path(&log.log, segment, ".log", path, PATH_SIZE) >= 0:
        segment.created_ms = file_born_ms(path) if size > 0 else -1
    return right


cdef Segment* segment_number(PartitionLog log, int64_t i) except NULL:
    if log.owned:
        raise RuntimeError("the log belongs to a plane")
    if not 0 <= i < log.log.n_segments:
        raise IndexError(i)
    return log.log.segments[i]


def rewind(PartitionLog log, int64_t i, int64_t offset) -> int:
    """Takes the segment's end back to the last index entry at or below `offset`, for a scan from there; the position."""
    cdef Segment* segment = segment_number(log, i)
    cdef Log* l = &log.log
    cdef char path[PATH_SIZE]
    cdef BatchInfo info
    cdef uint8_t header[BATCH_HEADER]
    cdef int64_t entry = -1, position = 0, key = segment.base_offset, keep
    cdef int fd
    if offset > segment.base_offset and segment.offsets.disk_count > 0:
        segment_path(l, segment, ".index", path, PATH_SIZE)
        if index_load(segment.offsets, l.ops, path, False) == 0:
            entry = index_floor(segment.offsets, offset, segment.offsets.disk_count)
    segment_path(l, segment, ".timeindex", path, PATH_SIZE)
    if entry >= 0 and segment.times.disk_count > 0 and index_load(segment.times, l.ops, path, False) != 0:
        entry = -1
    if entry >= 0:
        key = index_key(segment.offsets, entry)
        position = index_value(segment.offsets, entry)
        fd = segment_open(l, segment, 0)
        check(fd, log.directory)
        if (position < 0 or position > segment.size - BATCH_HEADER
                or l.ops.pread(l.ops.ctx, fd, header, BATCH_HEADER, position, False) != BATCH_HEADER
                or batch_peek(header, segment.size - position, &info) != 0 or info.base_offset != key):
            entry = -1
    if entry < 0:
        position = 0
        key = segment.base_offset
    keep = segment.times.disk_count if entry >= 0 else 0
    while keep > 0 and index_value(segment.times, keep - 1) >= key:
        keep -= 1
    index_cut(segment.offsets, entry + 1)
    index_cut(segment.times, keep)
    segment.max_timestamp = segment.times.last_key if keep > 0 else -1
    segment.max_timestamp_offset = segment.times.last_value if keep > 0 else -1
    segment.since_index = 0             # the batch at the entry is taken again, its entry is there
    log.log.size -= segment.size - position
    segment.size = position
    segment.next_offset = key
    return position


def rewind_to_last(PartitionLog log, int64_t i) -> bool:
    """The same to the last index entry, without reading the indexes. False when no batch begins where it points."""
    cdef Segment* segment = segment_number(log, i)
    cdef Log* l = &log.log
    cdef BatchInfo info
    cdef uint8_t header[BATCH_HEADER]
    cdef int64_t position = 0, key = segment.base_offset
    cdef int fd
    if segment.offsets.disk_count > 0:
        key = segment.offsets.last_key
        position = segment.offsets.last_value
        fd = segment_open(l, segment, 0)
        check(fd, log.directory)
        if (l.ops.pread(l.ops.ctx, fd, header, BATCH_HEADER, position, False) != BATCH_HEADER
                or batch_peek(header, segment.size - position, &info) != 0 or info.base_offset != key):
            return False
    segment.since_index = 0
    log.log.size -= segment.size - position
    segment.size = position
    segment.next_offset = key
    return True


cdef int replay_segment(Scan* s, int64_t end_offset) noexcept nogil:
    cdef int64_t position = s.segment.size, good
    cdef ProducerBatch batch
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
        if info.producer_id >= 0 and info.base_sequence >= 0 and info.base_offset >= s.producers_from:
            batch_producer(&info, &batch)
            if producers_append(s.producers, &batch, s.now_ms) != 0:
                return -ENOMEM
        position += info.size
    return 0


def replay_producers(PartitionLog log, int64_t from_offset, int64_t end_offset, int64_t now_ms) -> None:
    """Feeds the batches in [from_offset, end_offset) to the producer table, by their headers alone."""
    cdef Log* l = &log.log
    cdef Segment copy           # its end moves with the walk, the segment's does not
    cdef Segment* segment
    cdef Scan s
    cdef int64_t i
    cdef int result = 0
    memset(&s, 0, sizeof(Scan))
    s.log = l
    s.crc_from = (<int64_t>1 << 62)
    s.limit_offset = (<int64_t>1 << 62)
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
            with nogil:
                result = replay_segment(&s, end_offset)
            check(result, log.directory)
    finally:
        free(s.buffer)


def leader_epochs(PartitionLog log) -> list:
    """(leader epoch, first offset) wherever the epoch of the batches rises. Segments of one epoch are not walked."""
    cdef Log* l = &log.log
    cdef Segment* segment
    cdef BatchInfo info
    cdef uint8_t header[BATCH_HEADER]
    cdef int64_t i, position, epoch = -1, upcoming
    first = []                  # leader epoch of each segment's first batch; -1 = not known
    for i in range(l.n_segments):
        segment = segment_number(log, i)
        check(segment_open(l, segment, 0), log.directory)
        if (segment.size >= BATCH_HEADER
                and l.ops.pread(l.ops.ctx, segment.fd, header, BATCH_HEADER, 0, False) == BATCH_HEADER
                and batch_peek(header, segment.size, &info) == 0):
            first.append(info.leader_epoch)
        else:
            first.append(-1)
    found = []
    for i in range(l.n_segments):
        segment = l.segments[i]
        upcoming = first[i + 1] if i + 1 < l.n_segments else -1
        position = 0
        while position < segment.size:
            if (l.ops.pread(l.ops.ctx, segment.fd, header, BATCH_HEADER, position, False) != BATCH_HEADER
                    or batch_peek(header, segment.size - position, &info) != 0):
                break
            if info.leader_epoch > epoch:
                epoch = info.leader_epoch
                found.append((epoch, info.base_offset))
            if upcoming == epoch:
                break
            position += info.size
    return found


def scan(PartitionLog log, int64_t i, int64_t file_size, int64_t limit_offset, *, int64_t crc_from=0, bint producers=False,
         int64_t producers_from=0, int64_t now_ms=0, bint resync=False) -> tuple:
    """Takes batches from the segment's end up to `file_size` and extends the indexes: (end, next offset, batches).

    Batches below offset `crc_from` have only their headers checked. It ends at the first bad batch; with `resync` bad ranges are noted
    and stepped over. The log end follows when it is the last segment.
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
    return segment.size, segment.next_offset, s.batches


cdef int64_t next_hole(Scan* s, int64_t* position) noexcept nogil:
    """Walks from *position to the next range that is no good batch, and sets it; its end, 0 = there is none, or -errno."""
    cdef BatchInfo info
    cdef int result
    memset(&info, 0, sizeof(info))
    while position[0] < s.end:
        result = next_batch(s, position[0], &info)
        if result < 0:
            return result
        if result == 0:
            return find_good(s, position[0] + 1)
        s.segment.next_offset = info.base_offset + info.last_offset_delta + 1
        position[0] += info.size
    return 0


def holes(PartitionLog log, int64_t i, int64_t file_size, int64_t limit_offset) -> list:
    """Ranges [position, end) behind the segment's end that are no good batches; one up to file_size is a torn tail."""
    cdef Segment copy = segment_number(log, i)[0]
    cdef Scan s
    cdef int64_t position = copy.size, end
    check(segment_open(&log.log, segment_number(log, i), 0), log.directory)
    copy.fd = segment_number(log, i).fd
    memset(&s, 0, sizeof(Scan))
    s.log = &log.log
    s.segment = &copy
    s.end = file_size
    s.limit_offset = limit_offset
    s.buffer = <uint8_t*>malloc(CHUNK)
    if s.buffer == NULL:
        raise MemoryError
    found = []
    try:
        while True:
            with nogil:
                end = next_hole(&s, &position)
            check(end, log.directory)
            if end == 0:
                return found
            found.append((position, end))
            position = end
    finally:
        free(s.buffer)


def bad_ranges(PartitionLog log, int64_t i) -> list:
    """What scan stepped over: (position, end, first offset, next offset)."""
    cdef Segment* segment = segment_number(log, i)
    cdef int k
    return [(segment.bad[k].position, segment.bad[k].end, segment.bad[k].offset, segment.bad[k].next_offset)
            for k in range(segment.n_bad)]


def cut_file(PartitionLog log, int64_t i, bint sync=True) -> None:
    """Ends the file where the segment ends, for good (fdatasync)."""
    cdef Segment* segment = segment_number(log, i)
    cdef Log* l = &log.log
    cdef int result
    check(segment_open(l, segment, 0), log.directory)
    with nogil:
        result = l.ops.ftruncate(l.ops.ctx, segment.fd, segment.size)
        if result == 0 and sync:
            result = l.ops.fdatasync(l.ops.ctx, segment.fd)
    check(result, log.directory)


def cut_indexes(PartitionLog log, int64_t i) -> None:
    """Index files shrink to the entries that are kept, so that rebuilt ones follow them. Missing files stay missing."""
    cdef Segment* segment = segment_number(log, i)
    cdef Log* l = &log.log
    cdef char path[PATH_SIZE]
    cdef SegmentIndex* index
    cdef int fd, which, result
    for which in range(2):
        index = segment.offsets if which == 0 else segment.times
        check(segment_path(l, segment, ".index" if which == 0 else ".timeindex", path, PATH_SIZE), log.directory)
        if index.disk_count + index.tail_written == 0:
            # Not ftruncate: ext4 would write such a file out when it is closed, which costs milliseconds.
            result = l.ops.unlink(l.ops.ctx, path)
            check(result if result != -ENOENT else 0, log.directory)
            continue
        fd = l.ops.open(l.ops.ctx, path, O_RDWR, MODE)
        if fd == -ENOENT:
            continue
        check(fd, log.directory)
        result = l.ops.ftruncate(l.ops.ctx, fd, (index.disk_count + index.tail_written) * INDEX_ENTRY)
        l.ops.close(l.ops.ctx, fd)
        check(result, log.directory)


def seal_times(PartitionLog log, int64_t i) -> None:
    """Ends a closed segment's time index with its maximum."""
    check(finish_times(segment_number(log, i)), log.directory)


def set_next(PartitionLog log, int64_t i, int64_t next_offset) -> None:
    """The offset behind a closed segment: the base offset of the one that follows."""
    segment_number(log, i).next_offset = next_offset


def finish(PartitionLog log, int64_t log_start, int64_t synced) -> None:
    """Sets log start and synced offset once every segment is attached."""
    cdef Log* l = &log.log
    l.leo = l.segments[l.n_segments - 1].next_offset
    l.start = min(max(log_start, l.segments[0].base_offset), l.leo)
    l.synced = min(synced, l.leo)


def touch_dir(PartitionLog log) -> None:
    """A file was created: the directory is to be fsynced."""
    log.log.dir_dirty = True


def clear_producers(PartitionLog log) -> None:
    producers_clear(log.producers)
