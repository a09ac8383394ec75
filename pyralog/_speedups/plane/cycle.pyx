"""One turn of the plane: wait, apply commands, read and serve, write, wake, release, send."""

from libc.errno cimport EMFILE, ENFILE, errno
from libc.stdint cimport uint16_t, int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memset

from pyralog._speedups.plane.appends cimport finish_rounds, rounds_free
from pyralog._speedups.plane.commands cimport apply_commands
from pyralog._speedups.plane.commit cimport flush
from pyralog._speedups.plane.connection cimport connection_destroy, connection_kill, connection_open, connection_send
from pyralog._speedups.plane.gate cimport deadline_due, touch
from pyralog._speedups.plane.partition cimport close_idle, topics_free
from pyralog._speedups.plane.reader cimport connection_read, resume_all, run_parked
from pyralog._speedups.plane.ring cimport (
    clear_fd, histogram_add, monotonic_ns, rings_free, rings_init, take_done, tell, wall_ms,
)
from pyralog._speedups.plane.session cimport sessions_free
from pyralog._speedups.plane.state cimport Connection, Engine, Job
from pyralog._speedups.plane.sync cimport job_finished, sync_if_due

cdef extern from "<sys/epoll.h>" nogil:
    struct epoll_data:
        uint64_t u64
    ctypedef epoll_data epoll_data_t
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_create1(int)
    int epoll_ctl(int, int, int, epoll_event*)
    int epoll_wait(int, epoll_event*, int, int)
    int EPOLL_CLOEXEC
    int EPOLL_CTL_ADD
    int EPOLL_CTL_MOD
    uint32_t EPOLLIN
    uint32_t EPOLLOUT
    uint32_t EPOLLERR
    uint32_t EPOLLHUP
    uint32_t EPOLLRDHUP

cdef extern from "<sys/eventfd.h>" nogil:
    int eventfd(unsigned int, int)
    int EFD_NONBLOCK
    int EFD_CLOEXEC

cdef extern from "<sys/socket.h>" nogil:
    struct sockaddr:
        pass
    int accept4(int, sockaddr*, unsigned int*, int)
    int AF_INET
    int setsockopt(int, int, int, const void*, unsigned int)
    int SOCK_NONBLOCK
    int SOCK_CLOEXEC

cdef extern from "<netinet/tcp.h>" nogil:
    int IPPROTO_TCP
    int TCP_NODELAY

cdef extern from "<netinet/in.h>" nogil:
    pass

cdef extern from "<unistd.h>" nogil:
    int close(int)
    int dup(int)

cdef enum:
    EVENTS = 256
    SCRATCH_BYTES = 4 << 20
    TICK_MS = 1000
    IDLE_TICKS = 60             # descriptors unused for so long are closed
    STALL_MS = 5                # how soon a connection that waits for memory looks again
    ACCEPTS = 64                # in one cycle

cdef int engine_init(Engine* e) noexcept nogil:
    """The descriptors and buffers of an engine whose limits are set: 0 or -errno."""
    cdef epoll_event event
    e.epoll = epoll_create1(EPOLL_CLOEXEC)
    e.wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)
    e.news = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)
    e.spare = dup(e.wake)
    e.scratch = <uint8_t*>malloc(SCRATCH_BYTES)
    e.scratch_size = SCRATCH_BYTES
    if e.epoll < 0 or e.wake < 0 or e.news < 0 or e.scratch == NULL:
        return -errno if errno != 0 else -12
    rings_init(e)
    event.events = EPOLLIN
    event.data.u64 = WAKE
    epoll_ctl(e.epoll, EPOLL_CTL_ADD, e.wake, &event)
    e.session_seed = <uint32_t>monotonic_ns()
    e.permit_version = 1
    e.flushes = 1
    look_at_clocks(e)
    return 0


cdef void finish_jobs(Engine* e) noexcept nogil:
    cdef Job* job = take_done(e)
    cdef Job* following
    while job != NULL:
        following = job.next
        job_finished(e, job)
        job = following


cdef void engine_free(Engine* e) noexcept nogil:
    """After its threads have ended: closes every connection and gives back all memory but the partitions'."""
    cdef uint32_t i
    cdef int32_t k
    finish_jobs(e)
    for i in range(e.n_connections):
        if e.connections[i] != NULL:
            connection_destroy(e, e.connections[i])
    finish_jobs(e)
    rounds_free(e)
    sessions_free(e)
    topics_free(e)
    for k in range(e.n_pool):
        free(e.pool[k])
    for k in range(e.n_retired):
        free(e.retired[k])
    for k in range(e.n_statics):
        free(e.statics[k].body)
    free(e.statics)
    free(e.retired)
    free(e.retired_sizes)
    free(e.connections)
    free(e.free_connections)
    free(e.touched)
    free(e.resume)
    free(e.woken)
    free(e.heap)
    free(e.scratch)
    free(e.dirty)
    free(e.unsynced)
    free(e.plan)
    free(e.aborted.entries)
    rings_free(e)
    if e.epoll >= 0:
        close(e.epoll)
    if e.wake >= 0:
        close(e.wake)
    if e.news >= 0:
        close(e.news)
    if e.spare >= 0:
        close(e.spare)
    e.epoll = e.wake = e.news = -1      # stop() may still be called


