"""Which batches belong to aborted transactions, and which of these transactions have any left (log cleaner)."""

from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free

from pyralog._speedups.batch cimport ATTR_TRANSACTIONAL, BatchInfo


cdef class Facts:
    """`aborted`: (producer id, first offset, offset of the marker)."""

    def __cinit__(self, list aborted not None):
        cdef int64_t i
        self.n_aborted = len(aborted)
        self.aborted = <Aborted*>calloc(<size_t>self.n_aborted + 1, sizeof(Aborted))
        if self.aborted == NULL:
            raise MemoryError
        for i, (producer_id, first, last) in enumerate(sorted(aborted)):
            self.aborted[i].producer_id = producer_id
            self.aborted[i].first = first
            self.aborted[i].last = last

    def __dealloc__(self):
        free(self.aborted)

    cdef Aborted* floor(self, int64_t producer_id, int64_t offset) noexcept nogil:
        cdef int64_t low = 0, high = self.n_aborted, middle
        cdef const Aborted* a
        while low < high:               # those before low are at or below (producer id, offset)
            middle = (low + high) >> 1
            a = &self.aborted[middle]
            if a.producer_id < producer_id or (a.producer_id == producer_id and a.first <= offset):
                low = middle + 1
            else:
                high = middle
        return &self.aborted[low - 1] if low > 0 and self.aborted[low - 1].producer_id == producer_id else NULL

    cdef bint is_aborted(self, const BatchInfo* info) noexcept nogil:
        cdef Aborted* a
        if not info.attributes & ATTR_TRANSACTIONAL:
            return False
        a = self.floor(info.producer_id, info.base_offset)
        if a == NULL or info.base_offset > a.last:
            return False
        a.seen = True
        return True

    cdef bint has_batches(self, int64_t producer_id, int64_t first) noexcept nogil:
        cdef const Aborted* a = self.floor(producer_id, first)
        return a != NULL and a.first == first and a.seen
