"""Fetch (versions 4-18): whole batches below the high watermark or last stable offset, long polls, uncached pages warmed by the cold thread first."""

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t
from libc.stdlib cimport calloc, free

from pyralog._speedups.plane.commit cimport write_dirty
from pyralog._speedups.plane.connection cimport park
from pyralog._speedups.plane.fetch_answer cimport answer
from pyralog._speedups.plane.fetch_request cimport (
    INCREMENTAL, READ_COMMITTED, TOPIC_ID_FROM, Item, Plan, items_of_session, open_session, read_request,
)
from pyralog._speedups.plane.frame cimport FORWARD, MALFORMED, SERVED, Request
from pyralog._speedups.plane.gate cimport deadline_set
from pyralog._speedups.plane.partition cimport partition_poll, permits_of, topic_partition
from pyralog._speedups.plane.ring cimport submit_job
from pyralog._speedups.plane.state cimport (
    DENY_READ, E_CORRUPT_MESSAGE, E_FENCED_LEADER_EPOCH, E_KAFKA_STORAGE_ERROR, E_NONE, E_NOT_LEADER_OR_FOLLOWER,
    E_OFFSET_OUT_OF_RANGE, E_TOPIC_AUTHORIZATION_FAILED, E_UNKNOWN_LEADER_EPOCH, E_UNKNOWN_TOPIC_ID,
    E_UNKNOWN_TOPIC_OR_PARTITION, FORWARD_TOPIC, JOB_WARM, PERMIT_READ,
    Connection, Engine, Job, Partition,
)
from pyralog._speedups.segment cimport LOG_COLD, LOG_OUT_OF_RANGE, LogSlice, Segment, log_locate, segment_acquire

cdef extern from "<errno.h>" nogil:
    int EAGAIN
    int EBADMSG

cdef enum:
    RECENT_BYTES = 64 << 20     # the end of the active segment is taken to be cached
    PROBE_STEP = 128 << 10
    COLD_TRIES = 3              # then the plane reads it whatever it costs
    PLAN_KEPT = 4096            # items; the scratch of a larger fetch is given back


# --- finding the records ---

cdef bint cached(Engine* e, Partition* p, const LogSlice* slice) noexcept nogil:
    """Whether the pages of the slice are in memory, judged by samples."""
    cdef Segment* segment = slice.segment
    cdef int64_t at = slice.position
    cdef int64_t end = slice.position + slice.length
    cdef uint8_t byte
    if segment == p.log.segments[p.log.n_segments - 1] and segment.size - at <= RECENT_BYTES:
        return True
    while at < end:
        if e.ops.pread(e.ops.ctx, segment.fd, &byte, 1, at, True) == -EAGAIN:
            return False
        at += PROBE_STEP
    return e.ops.pread(e.ops.ctx, segment.fd, &byte, 1, end - 1, True) != -EAGAIN


cdef int16_t admit(Engine* e, Connection* c, Request* r, const Plan* plan, Item* item) noexcept nogil:
    """Whether this partition may be fetched here: 0 or a Kafka error code."""
    cdef uint8_t permits
    if item.topic == NULL:
        return E_UNKNOWN_TOPIC_ID if r.version >= TOPIC_ID_FROM else E_UNKNOWN_TOPIC_OR_PARTITION
    permits = permits_of(e, item.topic, c.principal)
    if permits & DENY_READ:
        return E_TOPIC_AUTHORIZATION_FAILED
    item.p = topic_partition(item.topic, item.partition)
    if item.p == NULL or (permits & PERMIT_READ == 0 and not plan.again):
        return E_UNKNOWN_TOPIC_OR_PARTITION
    if not item.p.leading or plan.replica_id >= 0:      # followers fetch on the peer port
        return E_NOT_LEADER_OR_FOLLOWER
    item.hw = item.p.hw
    item.lso = item.p.lso
    item.start = item.p.log.start
    if item.leader_epoch >= 0 and item.leader_epoch < item.p.leader_epoch:
        return E_FENCED_LEADER_EPOCH
    if item.leader_epoch > item.p.leader_epoch:
        return E_UNKNOWN_LEADER_EPOCH
    if item.p.failed:
        return E_KAFKA_STORAGE_ERROR
    return E_NONE


cdef void locate(Engine* e, Plan* plan, Item* item, bint blocking) noexcept nogil:
    cdef int64_t room = plan.max_bytes - plan.bytes
    cdef int64_t end = item.lso if plan.isolation == READ_COMMITTED else item.hw
    cdef int rc
    if item.max_bytes < room:
        room = item.max_bytes
    if room <= 0 and plan.bytes > 0:
        if item.offset < item.p.log.start or item.offset > item.p.log.leo:
            item.error = E_OFFSET_OUT_OF_RANGE
        return
    rc = log_locate(item.p.log, item.offset, end, room if room > 0 else 0, plan.bytes == 0, blocking, &item.slice)
    if rc == LOG_OUT_OF_RANGE:
        item.error = E_OFFSET_OUT_OF_RANGE
    elif rc == -EBADMSG:
        item.error = E_CORRUPT_MESSAGE          # no batch where one must be: the rest of the log is served
    elif rc < 0:
        item.error = E_KAFKA_STORAGE_ERROR
    elif item.slice.length == 0:
        item.slice.segment = NULL
    elif rc == LOG_COLD or (not blocking and not cached(e, item.p, &item.slice)):
        plan.cold = item
    else:
        plan.bytes += item.slice.length
        # There is more, in the next segment, than an answer can hold: as in Kafka nothing is gained by waiting.
        plan.urgent = plan.urgent or item.slice.segment.next_offset < end


