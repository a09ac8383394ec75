"""A file table that fails, tears, delays and forgets on command: the disk of fault tests.

It is driven from Python and takes the GIL in every operation; no broker uses it.
"""

cimport cython
from libc.errno cimport EIO
from libc.stdint cimport int64_t, uint8_t

from pyralog._speedups.fileops cimport FileOps, Files, fileops_real, iovec

import errno as errnos
import os
import random
import time

cdef enum:
    SECTOR = 512

KINDS = ("open", "close", "write", "read", "sync", "truncate", "allocate", "rename", "unlink", "sync_dir")


@cython.no_gc_clear     # logs that are garbage, too, still close their files through it
cdef class FaultFiles(Files):
    """The real files, with faults. `counts` says how often each kind of operation was asked for.

    With `forgetful` it remembers what was not yet synced, so that power_loss() can take it back.
    """
    cdef FileOps real
    cdef dict rules
    cdef dict paths             # descriptor -> path
    cdef dict undo              # path -> [(position, old bytes, old size)] since its last sync
    cdef list names             # [(kind, path, other)] since the last sync of their directories
    cdef bint forgetful
    cdef readonly dict counts
    cdef readonly list broken   # an exception inside an operation: a fault of the test itself

    def __init__(self, bint forgetful=False):
        fileops_real(&self.real)
        self.forgetful = forgetful
        self.rules = {}
        self.paths = {}
        self.undo = {}
        self.names = []
        self.counts = dict.fromkeys(KINDS, 0)
        self.broken = []
        self.ops.ctx = <void*>self
        self.ops.open = fault_open
        self.ops.close = fault_close
        self.ops.pwritev = fault_pwritev
        self.ops.pread = fault_pread
        self.ops.fdatasync = fault_fdatasync
        self.ops.ftruncate = fault_ftruncate
        self.ops.fallocate = fault_fallocate
        self.ops.rename = fault_rename
        self.ops.unlink = fault_unlink
        self.ops.fsync_dir = fault_fsync_dir

    def fail(self, kind, *, errno=EIO, after=0, times=1, suffix=""):
        """Operations of this kind fail: the first after `after` more good ones, `times` of them (-1 = for ever)."""
        self._rule(kind, ("fail", errno), after, times, suffix)

    def tear(self, *, keep, errno=EIO, after=0, suffix=""):
        """A write stores only its first `keep` bytes, then fails with errno; 0 = a short write without an error."""
        self._rule("write", ("tear", keep, errno), after, 1, suffix)

    def delay(self, kind, delay_ms, *, after=0, times=-1, suffix=""):
        self._rule(kind, ("delay", delay_ms), after, times, suffix)

    def heal(self):
        """No more faults."""
        self.rules.clear()

    def _rule(self, kind, what, after, times, suffix):
        if kind not in KINDS:
            raise ValueError(kind)
        self.rules.setdefault(kind, []).append([what, after, times, suffix])

    cdef object hit(self, kind, path):
        """The fault that this operation meets, None for none."""
        self.counts[kind] += 1
        for rule in self.rules.get(kind, ()):
            what, after, times, suffix = rule
            if times == 0 or not (path or "").endswith(suffix):
                continue
            if after > 0:
                rule[1] -= 1
                continue
            if times > 0:
                rule[2] -= 1
            if what[0] == "delay":
                time.sleep(what[1] / 1000)
                continue
            return what
        return None

    cdef save(self, path, fd, int64_t position, int64_t size):
        """Remembers what a write or truncation is about to change."""
        if self.forgetful and path is not None:
            old_size = os.fstat(fd).st_size
            self.undo.setdefault(path, []).append((position, pread_all(path, size, position), old_size))

    def unsynced(self):
        """Paths with changes that a power loss would take back."""
        return sorted(self.undo)

    def power_loss(self, *, seed=None):
        """Takes back everything not synced. With a seed each 512-byte sector, size and name may survive by chance.

        Close what uses the files first; open descriptors see the reverted files.
        """
        rng = None if seed is None else random.Random(seed)
        for path, changes in self.undo.items():
            if os.path.exists(path):
                revert(path, changes, rng)
        self.undo.clear()
        for kind, path, other in reversed(self.names):
            if rng is not None and rng.random() < 0.5:
                if kind == "unlink":
                    os.unlink(other)
                continue
            if kind == "create" and os.path.exists(path):
                os.unlink(path)
            elif kind == "rename" and os.path.exists(other[0]):
                os.rename(other[0], path)
                if other[1] is not None:
                    os.rename(other[1], other[0])
            elif kind == "unlink":
                os.rename(other, path)
        self.names.clear()


