# A partition's log as a Python object.
from libc.stdint cimport int64_t

from pyralog._speedups.fileops cimport Files
from pyralog._speedups.producers cimport ProducerTable
from pyralog._speedups.segment cimport Log


cdef int check(int64_t result, bytes path) except -1                # raises for -errno


cdef class PartitionLog:
    """An opened (recovered) log with its producer table. While an engine holds it (`owned`), only the plane touches it."""
    cdef Log log
    cdef ProducerTable* producers
    cdef Files files
    cdef bint owned
    cdef readonly bytes directory
    cdef Log* mine(self) except NULL    # RuntimeError while a plane owns it
