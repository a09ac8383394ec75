"""What the log cleaner knows of transactions and producers: aborted ones, last batches, transactions it is within."""

from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free, realloc

from pyralog._speedups.batch cimport ATTR_TRANSACTIONAL, BatchInfo


cdef class Facts:
    """`aborted`: (producer id, first offset, offset of the marker); `last_batches`: base offsets, ascending."""

    def __cinit__(self, list aborted not None, list last_batches not None):
        cdef int64_t i
        self.n_aborted = len(aborted)
        self.n_last = len(last_batches)
        self.aborted = <Aborted*>calloc(<size_t>self.n_aborted + 1, sizeof(Aborted))
        self.last_batches = <int64_t*>calloc(<size_t>self.n_last + 1, sizeof(int64_t))
        if self.aborted == NULL or self.last_batches == NULL:
            raise MemoryError
        for i, (producer_id, first, last) in enumerate(sorted(aborted)):
            self.aborted[i].producer_id = producer_id
            self.aborted[i].first = first
            self.aborted[i].last = last
        for i, offset in enumerate(last_batches):
            self.last_batches[i] = offset

    def __dealloc__(self):
        free(self.aborted)
        free(self.last_batches)
        free(self.ongoing)

    cdef bint is_aborted(self, const BatchInfo* info) noexcept nogil:
        cdef int64_t low = 0, high = self.n_aborted, middle
        cdef const Aborted* a
        if not info.attributes & ATTR_TRANSACTIONAL:
            return False
        while low < high:               # those before low are at or below (producer id, base offset)
            middle = (low + high) >> 1
            a = &self.aborted[middle]
            if a.producer_id < info.producer_id or (a.producer_id == info.producer_id and a.first <= info.base_offset):
                low = middle + 1
            else:
                high = middle
        if low == 0:
            return False
        a = &self.aborted[low - 1]
        return a.producer_id == info.producer_id and info.base_offset <= a.last

    cdef bint is_last(self, const BatchInfo* info) noexcept nogil:
        cdef int64_t low = 0, high = self.n_last, middle
        if info.producer_id < 0:
            return False
        while low < high:
            middle = (low + high) >> 1
            if self.last_batches[middle] < info.base_offset:
                low = middle + 1
            else:
                high = middle
        return low < self.n_last and self.last_batches[low] == info.base_offset

    cdef int saw(self, int64_t producer_id) noexcept nogil:
        cdef int64_t i
        cdef int64_t* grown
        for i in range(self.n_ongoing):
            if self.ongoing[i] == producer_id:
                return 0
        if self.n_ongoing == self.ongoing_capacity:
            grown = <int64_t*>realloc(self.ongoing, <size_t>(2 * self.ongoing_capacity + 16) * sizeof(int64_t))
            if grown == NULL:
                return -1
            self.ongoing = grown
            self.ongoing_capacity = 2 * self.ongoing_capacity + 16
        self.ongoing[self.n_ongoing] = producer_id
        self.n_ongoing += 1
        return 0

    cdef bint ended(self, int64_t producer_id) noexcept nogil:
        """A marker has come. True when a batch of its transaction was seen."""
        cdef int64_t i
        for i in range(self.n_ongoing):
            if self.ongoing[i] == producer_id:
                self.n_ongoing -= 1
                self.ongoing[i] = self.ongoing[self.n_ongoing]
                return True
        return False
