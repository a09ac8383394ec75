# One partition in the plane, as Python holds it.
from pyralog._speedups.partition_log cimport PartitionLog
from pyralog._speedups.plane.state cimport Partition, Settings
from pyralog._speedups.segment cimport LogConfig


cdef class PartitionHandle:
    cdef Partition* p
    cdef readonly PartitionLog log
    cdef readonly object key            # what the adapter knows it by


cdef void fill_settings(Settings* s, LogConfig* l, dict values)
