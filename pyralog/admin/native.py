"""The samples of the families of our own, declared in pyralog/metrics.py."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pyralog.admin.lag import lag_seconds
from pyralog.admin.machine import cpu_seconds, disk_operations, network
from pyralog.admin.samples import NS, Make, Sample, Samples, Table, each, histogram, one, recent_quantiles, timed
from pyralog.admin.sampling import Local, Sampled
from pyralog.admin.sources import space
from pyralog.metrics import BYTE_BUCKETS, LATENCY_BUCKETS, NATIVE, RECORD_BUCKETS, TALLIES
from pyralog.version import __version__

CORRUPT = "CORRUPT_MESSAGE"
NONE = "NONE"
# The data plane answers these; Python only teaches it, so its own count of them would be one of detours.
OF_THE_PLANE = {"Produce": "produce", "Fetch": "fetch"}
OTHER_COUNTERS = (
    "cycles",
    "writes",
    "syncs",
    "cold_reads",
    "requests_forwarded",
    "connections_closed",
    "connections_handed_over",
    "idle_closed",
    "memory_stalls",
    "events_dropped",
    "commands_dropped",
)
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def api_label(name: str) -> str:
    """CreateTopics -> create_topics."""
    return _WORD.sub("_", name).lower()


def requests(s: Sampled) -> Iterator[Sample]:
    """Requests by API and error; those that succeeded have the error NONE."""
    c = s.counters
    for label, total, failed in (
        ("produce", c["requests_produce"], s.failed_writes),
        ("fetch", c["requests_fetch"], s.failed_reads),
    ):
        yield "", (label, NONE), max(0, total - sum(failed.values()))
        for error, count in failed.items():
            yield "", (label, error), count
    if c["requests_static"]:
        yield "", ("api_versions", NONE), c["requests_static"]
    for name, total in sorted(s.requests.items()):
        errors = {error: count for (api, error), count in s.errors.items() if api == name}
        if name not in OF_THE_PLANE and not (name == "ApiVersions" and c["requests_static"]):
            yield "", (api_label(name), NONE), max(0, total - sum(errors.values()))
        for error, count in errors.items():
            yield "", (api_label(name), error), count


def durations(s: Sampled) -> Iterator[Sample]:
    """From a request to its answer; those of the data plane are its latencies."""
    yield from histogram(s.histograms["produce_ns"], LATENCY_BUCKETS, NS, "produce")
    yield from histogram(s.histograms["fetch_ns"], LATENCY_BUCKETS, NS, "fetch")
    for name, latency in sorted(s.durations.items()):
        if name not in OF_THE_PLANE:
            yield from timed(latency, api_label(name))


def _per_topic(field: str) -> Make:
    def make(s: Sampled) -> Iterator[Sample]:
        for topic, traffic in s.topics().items():
            yield "", (topic,), getattr(traffic, field)

    return make


def _per_partition(value: Callable[[Local], float]) -> Make:
    def make(s: Sampled) -> Iterator[Sample]:
        for local in s.partitions:
            yield "", (local.tp.topic, str(local.tp.partition)), value(local)

    return make


def _is_leader(s: Sampled) -> Iterator[Sample]:
    for local in s.partitions:
        yield "", (local.tp.topic, str(local.tp.partition)), local.registration.leader == s.node_id


def _counter(name: str) -> Make:
    return lambda s: one(s.counters[name])


def _served(name: str) -> Make:
    return lambda s: one(getattr(s.served, name))


def _nothing(s: Sampled) -> Samples:
    """There is nothing of the kind on a single node; the family is shown without samples."""
    return ()


def _tally(name: str) -> Make:
    tally = next(tally for tally in TALLIES if tally.name == name)
    labels = next(family.labels for family in NATIVE if family.name == name)

    def make(s: Sampled) -> Iterator[Sample]:
        found = list(tally.items())
        if not found and not labels:
            yield "", (), 0
        for values, count in found:
            yield "", values, count

    return make


def _space(field: str) -> Make:
    return lambda s: one(getattr(space(s.directory), field), s.directory)


def _network(field: str) -> Make:
    return lambda s: each(network(field))


def listener(s: Sampled) -> str:
    """The name of the client port; the plane counts those of several together."""
    listeners = s.config.network.client_listeners()
    return listeners[0].name if len(listeners) == 1 else "all"


def _connections(s: Sampled) -> Iterator[Sample]:
    yield "", (listener(s), "kafka"), s.counters["open_connections"]
    yield "", (listener(s), "http"), s.http_connections


def _rejected(s: Sampled) -> Iterator[Sample]:
    yield "", ("too many connections",), s.counters["connections_rejected"]
    for reason, count in s.http_refused.items():
        yield "", (reason,), count


def _storage_errors(s: Sampled) -> Iterator[Sample]:
    yield "", ("write",), s.counters["write_failures"]
    yield "", ("sync",), s.counters["sync_failures"]


def _loop_busy(s: Sampled) -> Iterator[Sample]:
    return each({name: figures.busy for name, figures in s.loops.items()})


def _loop_lag(s: Sampled) -> Iterator[Sample]:
    return each({name: figures.lag_s for name, figures in s.loops.items() if figures.lag_s is not None})


def _group_lag(s: Sampled) -> Iterator[Sample]:
    marks = s.high_watermarks()
    for row in s.committed:
        mark = marks.get((row.topic, row.partition))
        if mark is not None:
            yield "", (row.group, row.topic, str(row.partition)), max(0, mark - row.offset)


def _group_offsets(s: Sampled) -> Iterator[Sample]:
    for row in s.committed:
        yield "", (row.group, row.topic, str(row.partition)), row.offset


def _group_members(s: Sampled) -> Iterator[Sample]:
    for row in s.groups:
        yield "", (row.group,), row.members


def _group_states(s: Sampled) -> Iterator[Sample]:
    for row in s.groups:
        yield "", (row.group, row.state), 1


def _cpu(s: Sampled) -> Samples:
    return (("", labels, value) for labels, value in cpu_seconds())


def _read_latency(s: Sampled) -> Samples:
    return histogram(s.histograms["fetch_ns"], LATENCY_BUCKETS, NS, "consumer")


_MAKE: Mapping[str, Make] = {
    "build_info": lambda s: one(1, __version__, str(s.node_id), s.image.cluster_id),
    "start_time_seconds": lambda s: one(s.started_ms / 1000),
    "received_bytes_total": _counter("bytes_received"),
    "sent_bytes_total": _counter("bytes_sent"),
    "topic_received_bytes_total": _per_topic("bytes_in"),
    "topic_sent_bytes_total": _per_topic("bytes_out"),
    "records_in_total": _per_topic("records_in"),
    "records_out_total": _per_topic("records_out"),
    "batches_in_total": _per_topic("batches_in"),
    "batch_records": lambda s: histogram(s.histograms["batch_records"], RECORD_BUCKETS, 1),
    "batch_bytes": lambda s: histogram(s.histograms["batch_bytes"], BYTE_BUCKETS, 1),
    "write_latency_seconds": lambda s: histogram(s.histograms["produce_ns"], LATENCY_BUCKETS, NS),
    "write_latency_quantile_seconds": lambda s: recent_quantiles(s.recent["produce_ns"]),
    "read_latency_seconds": _read_latency,
    "read_latency_quantile_seconds": lambda s: recent_quantiles(s.recent["fetch_ns"]),
    "requests_total": requests,
    "request_duration_seconds": durations,
    "requests_waiting": lambda s: one(s.waiting),
    "failed_writes_total": lambda s: each(s.failed_writes),
    "failed_reads_total": lambda s: each(s.failed_reads),
    "malformed_requests_total": lambda s: one(s.malformed),
    "unsupported_requests_total": lambda s: one(s.unsupported),
    "partitions": _served("hosted"),
    "leaders": _served("leaders"),
    "partition_is_leader": _is_leader,
    "partition_isr_size": _per_partition(lambda one: len(one.registration.isr)),
    "partition_leader_epoch": _per_partition(lambda one: one.registration.leader_epoch),
    "partition_log_start_offset": _per_partition(lambda one: one.snapshot.log_start),
    "partition_high_watermark": _per_partition(lambda one: one.snapshot.high_watermark),
    "partition_log_end_offset": _per_partition(lambda one: one.snapshot.log_end),
    "partition_size_bytes": _per_partition(lambda one: one.snapshot.size_bytes),
    "offline_partitions": _served("offline"),
    "unopened_partitions": _served("unopened"),
    "under_replicated_partitions": _served("under_replicated"),
    "under_min_isr_partitions": _served("under_min_isr"),
    "at_min_isr_partitions": _served("at_min_isr"),
    "replica_lag_records": _nothing,
    "replica_lag_seconds": _nothing,
    "controller_is_active": lambda s: one(s.image.controller_id == s.node_id),
    "metadata_term": lambda s: one(s.image.epoch),
    "metadata_offset": lambda s: one(s.image.offset),
    "metadata_requests_waiting": lambda s: one(s.in_flight),
    "brokers": lambda s: one(sum(not broker.fenced for broker in s.image.brokers.values())),
    "topics": lambda s: one(len(s.image.topics)),
    "task_progress_ratio": _nothing,
    "consumer_group_lag_records": _group_lag,
    "consumer_group_lag_seconds": lag_seconds,
    "consumer_group_committed_offset": _group_offsets,
    "consumer_group_members": _group_members,
    "consumer_group_state": _group_states,
    "cpu_seconds_total": _cpu,
    "event_loop_busy_ratio": _loop_busy,
    "event_loop_lag_seconds": _loop_lag,
    "cache_bytes": _counter("unsynced_bytes"),
    "cache_capacity_bytes": lambda s: one(s.config.storage.cache_config.max_size),
    "cache_hits_total": lambda s: one(max(0, s.counters["requests_fetch"] - s.counters["cold_reads"])),
    "cache_misses_total": _counter("cold_reads"),
    "request_buffer_bytes": _counter("buffered_bytes"),
    "disk_used_bytes": _space("used"),
    "disk_free_bytes": _space("free"),
    "disk_total_bytes": _space("total"),
    "disk_reads_total": lambda s: disk_operations("read_count"),
    "disk_writes_total": lambda s: disk_operations("write_count"),
    "log_dir_failed": lambda s: one(s.disk_failed, s.directory),
    "fsync_duration_seconds": lambda s: histogram(s.histograms["sync_ns"], LATENCY_BUCKETS, NS),
    "storage_errors_total": _storage_errors,
    "corrupt_batches_total": lambda s: one(s.failed_reads.get(CORRUPT, 0)),
    "segments_deleted_total": lambda s: one(s.segments_deleted),
    "network_receive_bytes_total": _network("bytes_recv"),
    "network_transmit_bytes_total": _network("bytes_sent"),
    "network_receive_packets_total": _network("packets_recv"),
    "network_transmit_packets_total": _network("packets_sent"),
    "connections": _connections,
    "connections_accepted_total": _counter("connections_accepted"),
    "connections_rejected_total": _rejected,
    "fetch_sessions": _counter("sessions"),
    "plane_events_total": lambda s: each({name: s.counters[name] for name in OTHER_COUNTERS}),
    "acl_denials_total": lambda s: one(sum(n for (_, e), n in s.errors.items() if e.endswith("AUTHORIZATION_FAILED"))),
    "tls_certificate_expiry_timestamp_seconds": _nothing,
}
# The renderer itself answers these, when it knows them.
OF_THE_RENDERER = "pyralog_metrics_series_dropped_total"


def table() -> Table:
    """Every family with what makes its samples."""
    counted = {tally.name for tally in TALLIES}
    found: dict[Any, Make] = {}
    for family in NATIVE:
        if family.name == OF_THE_RENDERER:
            continue
        short = family.name.removeprefix("pyralog_")
        found[family] = _MAKE[short] if short in _MAKE else _tally(family.name)
        assert short in _MAKE or family.name in counted
    return found
