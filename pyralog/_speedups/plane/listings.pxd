from pyralog._speedups.plane.state cimport Command, Engine

# Each answers its command with DONE.
cdef void list_segments(Engine* e, Command* command) noexcept nogil
cdef void list_producers(Engine* e, Command* command) noexcept nogil
cdef void locate_time(Engine* e, Command* command) noexcept nogil
