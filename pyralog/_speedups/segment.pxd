# The log of one partition: segment files with sparse offset and time indexes. Written by its plane only.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t

from pyralog._speedups.batch cimport BatchInfo
from pyralog._speedups.fileops cimport FileOps, Files
from pyralog._speedups.index cimport SegmentIndex
from pyralog._speedups.producers cimport ProducerBatch, ProducerTable

cdef enum:
    LOG_OK = 0
    LOG_COLD = 1                # the pages of slice.segment[position, +length) are not cached: warm them, then ask again
    LOG_OUT_OF_RANGE = 2        # offset below the log start or above the log end
    # < 0: -errno; -EBADMSG: what lies there is no record batch (CORRUPT_MESSAGE)
    LOG_MARKS = 8

ctypedef struct BadRange:       # bytes that are no batch, or fail their CRC
    int64_t position
    int64_t end
    int64_t offset              # the offsets that cannot be read: [offset, next_offset)
    int64_t next_offset


ctypedef struct Segment:
    int64_t base_offset
    int64_t next_offset         # offset after the last batch
    int64_t size                # bytes of whole batches
    int64_t allocated           # bytes preallocated on disk, >= size
    int64_t max_timestamp       # -1 when empty
    int64_t max_timestamp_offset
    int64_t created_ms          # when its first batch was appended, for segment.ms
    int64_t last_used_ms
    int fd                      # -1 while closed
    int refs                    # users beside the log: sendfile, cold, sync. Changed by the plane only
    bint detached               # no longer in the log: freed when refs is zero
    SegmentIndex* offsets       # base offset of a batch -> its position
    SegmentIndex* times         # max timestamp so far -> offset of the batch that has it
    BadRange* bad               # found by recovery in a closed segment: never served
    int32_t n_bad
    bint used                   # since log_close_idle looked last
    int64_t since_index         # bytes since the last offset index entry


ctypedef struct LogMark:        # the batch with this base offset begins at this position
    int64_t offset              # -1 = free
    int64_t position
    Segment* segment


ctypedef struct LogConfig:
    int64_t segment_bytes
    int64_t segment_ms
    int64_t segment_jitter_ms
    int64_t index_interval_bytes
    int64_t segment_index_bytes
    bint preallocate
    bint use_mmap


ctypedef struct Log:
    const FileOps* ops
    char* directory             # absolute or relative path, no trailing slash
    LogConfig config
    Segment** segments          # by base offset; the last one is active; never empty
    int64_t n_segments
    int64_t leo
    int64_t start               # log start offset
    int64_t synced              # every record below it has been through fdatasync
    int64_t size                # bytes of all segments
    bint dir_dirty              # a file was created or removed since the directory was fsynced: sync it before an ack that promises durability
    bint dirty                  # changed since it was opened or closed cleanly
    uint32_t seed               # spreads segment_jitter_ms over partitions
    LogMark marks[8]            # where recent slices ended: what a consumer asks for next
    int32_t next_mark


ctypedef struct BatchRef:       # one batch to append; its bytes are final
    const uint8_t* data
    int64_t size
    int64_t base_offset
    int64_t last_offset
    int64_t max_timestamp
    int64_t max_timestamp_offset


ctypedef struct LogSlice:       # whole batches of one segment file
    Segment* segment
    int64_t position
    int64_t length
    int64_t next_offset         # first offset behind the slice


ctypedef struct IndexDelta:     # index entries not yet on disk, encoded; malloc'd, the caller's
    uint8_t* offsets
    int64_t offsets_size
    int64_t offsets_position    # where in the .index file
    uint8_t* times
    int64_t times_size
    int64_t times_position


# How many of the n batches (from the first) still belong into the active segment; 0 = roll first.
cdef int log_fit(const Log* log, const BatchRef* batches, int n, int64_t now_ms) noexcept nogil
# One pwritev (more above IOV_MAX or on short writes); leo, size and index move only when all of it is written. 0 or -errno.
cdef int log_append(Log* log, const BatchRef* batches, int n, int64_t now_ms) noexcept nogil
# Closes the active segment at leo and opens the next. The old one keeps its in-memory index until log_index_written. 0 or -errno.
cdef int log_roll(Log* log, int64_t now_ms) noexcept nogil

