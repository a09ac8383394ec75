from libc.stdint cimport uint64_t

from pyralog._speedups.plane.state cimport Engine

cdef extern from *:
    """
    #define PLANE_LISTENER_TAG 0x8000000000000000ull
    #define PLANE_WAKE 0xffffffffffffffffull
    """
    uint64_t LISTENER_TAG "PLANE_LISTENER_TAG"     # epoll tags: this bit and a descriptor, ...
    uint64_t WAKE "PLANE_WAKE"                      # ... or this; connections have (generation < 2^31, index)

cdef int engine_init(Engine* e) noexcept nogil
cdef void engine_free(Engine* e) noexcept nogil
cdef void look_at_clocks(Engine* e) noexcept nogil
cdef void finish_cycle(Engine* e) noexcept nogil
cdef void cycle(Engine* e, int timeout_ms) noexcept nogil
cdef void run(Engine* e) noexcept nogil
