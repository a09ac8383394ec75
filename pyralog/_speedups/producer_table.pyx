"""The producer table as Python sees it, for tests and tools; the plane works on tables of its own."""

from libc.errno cimport ENOMEM
from libc.stdint cimport int64_t, uint8_t

from pyralog._speedups.producer_snapshot cimport dump_of, producers_load
from pyralog._speedups.producers cimport (
    AbortedTxn, ProducerBatch, ProducerMarker, ProducerTable, ProducerVerdict, producers_append, producers_check,
    producers_check_marker, producers_end, producers_expire, producers_free, producers_new, producers_settle, producers_stable,
    states_of, transactions_of,
)


cdef ProducerBatch make_batch(producer_id, epoch, first_sequence, last_sequence, base_offset, last_offset, timestamp):
    cdef ProducerBatch batch
    batch.producer_id = producer_id
    batch.producer_epoch = epoch
    batch.first_sequence = first_sequence
    batch.last_sequence = last_sequence
    batch.base_offset = base_offset
    batch.last_offset = last_offset
    batch.timestamp = timestamp
    batch.transactional = False
    batch.at_bytes = 0
    return batch


cdef class Producers:
    """A producer table; offsets and timestamps are plain numbers, -1 = none."""
    cdef ProducerTable* table

    def __cinit__(self):
        self.table = producers_new()
        if self.table == NULL:
            raise MemoryError

    def __dealloc__(self):
        producers_free(self.table)

    def check(self, producer_id, epoch, first_sequence, last_sequence, transactional=False) -> tuple:
        """(verdict, base offset, timestamp): 0 append it, -1 duplicate of the batch at that offset, else a Kafka error."""
        cdef ProducerBatch batch = make_batch(producer_id, epoch, first_sequence, last_sequence, -1, -1, -1)
        batch.transactional = transactional
        cdef ProducerVerdict verdict
        verdict.base_offset = verdict.timestamp = -1
        return producers_check(self.table, &batch, &verdict), verdict.base_offset, verdict.timestamp

    def append(self, producer_id, epoch, first_sequence, last_sequence, base_offset, last_offset, timestamp, now_ms,
               transactional=False):
        cdef ProducerBatch batch = make_batch(producer_id, epoch, first_sequence, last_sequence, base_offset, last_offset,
                                              timestamp)
        batch.transactional = transactional
        if producers_append(self.table, &batch, now_ms) != 0:
            raise MemoryError

    def end(self, producer_id, epoch, coordinator_epoch, commit, offset, timestamp, now_ms) -> tuple:
        """A marker: (0 or a Kafka error, the aborted transaction as (first, last, last stable offset) or None)."""
        cdef ProducerMarker marker
        cdef AbortedTxn out
        cdef int result
        marker.producer_id = producer_id
        marker.producer_epoch = epoch
        marker.coordinator_epoch = coordinator_epoch
        marker.commit = commit
        marker.offset = offset
        marker.timestamp = timestamp
        result = producers_check_marker(self.table, &marker)
        if result != 0:
            return result, None
        result = producers_end(self.table, &marker, now_ms, &out)
        if result < 0:
            raise MemoryError
        return 0, (out.first_offset, out.last_offset, out.last_stable) if result == 1 else None

    def settle(self, int64_t hw) -> int:
        """Transactions whose markers lie below the high watermark are over; the last stable offset."""
        producers_settle(self.table, hw)
        return producers_stable(self.table, hw)

    def transactions(self) -> list:
        return transactions_of(self.table)

    def expire(self, int64_t not_after_ms) -> int:
        return producers_expire(self.table, not_after_ms)

    def states(self) -> list:
        return states_of(self.table)

    def dump(self, int64_t offset) -> bytes:
        return dump_of(self.table, offset)

    def load(self, const uint8_t[::1] data not None) -> int:
        """Replaces the table by a snapshot; its log end offset. ValueError when it is damaged."""
        cdef int64_t offset = -1
        cdef int result
        if data.shape[0] == 0:
            raise ValueError("not a producer snapshot")
        result = producers_load(self.table, &data[0], data.shape[0], &offset)
        if result == -ENOMEM:
            raise MemoryError
        if result != 0:
            raise ValueError("not a producer snapshot")
        return offset
