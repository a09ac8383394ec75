"""One client connection: its life, its output with file ranges between the bytes, and the one request it may be blocked by."""

from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memmove, memset

from pyralog._speedups.plane.buffers cimport buffer_free, grown
from pyralog._speedups.plane.gate cimport deadline_clear, gate_releasable, output_end, resume_later, touch
from pyralog._speedups.plane.ring cimport post_event
from pyralog._speedups.plane.state cimport (
    EVENT_CLOSED, EVENT_CONNECTED, EVENT_GONE, EVENT_HANDOVER, EVENT_REQUEST,
    Connection, Engine, FileChunk, Partition,
)
from pyralog._speedups.plane.waiters cimport partition_unused
from pyralog._speedups.segment cimport Segment, segment_acquire, segment_release

cdef extern from "<sys/epoll.h>" nogil:
    struct epoll_data:
        uint64_t u64
    ctypedef epoll_data epoll_data_t
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_ctl(int, int, int, epoll_event*)
    int EPOLL_CTL_ADD
    int EPOLL_CTL_MOD
    int EPOLL_CTL_DEL
    uint32_t EPOLLIN
    uint32_t EPOLLOUT
    uint32_t EPOLLRDHUP

cdef extern from "<sys/socket.h>" nogil:
    ssize_t send(int, const void*, size_t, int)
    struct sockaddr:
        pass
    int getpeername(int, sockaddr*, unsigned int*)
    int getsockname(int, sockaddr*, unsigned int*)
    int MSG_NOSIGNAL
    int MSG_MORE
    int MSG_DONTWAIT

cdef extern from "<sys/sendfile.h>" nogil:
    ssize_t sendfile(int, int, int64_t*, size_t)

cdef extern from "<unistd.h>" nogil:
    int close(int)

cdef enum:
    SENDFILE_BYTES = 1 << 20
    ADDRESS_BYTES = 28          # a sockaddr_in6; a sockaddr_in is shorter


cdef inline int64_t connection_id(const Connection* c) noexcept nogil:
    return <int64_t>(<uint64_t>c.generation << 32 | c.index)


cdef Connection* connection_open(Engine* e, int fd) noexcept nogil:
    """A connection over the socket, or a virtual one (fd -1); NULL when memory is out."""
    cdef Connection* c = <Connection*>calloc(1, sizeof(Connection))
    cdef Connection** bigger
    cdef uint32_t* free_list
    cdef epoll_event event
    if c == NULL:
        return NULL
    if e.n_free > 0:
        e.n_free -= 1
        c.index = e.free_connections[e.n_free]
    else:
        bigger = <Connection**>grown(e.connections, <int32_t>e.n_connections + 1, <int32_t*>&e.connections_capacity,
                                     sizeof(Connection*))
        if bigger == NULL:
            free(c)
            return NULL
        e.connections = bigger
        # Room on the free list for every index, so that closing a connection cannot run out of memory.
        free_list = <uint32_t*>realloc(e.free_connections, e.connections_capacity * sizeof(uint32_t))
        if free_list == NULL:
            free(c)
            return NULL
        e.free_connections = free_list
        c.index = e.n_connections
        e.n_connections += 1
    e.connections[c.index] = c
    e.generations = (e.generations + 1) & 0x7FFFFFFF
    c.generation = e.generations
    c.fd = fd
    c.reading = True
    c.parked.heap_at = -1
    c.opened_ms = e.now_ns // 1000000
    c.active_ms = c.opened_ms
    e.open_connections += 1
    e.counters.connections_accepted += 1
    if fd >= 0:
        event.events = EPOLLIN | EPOLLRDHUP
        event.data.u64 = <uint64_t>c.generation << 32 | c.index
        if epoll_ctl(e.epoll, EPOLL_CTL_ADD, fd, &event) < 0:
            connection_kill(e, c)
    return c


cdef void connection_kill(Engine* e, Connection* c) noexcept nogil:
    """Ends it at the end of the cycle; until then its buffers stay, since writes may point into them."""
    c.dead = True
    touch(e, c)


cdef void drop_chunks(Engine* e, Connection* c, int32_t n) noexcept nogil:
    """Gives up the first n file ranges."""
    cdef int32_t i
    cdef Partition* p
    for i in range(n):
        p = c.chunks[i].partition
        segment_release(p.log, c.chunks[i].segment)
        p.uses -= 1
        partition_unused(e, p)
    c.n_chunks -= n
    if c.n_chunks > 0:
        memmove(c.chunks, c.chunks + n, c.n_chunks * sizeof(FileChunk))


