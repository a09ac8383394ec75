"""Configs of brokers set while they run: each key is seen to take effect, by a client, without a restart."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pyralog.config.dynamic import dynamic_configs
from pyralog.model import TopicPartition
from pyralog.testing import Broker
from pyralog.wire import messages as m
from tests.integration.conftest import until
from tests.integration.dynamic import APPEND, SUBTRACT, TOPIC, Admin, running
from tests.integration.raw import Raw, batch
from tests.log_batches import make_batch

DAY_MS = 86_400_000


@pytest.fixture
def node() -> Iterator[tuple[Broker, Admin]]:
    with running(groups__initial_rebalance_delay_ms=0) as pair:
        yield pair


@pytest.fixture
def broker(node: tuple[Broker, Admin]) -> Broker:
    return node[0]


@pytest.fixture
def admin(node: tuple[Broker, Admin]) -> Admin:
    return node[1]


def plane(broker: Broker) -> Any:
    assert broker._node is not None
    assert broker._node.plane is not None
    return broker._node.plane


def refused(broker: Broker) -> bool:
    """Whether a new connection is turned away."""
    with socket.create_connection(("127.0.0.1", broker.port), 10) as new:
        new.settimeout(0.5)
        try:
            return new.recv(1) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False


def segments(broker: Broker) -> int:
    return len(list(broker.data_dir.rglob("t-0/*.log")))


# --- connections ---


@pytest.mark.parametrize("name", ["max.connections", "max.connections.per.ip"])
def test_connections(name: str, broker: Broker, admin: Admin) -> None:
    assert not refused(broker)
    assert admin.alter({name: "1"}) == (0, None)
    until(lambda: plane(broker).engine.counters()["open_connections"] == 1, "the earlier connection is gone")
    assert refused(broker)
    assert admin.alter({name: None}) == (0, None)
    assert not refused(broker)


def test_idle_connections(broker: Broker, admin: Admin) -> None:
    with Admin(broker.port) as idle:
        idle.offsets("t")
        admin.set(connections__max__idle__ms=200)
        until(lambda: idle._socket.recv(1) == b"", "the idle connection is closed", 5)


def test_handshake_timeout(broker: Broker, admin: Admin) -> None:
    with Raw(broker.port) as silent:
        admin.set(network__handshake_timeout_ms="100ms")
        assert silent.closed(within_s=5)


def test_request_size(broker: Broker, admin: Admin) -> None:
    assert admin.produce("t", b"x" * 5000) == 0
    admin.set(socket__request__max__bytes=2048)
    with Raw(broker.port) as large:
        large.send_frame(b"\0" * 5000)
        assert large.closed()


def test_fetch_size_and_sessions(admin: Admin) -> None:
    for _ in range(4):
        admin.produce("t", b"x" * 1000)
    assert len(admin.fetch("t").responses[0].partitions[0].records) > 4000
    admin.set(fetch__max__bytes=2200, max__incremental__fetch__session__cache__slots=0)
    assert len(admin.fetch("t").responses[0].partitions[0].records) < 2300
    assert admin.fetch("t", session=0).session_id == 0
    admin.set(max__incremental__fetch__session__cache__slots=5)
    assert admin.fetch("t", session=0).session_id > 0


def test_request_timeout_bounds_waits(broker: Broker, admin: Admin) -> None:
    assert broker._node is not None
    admin.set(request__timeout__ms=1234)
    assert broker._node.live.current.network.request_timeout_ms == 1234
    assert broker._node.api.request_timeout_ms == 1234


# --- topics ---


def test_creation_and_deletion_of_topics(admin: Admin) -> None:
    admin.set(num__partitions=3)
    assert len(admin.metadata("three").partitions) == 3
    admin.set(auto__create__topics__enable="false", delete__topic__enable="false")
    assert admin.metadata("none").error_code == 3
    request = m.DeleteTopicsRequest(topics=[m.DeleteTopicState(name="three")], timeout_ms=10_000)
    assert admin.ask(20, 6, request).responses[0].error_code == 73  # TOPIC_DELETION_DISABLED
    admin.set(delete__topic__enable=None, max__request__partition__size__limit=2)
    described = m.DescribeTopicPartitionsRequest(topics=[m.DescribeTopicPartitionsRequestTopicRequest(name="three")])
    assert len(admin.ask(75, 0, described).topics[0].partitions) == 2
    assert admin.ask(20, 6, request).responses[0].error_code == 0


def test_replication_defaults_stay_within_the_cluster(admin: Admin) -> None:
    admin.set(default__replication__factor=1, min__insync__replicas=1)
    code, why = admin.alter({"default.replication.factor": "2"})
    assert (code, why) == (42, "replication.quorum.replication_factor: 2 is more than the cluster has nodes (1 node).")
    assert admin.configs(TOPIC, "t")["min.insync.replicas"].config_source == 3


def test_what_topics_inherit(broker: Broker, admin: Admin) -> None:
    assert admin.produce("t", b"x" * 5000) == 0
    admin.set(message__max__bytes=2000)
    assert admin.produce("t", b"x" * 5000) == 10
    admin.set(node="1", message__max__bytes=8000)
    assert admin.produce("t", b"x" * 5000) == 0, "a node's own value is stronger"
    admin.set(log__message__timestamp__before__max__ms=0)
    assert admin.produce("t", data=make_batch(0, timestamp=1000)) == 32  # INVALID_TIMESTAMP
    admin.set(log__message__timestamp__type="LogAppendTime")
    assert admin.produce("t", data=make_batch(0, timestamp=1000)) == 0
    admin.set(compression__type="gzip")
    before = plane(broker).snapshot(TopicPartition("t", 0)).size_bytes
    assert admin.produce("t", b"x" * 5000) == 0
    assert plane(broker).snapshot(TopicPartition("t", 0)).size_bytes - before < 1000
    admin.set(log__roll__ms=1)
    assert admin.produce("t", b"1") == 0
    until(lambda: admin.produce("t", b"2") == 0 and segments(broker) > 1, "a segment was rolled")
    admin.set(log__cleanup__policy="compact", storage__segment_config__use_mmap="false")
    assert admin.produce("t", b"without a key") == 87  # INVALID_RECORD
    assert broker._node is not None
    assert broker._node._lifecycle is not None
    settings = broker._node._lifecycle.replicas[TopicPartition("t", 0)].settings
    assert (settings.use_mmap, settings.compacted) == (False, True)


def test_retention(broker: Broker, admin: Admin) -> None:
    admin.produce("t", b"old")
    admin.set(log__retention__check__interval__ms=50)
    broker.shift_clock(2 * DAY_MS)
    admin.set(log__retention__ms=DAY_MS)
    until(lambda: admin.offsets("t") == (1, 1), "the old record is gone")
    broker.shift_clock(2 * DAY_MS)
    admin.produce("t", b"x" * 5000)
    admin.set(log__retention__bytes=100, log__retention__ms=-1, log__segment__bytes=1 << 20, log__roll__ms=1)
    until(lambda: admin.produce("t", b"new") == 0 and admin.offsets("t")[0] > 1, "the log is cut to its size")


# --- storage ---


def unsynced(broker: Broker) -> int:
    return int(plane(broker).engine.counters()["unsynced_bytes"])


def test_sync_and_the_write_cache() -> None:
    with running(storage__cache_config__max_buffer_time_ms=60_000) as (broker, admin):
        admin.produce("t", b"buffered")
        assert unsynced(broker) > 0
        admin.set(storage__segment_config__sync_on_write="true")
        until(lambda: unsynced(broker) == 0, "what was written before is synced")
        admin.produce("t", b"synced before it is acknowledged")
        snapshot = plane(broker).snapshot(TopicPartition("t", 0))
        assert snapshot.synced == snapshot.log_end == 2
        admin.set(storage__segment_config__sync_on_write="false")
        admin.produce("t", b"buffered again")
        assert plane(broker).snapshot(TopicPartition("t", 0)).synced == 2
        admin.set(storage__cache_config__max_size="4KiB")
        admin.produce("t", b"x" * 5000)
        until(lambda: plane(broker).snapshot(TopicPartition("t", 0)).synced == 4, "a full cache is synced")
        admin.set(storage__cache_config__max_size=None, storage__cache_config__max_buffer_time_ms="1ms")
        admin.produce("t", b"for a millisecond")
        until(lambda: plane(broker).snapshot(TopicPartition("t", 0)).synced == 5, "it is synced in time")
        admin.set(storage__cache_config__max_buffer_time_ms="60s", storage__cache_config__enabled="false")
        admin.produce("t", b"in line")
        assert plane(broker).snapshot(TopicPartition("t", 0)).synced == 6


def test_idle_producers_are_forgotten(broker: Broker, admin: Admin) -> None:
    made = admin.ask(22, 4, m.InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=1000))
    data = bytearray(batch([b"v"]))
    data[43:57] = made.producer_id.to_bytes(8, "big") + b"\0\0" + b"\0\0\0\0"
    data[17:21] = _crc(bytes(data[21:]))
    assert admin.produce("t", data=bytes(data)) == 0

    def producers() -> int:
        topic = m.DescribeProducersRequestTopicRequest(name="t", partition_indexes=[0])
        answer = admin.ask(61, 0, m.DescribeProducersRequest(topics=[topic]))
        return len(answer.topics[0].partitions[0].active_producers)

    assert producers() == 1
    admin.set(producer__id__expiration__ms=200)
    until(lambda: producers() == 0, "the idle producer is forgotten")


def _crc(data: bytes) -> bytes:
    from crc32c import crc32c

    return crc32c(data).to_bytes(4, "big")


# --- groups and transactions ---


def join(admin: Admin, group: str, *, session_ms: int = 10_000, member: str = "") -> Any:
    protocol = m.JoinGroupRequestProtocol(name="range", metadata=b"")
    request = m.JoinGroupRequest(
        group_id=group,
        session_timeout_ms=session_ms,
        rebalance_timeout_ms=session_ms,
        member_id=member,
        protocol_type="consumer",
        protocols=[protocol],
    )

    def asked() -> Any:
        answer = admin.ask(11, 3, request)
        return answer if answer.error_code not in (14, 15, 16) else None

    return until(asked, "the coordinator is loaded")


def heartbeat(admin: Admin, group: str) -> Any:
    request = m.ConsumerGroupHeartbeatRequest(
        group_id=group,
        member_id=f"member-of-{group}",
        member_epoch=0,
        rebalance_timeout_ms=10_000,
        subscribed_topic_names=["t"],
        topic_partitions=[],
    )

    def asked() -> Any:
        answer = admin.ask(68, 1, request)
        return answer if answer.error_code not in (14, 15, 16) else None

    return until(asked, "the coordinator is loaded")


def test_limits_of_classic_groups(broker: Broker, admin: Admin) -> None:
    assert join(admin, "g", session_ms=10_000).error_code == 0
    admin.set(group__min__session__timeout__ms=20_000)
    assert join(admin, "h", session_ms=10_000).error_code == 26  # INVALID_SESSION_TIMEOUT
    admin.set(group__min__session__timeout__ms=1000, group__max__session__timeout__ms=5000)
    assert join(admin, "h", session_ms=10_000).error_code == 26
    assert join(admin, "h", session_ms=5000).error_code == 0
    admin.set(group__max__session__timeout__ms=None, group__max__size=1)
    with Admin(broker.port) as other:
        assert join(other, "g").error_code == 81  # GROUP_MAX_SIZE_REACHED


def test_groups_of_the_newer_protocol(admin: Admin) -> None:
    assert heartbeat(admin, "a").heartbeat_interval_ms == 5000
    admin.set(group__consumer__heartbeat__interval__ms=7000)
    assert heartbeat(admin, "b").heartbeat_interval_ms == 7000
    admin.set(group__consumer__assignors="range", group__consumer__max__size=1)
    described = admin.ask(69, 1, m.ConsumerGroupDescribeRequest(group_ids=["b"])).groups[0]
    assert described.assignor_name == "range"
    assert admin.alter({"group.consumer.assignors": "range"}, op=SUBTRACT)[0] == 42, "one must stay"
    assert admin.alter({"group.consumer.assignors": "uniform"}, op=APPEND) == (0, None)
    assert admin.configs()["group.consumer.assignors"].value == "range,uniform"


def commit(admin: Admin, group: str, metadata: str = "") -> int:
    partition = m.OffsetCommitRequestPartition(partition_index=0, committed_offset=5, committed_metadata=metadata)
    topic = m.OffsetCommitRequestTopic(name="t", partitions=[partition])
    request = m.OffsetCommitRequest(group_id=group, topics=[topic])

    def asked() -> Any:
        code = admin.ask(8, 6, request).topics[0].partitions[0].error_code
        return None if code in (14, 15, 16) else (code,)

    return int(until(asked, "the coordinator is loaded")[0])


def committed(admin: Admin, group: str) -> int:
    topic = m.OffsetFetchRequestTopic(name="t", partition_indexes=[0])

    def asked() -> Any:
        answer = admin.ask(9, 5, m.OffsetFetchRequest(group_id=group, topics=[topic]))
        return None if answer.error_code in (14, 15, 16) else answer

    return int(until(asked, "the coordinator is loaded").topics[0].partitions[0].committed_offset)


def test_offsets(broker: Broker, admin: Admin) -> None:
    assert commit(admin, "g", "a note") == 0
    admin.set(offset__metadata__max__bytes=3)
    assert commit(admin, "g", "a note") == 12  # OFFSET_METADATA_TOO_LARGE
    # The coordinator's clock does not jump while it runs.
    broker.stop()
    broker.shift_clock(DAY_MS)
    broker.start()
    with Admin(broker.port) as later:
        assert commit(later, "another group") == 0
        assert committed(later, "g") == 5
        later.set(offsets__retention__minutes=1, offsets__retention__check__interval__ms=100)
        until(lambda: committed(later, "g") == -1, "the offsets have expired")


def test_transactions(broker: Broker, admin: Admin) -> None:
    def init(timeout_ms: int) -> Any:
        request = m.InitProducerIdRequest(transactional_id="x", transaction_timeout_ms=timeout_ms)

        def asked() -> Any:
            answer = admin.ask(22, 4, request)
            return answer if answer.error_code not in (14, 15, 16, 51) else None

        return until(asked, "the coordinator is loaded")

    assert init(60_000).error_code == 0
    admin.set(transaction__max__timeout__ms=1000)
    assert init(60_000).error_code == 50  # INVALID_TRANSACTION_TIMEOUT

    def ids() -> int:
        return len(admin.ask(66, 0, m.ListTransactionsRequest()).transaction_states)

    assert ids() == 1
    admin.set(
        transactional__id__expiration__ms=1000, transaction__remove__expired__transaction__cleanup__interval__ms=100
    )
    broker.shift_clock(DAY_MS)
    until(lambda: ids() == 0, "the id is forgotten")


# --- what is kept, refused, shown ---


def test_a_wrong_value_changes_nothing(admin: Admin) -> None:
    before = {name: config.value for name, config in admin.configs().items()}
    code, why = admin.alter({"max.connections": "7", "group.max.size": "many"})
    assert (code, why) == (42, "Invalid value many for configuration group.max.size: Not a number of type INT")
    assert admin.alter({"max.connections": "7", "listeners": "x"})[0] == 42
    assert admin.alter({"max.connections": "7"}, validate=True) == (0, None)
    assert admin.alter({"num.partitions": "7"}, node="1")[0] == 42
    assert {name: config.value for name, config in admin.configs().items()} == before


@pytest.mark.parametrize("end", [Broker.stop, Broker.kill])
def test_values_survive_the_end_of_the_process(end: Callable[[Broker], None], broker: Broker, admin: Admin) -> None:
    admin.set(num__partitions=3, message__max__bytes=2000, fetch__max__bytes=5000)
    admin.set(node="1", message__max__bytes=3000)
    end(broker)
    broker.start()
    with Admin(broker.port) as again:
        configs = again.configs()
        assert [(s.value, s.source) for s in configs["message.max.bytes"].synonyms] == [
            ("3000", 2),
            ("2000", 3),
            ("1048588", 5),
        ]
        assert (configs["num.partitions"].value, configs["num.partitions"].config_source) == ("3", 3)
        assert len(again.metadata("three").partitions) == 3
        assert again.produce("t", b"x" * 5000) == 10
        assert again.alter({"message.max.bytes": None}, node="1") == (0, None)
        assert again.configs()["message.max.bytes"].value == "2000"


def test_alter_configs_resets_what_it_does_not_name(admin: Admin) -> None:
    admin.set(max__connections=77, fetch__max__bytes=5000)
    config = m.AlterConfigsRequestAlterableConfig(name="fetch.max.bytes", value="6000")
    resource = m.AlterConfigsRequestAlterConfigsResource(resource_type=4, resource_name="", configs=[config])
    assert admin.ask(33, 2, m.AlterConfigsRequest(resources=[resource])).responses[0].error_code == 0
    configs = admin.configs()
    assert (configs["max.connections"].config_source, configs["fetch.max.bytes"].value) == (4, "6000")


def test_every_config_says_whether_it_can_be_set(admin: Admin) -> None:
    configs = admin.configs()
    assert {name for name, config in configs.items() if not config.read_only} == dynamic_configs().keys()
    for name, config in configs.items():
        assert config.documentation, name
        if config.read_only:
            assert admin.alter({name: config.value or "x"}, validate=True)[0] == 42, name
