"""The end of a cycle for the partitions: write what was collected, move the high watermark, release what waits for it."""

from libc.errno cimport EIO, EMFILE, ENFILE, ENOMEM
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport free

from pyralog._speedups.plane.buffers cimport grown
from pyralog._speedups.plane.partition cimport close_idle
from pyralog._speedups.plane.ring cimport free_job, post_event, submit_job
from pyralog._speedups.plane.state cimport (
    E_KAFKA_STORAGE_ERROR, EVENT_FAILED, EVENT_ROLLED, JOB_INDEX, JOB_PATH, JOB_PREALLOCATE, JOB_SNAPSHOT,
    Engine, Job, Partition,
)
from pyralog._speedups.plane.sync cimport job_new, sync_if_due
from pyralog._speedups.plane.transactions cimport txn_note_aborts, txn_stabilize
from pyralog._speedups.plane.waiters cimport (
    NOBODY, engine_fail, partition_await, partition_unused, partition_wake, settle, waits_for_sync,
)
from pyralog._speedups.producer_snapshot cimport producers_dump
from pyralog._speedups.segment cimport (
    Segment, log_append, log_fit, log_index_delta, log_index_pending, log_roll, log_wants_prealloc, segment_path,
)

cdef enum:
    INDEX_BATCH = 256           # entries collected before they are written out
    POOLED = 16
    POOLED_BYTES = 4 << 20      # a larger request buffer is not kept
    POOLED_LEAST = 8 << 10      # nor is a smaller one: coordinators' batches, of which many come, would take the places


cdef void index_write(Engine* e, Partition* p, Segment* segment) noexcept nogil:
    """Hands the entries that are not on disk yet to the sync thread. On no memory they wait for the next time."""
    cdef Job* job = job_new(p, JOB_INDEX)
    if job == NULL:
        return
    if log_index_delta(p.log, segment, &job.delta) < 0:
        p.uses -= 1
        free_job(job)
        return
    segment_path(p.log, segment, ".index", job.path, JOB_PATH)
    segment_path(p.log, segment, ".timeindex", job.path + JOB_PATH, JOB_PATH)
    job.segment = segment
    segment.refs += 1
    p.indexing = True
    submit_job(e, &e.sync_queue, job)


cdef void snapshot_write(Engine* e, Partition* p) noexcept nogil:
    """The producer table as it is at the start of the active segment, so that recovery need not read what is before it."""
    cdef Job* job
    cdef Segment* active = p.log.segments[p.log.n_segments - 1]
    # An empty table is written too: without a snapshot recovery would look for producers through the whole log.
    job = job_new(p, JOB_SNAPSHOT)
    if job == NULL:
        return
    job.size = producers_dump(p.producers, p.log.leo, &job.data)
    if job.size < 0:
        p.uses -= 1
        free_job(job)
        return
    segment_path(p.log, active, ".snapshot", job.path, JOB_PATH)
    segment_path(p.log, active, ".snapshot.tmp", job.path + JOB_PATH, JOB_PATH)
    submit_job(e, &e.sync_queue, job)


cdef int roll(Engine* e, Partition* p) noexcept nogil:
    """A new active segment at the log end: 0 or -errno."""
    cdef Segment* closed = p.log.segments[p.log.n_segments - 1]
    cdef int rc
    if e.failed or p.failed:
        return -EIO             # the producer table may know of batches that were not written: no snapshot of it
    rc = log_roll(p.log, e.now_ms)
    if rc < 0 or closed == p.log.segments[p.log.n_segments - 1]:
        return rc               # an empty segment is as good as a new one
    index_write(e, p, closed)
    # The producer table already knows the batches of this cycle that are still to be written; only a table that ends at
    # the log end may be kept under that name.
    if p.next_offset == p.log.leo:
        snapshot_write(e, p)
    post_event(e, EVENT_ROLLED, p, 0, NULL, 0, p.log.leo, 0, 0)
    return 0


cdef void preallocate(Engine* e, Partition* p) noexcept nogil:
    cdef int64_t wanted = log_wants_prealloc(p.log)
    cdef Segment* active = p.log.segments[p.log.n_segments - 1]
    cdef Job* job
    if wanted <= 0 or p.preallocating or active.fd < 0:
        return
    job = job_new(p, JOB_PREALLOCATE)
    if job == NULL:
        return
    job.segment = active
    active.refs += 1
    job.fd = active.fd
    job.position = active.allocated if active.allocated > active.size else active.size
    job.length = wanted
    p.preallocating = True
    submit_job(e, &e.sync_queue, job)


cdef int write_pending(Engine* e, Partition* p) noexcept nogil:
    """All pending batches to the page cache, rolling where segments end: 0 or -errno."""
    cdef int done = 0
    cdef int fit
    cdef int rc
    cdef bint rolled = False
    cdef bint starved = False
    while done < p.n_pending:
        fit = log_fit(p.log, p.pending + done, p.n_pending - done, e.now_ms)
        if fit == 0 and rolled:
            fit = 1         # a batch larger than a segment has one to itself
        rc = log_append(p.log, p.pending + done, fit, e.now_ms) if fit > 0 else roll(e, p)
        if (rc == -EMFILE or rc == -ENFILE) and not starved:
            starved = True  # nothing was written: make room and try once more
            close_idle(e, e.now_ms)
            continue
        if rc == 0 and fit > 0 and p.n_aborts > 0:
            rc = txn_note_aborts(p)
        if rc < 0:
            return rc
        if fit == 0:
            rolled = True
            continue
        e.counters.writes += 1
        rolled = False
        done += fit
    return 0