cdef void connection_destroy(Engine* e, Connection* c) noexcept nogil:
    cdef uint32_t index = c.index
    if c.token != 0:
        post_event(e, EVENT_CLOSED, NULL, c.token, NULL, 0, 0, 0, 0)
    if c.introduced:
        post_event(e, EVENT_GONE, NULL, 0, NULL, 0, connection_id(c), 0, 0)
    unpark(e, c)
    drop_chunks(e, c, c.n_chunks)
    free(c.chunks)
    free(c.slots)
    e.buffered_bytes -= c.input.capacity
    buffer_free(&c.input)
    buffer_free(&c.output)
    if c.fd >= 0:
        close(c.fd)
    e.connections[index] = NULL
    e.open_connections -= 1
    e.counters.connections_closed += 1
    free(c)
    e.free_connections[e.n_free] = index
    e.n_free += 1


cdef void watch(Engine* e, Connection* c) noexcept nogil:
    """Tells epoll. Of a connection that waits for records the end is of interest even while it is not read: the wait may
    be as long as the client likes."""
    cdef epoll_event event
    event.events = EPOLLOUT if c.writing else 0
    if c.reading:
        event.events |= EPOLLIN | EPOLLRDHUP
    elif c.parked.active:
        event.events |= EPOLLRDHUP
    event.data.u64 = <uint64_t>c.generation << 32 | c.index
    epoll_ctl(e.epoll, EPOLL_CTL_MOD, c.fd, &event)


cdef void connection_interest(Engine* e, Connection* c, bint reading, bint writing) noexcept nogil:
    """What epoll shall report; a system call only when it changes."""
    cdef bint same = reading == c.reading and writing == c.writing
    c.reading = reading
    c.writing = writing
    if c.fd >= 0 and not same:
        watch(e, c)


cdef int connection_handover(Engine* e, Connection* c, const uint8_t* data, int64_t size) noexcept nogil:
    """The socket becomes Python's, with what has been read of it (HTTP, TLS)."""
    epoll_ctl(e.epoll, EPOLL_CTL_DEL, c.fd, NULL)
    if post_event(e, EVENT_HANDOVER, NULL, 0, data, size, c.fd, 0, 0) == 0:
        c.fd = -1
        e.counters.connections_handed_over += 1
    connection_kill(e, c)
    return 0


# --- output ---

cdef int64_t connection_backlog(const Connection* c) noexcept nogil:
    """Bytes still to be sent, gated ones and file ranges included."""
    cdef int64_t n = c.origin + c.output.size - c.sent
    cdef int32_t i
    for i in range(c.n_chunks):
        n += c.chunks[i].length
    return n


cdef int output_file(Engine* e, Connection* c, Partition* p, Segment* segment, int64_t position, int64_t length) noexcept nogil:
    """A range of a segment file comes next in the output: 0, or -errno."""
    cdef FileChunk* bigger
    cdef FileChunk* chunk
    cdef int fd = segment_acquire(p.log, segment)
    if fd < 0:
        return fd
    bigger = <FileChunk*>grown(c.chunks, c.n_chunks + 1, &c.chunks_capacity, sizeof(FileChunk))
    if bigger == NULL:
        segment_release(p.log, segment)
        return -12
    c.chunks = bigger
    chunk = &c.chunks[c.n_chunks]
    chunk.at = output_end(c)
    chunk.partition = p
    chunk.segment = segment
    chunk.position = position
    chunk.length = length
    c.n_chunks += 1
    p.uses += 1
    return 0


cdef int64_t send_file(Engine* e, Connection* c) noexcept nogil:
    """Bytes sent of the first file range, 0 when the socket is full, -1 when it is broken."""
    cdef FileChunk* chunk = &c.chunks[0]
    cdef int64_t n = chunk.length if chunk.length < SENDFILE_BYTES else SENDFILE_BYTES
    n = sendfile(c.fd, chunk.segment.fd, &chunk.position, n)    # moves chunk.position
    if n < 0:
        return 0 if errno == EAGAIN or errno == EINTR else -1
    if n == 0:
        return -1       # the file is shorter than the log said: do not go on with a broken answer
    chunk.length -= n
    return n


cdef int64_t send_bytes(Engine* e, Connection* c, int64_t limit, bint more) noexcept nogil:
    cdef int64_t n = send(c.fd, c.output.data + (c.sent - c.origin), limit - c.sent,
                          MSG_NOSIGNAL | MSG_DONTWAIT | (MSG_MORE if more else 0))
    if n < 0:
        return 0 if errno == EAGAIN or errno == EINTR else -1
    c.sent += n
    return n


cdef void output_done(Engine* e, Connection* c) noexcept nogil:
    """All has left: an idle connection holds no buffer."""
    c.origin = c.sent
    buffer_free(&c.output)
    if c.n_chunks == 0:
        free(c.chunks)
        c.chunks = NULL
        c.chunks_capacity = 0
    if c.n_slots == 0:
        free(c.slots)
        c.slots = NULL
        c.slots_capacity = 0


