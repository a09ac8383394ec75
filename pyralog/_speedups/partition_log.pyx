"""A partition's log as the Python object that recovery builds and a plane owns."""

cimport cython
from libc.errno cimport EBADMSG, EIO, ENOMEM
from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.stdlib cimport free, malloc
from posix.fcntl cimport O_CREAT, O_RDWR

from pyralog._speedups.batch cimport BATCH_HEADER, BatchInfo, batch_peek
from pyralog._speedups.fileops cimport Files, iovec
from pyralog._speedups.producer_snapshot cimport dump_of, producers_load
from pyralog._speedups.producers cimport (
    AbortedTxn, ProducerTable, producers_free, producers_new, producers_replay, states_of, transactions_of,
)
from pyralog._speedups.segfile cimport active_of, finish_times, segment_free, segment_open, unmark
from pyralog._speedups.segment cimport (
    LOG_FILE_MODE, LOG_OUT_OF_RANGE, LOG_PATH_SIZE, BatchRef, IndexDelta, Log, LogConfig, LogSlice, Segment,
    log_append, log_close_idle, log_fit, log_index_delta, log_index_pending, log_index_written, log_locate,
    log_locate_time, log_roll, log_set_start, log_trim, log_truncate, log_wants_prealloc, segment_path, segment_release,
)
from pyralog._speedups.txnindex cimport aborted_of, txn_index_append, txn_index_sync


