from libc.stdint cimport int32_t

from pyralog._speedups.plane.state cimport Engine, Job, Partition

cdef Job* job_new(Partition* p, int32_t kind) noexcept nogil
cdef void sync_if_due(Engine* e) noexcept nogil
cdef void job_finished(Engine* e, Job* job) noexcept nogil
