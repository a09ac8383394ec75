"""The real file system behind the table of file operations."""

from libc.stdint cimport int64_t

cdef extern from * nogil:
    """
    #include <errno.h>
    #include <fcntl.h>
    #include <stdint.h>
    #include <stdio.h>
    #include <sys/stat.h>
    #include <sys/types.h>
    #include <sys/uio.h>
    #include <unistd.h>

    #ifndef RWF_NOWAIT
    #define RWF_NOWAIT 0x00000008
    #endif

    #define RETRY(expression) ({ __typeof__(expression) _r; do _r = (expression); while (_r < 0 && errno == EINTR); _r; })

    static int real_open(void *ctx, const char *path, int flags, int mode) {
        int fd = RETRY(open(path, flags | O_CLOEXEC, mode));
        (void)ctx;
        return fd < 0 ? -errno : fd;
    }

    static int real_close(void *ctx, int fd) {
        (void)ctx;
        return close(fd) < 0 && errno != EINTR ? -errno : 0;  /* Linux frees the descriptor in either case */
    }

    static int64_t real_pwritev(void *ctx, int fd, const struct iovec *iov, int n, int64_t position) {
        ssize_t written = RETRY(pwritev(fd, iov, n, position));
        (void)ctx;
        return written < 0 ? -errno : written;
    }

    static int64_t real_pread(void *ctx, int fd, void *out, size_t size, int64_t position, int nowait) {
        ssize_t got;
        (void)ctx;
    #ifdef __linux__
        if (nowait) {
            struct iovec iov = {out, size};
            got = RETRY(preadv2(fd, &iov, 1, position, RWF_NOWAIT));
            if (got >= 0) return got;
            if (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL) return -errno;
            /* The file system cannot tell: take the page as cached. */
        }
    #else
        (void)nowait;
    #endif
        got = RETRY(pread(fd, out, size, position));
        return got < 0 ? -errno : got;
    }

    static int real_fdatasync(void *ctx, int fd) {
        (void)ctx;
    #ifdef __APPLE__
        return fcntl(fd, F_FULLFSYNC) < 0 ? -errno : 0;
    #else
        return RETRY(fdatasync(fd)) < 0 ? -errno : 0;
    #endif
    }

    static int real_ftruncate(void *ctx, int fd, int64_t size) {
        (void)ctx;
        return RETRY(ftruncate(fd, size)) < 0 ? -errno : 0;
    }

    static int real_fallocate(void *ctx, int fd, int64_t position, int64_t size) {
        (void)ctx;
    #ifdef __linux__
        return RETRY(fallocate(fd, FALLOC_FL_KEEP_SIZE, position, size)) < 0 ? -errno : 0;
    #else
        (void)fd; (void)position; (void)size;
        return -EOPNOTSUPP;
    #endif
    }

    static int real_rename(void *ctx, const char *source, const char *target) {
        (void)ctx;
        return rename(source, target) < 0 ? -errno : 0;
    }

    static int real_unlink(void *ctx, const char *path) {
        (void)ctx;
        return unlink(path) < 0 ? -errno : 0;
    }

    static int real_fsync_dir(void *ctx, const char *path) {
        int result, fd = RETRY(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        (void)ctx;
        if (fd < 0) return -errno;
        result = RETRY(fsync(fd)) < 0 ? -errno : 0;
        close(fd);
        return result;
    }
    """
    int real_open(void* ctx, const char* path, int flags, int mode) noexcept
    int real_close(void* ctx, int fd) noexcept
    int64_t real_pwritev(void* ctx, int fd, const iovec* iov, int n, int64_t position) noexcept
    int64_t real_pread(void* ctx, int fd, void* out, size_t size, int64_t position, bint nowait) noexcept
    int real_fdatasync(void* ctx, int fd) noexcept
    int real_ftruncate(void* ctx, int fd, int64_t size) noexcept
    int real_fallocate(void* ctx, int fd, int64_t position, int64_t size) noexcept
    int real_rename(void* ctx, const char* source, const char* target) noexcept
    int real_unlink(void* ctx, const char* path) noexcept
    int real_fsync_dir(void* ctx, const char* path) noexcept


cdef void fileops_real(FileOps* out) noexcept nogil:
    out.ctx = NULL
    out.open = real_open
    out.close = real_close
    out.pwritev = real_pwritev
    out.pread = real_pread
    out.fdatasync = real_fdatasync
    out.ftruncate = real_ftruncate
    out.fallocate = real_fallocate
    out.rename = real_rename
    out.unlink = real_unlink
    out.fsync_dir = real_fsync_dir


cdef class Files:
    def __cinit__(self):
        fileops_real(&self.ops)

    def open(self, path: bytes, flags: int, mode: int = 0o600) -> int:
        """A descriptor; OSError as the table reports it, here and below."""
        cdef const char* name = path
        cdef int c_flags = flags, c_mode = mode, result
        with nogil:
            result = self.ops.open(self.ops.ctx, name, c_flags, c_mode)
        return checked(result, path)

    def close(self, int fd) -> None:
        checked(self.ops.close(self.ops.ctx, fd), None)

    def pwrite(self, int fd, const unsigned char[::1] data not None, int64_t position) -> int:
        """Writes all of the buffer, in as many calls as it takes."""
        cdef iovec iov
        cdef int64_t done = 0, n = 0, size = data.shape[0]
        while done < size:
            iov.iov_base = <void*>&data[done]
            iov.iov_len = <size_t>(size - done)
            with nogil:
                n = self.ops.pwritev(self.ops.ctx, fd, &iov, 1, position + done)
            checked(n, None)
            if n == 0:
                raise OSError("nothing was written")
            done += n
        return done

    def pread(self, int fd, int64_t size, int64_t position, bint nowait=False) -> bytes:
        """At most `size` bytes, fewer at the end of the file or where the page cache ends (nowait)."""
        cdef bytearray out = bytearray(size)
        cdef unsigned char* target = out
        cdef int64_t got
        with nogil:
            got = self.ops.pread(self.ops.ctx, fd, target, <size_t>size, position, nowait)
        checked(got, None)
        return bytes(out[:got])

    def fdatasync(self, int fd) -> None:
        cdef int result
        with nogil:
            result = self.ops.fdatasync(self.ops.ctx, fd)
        checked(result, None)

    def ftruncate(self, int fd, int64_t size) -> None:
        checked(self.ops.ftruncate(self.ops.ctx, fd, size), None)

    def fallocate(self, int fd, int64_t position, int64_t size) -> None:
        checked(self.ops.fallocate(self.ops.ctx, fd, position, size), None)

    def rename(self, source: bytes, target: bytes) -> None:
        checked(self.ops.rename(self.ops.ctx, source, target), source)

    def unlink(self, path: bytes) -> None:
        checked(self.ops.unlink(self.ops.ctx, path), path)

    def fsync_dir(self, path: bytes) -> None:
        cdef const char* name = path
        cdef int result
        with nogil:
            result = self.ops.fsync_dir(self.ops.ctx, name)
        checked(result, path)


cdef int64_t checked(int64_t result, path) except? -1:
    import os
    if result < 0:
        raise OSError(-result, os.strerror(<int>-result), path.decode(errors="replace") if path is not None else None)
    return result
