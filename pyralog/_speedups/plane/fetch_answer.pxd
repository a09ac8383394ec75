from pyralog._speedups.plane.fetch_request cimport Plan
from pyralog._speedups.plane.frame cimport Request
from pyralog._speedups.plane.state cimport Connection, Engine

cdef int answer(Engine* e, Connection* c, Request* r, Plan* plan) noexcept nogil
