# Both ends of a log: its start moves up, its end may be cut back.
from libc.stdint cimport int64_t

from pyralog._speedups.logstate cimport Log, Segment

# Moves the log start; segments wholly below it leave the log (the active one never does) and are returned, at most capacity
# a call, with detached set and one reference for the caller: segment_release them when their files are gone.
cdef int64_t log_set_start(Log* log, int64_t offset, Segment** detached, int64_t capacity) noexcept nogil
# Cuts everything at and above offset (replication): files are removed, the cut is synced. An offset inside a batch cuts the
# whole batch. 0 or -errno; the producer table must be rebuilt.
cdef int log_truncate(Log* log, int64_t offset) noexcept nogil
