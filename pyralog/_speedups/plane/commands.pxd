from pyralog._speedups.plane.state cimport Engine

cdef void apply_commands(Engine* e) noexcept nogil
