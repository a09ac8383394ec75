"""The log of one partition: appends, rolls, and the Python object that recovery builds and a plane owns."""

cimport cython
from libc.errno cimport EBADMSG, EIO, ENOMEM
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from posix.fcntl cimport O_CREAT, O_RDWR, O_TRUNC

from pyralog._speedups.batch cimport BATCH_HEADER, BatchInfo, batch_peek
from pyralog._speedups.fileops cimport Files, iovec
from pyralog._speedups.index cimport index_append, index_count
from pyralog._speedups.producer_snapshot cimport dump_of, producers_load
from pyralog._speedups.producers cimport AbortedTxn, producers_free, producers_new, producers_replay, states_of, transactions_of
from pyralog._speedups.segfile cimport (
    active_of, finish_times, log_attach, segment_free, segment_new, segment_open, unmark,
)
from pyralog._speedups.txnindex cimport aborted_of, txn_index_append, txn_index_sync

cdef enum:
    IOV_AT_ONCE = 256
    KAFKA_INDEX_ENTRY = 8       # segment.index.bytes counts entries of this size, so that it rolls where Kafka would
    PREALLOCATE_FROM = 1 << 20
    PREALLOCATE_MOST = 64 << 20


cdef inline int64_t mix(uint64_t x) noexcept nogil:
    x = (x ^ (x >> 31)) * <uint64_t>0x9E3779B97F4A7C15
    x = (x ^ (x >> 29)) * <uint64_t>0xBF58476D1CE4E5B9
    return <int64_t>((x ^ (x >> 32)) >> 1)


cdef bint is_expired(const Log* log, const Segment* segment, int64_t now_ms) noexcept nogil:
    cdef int64_t jitter = min(log.config.segment_jitter_ms, log.config.segment_ms)
    if segment.created_ms < 0 or log.config.segment_ms <= 0:
        return False
    if jitter > 0:
        jitter = mix(<uint64_t>segment.base_offset ^ <uint64_t>log.seed << 32) % jitter
    return now_ms - segment.created_ms > log.config.segment_ms - jitter


cdef int log_fit(const Log* log, const BatchRef* batches, int n, int64_t now_ms) noexcept nogil:
    cdef const Segment* segment = active_of(log)
    cdef int64_t size = segment.size, since = segment.since_index, entries = index_count(segment.offsets)
    cdef int64_t most = max(log.config.segment_index_bytes // KAFKA_INDEX_ENTRY, 1)
    cdef int i
    if size > 0 and is_expired(log, segment, now_ms):
        return 0
    for i in range(n):
        # A batch that no segment has room for gets one of its own.
        if size > 0:
            if batches[i].size > log.config.segment_bytes - size or entries >= most:
                return i
            if batches[i].last_offset - segment.base_offset > 0x7fffffff:
                return i                # Kafka's tools count offsets from the base in 32 bits
        if since >= log.config.index_interval_bytes:
            entries += 1
            since = 0
        since += batches[i].size
        size += batches[i].size
    return n


cdef int segment_index(Log* log, Segment* segment, int64_t base_offset, int64_t position, int64_t size, int64_t max_timestamp,
                       int64_t max_timestamp_offset) noexcept nogil:
    if segment.since_index >= log.config.index_interval_bytes:
        if index_append(segment.offsets, base_offset, position) != 0:
            return -ENOMEM
        if segment.max_timestamp > segment.times.last_key:
            if index_append(segment.times, segment.max_timestamp, segment.max_timestamp_offset) != 0:
                return -ENOMEM
        segment.since_index = 0
    segment.since_index += size
    if max_timestamp > segment.max_timestamp:
        segment.max_timestamp = max_timestamp
        segment.max_timestamp_offset = max_timestamp_offset
    return 0


cdef int write_all(Log* log, Segment* segment, const BatchRef* batches, int n) noexcept nogil:
    """Every byte of the batches behind the segment's end. 0 or -errno."""
    cdef iovec iov[IOV_AT_ONCE]
    cdef int64_t position = segment.size, written
    cdef int i = 0, count, first
    cdef int64_t skip = 0               # bytes of batches[i] that are written
    while i < n:
        count = min(n - i, IOV_AT_ONCE)
        for first in range(count):
            iov[first].iov_base = <void*>batches[i + first].data
            iov[first].iov_len = <size_t>batches[i + first].size
        iov[0].iov_base = <void*>(batches[i].data + skip)
        iov[0].iov_len = <size_t>(batches[i].size - skip)
        written = log.ops.pwritev(log.ops.ctx, segment.fd, iov, count, position)
        if written < 0:
            return <int>written
        if written == 0:
            return -EIO
        position += written
        written += skip
        while i < n and written >= batches[i].size:
            written -= batches[i].size
            i += 1
        skip = written
    return 0


cdef int log_append(Log* log, const BatchRef* batches, int n, int64_t now_ms) noexcept nogil:
    cdef Segment* segment = active_of(log)
    cdef int64_t before = segment.size
    cdef int i, result
    if n <= 0:
        return 0
    result = segment_open(log, segment, O_CREAT if segment.size == 0 else 0)
    if result < 0:
        return result
    result = write_all(log, segment, batches, n)
    if result != 0:
        # What was written of a batch that is refused must not come to life when the log is opened again.
        log.ops.ftruncate(log.ops.ctx, segment.fd, before)
        segment.allocated = min(segment.allocated, before)
        return result
    if before == 0:
        segment.created_ms = now_ms
    for i in range(n):
        # Without memory for an index entry the log is still right: the walk to an offset is longer.
        segment_index(log, segment, batches[i].base_offset, segment.size, batches[i].size, batches[i].max_timestamp,
                      batches[i].max_timestamp_offset)
        segment.size += batches[i].size
    segment.last_used_ms = now_ms
    segment.next_offset = log.leo = batches[n - 1].last_offset + 1
    if segment.allocated < segment.size:
        segment.allocated = segment.size
    log.size += segment.size - before
    log.dirty = True
    return 0


cdef int64_t log_wants_prealloc(const Log* log) noexcept nogil:
    cdef const Segment* segment = active_of(log)
    cdef int64_t step
    if log.config.preallocate:
        return log.config.segment_bytes - segment.size if segment.allocated < log.config.segment_bytes else 0
    if segment.size < PREALLOCATE_FROM:
        return 0
    step = PREALLOCATE_FROM
    while step < PREALLOCATE_MOST and step * 2 <= segment.size:
        step *= 2
    if segment.allocated - segment.size >= step // 2 or segment.size >= log.config.segment_bytes:
        return 0
    return max(min(step, log.config.segment_bytes - segment.size), 0)


cdef int log_roll(Log* log, int64_t now_ms) noexcept nogil:
    cdef Segment* old = active_of(log)
    cdef Segment* segment
    cdef int result
    if old.base_offset == log.leo:
        return 0                        # it is empty: as good as new
    segment = segment_new(log.leo, 0, 0)
    if segment == NULL:
        return -ENOMEM
    segment.last_used_ms = now_ms
    result = finish_times(old)
    if result == 0:
        result = log_trim(log, old)
    if result == 0:
        result = segment_open(log, segment, O_CREAT | O_TRUNC)
    if result >= 0:
        result = log_attach(log, segment)
    if result < 0:
        segment_free(log.ops, segment)
        return result
    log.dir_dirty = True
    log.dirty = True
    return 0


# --- Python ---

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
