# Leader epochs that are damaged, and those that are not.
from libc.stdint cimport int64_t

from pyralog._speedups.batch cimport BatchInfo
from pyralog._speedups.scanwalk cimport Scan

cdef enum:
    NO_EPOCH_LIMIT = 0x7fffffff


# Mends a damaged leader epoch, in the file too where the CRC says that it is a batch. 1; 0 = the log ends before this
# batch, as its epoch falls; or -errno.
cdef int settle_epoch(Scan* s, int64_t position, BatchInfo* info) noexcept nogil