cdef void look_at_clocks(Engine* e) noexcept nogil:
    e.now_ns = monotonic_ns()
    e.now_ms = wall_ms()


cdef void peer_of(const uint8_t* address, uint8_t* out) noexcept nogil:
    """The address of a sockaddr_in (as IPv4-mapped IPv6) or sockaddr_in6."""
    cdef uint16_t family
    memcpy(&family, address, 2)
    memset(out, 0, 16)
    if family == AF_INET:
        out[10] = 0xFF
        out[11] = 0xFF
        memcpy(out + 12, address + 4, 4)
    else:
        memcpy(out, address + 8, 16)


cdef bint admitted(Engine* e, const uint8_t* peer) noexcept nogil:
    """Whether one more connection from there keeps within max.connections and max.connections.per.ip."""
    cdef int64_t of_peer = 0
    cdef uint32_t i
    if e.open_connections >= e.limits.max_connections:
        return False
    if e.limits.max_connections_per_ip >= e.limits.max_connections:
        return True
    for i in range(e.n_connections):
        if e.connections[i] != NULL and memcmp(e.connections[i].peer, peer, 16) == 0:
            of_peer += 1
    return of_peer < e.limits.max_connections_per_ip


cdef void listener_interest(Engine* e, int listener, bint accepting) noexcept nogil:
    cdef epoll_event event
    event.events = EPOLLIN if accepting else 0
    event.data.u64 = LISTENER_TAG | <uint64_t>listener
    epoll_ctl(e.epoll, EPOLL_CTL_MOD, listener, &event)


cdef bint turn_away(Engine* e, int listener) noexcept nogil:
    """Out of descriptors: closes one connection of the backlog, which would otherwise be reported without end."""
    cdef int fd
    if e.spare < 0:
        return False
    close(e.spare)
    fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)
    if fd >= 0:
        close(fd)
        e.counters.connections_rejected += 1
    e.spare = dup(e.wake)
    return fd >= 0


cdef void accept_all(Engine* e, int listener) noexcept nogil:
    cdef int i
    cdef int fd
    cdef int one = 1
    cdef uint8_t address[28]
    cdef uint8_t peer[16]
    cdef unsigned int size
    cdef Connection* c
    for i in range(ACCEPTS):
        size = sizeof(address)
        memset(address, 0, sizeof(address))
        fd = accept4(listener, <sockaddr*>address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC)
        if fd < 0:
            if errno == EMFILE or errno == ENFILE:
                e.counters.connections_rejected += 1    # they stay in the backlog until a descriptor is free
                listener_interest(e, listener, False)   # epoll would report them again and again
                e.accepting_later = True
            return
        peer_of(address, peer)
        if not admitted(e, peer):
            e.counters.connections_rejected += 1
            close(fd)
            continue
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one))
        c = connection_open(e, fd)
        if c == NULL:
            close(fd)
        else:
            memcpy(c.peer, peer, 16)


cdef void socket_event(Engine* e, uint64_t tag, uint32_t what) noexcept nogil:
    cdef uint32_t index = <uint32_t>(tag & 0xFFFFFFFFULL)
    cdef Connection* c = e.connections[index] if index < e.n_connections else NULL
    if c == NULL or c.generation != <uint32_t>(tag >> 32) or c.dead:
        return
    if what & (EPOLLERR | EPOLLHUP):
        connection_kill(e, c)
        return
    if what & EPOLLOUT:
        touch(e, c)         # sent at the end of the cycle: answers in its output may still wait for this cycle's write
    if what & EPOLLRDHUP and c.parked.active and not c.reading:
        run_parked(e, c, True)      # its client is gone, but has left requests behind the one that waits
    elif what & (EPOLLIN | EPOLLRDHUP) and not c.dead:
        connection_read(e, c)


