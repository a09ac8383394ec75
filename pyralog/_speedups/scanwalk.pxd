# A walk over the batches of a segment file.
from libc.stdint cimport int32_t, int64_t, uint8_t

from pyralog._speedups.batch cimport BatchInfo
from pyralog._speedups.logstate cimport Log, Segment
from pyralog._speedups.producers cimport ProducerTable

cdef enum:
    CHUNK = 1 << 18             # read at once; small enough that the CRC finds it in the second-level cache

cdef int64_t NO_LIMIT           # of offsets: beyond all of them


ctypedef struct Scan:
    Log* log
    Segment* segment
    int64_t end                 # of the file
    int64_t limit_offset        # base offset of the next segment
    int64_t crc_from            # batches that reach this offset have their CRC checked
    bint resync                 # step over what is unreadable, as far as prefix_from
    int64_t prefix_from         # behind this offset neither a gap nor a falling leader epoch is passed
    int32_t leader_epoch        # of the batches so far, -1 = not known
    int32_t epoch_limit         # the newest that the metadata gave this partition
    int64_t number              # of the segment in its log
    int64_t mended              # leader epochs that one flipped bit had changed
    ProducerTable* producers    # NULL: not wanted
    int64_t producers_from      # offset
    int64_t aborted_from        # base offset of the first segment whose aborted transactions are noted
    int64_t now_ms
    uint8_t* buffer
    int64_t start               # of the buffer, in the file
    int64_t filled


# Reads the buffer anew from `position`: all of `size`, or the file is shorter than it says (-EIO).
cdef int fill(Scan* s, int64_t position, int64_t size) noexcept nogil
# 1 = the CRC is right, 0 = wrong, for a batch larger than the buffer; or -errno.
cdef int long_crc(Scan* s, int64_t position, const BatchInfo* info) noexcept nogil
# 1 = a good batch lies there, 0 = none, or -errno.
cdef int next_batch(Scan* s, int64_t position, BatchInfo* out) noexcept nogil
# Position of the first batch with a right CRC from `position` on; s.end = none; or -errno.
cdef int64_t find_good(Scan* s, int64_t position) noexcept nogil
