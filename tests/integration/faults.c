/* LD_PRELOAD shim: makes file operations fail on command. FAULTS names a file of 4096 bytes that is mapped shared:
 *   int32 write_errno, sync_errno, read_errno, allocate_errno; int32 hits; then at 64 the text that a path must hold.
 * 0 means no fault. Only regular files whose path holds the text are touched. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE, SYNC, READ, ALLOCATE, HITS, TEXT_AT = 64, SIZE = 4096 };
static volatile int32_t *control;

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("FAULTS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    void *mapped = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    control = mapped == MAP_FAILED ? NULL : mapped;
    close(fd);
}

/* Whether this operation on this file is to fail; sets errno. */
static int fails(int kind, int fd) {
    char link[64], path[1024];
    if (!control || !control[kind])
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0)
        return 0;
    path[n] = 0;
    if (path[0] != '/' || !strstr(path, (const char *)control + TEXT_AT))
        return 0;
    __sync_fetch_and_add(&control[HITS], 1);
    errno = control[kind];
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *data, size_t size) { return fails(WRITE, fd) ? -1 : REAL(write)(fd, data, size); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    return fails(WRITE, fd) ? -1 : REAL(pwrite)(fd, data, size, at);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    return fails(WRITE, fd) ? -1 : REAL(pwrite64)(fd, data, size, at);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    return fails(WRITE, fd) ? -1 : REAL(writev)(fd, parts, count);
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
    return fails(WRITE, fd) ? -1 : REAL(pwritev)(fd, parts, count, at);
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) {
    return fails(WRITE, fd) ? -1 : REAL(pwritev64)(fd, parts, count, at);
}
ssize_t pwritev2(int fd, const struct iovec *parts, int count, off_t at, int flags) {
    return fails(WRITE, fd) ? -1 : REAL(pwritev2)(fd, parts, count, at, flags);
}
int fsync(int fd) { return fails(SYNC, fd) ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return fails(SYNC, fd) ? -1 : REAL(fdatasync)(fd); }
int sync_file_range(int fd, off64_t at, off64_t size, unsigned flags) {
    return fails(SYNC, fd) ? -1 : REAL(sync_file_range)(fd, at, size, flags);
}
ssize_t read(int fd, void *into, size_t size) { return fails(READ, fd) ? -1 : REAL(read)(fd, into, size); }
ssize_t pread(int fd, void *into, size_t size, off_t at) {
    return fails(READ, fd) ? -1 : REAL(pread)(fd, into, size, at);
}
ssize_t pread64(int fd, void *into, size_t size, off64_t at) {
    return fails(READ, fd) ? -1 : REAL(pread64)(fd, into, size, at);
}
ssize_t preadv2(int fd, const struct iovec *parts, int count, off_t at, int flags) {
    return fails(READ, fd) ? -1 : REAL(preadv2)(fd, parts, count, at, flags);
}
ssize_t sendfile(int out, int in, off_t *at, size_t size) {
    return fails(READ, in) ? -1 : REAL(sendfile)(out, in, at, size);
}
ssize_t sendfile64(int out, int in, off64_t *at, size_t size) {
    return fails(READ, in) ? -1 : REAL(sendfile64)(out, in, at, size);
}
int fallocate(int fd, int mode, off_t at, off_t size) {
    return fails(ALLOCATE, fd) ? -1 : REAL(fallocate)(fd, mode, at, size);
}
int fallocate64(int fd, int mode, off64_t at, off64_t size) {
    return fails(ALLOCATE, fd) ? -1 : REAL(fallocate64)(fd, mode, at, size);
}
int posix_fallocate(int fd, off_t at, off_t size) {
    return fails(ALLOCATE, fd) ? errno : REAL(posix_fallocate)(fd, at, size);
}
int posix_fallocate64(int fd, off64_t at, off64_t size) {
    return fails(ALLOCATE, fd) ? errno : REAL(posix_fallocate64)(fd, at, size);
}
