# What the log cleaner learns of producers from the headers of a log's batches.
from libc.stdint cimport int16_t, int64_t

from pyralog._speedups.batch cimport BatchInfo

ctypedef struct Seen:           # of one producer; free when producer_id is -1
    int64_t producer_id
    int64_t last_data           # base offset of its last batch of records under its newest epoch, -1 = none
    int64_t last_control        # of its last marker
    int64_t kept                # of the batch that its state is rebuilt from, -1 = it has been forgotten
    int16_t epoch
    bint ongoing                # a batch of a transaction was met, its marker not yet


cdef class Survey:
    cdef Seen* table
    cdef int64_t slots, used
    cdef Seen* place(self, int64_t producer_id) noexcept nogil
    cdef Seen* find(self, int64_t producer_id) noexcept nogil           # NULL when the survey has not met it
    cdef Seen* seen(self, int64_t producer_id) noexcept nogil           # added where it is new; NULL without memory
    cdef int learn(self, const BatchInfo* info) noexcept nogil          # 0, or -1 without memory
    cdef bint is_last(self, const BatchInfo* info) noexcept nogil       # the batch that its producer's state is rebuilt from
    cdef bint enter(self, int64_t producer_id) noexcept nogil           # a batch of its transaction; False: unknown
    cdef bint leave(self, int64_t producer_id) noexcept nogil           # its marker: True when a batch was met before it
