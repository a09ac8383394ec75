"""What Python tells the plane to do, applied at the start of a cycle; results go back as EVENT_DONE with the cookie."""

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from pyralog._speedups.plane.appends cimport answer_forwarded, append_batch, begin_round
from pyralog._speedups.plane.commit cimport retire, roll, write_dirty
from pyralog._speedups.plane.connection cimport connection_kill, forwarded, unblock
from pyralog._speedups.plane.limits cimport take_limits
from pyralog._speedups.plane.listings cimport list_producers, list_segments, locate_time
from pyralog._speedups.plane.partition cimport (
    partition_attach, partition_detach, permit_set, topic_by_name, topic_obtain,
)
from pyralog._speedups.plane.reader cimport run_parked, serve_frame
from pyralog._speedups.plane.ring cimport done, free_command, post_event, take_commands
from pyralog._speedups.plane.cycle cimport LISTENER_TAG
from pyralog._speedups.plane.transactions cimport list_aborted, txn_expire, txn_stabilize, verify, write_marker
from pyralog._speedups.plane.state cimport (
    CMD_ABORTED, CMD_ADD, CMD_APPEND, CMD_CLOSE, CMD_DRAIN, CMD_EXPIRE, CMD_LEAD, CMD_LIMITS, CMD_LISTEN, CMD_LOCATE_TIME,
    CMD_LOG_START, CMD_MARKER, CMD_PERMIT, CMD_PERMIT_VERSION, CMD_PRODUCERS, CMD_REMOVE, CMD_REPLY, CMD_RESUBMIT, CMD_ROLL,
    CMD_ROUND, CMD_SEGMENTS, CMD_SETTINGS, CMD_STATIC, CMD_SWAP, CMD_VERIFY,
    E_INVALID_REQUEST, E_KAFKA_STORAGE_ERROR, E_NOT_LEADER_OR_FOLLOWER, E_OFFSET_OUT_OF_RANGE, E_UNKNOWN_TOPIC_OR_PARTITION,
    EVENT_DETACHED,
    Command, Connection, Engine, Partition, Settings, StaticAnswer, Topic,
)
from pyralog._speedups.plane.swap cimport swap_segments
from pyralog._speedups.plane.waiters cimport NOBODY, partition_fail_waiters, partition_unused, partition_wake_all
from pyralog._speedups.producers cimport AbortedTxn, producers_expire
from pyralog._speedups.segment cimport LogConfig, Segment, log_set_start, segment_release

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


cdef void keep_data(Engine* e, Command* command) noexcept nogil:
    """The plane has taken the command's bytes over; they are given back when they have been written."""
    e.buffered_bytes += command.size
    retire(e, command.data, command.size)
    command.data = NULL


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
        answer_forwarded(e, command.token, command.data, command.size, command.b == 1)
    elif kind == CMD_ROUND:
        begin_round(e, command)
    elif kind == CMD_RESUBMIT:
        resubmit(e, command)
    elif kind == CMD_APPEND:
        queued(e, command, append_batch(e, command.partition, command.data, command.size, NOBODY, <int64_t>command.cookie))
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
