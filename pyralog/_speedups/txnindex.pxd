# Aborted transactions of a segment, in memory and in its .txnindex file, in Kafka's format (TransactionIndex, KIP-98).
from libc.stdint cimport int64_t

from pyralog._speedups.logstate cimport Log, Segment
from pyralog._speedups.producers cimport AbortedTxn

ctypedef struct AbortedList:    # zeroed before its first use, given back with free(entries)
    AbortedTxn* entries
    int64_t n
    int64_t capacity

# Behind the segment's entries, to memory and file. 0 or -errno.
cdef int txn_index_append(Log* log, Segment* segment, const AbortedTxn* entries, int64_t n) noexcept nogil
# Drops the entries of markers at or above the offset, in memory and file. 0 or -errno.
cdef int txn_index_cut(Log* log, Segment* segment, int64_t offset) noexcept nogil
# Reads the file of an attached segment, `size` bytes: 1, 0 when it is torn and has to be built anew, or -errno.
cdef int txn_index_load(Log* log, Segment* segment, int64_t size) noexcept nogil
# fdatasync of the file if it has grown since. 0 or -errno.
cdef int txn_index_sync(Log* log, Segment* segment) noexcept nogil
# Aborted transactions with records in [start, end), by first offset. 0 or -ENOMEM.
cdef int txn_index_collect(const Log* log, int64_t start, int64_t end, AbortedList* out) noexcept nogil
cdef list aborted_of(const Log* log, int64_t start, int64_t end)
