"""CMD_SWAP: a cleaned segment takes the place of those that it was made from."""

from libc.stdint cimport int64_t

from pyralog._speedups.plane.state cimport E_INVALID_REQUEST, E_KAFKA_STORAGE_ERROR, Command, Partition
from pyralog._speedups.swap cimport Swap, log_swap


cdef int swap_segments(Partition* p, const Command* command) noexcept nogil:
    cdef const Swap* new = <const Swap*>command.data
    cdef int result
    if command.size < <int64_t>sizeof(Swap) or command.size < <int64_t>sizeof(Swap) + new.n_old * 8:
        return E_INVALID_REQUEST
    result = log_swap(p.log, new, <const int64_t*>(command.data + sizeof(Swap)))
    if result < 0:
        return E_KAFKA_STORAGE_ERROR
    return E_INVALID_REQUEST if result > 0 else 0
