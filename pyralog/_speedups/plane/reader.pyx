"""From socket bytes to served requests: sniffing, framing, bounded reading."""

from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from pyralog._speedups.plane.buffers cimport buffer_reserve, put_raw
from pyralog._speedups.plane.commit cimport flush, retire
from pyralog._speedups.plane.connection cimport (
    connection_backlog, connection_handover, connection_interest, connection_kill, forward, unblock, unpark,
)
from pyralog._speedups.plane.fetch cimport fetch_serve
from pyralog._speedups.plane.frame cimport FORWARD, MALFORMED, Request, request_open, response_begin, response_end
from pyralog._speedups.plane.gate cimport resume_later, touch
from pyralog._speedups.plane.input cimport frame_length, input_free, input_grow, stash
from pyralog._speedups.plane.produce cimport produce_serve
from pyralog._speedups.plane.state cimport (
    API_FETCH, API_PRODUCE, FORWARD_API, KAFKA, SNIFFING, Connection, Engine,
)

cdef extern from "<sys/socket.h>" nogil:
    ssize_t recv(int, void*, size_t, int)
    int MSG_DONTWAIT
    int MSG_PEEK

cdef enum:
    CYCLE_BYTES = 1 << 20       # read of one connection in one cycle
    CYCLE_REQUESTS = 64
    READ_BYTES = 128 << 10      # asked of the kernel at once
    ROOM_BYTES = 64 << 10       # least room worth a read
    SHORT_BYTES = 4096          # asked of the kernel while memory is short
    MIN_FRAME = 8
    PRODUCE_FROM = 3
    FETCH_FROM = 4


# --- serving ---

cdef bint serve_static(Engine* e, Connection* c, Request* r) noexcept nogil:
    """A body that Python has taught the plane, such as the answer to ApiVersions."""
    cdef int32_t i
    cdef int64_t start
    for i in range(e.n_statics):
        if e.statics[i].api == r.api and e.statics[i].version == r.version:
            start = response_begin(c, r)
            if start < 0 or buffer_reserve(&c.output, e.statics[i].size) < 0:
                return False
            put_raw(&c.output, e.statics[i].body, e.statics[i].size)
            response_end(c, start, 0)
            e.counters.requests_static += 1
            touch(e, c)
            return True
    return False


cdef void malformed(Engine* e, Connection* c) noexcept nogil:
    e.counters.protocol_errors += 1
    connection_kill(e, c)


cdef void serve_frame(Engine* e, Connection* c, uint8_t* frame, int64_t size, bint final) noexcept nogil:
    cdef Request r
    cdef int verdict = FORWARD
    if request_open(&r, frame, size) == MALFORMED:
        malformed(e, c)
        return
    r.final = final
    if r.api == API_PRODUCE and PRODUCE_FROM <= r.version <= e.limits.produce_max_version:
        verdict = produce_serve(e, c, &r)
    elif r.api == API_FETCH and FETCH_FROM <= r.version <= e.limits.fetch_max_version:
        verdict = fetch_serve(e, c, &r, False)
    elif serve_static(e, c, &r):
        return
    else:
        r.reason = FORWARD_API
    if verdict == FORWARD:
        forward(e, c, frame, size, r.reason)
    elif verdict == MALFORMED:
        malformed(e, c)


cdef void run_parked(Engine* e, Connection* c, bint expired) noexcept nogil:
    """Runs a waiting fetch again; it is answered, or waits on under a new sequence."""
    cdef Request r
    cdef uint64_t sequence = c.parked.sequence
    cdef int64_t since = c.parked.since_ns
    if c.dead or not c.parked.active:
        return
    request_open(&r, c.parked.frame, c.parked.size)
    if fetch_serve(e, c, &r, expired) == MALFORMED:
        malformed(e, c)
    if c.parked.sequence == sequence or c.dead:
        unpark(e, c)
        c.parked.since_ns = since
        unblock(e, c)


cdef bint sniff(Engine* e, Connection* c, const uint8_t* data, int64_t size) noexcept nogil:
    """Decides by the first four bytes what this connection speaks; False when it is not (or no longer) ours."""
    cdef int64_t length = frame_length(data)
    cdef bint http = (memcmp(data, b"GET ", 4) == 0 or memcmp(data, b"POST", 4) == 0 or memcmp(data, b"HEAD", 4) == 0
                      or memcmp(data, b"PUT ", 4) == 0 or memcmp(data, b"DELE", 4) == 0 or memcmp(data, b"OPTI", 4) == 0
                      or memcmp(data, b"PATC", 4) == 0 or memcmp(data, b"PRI ", 4) == 0)
    if MIN_FRAME <= length <= e.limits.max_request_bytes:
        c.protocol = KAFKA
        return True
    if (http or (data[0] == 0x16 and data[1] == 0x03)) and c.fd >= 0:
        connection_handover(e, c, data, size)
        return False
    malformed(e, c)
    return False


cdef int64_t process(Engine* e, Connection* c, uint8_t* data, int64_t size) noexcept nogil:
    """Serves the whole requests at the front, in place; returns the bytes served."""
    cdef int64_t at = 0
    cdef int64_t length
    cdef int served = 0
    if c.protocol == SNIFFING and size >= 4 and not sniff(e, c, data, size):
        return size
    while size - at >= 4 and served < CYCLE_REQUESTS and not c.blocked and not c.dead:
        length = frame_length(data + at)
        if length < MIN_FRAME or length > e.limits.max_request_bytes:
            malformed(e, c)
            break
        if size - at - 4 < length:
            break
        if connection_backlog(c) > e.limits.max_output_bytes:
            c.stalled = True
            break
        c.greeted = True
        serve_frame(e, c, data + at + 4, length, False)
        at += length + 4
        served += 1
    return at


