"""Every metric of our own, declared once: name, type, meaning and labels; and the counters that Python code adds to.

The plane's counters lie in the plane; what foreign dashboards ask for under other names is in admin/kafka_families.py
and admin/redpanda_families.py.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import NamedTuple

# Seconds. Holds the guide's 10 ms line and its 30 s timeout.
LATENCY_BUCKETS = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
)
RECORD_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
BYTE_BUCKETS = (256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216)


class Family(NamedTuple):
    """A metric: `kind` is counter, gauge, histogram, summary, or unknown where a foreign name fits no type's rules."""

    name: str
    kind: str
    doc: str
    labels: tuple[str, ...] = ()


_TP = ("topic", "partition")

# fmt: off
NATIVE: tuple[Family, ...] = (
    Family("pyralog_build_info", "gauge", "Always 1; the labels say who it is.", ("version", "node_id", "cluster_id")),
    Family("pyralog_start_time_seconds", "gauge", "When this process was ready for clients, by the wall clock."),
    # throughput and latency
    Family("pyralog_received_bytes_total", "counter", "Bytes received from clients, protocol included."),
    Family("pyralog_sent_bytes_total", "counter", "Bytes sent to clients, protocol included."),
    Family("pyralog_topic_received_bytes_total", "counter", "Bytes of record batches appended.", ("topic",)),
    Family("pyralog_topic_sent_bytes_total", "counter", "Bytes of record batches sent to consumers.", ("topic",)),
    Family("pyralog_records_in_total", "counter", "Records appended.", ("topic",)),
    Family("pyralog_records_out_total", "counter", "Records sent to consumers, by offsets.", ("topic",)),
    Family("pyralog_batches_in_total", "counter", "Record batches appended.", ("topic",)),
    Family("pyralog_batch_records", "histogram", "Records in a batch appended."),
    Family("pyralog_batch_bytes", "histogram", "Bytes of a batch appended, as it was sent."),
    Family("pyralog_write_latency_seconds", "histogram", "From a produce request to its acknowledgement."),
    Family("pyralog_write_latency_quantile_seconds", "summary", "The same over the last minute."),
    Family("pyralog_read_latency_seconds", "histogram", "From a fetch request to its answer, waits apart.", ("kind",)),
    Family("pyralog_read_latency_quantile_seconds", "summary", "The same over the last minute."),
    Family("pyralog_requests_total", "counter", "Requests, by the error of the whole.", ("api", "error")),
    Family("pyralog_request_duration_seconds", "histogram", "From a request to its answer.", ("api",)),
    Family("pyralog_requests_waiting", "gauge", "Requests that Python has taken and not answered yet."),
    Family("pyralog_failed_writes_total", "counter", "Produce requests, by the first error in them.", ("error",)),
    Family("pyralog_failed_reads_total", "counter", "Fetch requests, by the first error in them.", ("error",)),
    Family("pyralog_malformed_requests_total", "counter", "Requests that could not be read; each ends its connection."),
    Family("pyralog_unsupported_requests_total", "counter", "Requests of an API or version that is not served."),
    Family("pyralog_throttle_seconds_total", "counter", "Time for which quotas held up answers."),
    # partitions
    Family("pyralog_partitions", "gauge", "Partitions that this node hosts."),
    Family("pyralog_leaders", "gauge", "Partitions that this node leads."),
    Family("pyralog_partition_is_leader", "gauge", "1 where this node leads the partition.", _TP),
    Family("pyralog_partition_isr_size", "gauge", "In-sync replicas.", _TP),
    Family("pyralog_partition_leader_epoch", "gauge", "The leader epoch.", _TP),
    Family("pyralog_partition_log_start_offset", "gauge", "The first offset that can be read.", _TP),
    Family("pyralog_partition_high_watermark", "gauge", "Consumers read below this offset.", _TP),
    Family("pyralog_partition_log_end_offset", "gauge", "The next offset to append.", _TP),
    Family("pyralog_partition_size_bytes", "gauge", "Bytes of its segments.", _TP),
    Family("pyralog_offline_partitions", "gauge", "Partitions without a leader, as the controller sees it."),
    Family("pyralog_unopened_partitions", "gauge", "Partitions of this node whose files could not be opened."),
    Family("pyralog_under_replicated_partitions", "gauge", "Partitions led here that lack in-sync replicas."),
    Family("pyralog_under_min_isr_partitions", "gauge", "Partitions led here that refuse writes with acks=all."),
    Family("pyralog_at_min_isr_partitions", "gauge", "Partitions led here that can spare no replica."),
    Family("pyralog_replica_lag_records", "gauge", "How far a follower is behind.", (*_TP, "follower")),
    Family("pyralog_replica_lag_seconds", "gauge", "How long a follower has been behind.", (*_TP, "follower")),
    # the cluster
    Family("pyralog_controller_is_active", "gauge", "1 on the node that is the controller."),
    Family("pyralog_metadata_term", "gauge", "The term of the metadata quorum."),
    Family("pyralog_metadata_offset", "gauge", "The offset of the last metadata record applied here."),
    Family("pyralog_metadata_requests_waiting", "gauge", "Metadata changes that are not yet durable and applied."),
    Family("pyralog_brokers", "gauge", "Registered brokers that are not fenced."),
    Family("pyralog_topics", "gauge", "Topics of the cluster."),
    Family("pyralog_leader_elections_total", "counter", "New leader epochs of partitions.", ("reason",)),
    Family("pyralog_unclean_leader_elections_total", "counter", "Elections of a replica that may lack records."),
    Family("pyralog_isr_shrinks_total", "counter", "In-sync replicas that were taken out."),
    Family("pyralog_isr_expands_total", "counter", "In-sync replicas that came back."),
    Family("pyralog_replication_errors_total", "counter", "Errors towards a peer.", ("peer", "error")),
    Family("pyralog_consensus_errors_total", "counter", "Errors of the metadata quorum.", ("error",)),
    Family("pyralog_task_progress_ratio", "gauge", "How far a long task is, from 0 to 1.", ("task",)),
    # groups
    Family("pyralog_consumer_group_lag_records", "gauge", "Records behind the high watermark.", ("group", *_TP)),
    Family("pyralog_consumer_group_lag_seconds", "gauge", "Age of the oldest record not consumed.", ("group", *_TP)),
    Family("pyralog_consumer_group_committed_offset", "gauge", "The committed offset.", ("group", *_TP)),
    Family("pyralog_consumer_group_members", "gauge", "Members of a group.", ("group",)),
    Family("pyralog_consumer_group_state", "gauge", "1 with the state that the group is in.", ("group", "state")),
    Family("pyralog_consumer_group_rebalances_total", "counter", "Rebalances begun.", ("group",)),
    # resources
    Family("pyralog_cpu_seconds_total", "counter", "Time of each processor of this machine.", ("cpu", "mode")),
    Family("pyralog_event_loop_busy_ratio", "gauge", "Share of the last interval that a loop has worked.", ("loop",)),
    Family("pyralog_event_loop_lag_seconds", "gauge", "How late timers were at most in it.", ("loop",)),
    Family("pyralog_cache_bytes", "gauge", "Written records that are not yet synced to disk."),
    Family("pyralog_cache_capacity_bytes", "gauge", "storage.cache_config.max_size."),
    Family("pyralog_cache_hits_total", "counter", "Fetches whose records were in memory."),
    Family("pyralog_cache_misses_total", "counter", "Fetches whose records had to be read from disk."),
    Family("pyralog_request_buffer_bytes", "gauge", "Memory of requests that are being received."),
    Family("pyralog_disk_used_bytes", "gauge", "Used bytes of the file system of a data folder.", ("dir",)),
    Family("pyralog_disk_free_bytes", "gauge", "Bytes that this process can still write there.", ("dir",)),
    Family("pyralog_disk_total_bytes", "gauge", "Its size.", ("dir",)),
    Family("pyralog_disk_reads_total", "counter", "Read operations of this machine's disks."),
    Family("pyralog_disk_writes_total", "counter", "Write operations of this machine's disks."),
    Family("pyralog_log_dir_failed", "gauge", "1 when a write has failed: no records are taken.", ("dir",)),
    Family("pyralog_fsync_duration_seconds", "histogram", "Group syncs of the logs."),
    Family("pyralog_storage_errors_total", "counter", "File operations that failed.", ("op",)),
    Family("pyralog_corrupt_batches_total", "counter", "Fetches that met a damaged batch on disk."),
    Family("pyralog_segments_deleted_total", "counter", "Segments that retention has deleted."),
    Family("pyralog_network_receive_bytes_total", "counter", "Bytes received by this machine.", ("device",)),
    Family("pyralog_network_transmit_bytes_total", "counter", "Bytes sent by this machine.", ("device",)),
    Family("pyralog_network_receive_packets_total", "counter", "Packets received by this machine.", ("device",)),
    Family("pyralog_network_transmit_packets_total", "counter", "Packets sent by this machine.", ("device",)),
    Family("pyralog_connections", "gauge", "Open connections.", ("listener", "protocol")),
    Family("pyralog_connections_accepted_total", "counter", "Connections accepted."),
    Family("pyralog_connections_rejected_total", "counter", "Connections turned away.", ("reason",)),
    Family("pyralog_fetch_sessions", "gauge", "Incremental fetch sessions kept."),
    Family("pyralog_plane_events_total", "counter", "What else the data plane counts.", ("event",)),
    # security
    Family("pyralog_auth_failures_total", "counter", "Failed logins.", ("mechanism",)),
    Family("pyralog_acl_denials_total", "counter", "Requests refused for lack of rights."),
    Family("pyralog_tls_certificate_expiry_timestamp_seconds", "gauge", "Its end.", ("certificate",)),
    # this endpoint, and the logs
    Family("pyralog_metrics_series_dropped_total", "counter", "Series left out of scrapes for metrics.max_series."),
    Family("pyralog_log_records_total", "counter", "Log records written, by level.", ("level",)),
    Family("pyralog_log_records_dropped_total", "counter", "Log records lost to a full queue.", ("sink",)),
    Family("pyralog_audit_events_total", "counter", "Audited events.", ("event",)),
)
# fmt: on


