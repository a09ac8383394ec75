# Which batches belong to transactions that were aborted, as the log cleaner asks.
from libc.stdint cimport int64_t

from pyralog._speedups.batch cimport BatchInfo

ctypedef struct Aborted:
    int64_t producer_id
    int64_t first
    int64_t last
    bint seen                           # there are batches of it


cdef class Facts:
    cdef Aborted* aborted               # by producer id and first offset
    cdef int64_t n_aborted
    cdef Aborted* floor(self, int64_t producer_id, int64_t offset) noexcept nogil   # that begins at or below it; or NULL
    cdef bint is_aborted(self, const BatchInfo* info) noexcept nogil                # and remembers that it has a batch
    cdef bint has_batches(self, int64_t producer_id, int64_t first) noexcept nogil