cdef int64_t resume_one(Engine* e, Connection* c) noexcept nogil:
    """Serves what has been received; the bytes served."""
    cdef uint8_t* data = c.input.data
    cdef int64_t size = c.input.size
    cdef int64_t capacity = c.input.capacity
    cdef int64_t served = 0
    if c.dead or c.blocked:
        return 0
    if data != NULL and c.frame_size == 0:
        c.input.data = NULL
        c.input.size = 0
        c.input.capacity = 0
        served = process(e, c, data, size)
        stash(e, c, data + served, size - served)
        retire(e, data, capacity)
    if not (c.reading or c.resumable or c.blocked or c.stalled or c.dead):
        connection_interest(e, c, True, c.writing)
    return served


cdef int64_t resume_all(Engine* e) noexcept nogil:
    """Connections with whole requests left over from an earlier cycle; the bytes served."""
    cdef int64_t served = 0
    cdef uint32_t i
    cdef uint32_t n = e.n_resume
    cdef Connection* c
    e.memory_short = False
    for i in range(n):
        c = e.connections[e.resume[i]]
        if c != NULL and c.resumable:
            c.resumable = False
            served += resume_one(e, c)
    for i in range(n, e.n_resume):
        e.resume[i - n] = e.resume[i]
    e.n_resume -= n
    return served


# --- reading ---

cdef int64_t receive(Engine* e, Connection* c, uint8_t* into, int64_t room) noexcept nogil:
    """Bytes received; 0 when there are none now, -1 when the connection is at its end."""
    cdef int64_t n = recv(c.fd, into, room, MSG_DONTWAIT)
    if n < 0:
        return 0 if errno == EAGAIN or errno == EINTR else -1
    if n == 0:
        return -1
    e.counters.bytes_received += n
    c.active_ms = e.now_ns // 1000000
    return n


cdef int64_t read_large(Engine* e, Connection* c) noexcept nogil:
    """Goes on with a large request, in its own buffer."""
    cdef int64_t n
    if c.input.size == c.input.capacity and input_grow(e, c) < 0:
        connection_interest(e, c, False, c.writing)     # and ask again later
        resume_later(e, c)
        return 0
    n = c.input.capacity if c.input.capacity < c.frame_size else c.frame_size
    n = receive(e, c, c.input.data + c.input.size, n - c.input.size)
    if n <= 0:
        return n
    c.input.size += n
    if c.input.size == c.frame_size:
        c.large = True
        c.frame_size = 0
        resume_one(e, c)
    return n


cdef int64_t read_small(Engine* e, Connection* c) noexcept nogil:
    """Receives behind what was left over, into the scratch that all connections share during a cycle."""
    cdef int64_t left = c.input.size
    cdef int64_t room
    cdef int64_t n
    cdef int64_t served
    cdef uint8_t* base
    if e.scratch_size - e.scratch_used < left + ROOM_BYTES:
        flush(e)
    base = e.scratch + e.scratch_used
    room = e.scratch_size - e.scratch_used - left
    if room > READ_BYTES:
        room = READ_BYTES
    if e.buffered_bytes >= e.limits.max_buffered_bytes:
        room = SHORT_BYTES      # what is left of it has to be kept, cap or no cap
    if c.large and left < 4:
        room = 4 - left         # look at the length first: a large request then goes into its own buffer uncopied
    n = receive(e, c, base + left, room)
    if n <= 0:
        return n
    if left > 0:
        memcpy(base, c.input.data, left)
        input_free(e, c)
    e.scratch_used += left + n
    c.large = False
    served = process(e, c, base, left + n)
    stash(e, c, base + served, left + n - served)
    if room > 4 and n < room:
        return 0                # that was all there is
    return n


cdef bint at_end(Connection* c) noexcept nogil:
    cdef uint8_t byte
    cdef int64_t n = recv(c.fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK)
    return n == 0 or (n < 0 and errno != EAGAIN and errno != EINTR)


cdef void connection_read(Engine* e, Connection* c) noexcept nogil:
    """As much as one cycle allows. What stays in the kernel is reported again by epoll."""
    cdef int64_t budget = CYCLE_BYTES
    cdef int64_t n
    while budget > 0 and not c.dead:
        if connection_backlog(c) > e.limits.max_output_bytes:
            c.stalled = True
        if c.blocked or c.resumable or c.stalled:
            # Requests that came before the end are still owed their effect: a producer with acks=0 sends and goes.
            # Only a wait for records, or for a client that does not read, ends together with its client.
            if (c.parked.active or c.stalled) and at_end(c):
                connection_kill(e, c)
            elif c.reading:
                connection_interest(e, c, False, c.writing)
            return
        n = read_large(e, c) if c.frame_size > 0 else read_small(e, c)
        if n < 0:
            connection_kill(e, c)
        if n <= 0:
            return
        budget -= n


cdef void connection_feed(Engine* e, Connection* c, const uint8_t* data, int64_t size) noexcept nogil:
    """Bytes of a virtual connection: appended to what is left over, then served like a socket's."""
    cdef int64_t before = c.input.capacity
    c.frame_size = 0
    if buffer_reserve(&c.input, size) < 0:
        connection_kill(e, c)
        return
    e.buffered_bytes += c.input.capacity - before
    put_raw(&c.input, data, size)
    c.active_ms = e.now_ns // 1000000
    resume_one(e, c)