@cython.no_gc_clear     # __dealloc__ closes files through `files`
cdef class PartitionLog:
    """One partition's log. Built by storage.recovery; nothing here may be called while a plane owns it."""

    def __cinit__(self, bytes directory, Files files, config):
        self.directory = directory
        self.files = files
        self.log.directory = self.directory
        self.log.ops = &files.ops
        self.log.seed = <uint32_t>hash(directory)
        unmark(&self.log, NULL)
        self.producers = producers_new()
        if self.producers == NULL:
            raise MemoryError
        self.configure(config)

    def __dealloc__(self):
        cdef int64_t i
        for i in range(self.log.n_segments):
            segment_free(self.log.ops, self.log.segments[i])
        free(self.log.segments)
        producers_free(self.producers)

    cdef Log* mine(self) except NULL:
        if self.owned:
            raise RuntimeError("the log belongs to a plane")
        if self.log.n_segments == 0:
            raise ValueError("the log has no segment yet")
        return &self.log

    def configure(self, config) -> None:
        """Takes the fields of LogConfig from an object that has them as attributes."""
        cdef LogConfig* c = &self.log.config
        c.segment_bytes = config.segment_bytes
        c.segment_ms = config.segment_ms
        c.segment_jitter_ms = config.segment_jitter_ms
        c.index_interval_bytes = config.index_interval_bytes
        c.segment_index_bytes = config.segment_index_bytes
        c.preallocate = config.preallocate
        c.use_mmap = config.use_mmap

    @property
    def log_start(self) -> int:
        return self.log.start

    @property
    def log_end(self) -> int:
        return self.log.leo

    @property
    def synced(self) -> int:
        return self.log.synced

    @property
    def size_bytes(self) -> int:
        return self.log.size

    @property
    def dirty(self) -> bool:
        return bool(self.log.dirty)

    def segments(self) -> list:
        """(base offset, next offset, bytes, max timestamp, its offset, created ms) of each, in order."""
        cdef int64_t i
        cdef Segment* s
        found = []
        for i in range(self.log.n_segments):
            s = self.log.segments[i]
            found.append((s.base_offset, s.next_offset, s.size, s.max_timestamp, s.max_timestamp_offset, s.created_ms))
        return found

    def producer_states(self) -> list:
        """(producer id, epoch, last sequence, last timestamp) of each producer."""
        return states_of(self.producers)

    def transactions(self) -> list:
        """(producer id, coordinator epoch of its last marker, first offset of its open transaction) of each producer."""
        return transactions_of(self.producers)

    def aborted(self, int64_t start, int64_t end) -> list:
        """(producer id, first, last, last stable offset) of aborted transactions in [start, end), by first offset."""
        return aborted_of(self.mine(), start, end)

    def producer_snapshot(self) -> bytes:
        return dump_of(self.producers, self.log.leo)

    def load_producers(self, const uint8_t[::1] data not None) -> int:
        """Takes over a snapshot; the offset it belongs to, -1 when it is damaged (the table is unchanged then)."""
        cdef int64_t offset = -1
        if data.shape[0] == 0 or producers_load(self.producers, &data[0], data.shape[0], &offset) != 0:
            return -1
        return offset

    def append(self, list batches, int64_t now_ms, bint idempotent=True) -> None:
        """Appends whole batches whose offsets are assigned, rolling where log_fit says so."""
        cdef Log* log = self.mine()
        cdef int n = len(batches), done = 0, fit, result = 0, i
        cdef BatchRef* refs = <BatchRef*>malloc(max(n, 1) * sizeof(BatchRef))
        if refs == NULL:
            raise MemoryError
        try:
            for i in range(n):
                fill_ref(batches[i], &refs[i])
            while done < n and result == 0:
                with nogil:
                    fit = log_fit(log, refs + done, n - done, now_ms)
                    if fit > 0:
                        result = log_append(log, refs + done, fit, now_ms)
                    else:
                        result = log_roll(log, now_ms)
                check(result, self.directory)
                for i in range(done, done + fit if idempotent else done):
                    remember(log, self.producers, batches[i], now_ms)
                done += fit
        finally:
            free(refs)

    def locate(self, int64_t offset, int64_t end_offset=-1, int64_t max_bytes=1 << 20, bint at_least_one=True,
               bint blocking=True) -> tuple:
        """(LOG_* code, segment base offset or -1, position, length, next offset); end_offset -1 = log end."""
        cdef Log* log = self.mine()
        cdef LogSlice out
        cdef int result
        with nogil:
            result = log_locate(log, offset, end_offset if end_offset >= 0 else log.leo, max_bytes, at_least_one, blocking,
                                &out)
        if result < 0:
            check(result, self.directory)
        return result, out.segment.base_offset if out.segment != NULL else -1, out.position, out.length, out.next_offset

    def locate_time(self, int64_t timestamp) -> tuple | None:
        """(segment base offset, position, length) where the search for the first record >= timestamp begins, or None."""
        cdef LogSlice out
        check(log_locate_time(self.mine(), timestamp, &out), self.directory)
        return (out.segment.base_offset, out.position, out.length) if out.length > 0 else None

    def read(self, int64_t offset, int64_t end_offset=-1, int64_t max_bytes=1 << 20, bint at_least_one=True) -> bytes:
        """The bytes of whole batches from the one that holds the offset. IndexError when it is out of range."""
        cdef Log* log = self.mine()
        cdef LogSlice out
        cdef int result
        cdef int64_t n
        result = log_locate(log, offset, end_offset if end_offset >= 0 else log.leo, max_bytes, at_least_one, True, &out)
        if result == LOG_OUT_OF_RANGE:
            raise IndexError(offset)
        check(result, self.directory)
        cdef bytearray data = bytearray(out.length)
        cdef uint8_t* target = data
        if out.length > 0:
            with nogil:
                n = log.ops.pread(log.ops.ctx, out.segment.fd, target, <size_t>out.length, out.position, False)
            check(n if n == out.length or n < 0 else -EIO, self.directory)
        return bytes(data)

    def roll(self, int64_t now_ms) -> None:
        check(log_roll(self.mine(), now_ms), self.directory)

    def truncate(self, int64_t offset) -> None:
        check(log_truncate(self.mine(), offset), self.directory)

    def set_start(self, int64_t offset) -> list:
        """Moves the log start; base offsets of the segments that left, whose files are still there."""
        cdef Segment* detached[64]
        cdef int64_t n, i
        cdef Log* log = self.mine()
        left = []
        while True:
            n = log_set_start(log, offset, detached, 64)
            for i in range(n):
                left.append(detached[i].base_offset)
                segment_release(log, detached[i])
            if n < 64:
                return left

    def close_idle(self, int64_t not_used_since_ms) -> int:
        """Closes descriptors and unmaps indexes that were not used since; the number of descriptors closed."""
        return log_close_idle(self.mine(), not_used_since_ms)

    def wants_prealloc(self) -> int:
        return log_wants_prealloc(self.mine())

    def preallocate(self, int64_t size) -> None:
        """What the sync thread does with the answer of wants_prealloc."""
        cdef Log* log = self.mine()
        cdef Segment* segment = active_of(log)
        check(segment_open(log, segment, 0), self.directory)
        check(log.ops.fallocate(log.ops.ctx, segment.fd, segment.size, size), self.directory)
        segment.allocated = segment.size + size

    def sync(self) -> None:
        """fdatasync of every segment that holds records above `synced`, of each index of aborted transactions that has
        changed (recovery makes it anew for records that are synced, too), and of the directory."""
        cdef Log* log = self.mine()
        cdef Segment* segment
        cdef int64_t i
        cdef int result = 0
        with nogil:
            for i in range(log.n_segments):
                segment = log.segments[i]
                if segment.next_offset > log.synced and segment.size > 0:
                    result = segment_open(log, segment, 0)
                    if result >= 0:
                        result = log.ops.fdatasync(log.ops.ctx, segment.fd)
                if result >= 0:
                    result = txn_index_sync(log, segment)
                if result < 0:
                    break
            if result >= 0 and log.dir_dirty:
                result = log.ops.fsync_dir(log.ops.ctx, log.directory)
        check(result, self.directory)
        log.dir_dirty = False
        log.synced = log.leo

    def write_indexes(self, bint sync=False) -> None:
        """Writes the index entries that are only in memory."""
        cdef Log* log = self.mine()
        cdef int64_t i
        cdef int result
        for i in range(log.n_segments):
            if log_index_pending(log, log.segments[i]) > 0:
                with nogil:
                    result = write_index(log, log.segments[i], sync)
                check(result, self.directory)

    def seal(self) -> None:
        """Before a clean close: the active segment's maximum into its time index, blocks given back, indexes on disk."""
        cdef Log* log = self.mine()
        cdef int64_t i
        check(finish_times(active_of(log)), self.directory)
        for i in range(log.n_segments):
            check(log_trim(log, log.segments[i]), self.directory)
        self.write_indexes(True)

    def close(self) -> None:
        """Closes every descriptor; the log can still be used."""
        cdef Log* log = self.mine()
        cdef int64_t i
        for i in range(log.n_segments):
            log.segments[i].used = False
        log_close_idle(log, <int64_t>1 << 62)

    def mark_clean(self) -> None:
        self.log.dirty = False

    def mark_dirty(self) -> None:
        self.log.dirty = True


