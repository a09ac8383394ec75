# Sparse index of a segment: 16-byte entries (key i64, value i64, big-endian), ascending, in memory as they are on disk.
from libc.stdint cimport int64_t, uint8_t

from pyralog._speedups.endian cimport load64
from pyralog._speedups.fileops cimport FileOps

cdef enum:
    INDEX_ENTRY = 16


# The first disk_count entries are in the file and are mapped (or read) when first asked for; later ones are in `tail`,
# of which the first tail_written have been written to the file as well.
ctypedef struct SegmentIndex:
    uint8_t* disk               # NULL while not loaded
    int64_t disk_count
    bint mapped                 # disk is a mapping of the file, not memory of ours
    uint8_t* tail
    int64_t tail_count
    int64_t tail_capacity
    int64_t tail_written
    int64_t last_key            # of the last entry; the smallest int64 when there is none
    int64_t last_value


cdef SegmentIndex* index_new(int64_t disk_count) noexcept nogil
cdef void index_free(SegmentIndex* index) noexcept nogil
cdef int index_append(SegmentIndex* index, int64_t key, int64_t value) noexcept nogil    # 0 or -ENOMEM
cdef int index_load(SegmentIndex* index, const FileOps* ops, const char* path, bint use_mmap) noexcept nogil  # 0 or -errno
cdef void index_unload(SegmentIndex* index) noexcept nogil      # forgets what can be loaded again
# Number of the last entry with key <= key, among the first `among`; -1 = none. Everything asked must be loaded.
cdef int64_t index_floor(const SegmentIndex* index, int64_t key, int64_t among) noexcept nogil
# The same by value (values ascend, too).
cdef int64_t index_floor_value(const SegmentIndex* index, int64_t value, int64_t among) noexcept nogil
cdef void index_cut(SegmentIndex* index, int64_t count) noexcept nogil      # keeps the first `count`; loaded
cdef void index_settle(SegmentIndex* index) noexcept nogil      # the whole tail is in the file: count it as disk


cdef inline int64_t index_count(const SegmentIndex* index) noexcept nogil:
    return index.disk_count + index.tail_count


cdef inline const uint8_t* index_at(const SegmentIndex* index, int64_t i) noexcept nogil:
    if i < index.disk_count:
        return index.disk + i * INDEX_ENTRY
    return index.tail + (i - index.disk_count) * INDEX_ENTRY


cdef inline int64_t index_key(const SegmentIndex* index, int64_t i) noexcept nogil:
    return load64(index_at(index, i))


cdef inline int64_t index_value(const SegmentIndex* index, int64_t i) noexcept nogil:
    return load64(index_at(index, i) + 8)


cdef inline bint index_needs_disk(const SegmentIndex* index, int64_t key) noexcept nogil:
    """True when a floor search for the key must look at entries that are not loaded."""
    if index.disk_count == 0 or index.disk != NULL:
        return False
    return index.tail_count == 0 or load64(index.tail) > key