cdef void run_woken(Engine* e) noexcept nogil:
    """Parked fetches that have enough, then those whose time is over."""
    cdef uint32_t i
    cdef Connection* c
    for i in range(e.n_woken):
        c = e.connections[e.woken[i]]
        if c != NULL and c.parked.active and c.parked.woken:
            run_parked(e, c, False)
    e.n_woken = 0
    while True:
        c = deadline_due(e, e.now_ns // 1000000)
        if c == NULL:
            break
        run_parked(e, c, True)


cdef void send_touched(Engine* e) noexcept nogil:
    """Output of this cycle, one send per connection; connections at their end go."""
    cdef uint32_t i = 0
    cdef Connection* c
    while i < e.n_touched:
        c = e.connections[e.touched[i]]
        i += 1
        if c == NULL:
            continue
        c.listed = False
        if not c.dead:
            connection_send(e, c)
        if c.dead:
            connection_destroy(e, c)
    e.n_touched = 0


cdef bint holds_removed(const Connection* c) noexcept nogil:
    """Whether part of its output is to come from the files of a partition that is to go. The removal, and every change
    of the metadata behind it, waits for that; a client that does not read would make it wait for ever."""
    cdef int32_t i
    for i in range(c.n_chunks):
        if c.chunks[i].partition.removed:
            return True
    return False


cdef void housekeeping(Engine* e) noexcept nogil:
    """Once a second: connections that never send a request, those idle for too long, those that hold up a removal."""
    cdef int64_t now = e.now_ns // 1000000
    cdef uint32_t i
    cdef int k
    cdef Connection* c
    if now < e.tick_ms:
        return
    e.tick_ms = now + TICK_MS
    e.ticks += 1
    if e.accepting_later:
        e.accepting_later = False
        for k in range(e.n_listeners):
            listener_interest(e, e.listeners[k], True)
    if e.ticks % IDLE_TICKS == 0:
        close_idle(e, e.now_ms - IDLE_TICKS * TICK_MS)
    for i in range(e.n_connections):
        c = e.connections[i]
        if c == NULL or c.fd < 0 or c.dead:
            continue
        if (not c.greeted and now - c.opened_ms > e.limits.handshake_ms) or (
                not c.blocked and now - c.active_ms > e.limits.idle_ms):
            e.counters.idle_closed += 1
            connection_kill(e, c)
        elif c.n_chunks > 0 and holds_removed(c):
            connection_kill(e, c)


cdef void finish_cycle(Engine* e) noexcept nogil:
    """Everything between the last request served and the answers on their way."""
    flush(e)
    finish_rounds(e)
    run_woken(e)
    housekeeping(e)
    sync_if_due(e)
    if not e.sync_queue.running:
        finish_jobs(e)
        finish_rounds(e)
        run_woken(e)
    send_touched(e)
    tell(e)
    if e.answered > 0:
        # All of them at once: a clock for each would cost more than it tells.
        histogram_add(&e.produce_ns, monotonic_ns() - e.now_ns, e.answered)
        e.answered = 0


cdef int64_t wait_ms(Engine* e) noexcept nogil:
    """How long the plane may sleep."""
    cdef int64_t now = monotonic_ns()
    cdef int64_t wait = TICK_MS
    cdef int64_t due
    if e.n_resume > 0:
        return STALL_MS if e.memory_short else 0
    if e.n_heap > 0:
        due = e.heap[0].deadline_ms - now // 1000000
        wait = due if due < wait else wait
    if e.sync_due_ns > 0 and e.syncs_in_flight == 0 and not e.failed:
        due = (e.sync_due_ns - now + 999999) // 1000000
        wait = due if due < wait else wait
    return wait if wait > 0 else 0


cdef void cycle(Engine* e, int timeout_ms) noexcept nogil:
    """timeout_ms < 0: as long as nothing is due."""
    cdef epoll_event events[EVENTS]
    cdef int n
    cdef int i
    cdef int64_t wait = wait_ms(e)
    if 0 <= timeout_ms < wait:
        wait = timeout_ms
    n = epoll_wait(e.epoll, events, EVENTS, <int>wait)
    look_at_clocks(e)
    for i in range(n):
        if events[i].data.u64 == WAKE:
            clear_fd(e.wake)
            apply_commands(e)
            finish_jobs(e)
    for i in range(n):
        if events[i].data.u64 == WAKE:
            continue
        if events[i].data.u64 & LISTENER_TAG:
            accept_all(e, <int>(events[i].data.u64 & 0xFFFFFFFFULL))
        else:
            socket_event(e, events[i].data.u64, events[i].events)
    if e.n_resume > 0:
        resume_all(e)
    tell(e)                 # of the requests: Python works on them while this thread writes and sends
    finish_cycle(e)
    e.counters.cycles += 1
    e.counters.cycle_ns += monotonic_ns() - e.now_ns


cdef void run(Engine* e) noexcept nogil:
    while not e.stopping:
        cycle(e, -1)
