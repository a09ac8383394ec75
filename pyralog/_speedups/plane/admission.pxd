from libc.stdint cimport int16_t, int64_t

from pyralog._speedups.batch cimport BatchInfo
from pyralog._speedups.cursor cimport Span
from pyralog._speedups.plane.frame cimport Request
from pyralog._speedups.plane.state cimport Connection, Engine, Partition

cdef enum:
    NO_REASON = -1

ctypedef struct Outcome:        # of one partition
    int16_t error
    int64_t base_offset
    int64_t append_time
    int64_t log_start
    bint appended
    bint duplicate


# Why a batch has to go to Python before anything of its request takes effect, or NO_REASON.
cdef int look(Engine* e, Connection* c, Request* r, Partition* p, Span records, bint named) noexcept nogil
# What is wrong with a batch: a Kafka error, or 0. Its timestamps may be rewritten.
cdef int check_batch(Engine* e, Partition* p, const Request* r, Span records, int16_t acks, BatchInfo* info) noexcept nogil
# Takes the batch into the producer table.
cdef int check_sequence(Engine* e, Connection* c, Partition* p, const Request* r, BatchInfo* info, Outcome* out) noexcept nogil
