"""Batches made by Python, one at a time or a round of them with the answers that wait for each; what it answers itself."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

from pyralog._speedups.batch cimport ATTR_CONTROL, ATTR_TRANSACTIONAL, BatchInfo, batch_assign, batch_crc_ok, batch_parse
from pyralog._speedups.plane.buffers cimport buffer_reserve, put_raw
from pyralog._speedups.plane.commit cimport retire, write_dirty
from pyralog._speedups.plane.connection cimport connection_kill, forwarded, unblock
from pyralog._speedups.plane.partition cimport partition_answer, partition_enqueue
from pyralog._speedups.plane.ring cimport post_event
from pyralog._speedups.plane.state cimport (
    E_CORRUPT_MESSAGE, E_KAFKA_STORAGE_ERROR, E_NOT_LEADER_OR_FOLLOWER, E_UNKNOWN_TOPIC_OR_PARTITION, EVENT_APPENDED,
    Command, Connection, Engine, Part, Partition, Round,
)
from pyralog._speedups.plane.transactions cimport append_marker, promise_give, promise_keep
from pyralog._speedups.plane.waiters cimport A_PART, partition_unused, settle_part
from pyralog._speedups.producers cimport ProducerBatch, batch_producer, producers_append, producers_check_epoch
from pyralog._speedups.segment cimport BatchRef


# --- answers ---

cdef void answer_forwarded(Engine* e, uint64_t token, const uint8_t* data, int64_t size, bint close) noexcept nogil:
    """The framed answer to a request that Python was given; `close` ends the connection once it has left."""
    cdef Connection* c = forwarded(e, token)
    if c == NULL:
        e.counters.commands_dropped += 1
        return
    if size > 0:
        if buffer_reserve(&c.output, size) < 0:
            connection_kill(e, c)
            return
        put_raw(&c.output, data, size)
    c.closing = close
    unblock(e, c)


# --- batches ---

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


cdef int append_batch(
    Engine* e, Partition* p, uint8_t* data, int64_t size, uint32_t who, int64_t answer
) noexcept nogil:
    """A batch for this cycle's write; `who` and `answer` go to `settle` when that is done. 0, or a Kafka error code."""
    cdef BatchInfo info
    cdef BatchRef ref
    cdef int rc
    if not p.leading:
        return E_NOT_LEADER_OR_FOLLOWER
    if e.failed or p.failed:
        return E_KAFKA_STORAGE_ERROR
    if batch_parse(data, size, &info) != 0 or not batch_crc_ok(data, &info):
        return E_CORRUPT_MESSAGE
    ref.data = data
    ref.size = info.size
    ref.base_offset = p.next_offset
    ref.last_offset = p.next_offset + info.last_offset_delta
    ref.max_timestamp = info.max_timestamp
    ref.max_timestamp_offset = ref.last_offset
    batch_assign(data, ref.base_offset, p.leader_epoch)
    if info.producer_id >= 0 and info.attributes & ATTR_CONTROL == 0:
        rc = coordinator_batch(e, p, &info)
        if rc != 0:
            return rc
    if partition_answer(e, p, who, 0, ref.base_offset, answer, ref.last_offset + 1) < 0:
        return E_KAFKA_STORAGE_ERROR
    if partition_enqueue(e, p, &ref) < 0:
        p.n_answers -= 1
        return E_KAFKA_STORAGE_ERROR
    p.bytes_in += info.size
    p.records_in += info.count
    p.batches_in += 1
    return 0


# --- rounds ---

cdef Round* round_new(int32_t n, uint64_t cookie) noexcept nogil:
    """A round of n empty parts, or NULL when memory is out."""
    cdef Round* made = <Round*>calloc(1, sizeof(Round))
    cdef int32_t i
    if made == NULL:
        return NULL
    made.parts = <Part*>calloc(n, sizeof(Part))
    if made.parts == NULL:
        free(made)
        return NULL
    made.n = made.left = n
    made.cookie = cookie
    for i in range(n):
        made.parts[i].round = made
    return made


cdef void round_free(Round* found) noexcept nogil:
    cdef int32_t i
    for i in range(found.n):
        free(found.parts[i].batch)
        free(found.parts[i].answers)
        free(found.parts[i].promises)
        if found.parts[i].follow != NULL:
            round_free(found.parts[i].follow)
    free(found.parts)
    free(found)


cdef void hold(Round* held) noexcept nogil:
    """The partitions that it will still be about must not go."""
    cdef Part* part
    cdef int32_t i, k
    for i in range(held.n):
        part = &held.parts[i]
        if part.partition != NULL:
            part.partition.uses += 1
        for k in range(part.n_promises):
            part.promises[k].partition.uses += 1
        if part.follow != NULL:
            hold(part.follow)