# Whole batches from the one that holds `offset`, below end_offset (HW or LSO), at most max_bytes, but the first batch always
# when at_least_one. Reads headers with `nowait` unless blocking. length 0 = nothing below end_offset.
cdef int log_locate(Log* log, int64_t offset, int64_t end_offset, int64_t max_bytes, bint at_least_one, bint blocking,
                    LogSlice* out) noexcept nogil
# Where a scan for the first record with timestamp >= ts must begin; out.length 0 = no such record. Memory and index only.
cdef int log_locate_time(Log* log, int64_t timestamp, LogSlice* out) noexcept nogil

# Moves the log start; segments wholly below it leave the log (the active one never does) and are returned, at most capacity
# a call, with detached set and one reference for the caller: segment_release them when their files are gone.
cdef int64_t log_set_start(Log* log, int64_t offset, Segment** detached, int64_t capacity) noexcept nogil
# Cuts everything at and above offset (replication): files are removed, the cut is synced. An offset inside a batch cuts the
# whole batch. 0 or -errno; the producer table must be rebuilt.
cdef int log_truncate(Log* log, int64_t offset) noexcept nogil

cdef int segment_acquire(Log* log, Segment* segment) noexcept nogil     # opens the file if needed, refs + 1; fd or -errno
cdef void segment_release(Log* log, Segment* segment) noexcept nogil    # refs - 1; closes and frees a detached one at zero
cdef int64_t log_close_idle(Log* log, int64_t not_used_since_ms) noexcept nogil  # closes idle descriptors; number closed

cdef int64_t log_index_pending(const Log* log, const Segment* segment) noexcept nogil  # entries in memory, not on disk
cdef int log_index_delta(Log* log, Segment* segment, IndexDelta* out) noexcept nogil   # 0 or -ENOMEM
cdef void log_index_written(Log* log, Segment* segment, const IndexDelta* delta) noexcept nogil
cdef int segment_path(const Log* log, const Segment* segment, const char* suffix, char* out, size_t size) noexcept nogil


# How many bytes from segment.size on the sync thread should fallocate for the active segment; 0 = none needed.
cdef int64_t log_wants_prealloc(const Log* log) noexcept nogil
# Gives back preallocated blocks. 0 or -errno.
cdef int log_trim(Log* log, Segment* segment) noexcept nogil
# For recovery and PartitionLog.
cdef Segment* segment_new(int64_t base_offset, int64_t offset_entries, int64_t time_entries) noexcept nogil  # NULL: no memory
cdef void segment_free(const FileOps* ops, Segment* segment) noexcept nogil
cdef int log_attach(Log* log, Segment* segment) noexcept nogil      # as the new last one; 0 or -ENOMEM
cdef int segment_index(Log* log, Segment* segment, int64_t base_offset, int64_t position, int64_t size, int64_t max_timestamp,
                       int64_t max_timestamp_offset) noexcept nogil # accounts for one batch of it; 0 or -ENOMEM

cdef int segment_open(Log* log, Segment* segment, int flags) noexcept nogil     # fd or -errno
cdef int check(int64_t result, bytes path) except -1                # raises for -errno
cdef int finish_times(Segment* segment) noexcept nogil              # 0 or -ENOMEM
# What the producer table wants to know of a batch.
cdef void batch_producer(const BatchInfo* info, ProducerBatch* out) noexcept nogil


cdef class PartitionLog:
    """An opened (recovered) log with its producer table. While an engine holds it (`owned`), only the plane touches it."""
    cdef Log log
    cdef ProducerTable* producers
    cdef Files files
    cdef bint owned
    cdef readonly bytes directory
    cdef Log* mine(self) except NULL    # RuntimeError while a plane owns it
