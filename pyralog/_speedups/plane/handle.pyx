"""One partition in the plane, as Python holds it: its numbers, and the settings that it is given."""

from pyralog._speedups.plane.partition cimport partition_free
from pyralog._speedups.plane.state cimport Settings
from pyralog._speedups.producers cimport producers_count
from pyralog._speedups.segment cimport LogConfig


cdef class PartitionHandle:
    """One partition in the plane. Its numbers may be read at any time; all else goes by commands."""

    def __dealloc__(self):
        if self.p != NULL:
            partition_free(self.p)

    def snapshot(self):
        """(leader epoch, log start, high watermark, last stable offset, log end, synced, size in bytes, failed)."""
        return (self.p.leader_epoch, self.p.log.start, self.p.hw, self.p.lso, self.p.log.leo, self.p.log.synced,
                self.p.log.size, bool(self.p.failed))

    def traffic(self):
        """(bytes in, bytes out, records in, batches in, producers, records out) since it was added."""
        return (self.p.bytes_in, self.p.bytes_out, self.p.records_in, self.p.batches_in,
                producers_count(self.p.producers), self.p.records_out)


cdef void fill_settings(Settings* s, LogConfig* l, dict values):
    s.max_message_bytes = min(values["max_message_bytes"], 0x7FFFFFFF)
    s.append_time = values["append_time"]
    s.timestamp_before_max_ms = values["timestamp_before_max_ms"]
    s.timestamp_after_max_ms = values["timestamp_after_max_ms"]
    s.compression = values["compression"]
    s.compacted = values["compacted"]
    s.min_insync_replicas = values["min_insync_replicas"]
    s.flush_messages = values["flush_messages"]
    s.flush_ms = values["flush_ms"]
    l.segment_bytes = values["segment_bytes"]
    l.segment_ms = values["segment_ms"]
    l.segment_jitter_ms = values["segment_jitter_ms"]
    l.index_interval_bytes = values["index_interval_bytes"]
    l.segment_index_bytes = values["segment_index_bytes"]
    l.preallocate = values["preallocate"]
    l.use_mmap = values["use_mmap"]
