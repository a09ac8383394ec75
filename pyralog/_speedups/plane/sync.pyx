"""Group sync: one fdatasync per segment for whatever was written since the last, and what follows from finished jobs."""

from libc.errno cimport ENOMEM, ENOSPC
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport calloc
from libc.string cimport strncpy

from pyralog._speedups.plane.ring cimport free_job, histogram_add, run_job, submit_job
from pyralog._speedups.plane.state cimport (
    E_KAFKA_STORAGE_ERROR, JOB_INDEX, JOB_PATH, JOB_PREALLOCATE, JOB_SYNC, JOB_WARM, JOB_WRITEBACK,
    Connection, Engine, Job, Partition,
)
from pyralog._speedups.plane.waiters cimport engine_fail, partition_fail_waiters, partition_unused, release_synced, wake
from pyralog._speedups.segment cimport Segment, log_index_written, log_trim, segment_acquire, segment_path, segment_release

cdef int64_t MANY = <int64_t>1 << 60


cdef Job* job_new(Partition* p, int32_t kind) noexcept nogil:
    cdef Job* job = <Job*>calloc(1, sizeof(Job))
    if job != NULL:
        job.kind = kind
        job.partition = p
        p.uses += 1
    return job


cdef int sync_segment(Engine* e, Partition* p, Segment* segment) noexcept nogil:
    cdef Job* job = job_new(p, JOB_SYNC)
    if job == NULL:
        return -ENOMEM
    job.fd = segment_acquire(p.log, segment)
    if job.fd < 0:
        p.uses -= 1
        job.result = job.fd
        free_job(job)
        return -ENOSPC
    job.segment = segment
    job.offset = segment.next_offset
    if p.log.dir_dirty:
        strncpy(job.path, p.log.directory, sizeof(job.path) - 1)
        p.log.dir_dirty = False
    if segment.aborted_unsynced:
        segment_path(p.log, segment, ".txnindex", job.path + JOB_PATH, JOB_PATH)
        segment.aborted_unsynced = False
    e.syncs_in_flight += 1
    if e.limits.inline_sync:
        run_job(e, job)
        job_finished(e, job)
    else:
        submit_job(e, &e.sync_queue, job)
    return 0


cdef void begin_writeback(Engine* e, Partition* p) noexcept nogil:
    """Lets the files of a group be written side by side. Their new sizes then go into one journal commit, which the first
    fdatasync waits for and the others find done: a group of many partitions costs little more than one of few."""
    cdef Segment* active = p.log.segments[p.log.n_segments - 1]
    cdef Job* job
    if active.fd < 0:
        return
    job = job_new(p, JOB_WRITEBACK)
    if job == NULL:
        return
    job.fd = active.fd
    job.segment = active
    active.refs += 1
    submit_job(e, &e.sync_queue, job)


cdef void fail_unsynced(Engine* e) noexcept nogil:
    """The log directory has failed: what waits for a sync that will not come is told so. Those in flight tell theirs."""
    cdef int32_t i
    cdef Partition* p
    for i in range(e.n_unsynced):
        p = e.unsynced[i]
        p.unsynced = False
        partition_fail_waiters(e, p, E_KAFKA_STORAGE_ERROR)
        partition_unused(e, p)
    e.n_unsynced = 0
    e.unsynced_bytes = 0


cdef void sync_if_due(Engine* e) noexcept nogil:
    """Begins a group sync of everything written, unless one is in flight: that one's end begins the next, which takes
    whatever came in the meantime."""
    cdef int32_t i
    cdef int64_t s
    cdef Partition* p
    if e.failed:
        fail_unsynced(e)
        return
    if e.n_unsynced == 0:
        e.sync_due_ns = 0
        return
    if e.syncs_in_flight > 0:
        return
    if not (e.sync_wanted or e.unsynced_bytes >= e.limits.cache_bytes or e.now_ns >= e.sync_due_ns):
        return
    e.counters.syncs += 1
    e.sync_wanted = False
    e.sync_due_ns = 0
    e.unsynced_bytes = 0
    if e.n_unsynced > 1 and e.sync_queue.running and not e.limits.inline_sync:
        for i in range(e.n_unsynced):
            begin_writeback(e, e.unsynced[i])
    for i in range(e.n_unsynced):
        p = e.unsynced[i]
        p.unsynced = False
        p.unsynced_bytes = 0
        p.unsynced_records = 0
        if p.removed:
            partition_unused(e, p)
            continue
        s = p.log.n_segments - 1
        while s > 0 and p.log.segments[s].base_offset > p.log.synced:
            s -= 1
        while s < p.log.n_segments:
            if sync_segment(e, p, p.log.segments[s]) < 0:
                engine_fail(e, p, ENOSPC)
                partition_fail_waiters(e, p, E_KAFKA_STORAGE_ERROR)
                break
            s += 1
    e.n_unsynced = 0


cdef void sync_finished(Engine* e, Job* job) noexcept nogil:
    cdef Partition* p = job.partition
    e.syncs_in_flight -= 1
    histogram_add(&e.sync_ns, job.took_ns, 1)
    if job.result < 0:
        e.counters.sync_failures += 1
        engine_fail(e, p, -job.result)
        partition_fail_waiters(e, p, E_KAFKA_STORAGE_ERROR)
    elif not e.failed:
        if job.offset > p.log.synced:
            p.log.synced = job.offset
        release_synced(e, p)
    else:
        partition_fail_waiters(e, p, E_KAFKA_STORAGE_ERROR)


cdef void job_finished(Engine* e, Job* job) noexcept nogil:
    """What follows from background work. Frees the job."""
    cdef Partition* p = job.partition
    cdef Connection* c
    if job.kind == JOB_SYNC:
        sync_finished(e, job)
    elif job.kind == JOB_INDEX:
        p.indexing = False
        if job.result == 0:
            log_index_written(p.log, job.segment, &job.delta)
    elif job.kind == JOB_PREALLOCATE:
        p.preallocating = False
        if job.result == 0:
            job.segment.allocated = job.position + job.length
        else:
            job.segment.allocated = MANY     # this file system has no fallocate or no room: do not ask again
        if job.segment != p.log.segments[p.log.n_segments - 1]:
            log_trim(p.log, job.segment)     # closed while it was on its way
    elif job.kind == JOB_WARM and job.connection < e.n_connections:
        c = e.connections[job.connection]
        if c != NULL and c.parked.active and c.parked.sequence == job.sequence:
            wake(e, c)
    if job.segment != NULL:
        segment_release(p.log, job.segment)
    p.uses -= 1
    partition_unused(e, p)
    free_job(job)