cdef void output_left(Engine* e, Connection* c) noexcept nogil:
    """What follows when output has left: room is given back, a connection at its end goes, a stalled one goes on."""
    if c.sent == output_end(c) and c.n_chunks == 0:
        output_done(e, c)
        if c.closing:
            connection_kill(e, c)
    elif c.sent - c.origin > 1 << 16 and c.sent - c.origin >= c.output.size >> 1:
        # Half of it at least: so every byte is moved about once, however many sends a large answer takes.
        memmove(c.output.data, c.output.data + (c.sent - c.origin), output_end(c) - c.sent)
        c.output.size = output_end(c) - c.sent
        c.origin = c.sent
    if c.stalled and connection_backlog(c) <= e.limits.max_output_bytes:
        c.stalled = False
        resume_later(e, c)


cdef void connection_send(Engine* e, Connection* c) noexcept nogil:
    """Sends whatever the gate lets pass and the socket takes."""
    cdef int64_t limit = gate_releasable(e, c)
    cdef int64_t n
    cdef bint full = False
    if c.fd < 0:
        return          # virtual: take_output collects it
    while True:
        if c.n_chunks > 0 and c.chunks[0].at == c.sent:
            n = send_file(e, c)
            if n > 0 and c.chunks[0].length == 0:
                drop_chunks(e, c, 1)
        elif c.sent < limit:
            n = limit
            if c.n_chunks > 0 and c.chunks[0].at < limit:
                n = c.chunks[0].at
            n = send_bytes(e, c, n, n < limit or (c.n_chunks > 0 and c.chunks[0].at == n))
        else:
            break
        if n < 0:
            connection_kill(e, c)
            return
        if n == 0:
            full = True
            break
        e.counters.bytes_sent += n
    if full != c.writing:
        connection_interest(e, c, c.reading, full)
    output_left(e, c)


# --- the request that blocks a connection: with Python, or parked ---

cdef void introduce(Engine* e, Connection* c) noexcept nogil:
    """Tells Python the addresses of a connection before its first request."""
    cdef uint8_t addresses[2 * ADDRESS_BYTES]
    cdef unsigned int size = ADDRESS_BYTES
    memset(addresses, 0, sizeof(addresses))
    if c.fd >= 0:
        getpeername(c.fd, <sockaddr*>addresses, &size)
        size = ADDRESS_BYTES
        getsockname(c.fd, <sockaddr*>(addresses + ADDRESS_BYTES), &size)
    post_event(e, EVENT_CONNECTED, NULL, 0, addresses, sizeof(addresses), connection_id(c), c.principal, 0)
    c.introduced = True


cdef void forward(Engine* e, Connection* c, const uint8_t* frame, int64_t size, int32_t reason) noexcept nogil:
    """Python decides about this request; later ones of the connection wait, as they do in Kafka."""
    e.tokens += 1
    c.token = e.tokens << 24 | c.index
    c.blocked = True
    c.forwarded_ns = e.now_ns
    e.counters.requests_forwarded += 1
    if not c.introduced:
        introduce(e, c)
    if post_event(e, EVENT_REQUEST, NULL, c.token, frame, size, connection_id(c), reason, 0) < 0:
        connection_kill(e, c)


cdef Connection* forwarded(Engine* e, uint64_t token) noexcept nogil:
    """The connection that waits for this token, or NULL when it is gone."""
    cdef uint32_t index = <uint32_t>(token & 0xFFFFFF)
    cdef Connection* c
    if token == 0 or index >= e.n_connections:
        return NULL
    c = e.connections[index]
    if c == NULL or c.token != token or c.dead:
        return NULL
    return c


cdef void unblock(Engine* e, Connection* c) noexcept nogil:
    c.token = 0
    c.blocked = False
    if not c.reading:
        connection_interest(e, c, True, c.writing)
    if c.input.size > 0:
        resume_later(e, c)
    touch(e, c)


cdef int park(Engine* e, Connection* c, const uint8_t* frame, int64_t size) noexcept nogil:
    """Keeps a copy of the request to run it again: 0, or -1 when memory is out."""
    if c.parked.frame != frame:
        free(c.parked.frame)
        c.parked.frame = <uint8_t*>malloc(size)
        if c.parked.frame == NULL:
            return -1
        memcpy(c.parked.frame, frame, size)
        c.parked.size = size
    if not c.parked.active:
        e.counters.parked += 1
    e.sequences += 1
    c.parked.sequence = e.sequences
    c.parked.active = True
    c.parked.woken = False
    c.blocked = True
    if c.fd >= 0 and not c.reading:
        watch(e, c)
    return 0


cdef void unpark(Engine* e, Connection* c) noexcept nogil:
    if c.parked.active:
        e.counters.parked -= 1
    deadline_clear(e, c)
    free(c.parked.frame)
    c.parked.frame = NULL
    c.parked.size = 0
    c.parked.active = False
    c.parked.woken = False
    c.parked.cold = 0
    c.parked.session_id = 0
    c.parked.deadline_ms = 0
