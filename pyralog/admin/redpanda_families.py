"""The metrics of /public_metrics as Redpanda's Ops, Default, Topic and Offsets dashboards ask for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psutil

from pyralog.admin.machine import disk_operations, process
from pyralog.admin.native import api_label
from pyralog.admin.samples import NS, Make, Sample, Table, histogram, one, timed
from pyralog.admin.sampling import Local, Sampled
from pyralog.admin.sources import space
from pyralog.metrics import LATENCY_BUCKETS, LEADER_ELECTIONS, Family
from pyralog.version import __version__

KAFKA = "kafka"
SHARD = "0"
# Redpanda's levels: 0 all is well, 1 low, 2 no writes are taken.
FINE, LOW, REFUSING = 0, 1, 2
LOW_SPACE = 0.05
_NTP = ("redpanda_namespace", "redpanda_topic", "redpanda_partition")
_NT = _NTP[:2]
_GTP = ("redpanda_group", "redpanda_topic", "redpanda_partition")


def _local(value: Callable[[Local], float]) -> Make:
    def make(s: Sampled) -> Iterator[Sample]:
        for each in s.partitions:
            yield "", (KAFKA, each.tp.topic, str(each.tp.partition)), value(each)

    return make


def _topic(value: Callable[[int, int], float]) -> Make:
    """Of the number of partitions and of replicas of each topic."""

    def make(s: Sampled) -> Iterator[Sample]:
        for topic in s.image.topics.values():
            replicas = len(topic.partitions[0].replicas) if topic.partitions else 0
            yield "", (KAFKA, topic.name), value(len(topic.partitions), replicas)

    return make


def _cluster(value: Callable[[Sampled], float], *labels: str) -> Make:
    return lambda s: one(value(s), *labels)


def _request_bytes(s: Sampled) -> Iterator[Sample]:
    for each in s.partitions:
        labels = (KAFKA, each.tp.topic, str(each.tp.partition))
        yield "", (*labels, "produce"), each.traffic.bytes_in
        yield "", (*labels, "consume"), each.traffic.bytes_out


def _records(field: str) -> Make:
    def make(s: Sampled) -> Iterator[Sample]:
        for topic, traffic in s.topics().items():
            yield "", (KAFKA, topic), getattr(traffic, field)

    return make


def _latency(s: Sampled) -> Iterator[Sample]:
    yield from histogram(s.histograms["produce_ns"], LATENCY_BUCKETS, NS, "produce")
    yield from histogram(s.histograms["fetch_ns"], LATENCY_BUCKETS, NS, "consume")


def _handlers(s: Sampled) -> Iterator[Sample]:
    yield from histogram(s.histograms["produce_ns"], LATENCY_BUCKETS, NS, "produce")
    yield from histogram(s.histograms["fetch_ns"], LATENCY_BUCKETS, NS, "fetch")
    for name, latency in s.durations.items():
        if name not in ("Produce", "Fetch"):
            yield from timed(latency, api_label(name))


def _rpc_latency(s: Sampled) -> Iterator[Sample]:
    yield from histogram(s.histograms["produce_ns"], LATENCY_BUCKETS, NS, KAFKA)


def _offsets(s: Sampled) -> Iterator[Sample]:
    for row in s.committed:
        yield "", (row.group, row.topic, str(row.partition)), row.offset


def _lags(s: Sampled) -> dict[str, list[int]]:
    marks = s.high_watermarks()
    found: dict[str, list[int]] = {}
    for row in s.committed:
        mark = marks.get((row.topic, row.partition))
        if mark is not None:
            found.setdefault(row.group, []).append(max(0, mark - row.offset))
    return found


def _group_lag(reduce: Callable[[list[int]], int]) -> Make:
    def make(s: Sampled) -> Iterator[Sample]:
        for group, lags in _lags(s).items():
            yield "", (group,), reduce(lags)

    return make


def _consumers(s: Sampled) -> Iterator[Sample]:
    for row in s.groups:
        yield "", (row.group,), row.members


def _group_topics(s: Sampled) -> Iterator[Sample]:
    topics: dict[str, set[str]] = {row.group: set() for row in s.groups}
    for row in s.committed:
        topics.setdefault(row.group, set()).add(row.topic)
    for group, names in topics.items():
        yield "", (group,), len(names)


def _alert(s: Sampled) -> float:
    room = space(s.directory)
    if s.disk_failed or room.free <= 0:
        return REFUSING
    return LOW if room.free < LOW_SPACE * room.total else FINE


def _io(field: str) -> Make:
    def make(s: Sampled) -> Iterator[Sample]:
        for _, _, value in disk_operations(field):
            yield "", ("default", s.directory, SHARD), value

    return make


def _busy(s: Sampled) -> float:
    return process()["process_cpu_seconds_total"]


_K, _C, _IO = "redpanda_kafka_", "redpanda_cluster_", ("class", "mountpoint", "shard")
# fmt: off
PUBLIC: Table = {
    Family("redpanda_application_build", "gauge", "Always 1.", ("redpanda_version",)): lambda s: one(1, __version__),
    Family("redpanda_application_uptime_seconds_total", "counter", "Since this node was ready."):
        _cluster(lambda s: max(0, s.now_ms - s.started_ms) / 1000),
    Family(_C + "brokers", "gauge", "Brokers."): _cluster(lambda s: len(s.image.brokers)),
    Family(_C + "topics", "gauge", "Topics."): _cluster(lambda s: len(s.image.topics)),
    Family(_C + "partitions", "gauge", "Partitions, replicas apart."): _cluster(lambda s: s.image.partition_count),
    Family(_C + "unavailable_partitions", "gauge", "Without a leader."): _cluster(lambda s: s.served.offline),
    Family("redpanda_cpu_busy_seconds_total", "counter", "Processor time of this process.", ("shard",)):
        _cluster(_busy, SHARD),
    Family("redpanda_memory_allocated_memory", "gauge", "Resident memory.", ("shard",)):
        _cluster(lambda s: process()["process_resident_memory_bytes"], SHARD),
    Family("redpanda_memory_available_memory", "gauge", "What the system could still give.", ("shard",)):
        _cluster(lambda s: psutil.virtual_memory().available, SHARD),
    Family("redpanda_storage_disk_total_bytes", "gauge", "Of the data folder's file system."):
        _cluster(lambda s: space(s.directory).total),
    Family("redpanda_storage_disk_free_bytes", "gauge", "Of the data folder's file system."):
        _cluster(lambda s: space(s.directory).free),
    Family("redpanda_storage_disk_free_space_alert", "gauge", "0 fine, 1 low, 2 no writes."): _cluster(_alert),
    Family("redpanda_io_queue_total_read_ops", "unknown", "Of this machine's disks.", _IO): _io("read_count"),
    Family("redpanda_io_queue_total_write_ops", "unknown", "Of this machine's disks.", _IO): _io("write_count"),
    Family("redpanda_rpc_active_connections", "gauge", "Kafka connections.", ("redpanda_server",)):
        _cluster(lambda s: s.counters["open_connections"], KAFKA),
    Family("redpanda_rpc_request_errors_total", "counter", "Requests that failed.", ("redpanda_server",)):
        _cluster(lambda s: sum(s.failed_writes.values()) + sum(s.failed_reads.values()) + s.errors.total(), KAFKA),
    Family("redpanda_rpc_request_latency_seconds", "histogram", "Of produce requests.", ("redpanda_server",)):
        _rpc_latency,
    Family("redpanda_raft_leadership_changes", "unknown", "New leader epochs.", ("redpanda_namespace",)):
        _cluster(lambda s: sum(count for _, count in LEADER_ELECTIONS.items()), KAFKA),
    Family(_K + "request_latency_seconds", "histogram", "Produce and fetch.", ("redpanda_request",)): _latency,
    Family(_K + "handler_latency_seconds", "histogram", "By API.", ("handler",)): _handlers,
    Family(_K + "partitions", "gauge", "Partitions of a topic.", _NT): _topic(lambda partitions, _: partitions),
    Family(_K + "replicas", "gauge", "Replicas of each of its partitions.", _NT): _topic(lambda _, replicas: replicas),
    Family(_K + "records_produced_total", "counter", "Records appended.", _NT): _records("records_in"),
    Family(_K + "records_fetched_total", "counter", "Records sent, by offsets.", _NT): _records("records_out"),
    Family(_K + "consumer_group_consumers", "gauge", "Members.", _GTP[:1]): _consumers,
    Family(_K + "consumer_group_topics", "gauge", "Topics with offsets.", _GTP[:1]): _group_topics,
    Family(_K + "consumer_group_lag_sum", "unknown", "Records behind.", _GTP[:1]): _group_lag(sum),
    Family(_K + "consumer_group_lag_max", "gauge", "Records behind.", _GTP[:1]): _group_lag(max),
    Family(_K + "consumer_group_committed_offset", "gauge", "Committed.", _GTP): _offsets,
    Family(_K + "request_bytes_total", "counter", "Record batches.", (*_NTP, "redpanda_request")): _request_bytes,
    Family(_K + "max_offset", "gauge", "High watermark.", _NTP): _local(lambda p: p.snapshot.high_watermark),
    Family(_K + "under_replicated_replicas", "gauge", "Replicas out of sync.", _NTP):
        _local(lambda p: len(p.registration.replicas) - len(p.registration.isr)),
}
# fmt: on