cdef void note_unsynced(Engine* e, Partition* p, int64_t size, int64_t records) noexcept nogil:
    cdef Partition** bigger
    cdef int64_t due
    if not p.unsynced:
        bigger = <Partition**>grown(e.unsynced, e.n_unsynced + 1, &e.unsynced_capacity, sizeof(Partition*))
        if bigger == NULL:
            engine_fail(e, p, ENOMEM)
            return
        e.unsynced = bigger
        e.unsynced[e.n_unsynced] = p
        e.n_unsynced += 1
        p.unsynced = True
    p.unsynced_bytes += size
    p.unsynced_records += records
    e.unsynced_bytes += size
    due = e.limits.cache_ms
    if p.settings.flush_ms < due:
        due = p.settings.flush_ms
    due = e.now_ns + due * 1000000
    if e.sync_due_ns == 0 or due < e.sync_due_ns:
        e.sync_due_ns = due
    if p.unsynced_records >= p.settings.flush_messages:
        e.sync_wanted = True


cdef void written(Engine* e, Partition* p, int64_t size, int64_t records) noexcept nogil:
    """The pending batches are in the page cache: everything that may follow from it."""
    cdef int32_t i
    cdef int rc
    cdef bint gated = waits_for_sync(e, p)
    cdef Segment* active = p.log.segments[p.log.n_segments - 1]
    p.hw = p.log.leo
    for i in range(p.n_answers):
        if gated and p.answers[i].offset > p.log.synced and (p.answers[i].slot >= 0 or p.answers[i].connection == NOBODY):
            partition_await(p, p.answers[i].connection, p.answers[i].generation, p.answers[i].slot, p.answers[i].answer,
                            p.answers[i].offset)
            e.sync_wanted = True
        else:
            settle(e, &p.answers[i], 0)
    note_unsynced(e, p, size, records)
    partition_wake(e, p, size, txn_stabilize(p))
    if active.size + p.pending[p.n_pending - 1].size > p.log.config.segment_bytes:
        # Another batch like the last would not fit: roll now, while the producer table and the log end agree.
        rc = roll(e, p)
        if rc < 0:
            engine_fail(e, p, -rc)
            return
    if log_index_pending(p.log, p.log.segments[p.log.n_segments - 1]) >= INDEX_BATCH and not p.indexing:
        index_write(e, p, p.log.segments[p.log.n_segments - 1])
    preallocate(e, p)


cdef void flush_partition(Engine* e, Partition* p) noexcept nogil:
    cdef int rc
    cdef int32_t i
    cdef int64_t size = 0
    cdef int64_t records = p.next_offset - p.log.leo
    for i in range(p.n_pending):
        size += p.pending[i].size
    if p.n_pending == 0:        # memory ran out before its first batch was queued
        p.n_answers = 0
        p.dirty = False
        return
    rc = -e.failure if e.failed else write_pending(e, p)
    if rc < 0:
        e.counters.write_failures += 1
        if rc == -EMFILE or rc == -ENFILE:
            # The disk is well, but the producer table is ahead of the log now: this partition is done for until a restart.
            p.failed = True
            post_event(e, EVENT_FAILED, p, 0, NULL, 0, -rc, 0, 0)
        else:
            engine_fail(e, p, -rc)
        for i in range(p.n_answers):
            settle(e, &p.answers[i], E_KAFKA_STORAGE_ERROR)
        p.next_offset = p.log.leo
        p.hw = p.log.leo
        p.n_aborts = 0
        txn_stabilize(p)
    else:
        written(e, p, size, records)
    p.n_pending = 0
    p.n_answers = 0
    p.dirty = False


cdef void retire(Engine* e, void* data, int64_t capacity) noexcept nogil:
    """Gives a large request buffer back once nothing of this cycle points into it any more."""
    cdef uint8_t** buffers
    cdef int64_t* sizes
    cdef int32_t capacity_too = e.retired_capacity
    buffers = <uint8_t**>grown(e.retired, e.n_retired + 1, &e.retired_capacity, sizeof(uint8_t*))
    sizes = <int64_t*>grown(e.retired_sizes, e.n_retired + 1, &capacity_too, sizeof(int64_t))
    if buffers != NULL:
        e.retired = buffers
    if sizes != NULL:
        e.retired_sizes = sizes
    if buffers == NULL or sizes == NULL:
        flush(e)
        free(data)
        return
    e.retired[e.n_retired] = <uint8_t*>data
    e.retired_sizes[e.n_retired] = capacity
    e.n_retired += 1


cdef void write_dirty(Engine* e) noexcept nogil:
    """Writes everything collected since the last time; nothing pending points into a receive buffer afterwards."""
    cdef int32_t i
    cdef int32_t began = e.n_dirty
    e.flushes += 1
    for i in range(e.n_dirty):
        flush_partition(e, e.dirty[i])
    for i in range(e.n_dirty):
        partition_unused(e, e.dirty[i])
    e.n_dirty = 0
    if e.limits.inline_sync and began > 0:
        e.sync_wanted = True
        sync_if_due(e)


cdef void flush(Engine* e) noexcept nogil:
    """write_dirty, then gives back the receive buffers: not while a request is being served from one."""
    cdef int32_t i
    write_dirty(e)
    for i in range(e.n_retired):
        if e.n_pool < POOLED and POOLED_LEAST <= e.retired_sizes[i] <= POOLED_BYTES:
            e.pool[e.n_pool] = e.retired[i]
            e.pool_sizes[e.n_pool] = e.retired_sizes[i]
            e.n_pool += 1
        else:
            free(e.retired[i])
        e.buffered_bytes -= e.retired_sizes[i]
    e.n_retired = 0
    e.scratch_used = 0
