"""The end of a cycle for the partitions: write what was collected, move the high watermark, release answers, group sync."""

from libc.errno cimport EIO, EMFILE, ENFILE, ENOMEM, ENOSPC
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memmove, strncpy

from pyralog._speedups.plane.buffers cimport grown
from pyralog._speedups.plane.gate cimport answer_failed, gate_met, touch
from pyralog._speedups.plane.partition cimport close_idle
from pyralog._speedups.plane.ring cimport free_job, histogram_add, post_event, run_job, submit_job
from pyralog._speedups.plane.state cimport (
    E_KAFKA_STORAGE_ERROR, EVENT_DONE, EVENT_FAILED, EVENT_ROLLED,
    JOB_INDEX, JOB_PATH, JOB_PREALLOCATE, JOB_SNAPSHOT, JOB_SYNC, JOB_WARM, JOB_WRITEBACK,
    Answer, Connection, Engine, Job, Partition, Poll, Waiter,
)
from pyralog._speedups.producers cimport producers_dump
from pyralog._speedups.segment cimport (
    Segment, log_append, log_fit, log_index_delta, log_index_pending, log_index_written, log_roll, log_trim, log_wants_prealloc,
    segment_acquire, segment_path, segment_release,
)

cdef enum:
    INDEX_BATCH = 256           # entries collected before they are written out
    POOLED = 16
    POOLED_BYTES = 4 << 20      # a larger request buffer is not kept


cdef int64_t MANY = <int64_t>1 << 60


# --- failures ---

cdef void engine_fail(Engine* e, Partition* p, int32_t error) noexcept nogil:
    """The log directory is not to be trusted any more: no append is acknowledged from now on. A failed write or fsync
    is never tried again, since the kernel may have dropped the pages (the lesson of fsyncgate)."""
    if not e.failed:
        e.failed = True
        e.failure = error
        post_event(e, EVENT_FAILED, p, 0, NULL, 0, error, 0, 0)


cdef void settle(Engine* e, const Answer* answer, int32_t error) noexcept nogil:
    """Tells whoever waits for this append how it went."""
    if answer.connection == NOBODY:
        post_event(e, EVENT_DONE, NULL, 0, NULL, 0, answer.slot if error == 0 else -error, 0, <uint64_t>answer.answer)
        return
    if error != 0:
        answer_failed(e, answer.connection, answer.generation, answer.answer, <int16_t>error)
        e.counters.failed_produce += 1
    if answer.slot >= 0:
        gate_met(e, answer.connection, answer.generation, answer.slot)


cdef void partition_fail_waiters(Engine* e, Partition* p, int32_t error) noexcept nogil:
    cdef int64_t i
    cdef Answer answer
    for i in range(p.waiters_head, p.waiters_head + p.n_waiters):
        answer.connection = p.waiters[i].connection
        answer.generation = p.waiters[i].generation
        answer.slot = p.waiters[i].slot
        answer.answer = p.waiters[i].answer
        answer.offset = p.waiters[i].offset
        settle(e, &answer, error)
    p.n_waiters = 0
    p.waiters_head = 0


# --- answers that wait for the disk ---

cdef int partition_await(Partition* p, uint32_t connection, uint32_t generation, int64_t slot, int64_t answer,
                         int64_t offset) noexcept nogil:
    """One more answer that waits for `offset` to be synced: 0, or -1 when memory is out."""
    cdef int32_t capacity = <int32_t>p.waiters_capacity
    cdef Waiter* bigger
    cdef Waiter* w
    if p.waiters_head > 1024 and p.waiters_head > p.n_waiters:
        memmove(p.waiters, p.waiters + p.waiters_head, p.n_waiters * sizeof(Waiter))
        p.waiters_head = 0
    bigger = <Waiter*>grown(p.waiters, <int32_t>(p.waiters_head + p.n_waiters + 1), &capacity, sizeof(Waiter))
    if bigger == NULL:
        return -1
    p.waiters = bigger
    p.waiters_capacity = capacity
    w = &bigger[p.waiters_head + p.n_waiters]
    w.connection = connection
    w.generation = generation
    w.slot = slot
    w.answer = answer
    w.offset = offset
    p.n_waiters += 1
    return 0


cdef void release_synced(Engine* e, Partition* p) noexcept nogil:
    cdef Answer answer
    cdef Waiter* w
    while p.n_waiters > 0:
        w = &p.waiters[p.waiters_head]
        if w.offset > p.log.synced:
            return
        answer.connection = w.connection
        answer.generation = w.generation
        answer.slot = w.slot
        answer.answer = w.answer
        answer.offset = w.offset
        p.waiters_head += 1
        p.n_waiters -= 1
        settle(e, &answer, 0)
    p.waiters_head = 0


# --- parked fetches ---

cdef void wake(Engine* e, Connection* c) noexcept nogil:
    cdef uint32_t* bigger = <uint32_t*>grown(e.woken, <int32_t>e.n_woken + 1, <int32_t*>&e.woken_capacity, sizeof(uint32_t))
    if bigger == NULL:
        return      # it is answered at its deadline instead
    e.woken = bigger
    e.woken[e.n_woken] = c.index
    e.n_woken += 1
    c.parked.woken = True


cdef void partition_wake(Engine* e, Partition* p, int64_t arrived) noexcept nogil:
    """`arrived` bytes more: fetches that have enough are run again at the cycle's end; stale entries go."""
    cdef int64_t i
    cdef int64_t kept = 0
    cdef Connection* c
    for i in range(p.n_polls):
        c = e.connections[p.polls[i].connection]
        if c == NULL or not c.parked.active or c.parked.sequence != p.polls[i].sequence or c.parked.woken:
            continue
        c.parked.needed -= arrived
        if c.parked.needed <= 0:
            wake(e, c)
        else:
            p.polls[kept] = p.polls[i]
            kept += 1
    p.n_polls = kept


cdef void partition_wake_all(Engine* e, Partition* p) noexcept nogil:
    partition_wake(e, p, MANY)


# --- writing ---

cdef Job* job_new(Partition* p, int32_t kind) noexcept nogil:
    cdef Job* job = <Job*>calloc(1, sizeof(Job))
    if job != NULL:
        job.kind = kind
        job.partition = p
        p.uses += 1
    return job


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
    partition_wake(e, p, size)
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
        if e.n_pool < POOLED and e.retired_sizes[i] <= POOLED_BYTES:
            e.pool[e.n_pool] = e.retired[i]
            e.pool_sizes[e.n_pool] = e.retired_sizes[i]
            e.n_pool += 1
        else:
            free(e.retired[i])
        e.buffered_bytes -= e.retired_sizes[i]
    e.n_retired = 0
    e.scratch_used = 0


# --- group sync ---

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


cdef void partition_unused(Engine* e, Partition* p) noexcept nogil:
    """Answers a removal as soon as nothing refers to the partition any more."""
    cdef uint64_t cookie = p.remove_cookie
    if p.removed and p.uses == 0 and not p.dirty and not p.unsynced and cookie != 0:
        p.remove_cookie = 0
        post_event(e, EVENT_DONE, p, 0, NULL, 0, 0, 0, cookie)
