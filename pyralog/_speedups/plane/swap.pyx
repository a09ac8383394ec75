"""CMD_SWAP: a cleaned segment takes the place of those that it was made from."""

from pyralog._speedups.plane.state cimport E_INVALID_REQUEST, E_KAFKA_STORAGE_ERROR, Command, Partition
from pyralog._speedups.swap cimport Swap, log_swap, swap_is_whole


cdef int swap_segments(Partition* p, const Command* command) noexcept nogil:
    cdef int result
    if not swap_is_whole(command.data, command.size):
        return E_INVALID_REQUEST
    result = log_swap(p.log, <const Swap*>command.data)
    if result < 0:
        return E_KAFKA_STORAGE_ERROR
    return E_INVALID_REQUEST if result > 0 else 0
