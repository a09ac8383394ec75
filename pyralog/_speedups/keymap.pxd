# The offset map of the log cleaner: hash of a key -> the newest offset that has it.
from libc.stdint cimport int64_t, uint8_t, uint64_t


ctypedef struct Hash:           # of a key: SipHash-2-4-128 under a secret
    uint64_t low
    uint64_t high


ctypedef struct KeyEntry:
    Hash hash
    int64_t offset_plus_1       # 0 = free


cdef class KeyMap:
    cdef KeyEntry* table
    cdef uint64_t slots
    cdef uint64_t k0, k1
    cdef readonly int64_t capacity      # keys
    cdef readonly int64_t keys
    cdef readonly int64_t end_offset    # every batch below it, from where the map began, is in it
    # To be called for some keys before the first of them is looked up: memory is slow, and fetched meanwhile.
    cdef void hash(self, const uint8_t* key, int64_t size, Hash* out) noexcept nogil
    cdef KeyEntry* find(self, const Hash* hash) noexcept nogil              # its entry, or the free one where it belongs
    cdef int put(self, const Hash* hash, int64_t offset) noexcept nogil     # 0, or -1 when it is full
