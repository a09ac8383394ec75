# Batches made by Python, and the answers that it gives.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from pyralog._speedups.plane.state cimport Command, Engine, Partition, Round

cdef int append_batch(
    Engine* e, Partition* p, uint8_t* data, int64_t size, uint32_t who, int64_t answer
) noexcept nogil
cdef void answer_forwarded(Engine* e, uint64_t token, const uint8_t* data, int64_t size, bint close) noexcept nogil

# A round in a command's data is the command's until begin_round has taken it.
cdef Round* round_new(int32_t n, uint64_t cookie) noexcept nogil
cdef void round_free(Round* found) noexcept nogil
cdef void begin_round(Engine* e, Command* command) noexcept nogil
cdef void finish_rounds(Engine* e) noexcept nogil
cdef void rounds_free(Engine* e) noexcept nogil
