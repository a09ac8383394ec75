# For the scanner.
from libc.stdint cimport int64_t

from pyralog._speedups.logstate cimport Segment
from pyralog._speedups.partition_log cimport PartitionLog

cdef Segment* segment_number(PartitionLog log, int64_t i) except NULL   # RuntimeError while a plane owns the log
