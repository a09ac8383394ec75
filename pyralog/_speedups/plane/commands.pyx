"""What Python tells the plane to do, applied at the start of a cycle; results go back as EVENT_DONE with the cookie."""

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from pyralog._speedups.batch cimport ATTR_CONTROL, ATTR_TRANSACTIONAL, BatchInfo, batch_assign, batch_crc_ok, batch_parse
from pyralog._speedups.plane.buffers cimport buffer_reserve, put_raw
from pyralog._speedups.plane.commit cimport retire, roll, write_dirty
from pyralog._speedups.plane.connection cimport connection_kill, forwarded, unblock
from pyralog._speedups.plane.limits cimport take_limits
from pyralog._speedups.plane.listings cimport list_producers, list_segments, locate_time
from pyralog._speedups.plane.partition cimport (
    partition_answer, partition_attach, partition_detach, partition_enqueue, permit_set, topic_by_name, topic_obtain,
)
from pyralog._speedups.plane.reader cimport run_parked, serve_frame
from pyralog._speedups.plane.ring cimport done, free_command, post_event, take_commands
from pyralog._speedups.plane.cycle cimport LISTENER_TAG
from pyralog._speedups.plane.transactions cimport list_aborted, txn_expire, txn_stabilize, verify, write_marker
from pyralog._speedups.plane.state cimport (
    CMD_ABORTED, CMD_ADD, CMD_APPEND, CMD_CLOSE, CMD_DRAIN, CMD_EXPIRE, CMD_LEAD, CMD_LIMITS, CMD_LISTEN, CMD_LOCATE_TIME,
    CMD_LOG_START, CMD_MARKER, CMD_PERMIT, CMD_PERMIT_VERSION, CMD_PRODUCERS, CMD_REMOVE, CMD_REPLY, CMD_RESUBMIT, CMD_ROLL,
    CMD_SEGMENTS, CMD_SETTINGS, CMD_STATIC, CMD_SWAP, CMD_VERIFY,
    E_CORRUPT_MESSAGE, E_INVALID_REQUEST, E_KAFKA_STORAGE_ERROR, E_NOT_LEADER_OR_FOLLOWER, E_OFFSET_OUT_OF_RANGE, E_UNKNOWN_TOPIC_OR_PARTITION,
    EVENT_DETACHED,
    Command, Connection, Engine, Partition, Settings, StaticAnswer, Topic,
)
from pyralog._speedups.plane.swap cimport swap_segments
from pyralog._speedups.plane.waiters cimport NOBODY, partition_fail_waiters, partition_unused, partition_wake_all
from pyralog._speedups.producers cimport (
    AbortedTxn, ProducerBatch, batch_producer, producers_append, producers_check_epoch, producers_expire,
)
from pyralog._speedups.segment cimport BatchRef, LogConfig, Segment, log_set_start, segment_release

cdef extern from "<sys/epoll.h>" nogil:
    struct epoll_data:
        uint64_t u64
    ctypedef epoll_data epoll_data_t
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_ctl(int, int, int, epoll_event*)
    int EPOLL_CTL_ADD
    int EPOLL_CTL_DEL
    uint32_t EPOLLIN

cdef enum:
    DETACHED_AT_ONCE = 64
    MAX_LISTENERS = 16


# --- partitions ---

cdef void add(Engine* e, Command* command) noexcept nogil:
    """data: 16 bytes of topic id, then the name."""
    cdef Topic* topic = topic_obtain(e, command.data + 16, command.size - 16, command.data)
    cdef int64_t result = -E_KAFKA_STORAGE_ERROR
    if topic != NULL and partition_attach(e, topic, command.partition) == 0:
        result = 0
    done(e, command, result, NULL, 0)


cdef void forget_unsynced(Engine* e, Partition* p) noexcept nogil:
    cdef int32_t i
    for i in range(e.n_unsynced):
        if e.unsynced[i] == p:
            e.n_unsynced -= 1
            e.unsynced[i] = e.unsynced[e.n_unsynced]
            e.unsynced_bytes -= p.unsynced_bytes
            break
    p.unsynced = False
    p.unsynced_bytes = 0
    p.unsynced_records = 0


cdef void remove(Engine* e, Command* command) noexcept nogil:
    """Stops serving it; DONE comes when no job and no answer under way refers to it any more."""
    cdef Partition* p = command.partition
    if p.dirty:
        write_dirty(e)          # appended by an earlier command of this cycle
    p.leading = False
    p.removed = True
    partition_fail_waiters(e, p, E_UNKNOWN_TOPIC_OR_PARTITION)
    partition_wake_all(e, p)
    partition_detach(e, p)
    forget_unsynced(e, p)
    p.remove_cookie = command.cookie
    partition_unused(e, p)


