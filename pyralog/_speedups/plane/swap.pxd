from pyralog._speedups.plane.state cimport Command, Partition

# Data: struct Swap and what follows it. 0, or a Kafka error code.
cdef int swap_segments(Partition* p, const Command* command) noexcept nogil
