from pyralog._speedups.plane.state cimport Engine

cdef int engine_init(Engine* e) noexcept nogil
cdef void engine_free(Engine* e) noexcept nogil
cdef void look_at_clocks(Engine* e) noexcept nogil
cdef void finish_cycle(Engine* e) noexcept nogil
cdef void cycle(Engine* e, int timeout_ms) noexcept nogil
cdef void run(Engine* e) noexcept nogil
