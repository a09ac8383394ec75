"""What Python asks of a partition's log: its segments, its producers, where a search by timestamp begins."""

from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

from pyralog._speedups.plane.ring cimport done
from pyralog._speedups.plane.state cimport E_KAFKA_STORAGE_ERROR, Command, Engine, Partition
from pyralog._speedups.producers cimport ProducerState, producers_count, producers_states
from pyralog._speedups.segment cimport LogSlice, Segment, log_locate_time


cdef void list_segments(Engine* e, Command* command) noexcept nogil:
    """Six int64 each: base offset, next offset, size, max timestamp, its offset, creation time."""
    cdef Partition* p = command.partition
    cdef int64_t n = p.log.n_segments
    cdef int64_t* out = <int64_t*>malloc(n * 48)
    cdef int64_t i
    cdef Segment* s
    if out == NULL:
        done(e, command, -E_KAFKA_STORAGE_ERROR, NULL, 0)
        return
    for i in range(n):
        s = p.log.segments[i]
        out[i * 6] = s.base_offset
        out[i * 6 + 1] = s.next_offset
        out[i * 6 + 2] = s.size
        out[i * 6 + 3] = s.max_timestamp
        out[i * 6 + 4] = s.max_timestamp_offset
        out[i * 6 + 5] = s.created_ms
    done(e, command, n, out, n * 48)
    free(out)


cdef void locate_time(Engine* e, Command* command) noexcept nogil:
    cdef LogSlice slice
    cdef int64_t out[3]
    cdef int rc = log_locate_time(command.partition.log, command.a, &slice)
    if rc < 0:
        done(e, command, -E_KAFKA_STORAGE_ERROR, NULL, 0)
    elif slice.length == 0:
        done(e, command, 0, NULL, 0)
    else:
        out[0] = slice.segment.base_offset
        out[1] = slice.position
        out[2] = slice.length
        done(e, command, 1, out, sizeof(out))


cdef void list_producers(Engine* e, Command* command) noexcept nogil:
    """Six int64 each: producer id, epoch, last sequence, last timestamp, coordinator epoch, start of its transaction."""
    cdef Partition* p = command.partition
    cdef int64_t n = producers_count(p.producers)
    cdef ProducerState* states = <ProducerState*>malloc((n + 1) * sizeof(ProducerState))
    cdef int64_t* out = <int64_t*>malloc((n + 1) * 48)
    cdef int64_t i
    if states == NULL or out == NULL:
        done(e, command, -E_KAFKA_STORAGE_ERROR, NULL, 0)
    else:
        n = producers_states(p.producers, states, n)
        for i in range(n):
            out[i * 6] = states[i].producer_id
            out[i * 6 + 1] = states[i].producer_epoch
            out[i * 6 + 2] = states[i].last_sequence
            out[i * 6 + 3] = states[i].last_timestamp
            out[i * 6 + 4] = states[i].coordinator_epoch
            out[i * 6 + 5] = states[i].txn_first
        done(e, command, n, out, n * 48)
    free(states)
    free(out)
