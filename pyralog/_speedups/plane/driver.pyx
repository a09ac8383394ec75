"""The engine as Python sees it: commands in, events out, driven by a thread or turn by turn."""

import struct

cimport cython
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset
from cpython.bytes cimport PyBytes_AS_STRING

from pyralog._speedups.fileops cimport Files
from pyralog._speedups.partition_log cimport PartitionLog
from pyralog._speedups.plane.commands cimport apply_commands
from pyralog._speedups.plane.cycle cimport cycle, engine_free, engine_init, finish_cycle, run
from pyralog._speedups.plane.delivery cimport Lane, deliver
from pyralog._speedups.plane.handle cimport PartitionHandle, fill_settings
from pyralog._speedups.plane.limits cimport fill_limits
from pyralog._speedups.plane.ring cimport (
    clear_fd, push_command, signal_fd, stop_queue, take_events, work)
from pyralog._speedups.plane.state cimport (
    CMD_ABORTED, CMD_ADD, CMD_APPEND, CMD_CLOSE, CMD_DRAIN, CMD_EXPIRE, CMD_LEAD, CMD_LIMITS, CMD_LISTEN, CMD_LOCATE_TIME,
    CMD_LOG_START, CMD_MARKER, CMD_PERMIT, CMD_PERMIT_VERSION, CMD_PRODUCERS, CMD_REMOVE, CMD_REPLY, CMD_RESUBMIT, CMD_ROLL, CMD_ROUND,
    CMD_SEGMENTS, CMD_SETTINGS, CMD_STATIC, CMD_SWAP, CMD_VERIFY,
    ERROR_CODES, HISTOGRAM_SIZE,
    Command, Engine, Histogram, Limits, Partition, Settings)
from pyralog._speedups.plane.transactions cimport txn_open
from pyralog._speedups.rounds cimport round_of
from pyralog._speedups.segment cimport LogConfig

MARKER = struct.Struct(">hi?")