cdef inline bint is_permanent(int16_t error) noexcept nogil:
    """Told along with the rest, but no reason to cut the wait of the others short: a consumer of several topics, one of
    which is gone, would ask again and again."""
    return error == E_UNKNOWN_TOPIC_OR_PARTITION or error == E_UNKNOWN_TOPIC_ID or error == E_TOPIC_AUTHORIZATION_FAILED


cdef void search(Engine* e, Connection* c, Request* r, Plan* plan, bint blocking) noexcept nogil:
    """Fills in the outcome of every item; stops at the first whose pages are missing."""
    cdef int32_t i
    cdef int32_t failed = 0
    cdef Item* item
    plan.bytes = 0
    plan.any_error = False
    plan.urgent = False
    plan.cold = NULL
    if plan.max_bytes > e.limits.fetch_max_bytes:
        plan.max_bytes = e.limits.fetch_max_bytes
    for i in range(plan.n_items):
        item = &plan.items[i]
        item.p = NULL
        item.hw = -1
        item.lso = -1
        item.start = -1
        item.slice.segment = NULL
        item.slice.length = 0
        item.error = admit(e, c, r, plan, item)
        if item.error == 0:
            locate(e, plan, item, blocking)
            if plan.cold != NULL:
                return
        if item.error != 0:
            failed += 1
            plan.any_error = True
            plan.urgent = plan.urgent or plan.again or not is_permanent(item.error)
    plan.urgent = plan.urgent or failed == plan.n_items


# --- waiting ---

cdef int wait_for_pages(Engine* e, Connection* c, Request* r, Plan* plan) noexcept nogil:
    cdef Item* item = plan.cold
    cdef Job* job = <Job*>calloc(1, sizeof(Job))
    if job == NULL or park(e, c, r.frame, r.size) < 0:
        free(job)
        return MALFORMED
    c.parked.cold += 1
    if c.parked.since_ns == 0:
        c.parked.since_ns = e.now_ns
    c.parked.session_id = plan.session.id if plan.session != NULL else 0
    c.parked.needed = (<int64_t>1) << 60
    job.fd = segment_acquire(item.p.log, item.slice.segment)
    if job.fd < 0:
        free(job)
        return MALFORMED
    job.kind = JOB_WARM
    job.partition = item.p
    job.segment = item.slice.segment
    job.position = item.slice.position
    job.length = item.slice.length
    job.connection = c.index
    job.sequence = c.parked.sequence
    item.p.uses += 1
    e.counters.cold_reads += 1
    submit_job(e, &e.cold_queue, job)
    return SERVED


cdef int wait_for_records(Engine* e, Connection* c, Request* r, Plan* plan) noexcept nogil:
    cdef int32_t i
    cdef int64_t deadline = c.parked.deadline_ms
    if deadline == 0:
        deadline = e.now_ns // 1000000 + plan.max_wait_ms
        c.parked.since_ns = e.now_ns
    if park(e, c, r.frame, r.size) < 0 or deadline_set(e, c, deadline) < 0:
        return MALFORMED
    c.parked.deadline_ms = deadline
    c.parked.needed = plan.min_bytes - plan.bytes
    c.parked.committed = plan.isolation == READ_COMMITTED
    c.parked.session_id = plan.session.id if plan.session != NULL else 0
    for i in range(plan.n_items):
        if plan.items[i].p != NULL and partition_poll(plan.items[i].p, e, c.index, c.parked.sequence) < 0:
            return MALFORMED
    return SERVED


cdef int fetch_serve(Engine* e, Connection* c, Request* r, bint expired) noexcept nogil:
    """SERVED (answered, or parked: c.parked.active), FORWARD or MALFORMED. A parked request comes back with its frame."""
    cdef Plan plan
    cdef bint again = c.parked.active
    cdef bint blocking = c.parked.cold >= COLD_TRIES or not e.cold_queue.running
    if e.plan_capacity > PLAN_KEPT:
        free(e.plan)
        e.plan = NULL
        e.plan_capacity = 0
    plan.again = again
    if read_request(e, c, r, &plan) != SERVED:
        return MALFORMED
    if plan.unpermitted and not r.final and not again:
        r.reason = FORWARD_TOPIC
        return FORWARD
    if not again:
        if c.produced == e.flushes:
            write_dirty(e)                      # what it has produced before it must see, answered or not
        e.counters.requests_fetch += 1
        c.parked.since_ns = 0
    open_session(e, c, r, &plan)
    if plan.error != 0:
        return answer(e, c, r, &plan)
    if plan.mode == INCREMENTAL and items_of_session(e, &plan) < 0:
        return MALFORMED
    search(e, c, r, &plan, blocking)
    if plan.cold != NULL:
        return wait_for_pages(e, c, r, &plan)
    if (plan.bytes >= plan.min_bytes or plan.urgent or expired or plan.max_wait_ms <= 0 or e.draining):
        return answer(e, c, r, &plan)
    return wait_for_records(e, c, r, &plan)
