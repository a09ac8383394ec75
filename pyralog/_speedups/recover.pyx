"""Steps of recovery: attach segments, take them back to where a scan begins, cut files and indexes."""

from libc.errno cimport EIO, ENOENT
from libc.stdint cimport int64_t, uint8_t
from posix.fcntl cimport O_RDONLY, O_RDWR

from pyralog._speedups.batch cimport BATCH_HEADER, BatchInfo, batch_peek
from pyralog._speedups.endian cimport load64
from pyralog._speedups.index cimport INDEX_ENTRY, SegmentIndex, index_cut, index_floor, index_key, index_load, index_value
from pyralog._speedups.logstate cimport LOG_FILE_MODE, LOG_PATH_SIZE, Log, Segment
from pyralog._speedups.partition_log cimport PartitionLog, check
from pyralog._speedups.producers cimport producers_clear
from pyralog._speedups.segfile cimport (
    finish_times, forget, log_attach, segment_free, segment_new, segment_open, segment_path,
)
from pyralog._speedups.txnindex cimport txn_index_cut, txn_index_load

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


cdef int read_last(Log* log, Segment* segment, SegmentIndex* index, const char* suffix) noexcept nogil:
    """Last key and value of an index file with disk_count entries. 0 or -errno."""
    cdef char path[LOG_PATH_SIZE]
    cdef uint8_t entry[INDEX_ENTRY]
    cdef int fd
    cdef int64_t n
    if index.disk_count == 0:
        return 0
    fd = segment_path(log, segment, suffix, path, LOG_PATH_SIZE)
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
    cdef char path[LOG_PATH_SIZE]
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
    if segment_path(&log.log, segment, ".log", path, LOG_PATH_SIZE) >= 0:
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
    cdef char path[LOG_PATH_SIZE]
    cdef BatchInfo info
    cdef uint8_t header[BATCH_HEADER]
    cdef int64_t entry = -1, position = 0, key = segment.base_offset, keep
    cdef int fd
    if offset > segment.base_offset and segment.offsets.disk_count > 0:
        segment_path(l, segment, ".index", path, LOG_PATH_SIZE)
        if index_load(segment.offsets, l.ops, path, False) == 0:
            entry = index_floor(segment.offsets, offset, segment.offsets.disk_count)
    segment_path(l, segment, ".timeindex", path, LOG_PATH_SIZE)
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
    segment.n_bad = 0                   # and what is bad behind it is found again
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


def load_aborted(PartitionLog log, int64_t i, int64_t size) -> bool:
    """Reads the .txnindex of an attached segment; False when it is torn, and has to be built anew."""
    cdef int result = txn_index_load(&log.log, segment_number(log, i), size)
    check(result, log.directory)
    return result == 1


def cut_aborted(PartitionLog log, int64_t i, int64_t offset) -> None:
    """Forgets what was aborted at or above the offset; a scan from there finds it again."""
    check(txn_index_cut(&log.log, segment_number(log, i), offset), log.directory)


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


def leave_last(PartitionLog log) -> None:
    """Takes the last segment out of the log; its files are the caller's."""
    cdef Log* l = &log.log
    cdef Segment* segment = segment_number(log, l.n_segments - 1)
    if l.n_segments < 2:
        raise ValueError("a log has at least one segment")
    l.size -= segment.size
    l.n_segments -= 1
    l.leo = l.segments[l.n_segments - 1].next_offset
    forget(l, segment)


def cut_indexes(PartitionLog log, int64_t i) -> None:
    """Index files shrink to the entries that are kept, so that rebuilt ones follow them. Missing files stay missing."""
    cdef Segment* segment = segment_number(log, i)
    cdef Log* l = &log.log
    cdef char path[LOG_PATH_SIZE]
    cdef SegmentIndex* index
    cdef int fd, which, result
    for which in range(2):
        index = segment.offsets if which == 0 else segment.times
        check(segment_path(l, segment, ".index" if which == 0 else ".timeindex", path, LOG_PATH_SIZE), log.directory)
        if index.disk_count + index.tail_written == 0:
            # Not ftruncate: ext4 would write such a file out when it is closed, which costs milliseconds.
            result = l.ops.unlink(l.ops.ctx, path)
            check(result if result != -ENOENT else 0, log.directory)
            continue
        fd = l.ops.open(l.ops.ctx, path, O_RDWR, LOG_FILE_MODE)
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


def clear_producers(PartitionLog log) -> None:
    producers_clear(log.producers)
