from pyralog._speedups.plane.frame cimport Request
from pyralog._speedups.plane.state cimport Connection, Engine

cdef int fetch_serve(Engine* e, Connection* c, Request* r, bint expired) noexcept nogil
