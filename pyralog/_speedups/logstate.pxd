# The structs of a partition's log, shared by the modules that work on it. Written by the log's plane only.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t

from pyralog._speedups.fileops cimport FileOps
from pyralog._speedups.index cimport SegmentIndex
from pyralog._speedups.producers cimport AbortedTxn

cdef enum:
    LOG_OK = 0
    LOG_COLD = 1                # the pages of slice.segment[position, +length) are not cached: warm them, then ask again
    LOG_OUT_OF_RANGE = 2        # offset below the log start or above the log end
    LOG_BEHIND = 3              # no batch of the segment reaches the offset (within the log's modules)
    # < 0: -errno; -EBADMSG: what lies there is no record batch (CORRUPT_MESSAGE)
    LOG_MARKS = 8
    LOG_PATH_SIZE = 4096
    LOG_FILE_MODE = 0o600

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
    AbortedTxn* aborted         # transactions whose abort markers it holds, by marker; the .txnindex file has the same
    int64_t n_aborted
    int64_t aborted_capacity
    bint aborted_unsynced       # the file has grown since its last fdatasync
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
