"""From socket bytes to served requests: sniffing, framing, bounded reading, leftovers."""

from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcmp, memcpy

from pyralog._speedups.cursor cimport be32
from pyralog._speedups.plane.buffers cimport buffer_reserve, put_raw
from pyralog._speedups.plane.commit cimport flush, retire
from pyralog._speedups.plane.connection cimport (
    connection_backlog, connection_handover, connection_interest, connection_kill, forward, unblock, unpark,
)
from pyralog._speedups.plane.fetch cimport fetch_serve
from pyralog._speedups.plane.frame cimport FORWARD, MALFORMED, Request, request_open, response_begin, response_end
from pyralog._speedups.plane.gate cimport connection_at, resume_later, touch
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
    LARGE_BYTES = 64 << 10      # a larger request gets a buffer of its own
    TRUSTED_BYTES = 1 << 20     # allocated on the word of a length; more only as the bytes arrive
    MIN_FRAME = 8
    PRODUCE_FROM = 3
    FETCH_FROM = 4


cdef inline int64_t frame_length(const uint8_t* p) noexcept nogil:
    cdef uint32_t raw
    memcpy(&raw, p, 4)
    return <int32_t>be32(raw)


# --- the bytes a connection has not finished with ---

cdef void input_free(Engine* e, Connection* c) noexcept nogil:
    e.buffered_bytes -= c.input.capacity
    free(c.input.data)
    c.input.data = NULL
    c.input.size = 0
    c.input.capacity = 0
    c.frame_size = 0


cdef void input_retire(Engine* e, Connection* c) noexcept nogil:
    """The input has been served, but writes of this cycle may point into it."""
    if c.input.data != NULL:
        retire(e, c.input.data, c.input.capacity)
    c.input.data = NULL
    c.input.size = 0
    c.input.capacity = 0
    c.frame_size = 0


cdef uint8_t* pooled(Engine* e, int64_t size, int64_t* capacity) noexcept nogil:
    """A used buffer of at least this size, not too large for it, or NULL."""
    cdef int32_t i
    cdef uint8_t* data
    for i in range(e.n_pool):
        if size <= e.pool_sizes[i] <= 4 * size:
            data = e.pool[i]
            capacity[0] = e.pool_sizes[i]
            e.n_pool -= 1
            e.pool[i] = e.pool[e.n_pool]
            e.pool_sizes[i] = e.pool_sizes[e.n_pool]
            return data
    return NULL


cdef bint may_exceed(Engine* e, Connection* c) noexcept nogil:
    """Whether this connection may go beyond the cap of all. One at a time may, until its request is complete: if none
    could, many requests received in part would wait for each other."""
    cdef uint64_t me = <uint64_t>c.generation << 32 | c.index
    cdef Connection* other = NULL
    if e.grower != 0 and e.grower != me:
        other = connection_at(e, <uint32_t>(e.grower & 0xFFFFFFFFULL), <uint32_t>(e.grower >> 32))
    if other != NULL and other.input.data != NULL:
        return False
    e.grower = me
    return True


cdef int input_allocate(Engine* e, Connection* c, int64_t size) noexcept nogil:
    """An empty input of at least `size` bytes, within the cap of all connections: 0 or -1."""
    cdef uint8_t* data
    cdef int64_t capacity = 0
    if e.buffered_bytes + size > e.limits.max_buffered_bytes and e.buffered_bytes > 0 and not may_exceed(e, c):
        e.counters.memory_stalls += 1
        e.memory_short = True
        return -1
    data = pooled(e, size, &capacity)
    if data == NULL:
        capacity = size
        data = <uint8_t*>malloc(capacity)
    if data == NULL:
        return -1
    c.input.data = data
    c.input.size = 0
    c.input.capacity = capacity
    e.buffered_bytes += capacity
    return 0


cdef int input_grow(Engine* e, Connection* c) noexcept nogil:
    """Doubles the input of a large request, whose bytes have all arrived so far."""
    cdef int64_t wanted = c.input.capacity * 2 if c.input.capacity * 2 < c.frame_size else c.frame_size
    cdef uint8_t* bigger
    if e.buffered_bytes + wanted - c.input.capacity > e.limits.max_buffered_bytes and not may_exceed(e, c):
        e.counters.memory_stalls += 1
        e.memory_short = True
        return -1
    bigger = <uint8_t*>realloc(c.input.data, wanted)
    if bigger == NULL:
        return -1
    e.buffered_bytes += wanted - c.input.capacity
    c.input.data = bigger
    c.input.capacity = wanted
    return 0


cdef void stash(Engine* e, Connection* c, const uint8_t* data, int64_t size) noexcept nogil:
    """Keeps what has been received and not served. Whole requests among it are served in a later cycle."""
    cdef int64_t frame = 0
    cdef int64_t wanted = size
    cdef bint large
    if size == 0 or c.dead:
        return
    if size >= 4:
        frame = frame_length(data) + 4
    # A length that is none is found out when it is this request's turn.
    large = LARGE_BYTES < frame <= e.limits.max_request_bytes + 4 and size < frame and c.protocol == KAFKA
    if large:
        # Much is trusted while there is plenty, so that an honest client's bytes are not copied again and again.
        wanted = TRUSTED_BYTES if e.buffered_bytes < e.limits.max_buffered_bytes >> 1 else LARGE_BYTES
        wanted = frame if frame < wanted else wanted
        if wanted < size:
            wanted = size
    if input_allocate(e, c, wanted) < 0:
        # The cap of all connections is reached: keep just these bytes, and ask for the rest again later.
        large = False
        c.input.data = <uint8_t*>malloc(size)
        if c.input.data == NULL:
            connection_kill(e, c)
            return
        c.input.capacity = size
        e.buffered_bytes += size
        connection_interest(e, c, False, c.writing)
        resume_later(e, c)
    put_raw(&c.input, data, size)
    c.frame_size = frame if large else 0
    if not c.blocked and not c.stalled and frame > 0 and size >= frame:
        resume_later(e, c)


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