class Tally:
    """A counter that Python code adds to, by the values of its labels. Any thread may; a dict's item is one step."""

    __slots__ = ("name", "values")

    def __init__(self, name: str) -> None:
        self.name = name
        self.values: dict[tuple[str, ...], float] = {}

    def add(self, *labels: str, by: float = 1) -> None:
        """Count."""
        self.values[labels] = self.values.get(labels, 0) + by

    def forget(self, *labels: str) -> None:
        """Its subject is gone."""
        self.values.pop(labels, None)

    def items(self) -> Iterator[tuple[tuple[str, ...], float]]:
        """A copy of what has been counted."""
        return iter(list(self.values.items()))


class Latency:
    """How long something took, by the buckets of LATENCY_BUCKETS: for what is too rare to need the plane's arrays."""

    __slots__ = ("buckets", "count", "sum_ns")

    def __init__(self) -> None:
        self.buckets = [0] * (len(LATENCY_BUCKETS) + 1)
        self.count = 0
        self.sum_ns = 0

    def add(self, ns: int, times: int = 1) -> None:
        """One more, or several that took as long."""
        self.count += times
        self.sum_ns += ns * times
        self.buckets[bisect_left(LATENCY_BUCKETS, ns / 1e9)] += times


GROUP_REBALANCES = Tally("pyralog_consumer_group_rebalances_total")
LEADER_ELECTIONS = Tally("pyralog_leader_elections_total")
UNCLEAN_ELECTIONS = Tally("pyralog_unclean_leader_elections_total")
ISR_SHRINKS = Tally("pyralog_isr_shrinks_total")
ISR_EXPANDS = Tally("pyralog_isr_expands_total")
REPLICATION_ERRORS = Tally("pyralog_replication_errors_total")
CONSENSUS_ERRORS = Tally("pyralog_consensus_errors_total")
THROTTLE_SECONDS = Tally("pyralog_throttle_seconds_total")
AUTH_FAILURES = Tally("pyralog_auth_failures_total")
LOG_RECORDS = Tally("pyralog_log_records_total")
LOG_RECORDS_DROPPED = Tally("pyralog_log_records_dropped_total")
AUDIT_EVENTS = Tally("pyralog_audit_events_total")

TALLIES: tuple[Tally, ...] = (
    GROUP_REBALANCES,
    LEADER_ELECTIONS,
    UNCLEAN_ELECTIONS,
    ISR_SHRINKS,
    ISR_EXPANDS,
    REPLICATION_ERRORS,
    CONSENSUS_ERRORS,
    THROTTLE_SECONDS,
    AUTH_FAILURES,
    LOG_RECORDS,
    LOG_RECORDS_DROPPED,
    AUDIT_EVENTS,
)


def by_name(families: tuple[Family, ...]) -> Mapping[str, Family]:
    """Families by name; a name that is declared twice is a mistake."""
    found = {family.name: family for family in families}
    assert len(found) == len(families), "a metric is declared twice"
    return found
