# The engine as a Python object.
from libc.stdint cimport int32_t, int64_t, uint64_t

from pyralog._speedups.fileops cimport Files
from pyralog._speedups.plane.state cimport Engine, Limits, Partition


cdef class PlaneEngine:
    cdef Engine* e
    cdef Limits limits          # those last asked for
    cdef Files files
    cdef dict handles           # address of the Partition -> PartitionHandle
    cdef readonly bint closed
    cdef bint corked            # commands do not wake the plane one by one
    cdef bint pushed
    cdef readonly list lanes    # take requests before they become events
    cdef public object landed   # landed(cookie, results) hears of APPENDED before it becomes a tuple; or None

    cdef int alive(self) except -1      # RuntimeError when it is closed
    cdef int push(self, int32_t kind, Partition* p, uint64_t token, bytes data, int64_t a, int64_t b, uint64_t cookie) except -1