@cython.no_gc_clear     # the partitions must outlive the engine, which __dealloc__ frees
cdef class PlaneEngine:
    """One data plane. See Limits in state.pxd for the meaning of the limits; `limit` gives others while it runs.

    `run` is the body of the plane thread, `run_sync` and `run_cold` those of its helpers; all return after `stop`.
    Without threads, `cycle` does one turn in the caller. Connections without sockets have virtual.VirtualEngine.
    """
    def __cinit__(self, Files files not None, *, int64_t max_connections=10000, int64_t max_connections_per_ip=2147483647,
                  int64_t max_request_bytes=104857600, int64_t max_buffered_bytes=268435456,
                  int64_t max_output_bytes=1048576, int64_t fetch_max_bytes=57671680,
                  int32_t produce_max_version=11, int32_t fetch_max_version=18, int64_t max_sessions=1000,
                  int64_t idle_ms=600000, int64_t handshake_ms=10000, bint sync_on_write=False, bint inline_sync=False,
                  int64_t cache_bytes=67108864, int64_t cache_ms=10):
        cdef int rc
        self.files = files
        self.handles = {}
        self.lanes = []
        self.e = <Engine*>calloc(1, sizeof(Engine))
        if self.e == NULL:
            raise MemoryError
        self.e.ops = &files.ops
        fill_limits(&self.limits, max_connections, max_connections_per_ip, max_request_bytes, fetch_max_bytes, max_sessions,
                    idle_ms, handshake_ms, sync_on_write, inline_sync, cache_bytes, cache_ms)
        self.limits.max_buffered_bytes = max_buffered_bytes
        self.limits.max_output_bytes = max_output_bytes
        self.limits.produce_max_version = produce_max_version
        self.limits.fetch_max_version = fetch_max_version
        self.e.limits = self.limits
        rc = engine_init(self.e)
        if rc < 0:
            raise OSError(-rc, "cannot set up the data plane")

    def __dealloc__(self):
        if self.e != NULL:
            if not self.closed:
                engine_free(self.e)
            free(self.e)

    # --- drivers ---

    def run(self):
        """Serves until stop(); never holds the GIL."""
        with nogil:
            run(self.e)

    def run_sync(self):
        with nogil:
            work(self.e, &self.e.sync_queue)

    def run_cold(self):
        with nogil:
            work(self.e, &self.e.cold_queue)

    def cycle(self, int timeout_ms=0):
        """One turn, waiting at most timeout_ms for a socket (negative: until something is due)."""
        self.alive()
        with nogil:
            cycle(self.e, timeout_ms)

    def stop(self):
        """Makes run, run_sync and run_cold return. Queued syncs are still done."""
        self.e.stopping = True
        if self.closed:
            return
        signal_fd(self.e.wake)
        stop_queue(&self.e.sync_queue)
        stop_queue(&self.e.cold_queue)

    def close(self):
        """Frees everything, once the threads have ended; the logs are the caller's again."""
        if self.closed:
            return
        with nogil:
            apply_commands(self.e)
            finish_cycle(self.e)
        engine_free(self.e)
        self.closed = True
        for handle in self.handles.values():
            (<PartitionHandle>handle).log.owned = False
        self.handles.clear()

    cdef int alive(self) except -1:
        if self.closed:
            raise RuntimeError("the data plane is closed")
        return 0

    # --- commands ---

    cdef int push(self, int32_t kind, Partition* p, uint64_t token, bytes data, int64_t a, int64_t b, uint64_t cookie) except -1:
        cdef Command* command
        cdef int64_t size = len(data) if data is not None else 0
        self.alive()
        command = <Command*>calloc(1, sizeof(Command))
        if command == NULL:
            raise MemoryError
        if size > 0:
            command.data = <uint8_t*>malloc(size)
            if command.data == NULL:
                free(command)
                raise MemoryError
            memcpy(command.data, PyBytes_AS_STRING(data), size)
        command.kind = kind
        command.partition = p
        command.token = token
        command.size = size
        command.a = a
        command.b = b
        command.cookie = cookie
        push_command(self.e, command, self.corked)
        self.pushed = True
        return 0

    def add_partition(self, key, bytes topic not None, bytes topic_id not None, int32_t index, PartitionLog log not None,
                      int32_t leader_epoch, dict settings not None, uint64_t cookie):
        """Hands the log to the plane, which leads it in this epoch. Returns the handle; DONE follows."""
        cdef PartitionHandle handle = PartitionHandle.__new__(PartitionHandle)
        cdef Partition* p
        if log.owned:
            raise RuntimeError(f"the log of {key} is in a plane already")
        p = <Partition*>calloc(1, sizeof(Partition))
        if p == NULL:
            raise MemoryError
        p.log = &log.log
        p.producers = log.producers
        p.index = index
        p.leader_epoch = leader_epoch
        p.leading = True
        p.hw = log.log.leo
        p.next_offset = log.log.leo
        txn_open(p)
        fill_settings(&p.settings, &log.log.config, settings)
        handle.p = p
        handle.log = log
        handle.key = key
        log.owned = True
        self.handles[<size_t>p] = handle
        self.push(CMD_ADD, p, 0, topic_id + topic, 0, 0, cookie)
        return handle

    def remove_partition(self, PartitionHandle handle not None, uint64_t cookie):
        self.push(CMD_REMOVE, handle.p, 0, None, 0, 0, cookie)

    def forget_partition(self, PartitionHandle handle not None):
        """After DONE of its removal: the log is the caller's again."""
        self.handles.pop(<size_t>handle.p, None)
        handle.log.owned = False

    def configure(self, PartitionHandle handle not None, dict settings not None, uint64_t cookie):
        cdef Settings s
        cdef LogConfig l
        memset(&s, 0, sizeof(s))
        memset(&l, 0, sizeof(l))
        fill_settings(&s, &l, settings)
        self.push(CMD_SETTINGS, handle.p, 0, (<char*>&s)[:sizeof(s)] + (<char*>&l)[:sizeof(l)], 0, 0, cookie)

    def lead(self, PartitionHandle handle not None, int32_t leader_epoch, uint64_t cookie):
        self.push(CMD_LEAD, handle.p, 0, None, leader_epoch, 0, cookie)

    def move_log_start(self, PartitionHandle handle not None, int64_t offset, uint64_t cookie):
        self.push(CMD_LOG_START, handle.p, 0, None, offset, 0, cookie)

    def segments(self, PartitionHandle handle not None, uint64_t cookie):
        self.push(CMD_SEGMENTS, handle.p, 0, None, 0, 0, cookie)

    def locate_timestamp(self, PartitionHandle handle not None, int64_t timestamp, uint64_t cookie):
        self.push(CMD_LOCATE_TIME, handle.p, 0, None, timestamp, 0, cookie)

    def producers(self, PartitionHandle handle not None, uint64_t cookie):
        self.push(CMD_PRODUCERS, handle.p, 0, None, 0, 0, cookie)

    def expire_producers(self, PartitionHandle handle not None, int64_t not_after_ms, uint64_t cookie):
        self.push(CMD_EXPIRE, handle.p, 0, None, not_after_ms, 0, cookie)

    def roll(self, PartitionHandle handle not None, uint64_t cookie):
        self.push(CMD_ROLL, handle.p, 0, None, 0, 0, cookie)

    def swap_segments(self, PartitionHandle handle not None, bytes data not None, uint64_t cookie):
        """data: what storage.compaction packs for _speedups.swap."""
        self.push(CMD_SWAP, handle.p, 0, data, 0, 0, cookie)

    def append(self, PartitionHandle handle not None, bytes batch not None, uint64_t cookie):
        self.push(CMD_APPEND, handle.p, 0, batch, 0, 0, cookie)

    def append_round(self, list entries not None, dict partitions not None, uint64_t cookie):
        """Batches to the partitions of these handles, and the answers that wait for them; APPENDED follows."""
        cdef Command* command
        self.alive()
        command = <Command*>calloc(1, sizeof(Command))
        if command == NULL:
            raise MemoryError
        command.kind = CMD_ROUND
        try:
            command.data = <uint8_t*>round_of(entries, partitions, cookie)
        except BaseException:
            free(command)
            raise
        push_command(self.e, command, self.corked)
        self.pushed = True

    def write_marker(self, PartitionHandle handle not None, int64_t producer_id, int16_t producer_epoch,
                     int32_t coordinator_epoch, bint commit, int64_t timestamp, uint64_t cookie):
        """Ends the producer's transaction; DONE with the offset of the marker."""
        self.push(CMD_MARKER, handle.p, 0, MARKER.pack(producer_epoch, coordinator_epoch, commit), producer_id, timestamp,
                  cookie)

    def verify_transaction(self, PartitionHandle handle not None, int64_t producer_id, int16_t producer_epoch,
                           uint32_t principal):
        """The coordinator has this partition in the producer's transaction: its batches may come, from this principal."""
        self.push(CMD_VERIFY, handle.p, principal, None, producer_id, producer_epoch, 0)

    def aborted(self, PartitionHandle handle not None, int64_t start, int64_t end, uint64_t cookie):
        """DONE with four int64 each: producer id, first, last, last stable offset of what was aborted in [start, end)."""
        self.push(CMD_ABORTED, handle.p, 0, None, start, end, cookie)

    def limit(self, *, int64_t max_connections, int64_t max_connections_per_ip, int64_t max_request_bytes,
              int64_t fetch_max_bytes, int64_t max_sessions, int64_t idle_ms, int64_t handshake_ms, bint sync_on_write,
              bint inline_sync, int64_t cache_bytes, int64_t cache_ms):
        """Other limits from the next cycle on; connections that are open stay."""
        fill_limits(&self.limits, max_connections, max_connections_per_ip, max_request_bytes, fetch_max_bytes, max_sessions,
                    idle_ms, handshake_ms, sync_on_write, inline_sync, cache_bytes, cache_ms)
        self.push(CMD_LIMITS, NULL, 0, (<char*>&self.limits)[:sizeof(Limits)], 0, 0, 0)

    def permit(self, uint32_t principal, bytes topic not None, int64_t bits):
        self.push(CMD_PERMIT, NULL, principal, topic, bits, 0, 0)

    def revoke_permits(self):
        self.push(CMD_PERMIT_VERSION, NULL, 0, None, 0, 0, 0)

    def reply(self, uint64_t token, bytes frame not None, bint close):
        self.push(CMD_REPLY, NULL, token, frame, 0, close, 0)

    def resubmit(self, uint64_t token, bytes frame not None):
        self.push(CMD_RESUBMIT, NULL, token, frame, 0, 0, 0)

    def close_connection(self, uint64_t token):
        self.push(CMD_CLOSE, NULL, token, None, 0, 0, 0)

    def install_answer(self, int64_t api_key, int64_t version, bytes body not None):
        self.push(CMD_STATIC, NULL, 0, body, api_key, version, 0)

    def listen(self, int fd, uint64_t cookie):
        """Accepts on this listening, non-blocking socket from now on."""
        self.push(CMD_LISTEN, NULL, 0, None, fd, 0, cookie)

    def drain(self, uint64_t cookie):
        self.push(CMD_DRAIN, NULL, 0, None, 0, 0, cookie)

    def cork(self):
        """Commands from now on wait for `uncork`, which wakes the plane once for all of them."""
        self.corked = True
        self.pushed = False

    def uncork(self):
        self.corked = False
        if self.pushed and not self.closed:
            signal_fd(self.e.wake)

    # --- events and numbers ---

    @property
    def event_fd(self):
        """Readable when events() has something to return."""
        return self.e.news

    def events(self):
        """All events since the last call: (kind, handle or None, token, data, a, b, cookie)."""
        if self.closed:
            return []
        clear_fd(self.e.news)
        return deliver(take_events(self.e), self.handles, self.lanes, self.landed)

    @property
    def failure(self):
        """errno of the write or sync that failed the log directory, 0 while all is well."""
        return self.e.failure if self.e.failed else 0

    def counters(self):
        """Name -> value of every counter, and the gauges of connections and buffered bytes."""
        cdef dict counters = self.e.counters
        counters["open_connections"] = self.e.open_connections
        counters["buffered_bytes"] = self.e.buffered_bytes
        counters["topics"] = self.e.n_topics
        counters["sessions"] = self.e.n_sessions
        counters["unsynced_bytes"] = self.e.unsynced_bytes
        return counters

    def failures(self):
        """Produce and fetch requests that failed: two of {Kafka's error code: count}."""
        cdef int i
        return ({i - 1: self.e.produce_errors[i] for i in range(ERROR_CODES) if self.e.produce_errors[i]},
                {i - 1: self.e.fetch_errors[i] for i in range(ERROR_CODES) if self.e.fetch_errors[i]})

    def histogram(self, str name not None):
        """(count, sum, buckets) of produce_ns, fetch_ns, sync_ns, batch_bytes or batch_records."""
        cdef Histogram* h
        if name == "produce_ns":
            h = &self.e.produce_ns
        elif name == "fetch_ns":
            h = &self.e.fetch_ns
        elif name == "sync_ns":
            h = &self.e.sync_ns
        elif name == "batch_bytes":
            h = &self.e.batch_bytes
        elif name == "batch_records":
            h = &self.e.batch_records
        else:
            raise KeyError(name)
        return h.count, h.sum, [h.buckets[i] for i in range(HISTOGRAM_SIZE)]
