"""The bytes of a connection that have been received and not served: in buffers of their own, within the cap of all."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc

from pyralog._speedups.plane.buffers cimport put_raw
from pyralog._speedups.plane.connection cimport connection_interest, connection_kill
from pyralog._speedups.plane.gate cimport connection_at, resume_later
from pyralog._speedups.plane.state cimport KAFKA, Connection, Engine

cdef enum:
    LARGE_BYTES = 64 << 10      # a larger request gets a buffer of its own
    TRUSTED_BYTES = 1 << 20     # allocated on the word of a length; more only as the bytes arrive


cdef void input_free(Engine* e, Connection* c) noexcept nogil:
    e.buffered_bytes -= c.input.capacity
    free(c.input.data)
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
