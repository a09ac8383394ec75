# Function-pointer table through which the engine does every file operation, so that tests can tear, delay and fail them.
from libc.stdint cimport int64_t


cdef extern from "<sys/uio.h>" nogil:
    struct iovec:
        void* iov_base
        size_t iov_len


# Every function returns a count or descriptor >= 0, or -errno.
ctypedef struct FileOps:
    void* ctx
    int (*open)(void* ctx, const char* path, int flags, int mode) noexcept nogil
    int (*close)(void* ctx, int fd) noexcept nogil
    int64_t (*pwritev)(void* ctx, int fd, const iovec* iov, int n, int64_t position) noexcept nogil
    int64_t (*pread)(void* ctx, int fd, void* out, size_t size, int64_t position, bint nowait) noexcept nogil
    int (*fdatasync)(void* ctx, int fd) noexcept nogil
    int (*ftruncate)(void* ctx, int fd, int64_t size) noexcept nogil
    int (*fallocate)(void* ctx, int fd, int64_t position, int64_t size) noexcept nogil  # keeps the visible size
    int (*rename)(void* ctx, const char* source, const char* target) noexcept nogil
    int (*unlink)(void* ctx, const char* path) noexcept nogil
    int (*fsync_dir)(void* ctx, const char* path) noexcept nogil


cdef class Files:
    """Python handle of a table; the base class is the real file system, tests derive faulty ones."""
    cdef FileOps ops

cdef void fileops_real(FileOps* out) noexcept nogil