cdef int write_index(Log* log, Segment* segment, bint sync) noexcept nogil:
    cdef IndexDelta delta
    cdef char path[LOG_PATH_SIZE]
    cdef iovec iov
    cdef int which, fd
    cdef int64_t position, size, n, result
    result = log_index_delta(log, segment, &delta)
    if result != 0:
        return <int>result
    for which in range(2):
        iov.iov_base = delta.offsets if which == 0 else delta.times
        size = delta.offsets_size if which == 0 else delta.times_size
        position = delta.offsets_position if which == 0 else delta.times_position
        if size == 0:
            continue
        segment_path(log, segment, ".index" if which == 0 else ".timeindex", path, LOG_PATH_SIZE)
        fd = log.ops.open(log.ops.ctx, path, O_RDWR | O_CREAT, LOG_FILE_MODE)
        result = fd
        while result >= 0 and size > 0:
            iov.iov_len = <size_t>size
            n = log.ops.pwritev(log.ops.ctx, fd, &iov, 1, position)
            result = n if n != 0 else -EIO
            if n > 0:
                size -= n
                position += n
                iov.iov_base = <uint8_t*>iov.iov_base + n
        if result >= 0 and sync:
            result = log.ops.fdatasync(log.ops.ctx, fd)
        if fd >= 0:
            log.ops.close(log.ops.ctx, fd)
        if result < 0:
            break
    if result >= 0:
        log_index_written(log, segment, &delta)
        log.dir_dirty = True
    free(delta.offsets)
    free(delta.times)
    return <int>min(result, 0)


cdef int check(int64_t result, bytes path) except -1:
    import os
    if result == -EBADMSG:
        raise ValueError(f"{os.fsdecode(path)}: no record batch where one must be")
    if result == -ENOMEM:
        raise MemoryError
    if result < 0:
        raise OSError(-result, os.strerror(<int>-result), os.fsdecode(path))
    return 0


cdef int fill_ref(bytes batch, BatchRef* out) except -1:
    cdef BatchInfo info
    cdef const uint8_t* data = batch
    if len(batch) < BATCH_HEADER or batch_peek(data, len(batch), &info) != 0 or info.size != len(batch):
        raise ValueError("not one record batch")
    out.data = data
    out.size = info.size
    out.base_offset = info.base_offset
    out.last_offset = info.base_offset + info.last_offset_delta
    out.max_timestamp = info.max_timestamp
    out.max_timestamp_offset = info.base_offset
    return 0


cdef int remember(Log* log, ProducerTable* table, bytes batch, int64_t now_ms) except -1:
    cdef BatchInfo info
    cdef AbortedTxn aborted
    cdef int result
    batch_peek(batch, len(batch), &info)
    result = producers_replay(table, batch, &info, now_ms, &aborted)
    if result > 0:
        result = txn_index_append(log, active_of(log), &aborted, 1)
    return check(result, log.directory)
