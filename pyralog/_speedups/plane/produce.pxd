from pyralog._speedups.plane.frame cimport Request
from pyralog._speedups.plane.state cimport Connection, Engine

cdef int produce_serve(Engine* e, Connection* c, Request* r) noexcept nogil
