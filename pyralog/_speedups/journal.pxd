# A shard's way to its log: see journal.pyx.
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint64_t

from pyralog._speedups.desk cimport Desk
from pyralog._speedups.plane.state cimport Buffer, Event


cdef enum:
    # Of the records of all shards that are not in the log yet; above it requests must come again later.
    UNWRITTEN_BYTES = 64 << 20


cdef class Entry:
    cdef readonly Journal journal
    cdef readonly int64_t base_offset
    cdef readonly object transaction
    cdef readonly object marker
    cdef readonly list replies
    cdef readonly list promises # or None
    cdef readonly list endings
    cdef public uint64_t following
    cdef readonly int32_t count
    cdef bint done
    cdef Buffer records
    cdef int64_t counted        # among the outbox's unwritten bytes
    cdef int64_t first_ms
    cdef int64_t last_ms
    cdef Buffer answers
    cdef Event* taken           # their `b` is the number of the tally they are in
    cdef list tallies           # or None

    cdef uint8_t* begin_record(self, int64_t timestamp, int64_t key_size, int64_t value_size) except NULL
    cdef void end_record(self, uint8_t* p) noexcept
    cdef int take(self, Event* event, bytes answer, Desk desk, int64_t now_ns) except -1
    cdef void seal(self) noexcept
    cdef void written(self) noexcept
    cdef int tell(self) except -1
    cdef int refuse(self, object error) except -1


cdef class Journal:
    cdef readonly object tp
    cdef readonly int64_t next_offset
    cdef readonly object machine
    cdef readonly object load
    cdef public bint closed
    cdef readonly Outbox outbox
    cdef object unsent
    cdef list sent
    cdef bint planned
    cdef bint lingers

    cdef bint takes(self, int64_t size) except -1
    cdef Entry open_entry(self)
    cdef Entry room_for(self, int64_t size, object transaction)
    cdef Entry entry_for(self, int64_t size, object transaction)
    cdef Entry entry_whenever(self, int64_t size)
    cdef int plan(self) except -1
    cdef int collect(self) except -1
    cdef int appended(self, Entry entry, int64_t result) except -1


cdef class Outbox:
    cdef object log
    cdef list due
    cdef bint planned
    cdef list collected
    cdef list lingering
    cdef readonly int64_t unwritten

    cdef int linger(self, Journal journal) except -1
    cdef int push(self) except -1
