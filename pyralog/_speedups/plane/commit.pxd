from libc.stdint cimport int64_t

from pyralog._speedups.plane.state cimport Engine, Partition

cdef int roll(Engine* e, Partition* p) noexcept nogil
cdef void write_dirty(Engine* e) noexcept nogil
cdef void flush(Engine* e) noexcept nogil
cdef void retire(Engine* e, void* data, int64_t capacity) noexcept nogil
