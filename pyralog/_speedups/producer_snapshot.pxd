# Snapshots of a producer table (KIP-98: producer state beside the log).
from libc.stdint cimport int64_t, uint8_t

from pyralog._speedups.producers cimport ProducerTable

# Serialized with a CRC; *out is malloc'd and the caller's. Returns bytes or -ENOMEM. Offset = log end it belongs to.
cdef int64_t producers_dump(const ProducerTable* table, int64_t offset, uint8_t** out) noexcept nogil
cdef int producers_load(ProducerTable* table, const uint8_t* data, int64_t size, int64_t* offset) noexcept nogil  # 0 or -EINVAL
cdef bytes dump_of(const ProducerTable* table, int64_t offset)
