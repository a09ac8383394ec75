"""What the log cleaner learns of a log from the headers of its batches."""

from libc.stdint cimport int64_t, uint8_t
from libc.stdlib cimport calloc, free

from pyralog._speedups.batch cimport ATTR_CONTROL, BATCH_HEADER, BatchInfo, batch_peek
from pyralog._speedups.recordwalk cimport C_CORRUPT, C_MORE


cdef class Survey:
    """Learns from the headers which batch is each producer's last: its state is rebuilt from that one (KIP-98).

    A newer epoch forgets the sequences of the older one: after a marker that bumps it (KIP-890) the marker is what counts.
    """

    def __dealloc__(self):
        free(self.table)

    cdef Seen* place(self, int64_t producer_id) noexcept nogil:
        cdef unsigned long long at = (<unsigned long long>producer_id * 0x9E3779B97F4A7C15ULL) % <unsigned long long>self.slots
        while self.table[at].producer_id >= 0 and self.table[at].producer_id != producer_id:
            at = (at + 1) % <unsigned long long>self.slots
        return &self.table[at]

    cdef Seen* find(self, int64_t producer_id) noexcept nogil:
        cdef Seen* found
        if producer_id < 0 or self.slots == 0:
            return NULL
        found = self.place(producer_id)
        return found if found.producer_id >= 0 else NULL

    cdef Seen* seen(self, int64_t producer_id) noexcept nogil:
        """NULL without memory."""
        cdef Seen* old = self.table
        cdef Seen* found
        cdef int64_t i, before = self.slots
        if 2 * self.used >= self.slots:
            self.slots = max(2 * before, <int64_t>64)
            self.table = <Seen*>calloc(<size_t>self.slots, sizeof(Seen))
            if self.table == NULL:
                self.table = old
                self.slots = before
                return NULL
            for i in range(self.slots):
                self.table[i].producer_id = -1
            for i in range(before):
                if old[i].producer_id >= 0:
                    self.place(old[i].producer_id)[0] = old[i]
            free(old)
        found = self.place(producer_id)
        if found.producer_id < 0:
            self.used += 1
            found.producer_id = producer_id
            found.last_data = found.last_control = found.kept = -1
            found.epoch = -1
        return found

    cdef int learn(self, const BatchInfo* info) noexcept nogil:
        cdef Seen* found = self.seen(info.producer_id)
        if found == NULL:
            return -1
        if info.producer_epoch < found.epoch:
            return 0
        if info.producer_epoch > found.epoch:
            found.epoch = info.producer_epoch
            found.last_data = found.last_control = -1
        if info.attributes & ATTR_CONTROL:
            found.last_control = info.base_offset
        else:
            found.last_data = info.base_offset
        return 0

    cdef bint is_last(self, const BatchInfo* info) noexcept nogil:
        cdef const Seen* found = self.find(info.producer_id)
        return found != NULL and found.kept == info.base_offset

    cdef bint enter(self, int64_t producer_id) noexcept nogil:
        cdef Seen* found = self.find(producer_id)
        if found == NULL:
            return False
        found.ongoing = True
        return True

    cdef bint leave(self, int64_t producer_id) noexcept nogil:
        cdef Seen* found = self.find(producer_id)
        if found == NULL or not found.ongoing:
            return False
        found.ongoing = False
        return True

    def feed(self, const uint8_t[::1] data not None) -> tuple:
        """(bytes taken, code); more than there are where the last batch goes on behind them."""
        cdef int64_t at = 0, size = data.shape[0]
        cdef const uint8_t* p = &data[0] if size else NULL
        cdef int code = C_MORE
        cdef BatchInfo info
        with nogil:
            while size - at >= BATCH_HEADER:
                if batch_peek(p + at, <int64_t>1 << 40, &info) != 0:
                    code = C_CORRUPT
                    break
                if info.producer_id >= 0 and self.learn(&info) != 0:
                    code = -1
                    break
                at += info.size
        if code < 0:
            raise MemoryError
        return at, code

    def choose(self, active not None) -> None:
        """Only these producers are still known: the last batch of each of them has to stay."""
        cdef int64_t i
        cdef Seen* found
        for i in range(self.slots):
            found = &self.table[i]
            if found.producer_id >= 0 and found.producer_id in active:
                found.kept = found.last_data if found.last_data >= 0 else found.last_control
