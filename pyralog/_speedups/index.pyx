"""Sparse index of a segment, offset to position or timestamp to offset: the file's own bytes, searched in place."""

from libc.errno cimport EIO, ENOMEM
from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport calloc, free, malloc, realloc
from posix.fcntl cimport O_RDONLY

from pyralog._speedups.endian cimport load64, store64
from pyralog._speedups.fileops cimport FileOps

cdef extern from "<sys/mman.h>" nogil:
    void* mmap(void* address, size_t size, int protection, int flags, int fd, long long offset)
    int munmap(void* address, size_t size)
    int PROT_READ
    int MAP_SHARED
    void* MAP_FAILED

cdef extern from "<unistd.h>" nogil:
    long long lseek(int fd, long long offset, int whence)
    int SEEK_END

cdef enum:
    FIRST_CAPACITY = 16

cdef int64_t NO_KEY = <int64_t>(<unsigned long long>1 << 63)


cdef SegmentIndex* index_new(int64_t disk_count) noexcept nogil:
    cdef SegmentIndex* index = <SegmentIndex*>calloc(1, sizeof(SegmentIndex))
    if index != NULL:
        index.disk_count = disk_count
        index.last_key = NO_KEY
    return index


cdef void drop_disk(SegmentIndex* index) noexcept nogil:
    if index.disk != NULL:
        if index.mapped:
            munmap(index.disk, <size_t>(index.disk_count * INDEX_ENTRY))
        else:
            free(index.disk)
    index.disk = NULL
    index.mapped = False


cdef void index_free(SegmentIndex* index) noexcept nogil:
    if index != NULL:
        drop_disk(index)
        free(index.tail)
        free(index)


cdef int index_append(SegmentIndex* index, int64_t key, int64_t value) noexcept nogil:
    cdef int64_t capacity
    cdef uint8_t* grown
    if index.tail_count == index.tail_capacity:
        capacity = index.tail_capacity * 2 if index.tail_capacity > 0 else FIRST_CAPACITY
        grown = <uint8_t*>realloc(index.tail, <size_t>(capacity * INDEX_ENTRY))
        if grown == NULL:
            return -ENOMEM
        index.tail = grown
        index.tail_capacity = capacity
    store64(index.tail + index.tail_count * INDEX_ENTRY, key)
    store64(index.tail + index.tail_count * INDEX_ENTRY + 8, value)
    index.tail_count += 1
    index.last_key = key
    index.last_value = value
    return 0


cdef int index_load(SegmentIndex* index, const FileOps* ops, const char* path, bint use_mmap) noexcept nogil:
    cdef int fd
    cdef int64_t size = index.disk_count * INDEX_ENTRY, done = 0, n
    cdef void* mapping
    cdef int result = 0
    if index.disk != NULL or size == 0:
        return 0
    fd = ops.open(ops.ctx, path, O_RDONLY, 0)
    if fd < 0:
        return fd
    # A mapping beyond the end of the file would kill the process when touched.
    if use_mmap and lseek(fd, 0, SEEK_END) >= size:
        mapping = mmap(NULL, <size_t>size, PROT_READ, MAP_SHARED, fd, 0)
        if mapping != MAP_FAILED:
            index.disk = <uint8_t*>mapping
            index.mapped = True
    if index.disk == NULL:
        index.disk = <uint8_t*>malloc(<size_t>size)
        if index.disk == NULL:
            result = -ENOMEM
        while result == 0 and done < size:
            n = ops.pread(ops.ctx, fd, index.disk + done, <size_t>(size - done), done, False)
            if n <= 0:
                result = <int>n if n < 0 else -EIO
            done += n
        if result != 0:
            free(index.disk)
            index.disk = NULL
    ops.close(ops.ctx, fd)
    return result


cdef void index_unload(SegmentIndex* index) noexcept nogil:
    drop_disk(index)


cdef int64_t index_floor(const SegmentIndex* index, int64_t key, int64_t among) noexcept nogil:
    cdef int64_t low = 0, high = among, middle
    if index.tail_count > 0 and among > index.disk_count and load64(index.tail) <= key:
        low = index.disk_count + 1
    elif index.disk_count < high:
        high = index.disk_count
    while low < high:                   # entries before low are <= key, those from high on are > key
        middle = (low + high) >> 1
        if index_key(index, middle) <= key:
            low = middle + 1
        else:
            high = middle
    return low - 1


cdef int64_t index_floor_value(const SegmentIndex* index, int64_t value, int64_t among) noexcept nogil:
    cdef int64_t low = 0, high = among, middle
    if index.tail_count > 0 and among > index.disk_count and load64(index.tail + 8) <= value:
        low = index.disk_count + 1
    elif index.disk_count < high:
        high = index.disk_count
    while low < high:
        middle = (low + high) >> 1
        if index_value(index, middle) <= value:
            low = middle + 1
        else:
            high = middle
    return low - 1


cdef void index_cut(SegmentIndex* index, int64_t count) noexcept nogil:
    cdef uint8_t* copy
    if count < index.disk_count:
        # The mapping must not outlive the file it shows: what is left moves into memory, and counts as written.
        copy = <uint8_t*>malloc(<size_t>(count * INDEX_ENTRY)) if count > 0 else NULL
        if copy == NULL:
            count = 0
        else:
            for i in range(count * INDEX_ENTRY):
                copy[i] = index.disk[i]
        drop_disk(index)
        free(index.tail)
        index.tail = copy
        index.tail_count = index.tail_capacity = index.tail_written = count
        index.disk_count = 0
    else:
        index.tail_count = count - index.disk_count
        index.tail_written = min(index.tail_written, index.tail_count)
    if count > 0:
        index.last_key = index_key(index, count - 1)
        index.last_value = index_value(index, count - 1)
    else:
        index.last_key = NO_KEY
        index.last_value = 0


cdef void index_settle(SegmentIndex* index) noexcept nogil:
    cdef int64_t count = index_count(index)
    drop_disk(index)
    free(index.tail)
    index.tail = NULL
    index.tail_count = index.tail_capacity = index.tail_written = 0
    index.disk_count = count