cdef void release(Engine* e, Partition* p) noexcept nogil:
    """From here on it may be freed at any time, unless it is held once more."""
    if p != NULL:
        p.uses -= 1
        partition_unused(e, p)


cdef void let_go(Engine* e, Round* held) noexcept nogil:
    """They may; what follows its parts is another round."""
    cdef int32_t i, k
    for i in range(held.n):
        release(e, held.parts[i].partition)
        for k in range(held.parts[i].n_promises):
            release(e, held.parts[i].promises[k].partition)


cdef void begin_part(Engine* e, Part* part) noexcept nogil:
    """Queues it for the next write, or settles it with why it cannot be."""
    cdef int32_t k
    cdef int rc = E_UNKNOWN_TOPIC_OR_PARTITION
    if part.partition != NULL and part.marks:
        rc = append_marker(e, part.partition, &part.marker, part.batch, A_PART, <int64_t><size_t>part)
    elif part.partition != NULL:
        rc = append_batch(e, part.partition, part.batch, part.batch_size, A_PART, <int64_t><size_t>part)
    if rc != 0:
        settle_part(e, part, -rc)
        return
    for k in range(part.n_promises):
        promise_give(e, &part.promises[k])
    if not part.marks:
        e.buffered_bytes += part.batch_size     # given back when it has been written
        retire(e, part.batch, part.batch_size)
        part.batch = NULL


cdef void begin(Engine* e, Round* begun) noexcept nogil:
    cdef int32_t i
    begun.next = e.rounds
    e.rounds = begun
    for i in range(begun.n):
        begin_part(e, &begun.parts[i])


cdef void begin_round(Engine* e, Command* command) noexcept nogil:
    cdef Round* begun = <Round*>command.data
    command.data = NULL
    hold(begun)
    begin(e, begun)


cdef void send_answers(Engine* e, const Part* part) noexcept nogil:
    """To everybody who waited for this batch."""
    cdef const uint8_t* p = part.answers
    cdef const uint8_t* end = p + part.answers_size
    cdef uint64_t token
    cdef int64_t size
    while p < end:
        memcpy(&token, p, 8)
        memcpy(&size, p + 8, 8)
        answer_forwarded(e, token, p + 16, size, False)
        p += 16 + size


cdef void end_round(Engine* e, Round* ended) noexcept nogil:
    """All its parts are settled: Python is told, and it goes."""
    cdef Round** at = &e.rounds
    cdef int64_t* results = <int64_t*>malloc(ended.n * sizeof(int64_t))
    cdef int32_t i
    while at[0] != ended:
        at = &at[0].next
    at[0] = ended.next
    if results == NULL:
        e.counters.events_dropped += 1
    else:
        for i in range(ended.n):
            results[i] = ended.parts[i].result
        post_event(e, EVENT_APPENDED, NULL, 0, <const uint8_t*>results, ended.n * sizeof(int64_t), 0, 0, ended.cookie)
        free(results)
    let_go(e, ended)
    round_free(ended)


cdef void follow(Engine* e, Part* part, bint written) noexcept nogil:
    """What was to come behind a batch comes now, or not at all."""
    cdef Round* following = part.follow
    cdef int32_t i
    if following == NULL:
        return
    part.follow = NULL
    if written:
        begin(e, following)
        return
    following.next = e.rounds
    e.rounds = following
    for i in range(following.n):
        settle_part(e, &following.parts[i], -E_NOT_LEADER_OR_FOLLOWER)


cdef void finish_part(Engine* e, Part* part) noexcept nogil:
    """Who waits for a batch is told when it is where Python believes it to be; about anything else Python decides."""
    cdef bint written = part.result == part.expected
    cdef int32_t k
    if written:
        for k in range(part.n_promises):
            promise_keep(e, &part.promises[k])
        send_answers(e, part)
    follow(e, part, written)


cdef void finish_rounds(Engine* e) noexcept nogil:
    """What follows from parts that have been settled; their markers are written, too."""
    cdef Part* part
    while e.settled != NULL:
        while e.settled != NULL:
            part = e.settled
            e.settled = part.next
            if not part.marks:
                finish_part(e, part)
            part.round.left -= 1
            if part.round.left == 0:
                end_round(e, part.round)
        if e.n_dirty > 0:
            write_dirty(e)


cdef void rounds_free(Engine* e) noexcept nogil:
    """Those that the end of the engine has overtaken."""
    cdef Round* found
    e.settled = NULL
    while e.rounds != NULL:
        found = e.rounds
        e.rounds = found.next
        round_free(found)
