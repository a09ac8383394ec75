# Offset commits from bytes to bytes.
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t

from pyralog._speedups.journal cimport Entry


cdef class CommitPartition:
    cdef readonly int32_t partition_index
    cdef readonly int32_t committed_leader_epoch
    cdef readonly int64_t committed_offset
    cdef readonly str committed_metadata


cdef class CommitTopic:
    cdef public str name
    cdef public bytes topic_id
    cdef readonly list partitions
    cdef readonly int32_t last      # the greatest partition index; none is negative


cdef class Commit:
    cdef readonly int16_t version
    cdef readonly str group_id
    cdef readonly str member_id
    cdef readonly str group_instance_id
    cdef readonly int32_t generation_id_or_member_epoch
    cdef readonly list topics
    cdef readonly bytes answer

    cdef int64_t records_size(self) except -1
    cdef int write(self, Entry entry, int64_t now_ms) except -1
    cdef int64_t keep(self, dict groups, object make, int64_t record_offset, int64_t now_ms) except -1


cdef Commit commit_in(const uint8_t* frame, int64_t size, int64_t most_metadata)