cdef pread_all(path, size, position):
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.pread(fd, size, position)
    finally:
        os.close(fd)


cdef revert(path, changes, rng):
    with open(path, "r+b") as file:
        current = bytearray(file.read())
        before = bytearray(current)
        for position, old, old_size in reversed(changes):
            del before[old_size:]
            if old_size > len(before):
                before.extend(bytes(old_size - len(before)))
            before[position:position + len(old)] = old
        result = before
        if rng is not None:
            size = rng.choice((len(before), len(current), rng.randint(*sorted((len(before), len(current))))))
            result = bytearray(size)
            for at in range(0, size, SECTOR):
                source = current if rng.random() < 0.5 else before
                piece = source[at:min(at + SECTOR, size)]
                result[at:at + len(piece)] = piece
        file.seek(0)
        file.truncate()
        file.write(result)


cdef int guarded(FaultFiles self, error) noexcept:
    """An OSError of the real file system is an answer; anything else is a mistake to be found in `broken`."""
    if isinstance(error, OSError) and error.errno:
        return -error.errno
    self.broken.append(error)
    return -EIO


cdef int fault_open(void* ctx, const char* name, int flags, int mode) noexcept with gil:
    cdef FaultFiles self = <FaultFiles>ctx
    cdef int fd
    try:
        path = os.fsdecode(<bytes>name)
        fault = self.hit("open", path)
        if fault is not None:
            return -<int>fault[1]
        exists = os.path.exists(path)
        if self.forgetful and exists and flags & os.O_TRUNC:
            self.undo.setdefault(path, []).append((0, pread_all(path, 1 << 40, 0), os.path.getsize(path)))
        fd = self.real.open(self.real.ctx, name, flags, mode)
        if fd >= 0:
            self.paths[fd] = path
            if self.forgetful and not exists:
                self.names.append(("create", path, None))
        return fd
    except BaseException as error:
        return guarded(self, error)


cdef int fault_close(void* ctx, int fd) noexcept with gil:
    cdef FaultFiles self = <FaultFiles>ctx
    try:
        fault = self.hit("close", self.paths.pop(fd, None))
        self.real.close(self.real.ctx, fd)
        return -<int>fault[1] if fault is not None else 0
    except BaseException as error:
        return guarded(self, error)


cdef int64_t fault_pwritev(void* ctx, int fd, const iovec* iov, int n, int64_t position) noexcept with gil:
    cdef FaultFiles self = <FaultFiles>ctx
    cdef int64_t size = 0, keep
    cdef iovec one
    cdef int i
    try:
        path = self.paths.get(fd)
        fault = self.hit("write", path)
        if fault is not None and fault[0] == "fail":
            return -<int>fault[1]
        data = b"".join([(<uint8_t*>iov[i].iov_base)[:iov[i].iov_len] for i in range(n)])
        keep = len(data) if fault is None else min(<int64_t>fault[1], <int64_t>len(data))
        self.save(path, fd, position, keep)
        one.iov_base = <void*><const uint8_t*>data
        one.iov_len = <size_t>keep
        size = self.real.pwritev(self.real.ctx, fd, &one, 1, position) if keep > 0 else 0
        if fault is not None and fault[2]:
            return -<int>fault[2]
        return size
    except BaseException as error:
        return guarded(self, error)


