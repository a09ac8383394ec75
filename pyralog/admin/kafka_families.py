"""The metrics of Apache Kafka as dashboards know them: JMX exporter names, those of kafka_exporter, and kafbat's gauge.

What a single node does not have is 0 where that is the truth, and has no samples where there is nothing to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pyralog.admin.machine import disk_operations
from pyralog.admin.native import listener
from pyralog.admin.rates import RATES
from pyralog.admin.samples import Make, Sample, Samples, Table, one
from pyralog.admin.sampling import Local, Sampled
from pyralog.metrics import UNCLEAN_ELECTIONS, Family

_TP = ("topic", "partition")
_GROUP = ("consumergroup", *_TP)


def _nothing(s: Sampled) -> Samples:
    return ()


def _per_topic(field: str) -> Make:
    def make(s: Sampled) -> Iterator[Sample]:
        for topic, traffic in s.topics().items():
            yield "", (topic,), getattr(traffic, field)

    return make


def _local(value: Callable[[Local], float]) -> Make:
    def make(s: Sampled) -> Iterator[Sample]:
        for each in s.partitions:
            yield "", (each.tp.topic, str(each.tp.partition)), value(each)

    return make


def _cluster(value: Callable[[Sampled], float]) -> Make:
    return lambda s: one(value(s))


def _requests(counter: str) -> Make:
    """Of all topics together: the plane does not count requests by topic, since one may name many."""
    return lambda s: one(s.counters[counter], "")


def _idle(loop: str) -> Make:
    return lambda s: one(1.0 - s.loops[loop].busy)


def _unclean(s: Sampled) -> Iterator[Sample]:
    yield "", (), sum(count for _, count in UNCLEAN_ELECTIONS.items())


def _raft_state(s: Sampled) -> Iterator[Sample]:
    yield "", ("leader" if s.image.controller_id == s.node_id else "follower",), 1


def _rate(s: Sampled) -> Iterator[Sample]:
    for (name, topic), value in RATES.fifteen_minutes(s).items():
        yield "", (name, topic), value


def _family(name: str, kind: str, doc: str, *labels: str) -> Family:
    return Family(name, kind, doc, labels)


_TOPICS, _MANAGER = "kafka_server_brokertopicmetrics_", "kafka_server_replicamanager_"
_CONTROLLER, _RAFT = "kafka_controller_kafkacontroller_", "kafka_server_raftmetrics_"
_META = "kafka_server_brokermetadatametrics_"


# fmt: off
JMX: Table = {
    _family(_TOPICS + "bytesin_total", "counter", "Bytes of record batches appended.", "topic"): _per_topic("bytes_in"),
    _family(_TOPICS + "bytesout_total", "counter", "Bytes of record batches sent.", "topic"): _per_topic("bytes_out"),
    _family(_TOPICS + "messagesin_total", "counter", "Records appended.", "topic"): _per_topic("records_in"),
    _family(_TOPICS + "totalproducerequests_total", "counter", "Of all topics.", "topic"):
        _requests("requests_produce"),
    _family(_TOPICS + "totalfetchrequests_total", "counter", "Of all topics.", "topic"): _requests("requests_fetch"),
    _family(_TOPICS + "failedproducerequests_total", "counter", "Of all topics.", "topic"): _requests("failed_produce"),
    _family(_TOPICS + "failedfetchrequests_total", "counter", "Of all topics.", "topic"): _requests("failed_fetch"),
    _family(_MANAGER + "leadercount", "gauge", "Partitions led here."): _cluster(lambda s: s.served.leaders),
    _family(_MANAGER + "partitioncount", "gauge", "Partitions hosted here."): _cluster(lambda s: s.served.hosted),
    _family(_MANAGER + "underreplicatedpartitions", "gauge", "Led here."):
        _cluster(lambda s: s.served.under_replicated),
    _family(_MANAGER + "underminisrpartitioncount", "gauge", "Led here."): _cluster(lambda s: s.served.under_min_isr),
    _family(_MANAGER + "atminisrpartitioncount", "gauge", "Led here."): _cluster(lambda s: s.served.at_min_isr),
    _family(_MANAGER + "offlinereplicacount", "gauge", "Not opened."): _cluster(lambda s: s.served.unopened),
    _family(_CONTROLLER + "activecontrollercount", "gauge", "1 on the controller."):
        _cluster(lambda s: s.image.controller_id == s.node_id),
    _family(_CONTROLLER + "offlinepartitionscount", "gauge", "Without a leader."): _cluster(lambda s: s.served.offline),
    _family(_CONTROLLER + "globaltopiccount", "gauge", "Topics."): _cluster(lambda s: len(s.image.topics)),
    _family(_CONTROLLER + "globalpartitioncount", "gauge", "Partitions."): _cluster(lambda s: s.image.partition_count),
    _family("kafka_controller_controllerstats_uncleanleaderelections_total", "counter", "Of what may lack records."):
        _unclean,
    _family("kafka_cluster_partition_atminisr", "gauge", "1 at the least replicas for a write.", *_TP):
        _local(lambda p: len(p.registration.isr) == p.floor),
    _family("kafka_cluster_partition_underminisr", "gauge", "1 where acks=all is refused.", *_TP):
        _local(lambda p: len(p.registration.isr) < p.floor),
    _family("kafka_cluster_partition_underreplicated", "gauge", "1 where replicas are out of sync.", *_TP):
        _local(lambda p: len(p.registration.isr) < len(p.registration.replicas)),
    _family("kafka_cluster_partition_replicascount", "unknown", "Replicas.", *_TP):
        _local(lambda p: len(p.registration.replicas)),
    _family("kafka_log_log_size", "gauge", "Bytes of its segments.", *_TP): _local(lambda p: p.snapshot.size_bytes),
    _family("kafka_log_log_logendoffset", "gauge", "The next offset.", *_TP): _local(lambda p: p.snapshot.log_end),
    _family("kafka_log_log_logstartoffset", "gauge", "The first offset.", *_TP): _local(lambda p: p.snapshot.log_start),
    _family("kafka_log_logmanager_offlinelogdirectorycount", "unknown", "Log directories that have failed."):
        _cluster(lambda s: s.disk_failed),
    _family("kafka_network_socketserver_networkprocessoravgidle_percent", "gauge", "Idle share, 0 to 1."):
        _idle("plane-0"),
    _family("kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent", "gauge", "Idle share, 0 to 1."):
        _idle("control"),
    _family("kafka_server_kafkaserver_linux_disk_read_bytes", "gauge", "Read by this machine."):
        lambda s: disk_operations("read_bytes"),
    _family("kafka_server_kafkaserver_linux_disk_write_bytes", "gauge", "Written by this machine."):
        lambda s: disk_operations("write_bytes"),
    _family("kafka_server_socket_server_metrics_connection_count", "unknown", "Open connections.", "listener"):
        lambda s: one(s.counters["open_connections"], listener(s)),
    _family("kafka_server_kafkaserver_brokerstate", "gauge", "3: it runs."): _cluster(lambda s: 3),
    _family(_RAFT + "current_state", "gauge", "1 with the state.", "current_state"): _raft_state,
    _family(_RAFT + "current_leader", "gauge", "The controller."): _cluster(lambda s: s.image.controller_id),
    _family(_RAFT + "current_epoch", "gauge", "The term."): _cluster(lambda s: s.image.epoch),
    _family(_RAFT + "current_vote", "gauge", "For whom this voter voted."): _cluster(lambda s: s.image.controller_id),
    _family(_RAFT + "high_watermark", "gauge", "Metadata committed."): _cluster(lambda s: s.image.offset + 1),
    _family(_RAFT + "log_end_offset", "gauge", "Metadata log."): _cluster(lambda s: s.image.offset + 1),
    _family(_RAFT + "log_end_epoch", "gauge", "Its epoch."): _cluster(lambda s: s.image.epoch),
    _family(_RAFT + "number_unknown_voter_connections", "gauge", "None with one voter."): _cluster(lambda s: 0),
    _family(_RAFT + "commit_latency_avg", "gauge", "Not measured: no samples."): _nothing,
    _family(_RAFT + "commit_latency_max", "gauge", "Not measured: no samples."): _nothing,
    _family(_RAFT + "election_latency_avg", "gauge", "No election with one voter: no samples."): _nothing,
    _family(_META + "last_applied_record_offset", "gauge", "Applied here."): _cluster(lambda s: s.image.offset),
    _family(_META + "metadata_load_error_count", "unknown", "A node that cannot load ends."): _cluster(lambda s: 0),
    _family(_META + "metadata_apply_error_count", "unknown", "What could not be opened."):
        _cluster(lambda s: s.served.unopened),
    # kafbat finds rates by this ending of a name; it takes no other case.
    _family("kafka_server_BrokerTopicMetrics_FifteenMinuteRate", "gauge", "Bytes per second.", "name", "topic"): _rate,
}
# fmt: on


# --- kafka_exporter ---


def _brokers(s: Sampled) -> Iterator[Sample]:
    yield "", (), sum(not broker.fenced for broker in s.image.brokers.values())


def _broker_info(s: Sampled) -> Iterator[Sample]:
    for broker in s.image.brokers.values():
        yield "", (f"{broker.host}:{broker.port}", str(broker.node_id)), 1


def _topic_partitions(s: Sampled) -> Iterator[Sample]:
    for topic in s.image.topics.values():
        yield "", (topic.name,), len(topic.partitions)


def _group(value: Callable[[int, int], float]) -> Make:
    """Of each committed offset, with the high watermark beside it; -1 where that is not known here."""

    def make(s: Sampled) -> Iterator[Sample]:
        marks = s.high_watermarks()
        for row in s.committed:
            mark = marks.get((row.topic, row.partition), -1)
            yield "", (row.group, row.topic, str(row.partition)), value(row.offset, mark)

    return make


def _group_sum(value: Callable[[int, int], float]) -> Make:
    def make(s: Sampled) -> Iterator[Sample]:
        marks = s.high_watermarks()
        sums: dict[tuple[str, str], float] = {}
        for row in s.committed:
            key = (row.group, row.topic)
            sums[key] = sums.get(key, 0) + value(row.offset, marks.get((row.topic, row.partition), -1))
        for labels, total in sums.items():
            yield "", labels, total

    return make


def _members(s: Sampled) -> Iterator[Sample]:
    for row in s.groups:
        yield "", (row.group,), row.members


def _offset(offset: int, mark: int) -> float:
    return offset


def _lag(offset: int, mark: int) -> float:
    return max(0, mark - offset) if mark >= 0 else -1


_PARTITION, _CONSUMER = "kafka_topic_partition_", "kafka_consumergroup_"
# fmt: off
EXPORTER: Table = {
    _family("kafka_brokers", "gauge", "Brokers."): _brokers,
    _family("kafka_broker_info", "gauge", "1 for each broker.", "address", "id"): _broker_info,
    _family("kafka_topic_partitions", "gauge", "Partitions.", "topic"): _topic_partitions,
    _family(_PARTITION + "current_offset", "gauge", "Newest.", *_TP): _local(lambda p: p.snapshot.high_watermark),
    _family(_PARTITION + "oldest_offset", "gauge", "Oldest.", *_TP): _local(lambda p: p.snapshot.log_start),
    _family(_PARTITION + "in_sync_replica", "gauge", "In sync.", *_TP): _local(lambda p: len(p.registration.isr)),
    _family(_PARTITION + "leader", "gauge", "Leader.", *_TP): _local(lambda p: p.registration.leader),
    _family(_PARTITION + "leader_is_preferred", "gauge", "1 if it is.", *_TP):
        _local(lambda p: p.registration.leader == p.registration.replicas[0]),
    _family(_PARTITION + "replicas", "gauge", "Replicas.", *_TP): _local(lambda p: len(p.registration.replicas)),
    _family(_PARTITION + "under_replicated_partition", "gauge", "1 where replicas lack.", *_TP):
        _local(lambda p: len(p.registration.isr) < len(p.registration.replicas)),
    _family(_CONSUMER + "current_offset", "gauge", "Committed.", *_GROUP): _group(_offset),
    _family(_CONSUMER + "current_offset_sum", "unknown", "Of all partitions.", *_GROUP[:2]): _group_sum(_offset),
    _family(_CONSUMER + "lag", "gauge", "Records; -1 is not known here.", *_GROUP): _group(_lag),
    _family(_CONSUMER + "lag_sum", "unknown", "Of all partitions.", *_GROUP[:2]): _group_sum(_lag),
    _family(_CONSUMER + "members", "gauge", "Members.", "consumergroup"): _members,
}
# fmt: on
