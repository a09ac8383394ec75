"""Offset map of the log cleaner: 24 bytes a key, whatever its size, in a table of fixed memory."""

from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memset

cdef extern from * nogil:
    """
    #include <stdint.h>
    #include <stddef.h>
    #include <stdlib.h>
    #include <string.h>
    #include <sys/mman.h>

    #define PYRALOG_ROTL(x, b) (uint64_t)(((x) << (b)) | ((x) >> (64 - (b))))
    #define PYRALOG_ROUND do { \\
        v0 += v1; v1 = PYRALOG_ROTL(v1, 13); v1 ^= v0; v0 = PYRALOG_ROTL(v0, 32); \\
        v2 += v3; v3 = PYRALOG_ROTL(v3, 16); v3 ^= v2; \\
        v0 += v3; v3 = PYRALOG_ROTL(v3, 21); v3 ^= v0; \\
        v2 += v1; v1 = PYRALOG_ROTL(v1, 17); v1 ^= v2; v2 = PYRALOG_ROTL(v2, 32); } while (0)

    /* SipHash-2-4 with 128 bits of output: without the secret nobody can make two keys collide. */
    static void sip128(const uint8_t *in, size_t size, uint64_t k0, uint64_t k1, uint64_t *low, uint64_t *high) {
        uint64_t v0 = 0x736f6d6570736575ULL ^ k0, v1 = 0x646f72616e646f6dULL ^ k1 ^ 0xee;
        uint64_t v2 = 0x6c7967656e657261ULL ^ k0, v3 = 0x7465646279746573ULL ^ k1;
        uint64_t m, last = (uint64_t)size << 56;
        const uint8_t *end = in + (size & ~(size_t)7);
        size_t i;
        for (; in != end; in += 8) {
            memcpy(&m, in, 8);
            v3 ^= m; PYRALOG_ROUND; PYRALOG_ROUND; v0 ^= m;
        }
        for (i = 0; i < (size & 7); i++) last |= (uint64_t)in[i] << (8 * i);
        v3 ^= last; PYRALOG_ROUND; PYRALOG_ROUND; v0 ^= last;
        v2 ^= 0xee;
        for (i = 0; i < 4; i++) PYRALOG_ROUND;
        *low = v0 ^ v1 ^ v2 ^ v3;
        v1 ^= 0xdd;
        for (i = 0; i < 4; i++) PYRALOG_ROUND;
        *high = v0 ^ v1 ^ v2 ^ v3;
    }

    /* A number below `slots`, as evenly spread as `low` is: without a division. */
    static inline uint64_t slot_of_hash(uint64_t low, uint64_t slots) {
        return (uint64_t)(((unsigned __int128)low * slots) >> 64);
    }
    static inline void fetch_line(const void *p) { __builtin_prefetch(p, 1); }

    /* Zeroed; in pages of 2 MiB where the system has them: a table of this size is all TLB misses else. */
    static void *table_new(size_t size) {
        void *p = NULL;
        if (posix_memalign(&p, size >= (4u << 20) ? 2u << 20 : 64, size) != 0) return NULL;
    #ifdef MADV_HUGEPAGE
        if (size >= (4u << 20)) madvise(p, size, MADV_HUGEPAGE);
    #endif
        memset(p, 0, size);
        return p;
    }
    """
    void sip128(const uint8_t* data, size_t size, uint64_t k0, uint64_t k1, uint64_t* low, uint64_t* high)
    uint64_t slot_of_hash(uint64_t low, uint64_t slots)
    void fetch_line(const void* p)
    void* table_new(size_t size)


cdef class KeyMap:
    """A table of `memory_bytes`, at most nine tenths full."""

    def __cinit__(self, int64_t memory_bytes, bytes secret not None):
        self.slots = <uint64_t>max(memory_bytes // <int64_t>sizeof(KeyEntry), 2)
        self.capacity = max(<int64_t>self.slots * 9 // 10, 1)
        self.k0 = int.from_bytes(secret[:8], "little")
        self.k1 = int.from_bytes(secret[8:16], "little")
        self.table = <KeyEntry*>table_new(self.slots * sizeof(KeyEntry))
        if self.table == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.table)

    cdef void hash(self, const uint8_t* key, int64_t size, Hash* out) noexcept nogil:
        sip128(key, <size_t>size, self.k0, self.k1, &out.low, &out.high)
        fetch_line(&self.table[slot_of_hash(out.low, self.slots)])

    cdef KeyEntry* find(self, const Hash* hash) noexcept nogil:
        cdef uint64_t at = slot_of_hash(hash.low, self.slots)
        cdef KeyEntry* entry
        while True:
            entry = &self.table[at]
            if entry.offset_plus_1 == 0 or (entry.hash.low == hash.low and entry.hash.high == hash.high):
                return entry
            at += 1
            if at == self.slots:
                at = 0

    cdef int put(self, const Hash* hash, int64_t offset) noexcept nogil:
        cdef KeyEntry* entry = self.find(hash)
        if entry.offset_plus_1 == 0:
            if self.keys >= self.capacity:
                return -1
            self.keys += 1
            entry.hash = hash[0]
        entry.offset_plus_1 = offset + 1
        return 0

    def set(self, bytes key not None, int64_t offset) -> bool:
        """False when it is full."""
        cdef Hash hash
        self.hash(<const uint8_t*><const char*>key, len(key), &hash)
        return self.put(&hash, offset) == 0

    def get(self, bytes key not None) -> int:
        """The newest offset of a key, -1 when it is not there."""
        cdef Hash hash
        self.hash(<const uint8_t*><const char*>key, len(key), &hash)
        return self.find(&hash).offset_plus_1 - 1

    def clear(self) -> None:
        if self.keys > 0:
            memset(self.table, 0, self.slots * sizeof(KeyEntry))
        self.keys = self.end_offset = 0