cdef int64_t fault_pread(void* ctx, int fd, void* out, size_t size, int64_t position, bint nowait) noexcept with gil:
    cdef FaultFiles self = <FaultFiles>ctx
    try:
        fault = self.hit("read", self.paths.get(fd))
        if fault is not None:
            if fault[1] == errnos.EAGAIN and not nowait:
                return self.real.pread(self.real.ctx, fd, out, size, position, nowait)
            return -<int>fault[1]
        return self.real.pread(self.real.ctx, fd, out, size, position, nowait)
    except BaseException as error:
        return guarded(self, error)


cdef int fault_fdatasync(void* ctx, int fd) noexcept with gil:
    cdef FaultFiles self = <FaultFiles>ctx
    try:
        path = self.paths.get(fd)
        fault = self.hit("sync", path)
        if fault is not None:
            return -<int>fault[1]
        self.undo.pop(path, None)
        return self.real.fdatasync(self.real.ctx, fd)
    except BaseException as error:
        return guarded(self, error)


cdef int fault_ftruncate(void* ctx, int fd, int64_t size) noexcept with gil:
    cdef FaultFiles self = <FaultFiles>ctx
    try:
        path = self.paths.get(fd)
        fault = self.hit("truncate", path)
        if fault is not None:
            return -<int>fault[1]
        self.save(path, fd, size, max(os.fstat(fd).st_size - size, 0))
        return self.real.ftruncate(self.real.ctx, fd, size)
    except BaseException as error:
        return guarded(self, error)


cdef int fault_fallocate(void* ctx, int fd, int64_t position, int64_t size) noexcept with gil:
    cdef FaultFiles self = <FaultFiles>ctx
    try:
        fault = self.hit("allocate", self.paths.get(fd))
        if fault is not None:
            return -<int>fault[1]
        return self.real.fallocate(self.real.ctx, fd, position, size)
    except BaseException as error:
        return guarded(self, error)


cdef int fault_rename(void* ctx, const char* source, const char* target) noexcept with gil:
    cdef FaultFiles self = <FaultFiles>ctx
    try:
        old, new = os.fsdecode(<bytes>source), os.fsdecode(<bytes>target)
        fault = self.hit("rename", old)
        if fault is not None:
            return -<int>fault[1]
        replaced = None
        if self.forgetful and os.path.isfile(new):
            replaced = f"{new}.{len(self.names)}.lost"
            os.link(new, replaced)
        result = self.real.rename(self.real.ctx, source, target)
        if result == 0:
            self.paths = {fd: new if path == old else path for fd, path in self.paths.items()}
            if old in self.undo:
                self.undo[new] = self.undo.pop(old)
            if self.forgetful:
                self.names.append(("rename", old, (new, replaced)))
        return result
    except BaseException as error:
        return guarded(self, error)


cdef int fault_unlink(void* ctx, const char* name) noexcept with gil:
    cdef FaultFiles self = <FaultFiles>ctx
    try:
        path = os.fsdecode(<bytes>name)
        fault = self.hit("unlink", path)
        if fault is not None:
            return -<int>fault[1]
        if self.forgetful and os.path.isfile(path):
            kept = f"{path}.{len(self.names)}.lost"
            os.rename(path, kept)
            self.names.append(("unlink", path, kept))
            return 0
        return self.real.unlink(self.real.ctx, name)
    except BaseException as error:
        return guarded(self, error)


cdef int fault_fsync_dir(void* ctx, const char* name) noexcept with gil:
    cdef FaultFiles self = <FaultFiles>ctx
    try:
        directory = os.fsdecode(<bytes>name)
        fault = self.hit("sync_dir", directory)
        if fault is not None:
            return -<int>fault[1]
        left = []
        for kind, path, other in self.names:
            if os.path.dirname(path) != directory:
                left.append((kind, path, other))
            elif kind == "unlink":
                os.unlink(other)
            elif kind == "rename" and other[1] is not None:
                os.unlink(other[1])
        self.names = left
        return self.real.fsync_dir(self.real.ctx, name)
    except BaseException as error:
        return guarded(self, error)