cdef void move_start(Engine* e, Command* command) noexcept nogil:
    cdef Partition* p = command.partition
    cdef Segment* detached[DETACHED_AT_ONCE]
    cdef int64_t bases[DETACHED_AT_ONCE]
    cdef int64_t n = DETACHED_AT_ONCE
    cdef int64_t i
    if command.a > p.hw:
        done(e, command, -E_OFFSET_OUT_OF_RANGE, NULL, 0)
        return
    while n == DETACHED_AT_ONCE:
        n = log_set_start(p.log, command.a, detached, DETACHED_AT_ONCE)
        for i in range(n):
            bases[i] = detached[i].base_offset
            segment_release(p.log, detached[i])
        if n > 0:
            post_event(e, EVENT_DETACHED, p, 0, <const uint8_t*>bases, n * 8, 0, 0, 0)
    txn_stabilize(p)
    done(e, command, p.log.start, NULL, 0)


cdef int coordinator_batch(Engine* e, Partition* p, BatchInfo* info) noexcept nogil:
    """What the group coordinator writes for a producer, offsets of its transaction: no sequence counts, only the epoch."""
    cdef ProducerBatch batch
    cdef int rc = producers_check_epoch(p.producers, info.producer_id, info.producer_epoch)
    if rc != 0 or info.attributes & ATTR_TRANSACTIONAL == 0:
        return rc
    info.base_offset = p.next_offset
    batch_producer(info, &batch)
    batch.at_bytes = p.taken_bytes
    return 0 if producers_append(p.producers, &batch, e.now_ms) == 0 else E_KAFKA_STORAGE_ERROR


cdef void keep_data(Engine* e, Command* command) noexcept nogil:
    """The plane has taken the command's bytes over; they are given back when they have been written."""
    e.buffered_bytes += command.size
    retire(e, command.data, command.size)
    command.data = NULL


cdef int append_batch(Engine* e, Command* command) noexcept nogil:
    """A batch made by Python: 0 when queued, else a Kafka error code."""
    cdef Partition* p = command.partition
    cdef BatchInfo info
    cdef BatchRef ref
    cdef int rc
    if not p.leading:
        return E_NOT_LEADER_OR_FOLLOWER
    if e.failed or p.failed:
        return E_KAFKA_STORAGE_ERROR
    if batch_parse(command.data, command.size, &info) != 0 or not batch_crc_ok(command.data, &info):
        return E_CORRUPT_MESSAGE
    ref.data = command.data
    ref.size = info.size
    ref.base_offset = p.next_offset
    ref.last_offset = p.next_offset + info.last_offset_delta
    ref.max_timestamp = info.max_timestamp
    ref.max_timestamp_offset = ref.last_offset
    batch_assign(command.data, ref.base_offset, p.leader_epoch)
    if info.producer_id >= 0 and info.attributes & ATTR_CONTROL == 0:
        rc = coordinator_batch(e, p, &info)
        if rc != 0:
            return rc
    if partition_answer(e, p, NOBODY, 0, ref.base_offset, <int64_t>command.cookie, ref.last_offset + 1) < 0:
        return E_KAFKA_STORAGE_ERROR
    if partition_enqueue(e, p, &ref) < 0:
        p.n_answers -= 1
        return E_KAFKA_STORAGE_ERROR
    p.bytes_in += info.size
    p.records_in += info.count
    p.batches_in += 1
    return 0


cdef void queued(Engine* e, Command* command, int rc) noexcept nogil:
    """The command's batch has been queued (0), and DONE comes when it is written; or it is refused with a Kafka error."""
    if rc == 0:
        keep_data(e, command)
    else:
        done(e, command, -rc, NULL, 0)


cdef void configure(Engine* e, Command* command) noexcept nogil:
    """data: Settings, then LogConfig."""
    memcpy(&command.partition.settings, command.data, sizeof(Settings))
    memcpy(&command.partition.log.config, command.data + sizeof(Settings), sizeof(LogConfig))
    done(e, command, 0, NULL, 0)


cdef void lead(Engine* e, Command* command) noexcept nogil:
    cdef Partition* p = command.partition
    if command.a < p.leader_epoch:
        e.counters.commands_dropped += 1
        done(e, command, -E_NOT_LEADER_OR_FOLLOWER, NULL, 0)
        return
    p.leader_epoch = <int32_t>command.a
    p.leading = True
    done(e, command, 0, NULL, 0)


# --- requests ---

cdef void reply(Engine* e, Command* command) noexcept nogil:
    """b = 1 closes the connection once the bytes have left."""
    cdef Connection* c = forwarded(e, command.token)
    if c == NULL:
        e.counters.commands_dropped += 1
        return
    if command.size > 0:
        if buffer_reserve(&c.output, command.size) < 0:
            connection_kill(e, c)
            return
        put_raw(&c.output, command.data, command.size)
    c.closing = command.b == 1
    unblock(e, c)


cdef void resubmit(Engine* e, Command* command) noexcept nogil:
    cdef Connection* c = forwarded(e, command.token)
    if c == NULL:
        e.counters.commands_dropped += 1
        return
    c.token = 0
    c.blocked = False
    serve_frame(e, c, command.data, command.size, True)
    if not c.blocked:
        unblock(e, c)
    keep_data(e, command)


