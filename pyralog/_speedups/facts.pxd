# What the log cleaner knows of transactions and producers.
from libc.stdint cimport int64_t

from pyralog._speedups.batch cimport BatchInfo

ctypedef struct Aborted:
    int64_t producer_id
    int64_t first
    int64_t last


cdef class Facts:
    cdef Aborted* aborted               # by producer id and first offset
    cdef int64_t n_aborted
    cdef int64_t* last_batches
    cdef int64_t n_last
    cdef int64_t* ongoing               # producers of which a batch of the running transaction was seen
    cdef int64_t n_ongoing, ongoing_capacity
    cdef bint is_aborted(self, const BatchInfo* info) noexcept nogil
    cdef bint is_last(self, const BatchInfo* info) noexcept nogil       # the batch that its producer's state is rebuilt from
    cdef int saw(self, int64_t producer_id) noexcept nogil              # a batch of its transaction; 0 or -1
    cdef bint ended(self, int64_t producer_id) noexcept nogil