cdef void permit(Engine* e, Command* command) noexcept nogil:
    cdef Topic* topic = topic_by_name(e, command.data, command.size)
    if topic != NULL:
        permit_set(e, topic, <uint32_t>command.token, <uint8_t>command.a)


cdef void teach(Engine* e, Command* command) noexcept nogil:
    """A body to serve from now on (a = API key, b = version), in place of an earlier one."""
    cdef int32_t i
    cdef StaticAnswer* bigger
    for i in range(e.n_statics):
        if e.statics[i].api == command.a and e.statics[i].version == command.b:
            free(e.statics[i].body)
            e.statics[i].body = command.data
            e.statics[i].size = command.size
            command.data = NULL
            return
    bigger = <StaticAnswer*>realloc(e.statics, (e.n_statics + 1) * sizeof(StaticAnswer))
    if bigger == NULL:
        return
    e.statics = bigger
    bigger[e.n_statics].api = <int16_t>command.a
    bigger[e.n_statics].version = <int16_t>command.b
    bigger[e.n_statics].body = command.data
    bigger[e.n_statics].size = command.size
    e.n_statics += 1
    command.data = NULL


cdef void listen(Engine* e, Command* command) noexcept nogil:
    cdef epoll_event event
    cdef int fd = <int>command.a
    if e.n_listeners == MAX_LISTENERS:
        done(e, command, -E_INVALID_REQUEST, NULL, 0)
        return
    e.listeners[e.n_listeners] = fd
    e.n_listeners += 1
    event.events = EPOLLIN
    event.data.u64 = LISTENER_TAG | <uint64_t>fd
    epoll_ctl(e.epoll, EPOLL_CTL_ADD, fd, &event)
    done(e, command, 0, NULL, 0)


cdef void drain(Engine* e, Command* command) noexcept nogil:
    """No new connection; waiting fetches are answered with what there is."""
    cdef uint32_t i
    e.draining = True
    while e.n_listeners > 0:
        e.n_listeners -= 1
        epoll_ctl(e.epoll, EPOLL_CTL_DEL, e.listeners[e.n_listeners], NULL)
    for i in range(e.n_connections):
        if e.connections[i] != NULL and e.connections[i].parked.active:
            run_parked(e, e.connections[i], True)
    done(e, command, e.open_connections, NULL, 0)


cdef void apply(Engine* e, Command* command) noexcept nogil:
    cdef Connection* c
    cdef int32_t kind = command.kind, rc
    if kind == CMD_REPLY:
        reply(e, command)
    elif kind == CMD_RESUBMIT:
        resubmit(e, command)
    elif kind == CMD_APPEND:
        queued(e, command, append_batch(e, command))
    elif kind == CMD_PERMIT:
        permit(e, command)
    elif kind == CMD_PERMIT_VERSION:
        e.permit_version += 1
    elif kind == CMD_ADD:
        add(e, command)
    elif kind == CMD_REMOVE:
        remove(e, command)
    elif kind == CMD_SETTINGS:
        configure(e, command)
    elif kind == CMD_LEAD:
        lead(e, command)
    elif kind == CMD_LOG_START:
        move_start(e, command)
    elif kind == CMD_SEGMENTS:
        list_segments(e, command)
    elif kind == CMD_LOCATE_TIME:
        locate_time(e, command)
    elif kind == CMD_PRODUCERS:
        list_producers(e, command)
    elif kind == CMD_MARKER:
        queued(e, command, write_marker(e, command))
    elif kind == CMD_VERIFY:
        verify(e, command)
    elif kind == CMD_ABORTED:
        rc = <int>list_aborted(e, command)      # first: C evaluates arguments in any order
        done(e, command, rc, e.aborted.entries, e.aborted.n * sizeof(AbortedTxn))
    elif kind == CMD_EXPIRE:
        txn_expire(command.partition, command.a)
        done(e, command, producers_expire(command.partition.producers, command.a), NULL, 0)
    elif kind == CMD_ROLL:
        done(e, command, roll(e, command.partition), NULL, 0)
    elif kind == CMD_SWAP:
        done(e, command, -swap_segments(command.partition, command), NULL, 0)
    elif kind == CMD_STATIC:
        teach(e, command)
    elif kind == CMD_LISTEN:
        listen(e, command)
    elif kind == CMD_LIMITS:
        take_limits(e, command)
    elif kind == CMD_DRAIN:
        drain(e, command)
    elif kind == CMD_CLOSE:
        c = forwarded(e, command.token)
        if c != NULL:
            connection_kill(e, c)


cdef void apply_commands(Engine* e) noexcept nogil:
    cdef Command* command = take_commands(e)
    cdef Command* following
    while command != NULL:
        following = command.next
        apply(e, command)
        free_command(command)
        command = following
