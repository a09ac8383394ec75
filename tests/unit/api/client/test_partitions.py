"""DeleteRecords, OffsetForLeaderEpoch, DescribeProducers, DescribeLogDirs, DescribeTopicPartitions, DescribeCluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pyralog.api.authorizer import NOT_ASKED, Operation, ResourceType
from pyralog.cluster.requests import CreateTopics, NewTopic
from pyralog.errors import ErrorCode
from pyralog.model import ZERO_UUID, TopicPartition
from pyralog.net.plane_types import ProducerInfo
from pyralog.wire import messages as m
from tests.unit.api.fakes import CLUSTER_ID, Denying, FakeLog, Node

NO = ErrorCode.NONE
TP = TopicPartition("t", 0)


async def make(node: Node, name: str = "t", partitions: int = 1, **configs: str) -> None:
    pairs = tuple((key.replace("_", "."), value) for key, value in configs.items())
    reply = await node.quorum.submit(CreateTopics((NewTopic(name, partitions, 1, configs=pairs),)))
    assert reply.topics[0].error == NO


async def delete(node: Node, offset: int, topic: str = "t", partition: int = 0) -> tuple[int, int]:
    one = m.DeleteRecordsPartition(partition_index=partition, offset=offset)
    request = m.DeleteRecordsRequest(topics=[m.DeleteRecordsTopic(name=topic, partitions=[one])], timeout_ms=1000)
    result = (await node.ask(21, 2, request)).topics[0].partitions[0]
    return result.error_code, result.low_watermark


async def test_delete_records(node: Node) -> None:
    """Compatibility.md section 7: -1 is the high watermark, -2 and more than it are error 1."""
    await make(node)
    node.plane.logs[TP] = FakeLog(log_start=10, end=100, high_watermark=90)
    assert await delete(node, 20) == (NO, 20)
    assert await delete(node, 5) == (NO, 20)
    assert await delete(node, -2) == (ErrorCode.OFFSET_OUT_OF_RANGE, -1)
    assert await delete(node, 91) == (ErrorCode.OFFSET_OUT_OF_RANGE, -1)
    assert await delete(node, -1) == (NO, 90)
    assert node.plane.logs[TP].log_start == 90


async def test_delete_records_of_what_may_not_be(new_node: Callable[..., Node]) -> None:
    node = new_node(authorizer=Denying((Operation.DELETE, ResourceType.TOPIC, "kept")))
    await make(node, "kept")
    await make(node, "compacted", cleanup_policy="compact")
    await make(node, "both", cleanup_policy="compact,delete")
    await make(node, "__consumer_offsets")
    node.plane.logs[TopicPartition("both", 0)].end = 9
    assert await delete(node, 1, "kept") == (ErrorCode.TOPIC_AUTHORIZATION_FAILED, -1)
    assert await delete(node, 1, "compacted") == (ErrorCode.POLICY_VIOLATION, -1)
    assert await delete(node, 1, "both") == (NO, 1)
    assert await delete(node, 0, "__consumer_offsets") == (ErrorCode.INVALID_TOPIC_EXCEPTION, -1)
    assert await delete(node, 0, "missing") == (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, -1)
    assert await delete(node, 0, "a/b") == (ErrorCode.INVALID_TOPIC_EXCEPTION, -1)
    assert await delete(node, 0, "both", 1) == (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, -1)


async def epoch_end(node: Node, epoch: int, current: int = -1, topic: str = "t", partition: int = 0) -> Any:
    one = m.OffsetForLeaderPartition(partition=partition, current_leader_epoch=current, leader_epoch=epoch)
    request = m.OffsetForLeaderEpochRequest(topics=[m.OffsetForLeaderTopic(topic=topic, partitions=[one])])
    result = (await node.ask(23, 4, request)).topics[0].partitions[0]
    return result.error_code, result.leader_epoch, result.end_offset


async def test_offset_for_leader_epoch(node: Node) -> None:
    """KIP-320: where an epoch ended; the current one ends at the log end."""
    await make(node)
    node.plane.logs[TP] = FakeLog(leader_epoch=5, end=100)
    node.logs.epoch_starts[TP] = [(1, 0), (3, 40), (5, 70)]
    for asked, answer in {
        5: (5, 100),
        4: (3, 70),
        3: (3, 70),
        2: (1, 40),
        1: (1, 40),
        6: (-1, -1),
        -1: (-1, -1),
    }.items():
        assert await epoch_end(node, asked) == (NO, *answer), asked
    assert await epoch_end(node, 5, current=5) == (NO, 5, 100)
    assert await epoch_end(node, 5, current=4) == (ErrorCode.FENCED_LEADER_EPOCH, -1, -1)
    assert await epoch_end(node, 5, current=6) == (ErrorCode.UNKNOWN_LEADER_EPOCH, -1, -1)
    assert await epoch_end(node, 5, topic="x") == (ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, -1, -1)
    node.plane.logs[TP].failed = True
    assert await epoch_end(node, 5) == (ErrorCode.KAFKA_STORAGE_ERROR, -1, -1)


async def test_describe_producers(node: Node) -> None:
    await make(node)
    node.plane.logs[TP].producers = [ProducerInfo(7, 1, 41, 1234)]
    request = m.DescribeProducersRequest(
        topics=[
            m.DescribeProducersRequestTopicRequest(name=name, partition_indexes=[0, 1]) for name in ("t", "x", "a/b")
        ]
    )
    answer = await node.ask(61, 0, request)
    codes = {(t.name, p.partition_index): p.error_code for t in answer.topics for p in t.partitions}
    unknown, invalid = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.INVALID_TOPIC_EXCEPTION
    assert codes == {
        ("t", 0): NO,
        ("t", 1): unknown,
        ("x", 0): unknown,
        ("x", 1): unknown,
        ("a/b", 0): invalid,
        ("a/b", 1): invalid,
    }
    (producer,) = answer.topics[0].partitions[0].active_producers
    assert (producer.producer_id, producer.producer_epoch, producer.last_sequence) == (7, 1, 41)
    assert (producer.last_timestamp, producer.coordinator_epoch, producer.current_txn_start_offset) == (1234, -1, -1)


@pytest.mark.parametrize("version", range(1, 6))
async def test_describe_log_dirs(node: Node, version: int) -> None:
    await make(node, "t", 2)
    await make(node, "u", 1)
    node.plane.logs[TP].size_bytes = 5000

    async def sizes(topics: Any) -> Any:
        answer = await node.ask(35, version, m.DescribeLogDirsRequest(topics=topics))
        (result,) = answer.results
        assert result.log_dir == "/data/pyralog"
        if version >= 4:
            assert (result.total_bytes, result.usable_bytes) == (1000, 400)
        return {
            (t.name, p.partition_index): (p.partition_size, p.offset_lag) for t in result.topics for p in t.partitions
        }

    assert await sizes(None) == {("t", 0): (5000, 0), ("t", 1): (0, 0), ("u", 0): (0, 0)}
    chosen = [
        m.DescribableLogDirTopic(topic="t", partitions=[0, 9]),
        m.DescribableLogDirTopic(topic="x", partitions=[0]),
    ]
    assert await sizes(chosen) == {("t", 0): (5000, 0)}
    assert await sizes([]) == {}


async def test_failed_log_dir_and_denied(new_node: Callable[..., Node]) -> None:
    node = new_node()
    await make(node)
    node.plane.logs[TP].failed = True
    (result,) = (await node.ask(35, 4, m.DescribeLogDirsRequest(topics=None))).results
    assert (result.error_code, result.topics) == (ErrorCode.KAFKA_STORAGE_ERROR, [])
    node = new_node(authorizer=Denying((Operation.DESCRIBE, ResourceType.CLUSTER, "kafka-cluster")))
    answer = await node.ask(35, 4, m.DescribeLogDirsRequest(topics=None))
    assert (answer.error_code, answer.results) == (ErrorCode.CLUSTER_AUTHORIZATION_FAILED, [])


async def pages(node: Node, limit: int, *names: str) -> list[list[tuple[str, list[int]]]]:
    """Every page of DescribeTopicPartitions, following the cursor."""
    cursor, found = None, []
    while len(found) < 50:
        request = m.DescribeTopicPartitionsRequest(
            topics=[m.DescribeTopicPartitionsRequestTopicRequest(name=name) for name in names],
            response_partition_limit=limit,
            cursor=cursor,
        )
        answer = await node.ask(75, 0, request)
        found.append([(t.name, [p.partition_index for p in t.partitions]) for t in answer.topics])
        if answer.next_cursor is None:
            return found
        cursor = m.DescribeTopicPartitionsRequestCursor(
            topic_name=answer.next_cursor.topic_name, partition_index=answer.next_cursor.partition_index
        )
    raise AssertionError("the pages do not end")


async def test_pages(node: Node) -> None:
    """KIP-966: sorted, at most so many partitions a page, nothing lost and nothing twice."""
    for name, partitions in (("b", 3), ("a", 2), ("c", 1)):
        await make(node, name, partitions)
    assert await pages(node, 2000) == [[("a", [0, 1]), ("b", [0, 1, 2]), ("c", [0])]]
    assert await pages(node, 2) == [[("a", [0, 1])], [("b", [0, 1])], [("b", [2]), ("c", [0])]]
    assert await pages(node, 4) == [[("a", [0, 1]), ("b", [0, 1])], [("b", [2]), ("c", [0])]]
    assert len(await pages(node, 0)) == 6
    assert await pages(node, -5, "c", "a", "a") == [[("a", [0])], [("a", [1])], [("c", [0])]]


async def test_page_limit_is_the_brokers(new_node: Callable[..., Node]) -> None:
    node = new_node(max_described_partitions=3)
    await make(node, "t", 5)
    assert await pages(node, 2**31 - 1) == [[("t", [0, 1, 2])], [("t", [3, 4])]]


async def test_described_topic(new_node: Callable[..., Node]) -> None:
    node = new_node(authorizer=Denying((Operation.DESCRIBE, ResourceType.TOPIC, "hidden")))
    await make(node, "t")
    await make(node, "hidden")
    names = ("t", "hidden", "missing", "a/b")
    request = m.DescribeTopicPartitionsRequest(
        topics=[m.DescribeTopicPartitionsRequestTopicRequest(name=name) for name in names]
    )
    topics = {topic.name: topic for topic in (await node.ask(75, 0, request)).topics}
    assert {name: topic.error_code for name, topic in topics.items()} == {
        "t": NO,
        "hidden": ErrorCode.TOPIC_AUTHORIZATION_FAILED,
        "missing": ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        "a/b": ErrorCode.INVALID_TOPIC_EXCEPTION,
    }
    assert topics["hidden"].topic_id == ZERO_UUID
    assert topics["t"].topic_id == node.quorum.image.topics["t"].topic_id
    assert topics["t"].topic_authorized_operations & (1 << Operation.READ)
    partition = topics["t"].partitions[0]
    assert (partition.leader_id, partition.replica_nodes, partition.isr_nodes) == (1, [1], [1])
    assert (partition.eligible_leader_replicas, partition.last_known_elr) == ([], [])
    everything = await node.ask(75, 0, m.DescribeTopicPartitionsRequest())
    assert [topic.name for topic in everything.topics] == ["t"]


@pytest.mark.parametrize(("names", "topic", "partition"), [(("t",), "u", 0), (("t",), "t", -1), ((), "t", -1)])
async def test_bad_cursor(node: Node, names: tuple[str, ...], topic: str, partition: int) -> None:
    await make(node, "t")
    request = m.DescribeTopicPartitionsRequest(
        topics=[m.DescribeTopicPartitionsRequestTopicRequest(name=name) for name in names],
        cursor=m.DescribeTopicPartitionsRequestCursor(topic_name=topic, partition_index=partition),
    )
    answer = await node.ask(75, 0, request)
    assert [one.error_code for one in answer.topics] == [ErrorCode.INVALID_REQUEST] * len(names)


async def test_cursor_beyond_the_partitions(node: Node) -> None:
    await make(node, "t")
    request = m.DescribeTopicPartitionsRequest(
        topics=[m.DescribeTopicPartitionsRequestTopicRequest(name="t")],
        cursor=m.DescribeTopicPartitionsRequestCursor(topic_name="t", partition_index=2**31 - 1),
    )
    answer = await node.ask(75, 0, request)
    assert (answer.topics[0].partitions, answer.next_cursor) == ([], None)


async def test_describe_cluster(node: Node) -> None:
    """Trap 15: a live controller; fenced brokers only when asked (v2)."""
    node.quorum.register(2, "node2", 9092, rack="r")
    node.quorum.fence(2)
    for version in (0, 1, 2):
        answer = await node.ask(60, version, m.DescribeClusterRequest())
        assert (answer.cluster_id, answer.controller_id, answer.error_code) == (CLUSTER_ID, 1, NO)
        assert [(b.broker_id, b.host, b.port) for b in answer.brokers] == [(1, "localhost", 9092)]
        assert answer.cluster_authorized_operations == NOT_ASKED
    answer = await node.ask(60, 2, m.DescribeClusterRequest(include_fenced_brokers=True))
    assert [(b.broker_id, b.is_fenced) for b in answer.brokers] == [(1, False), (2, True)]
    answer = await node.ask(60, 0, m.DescribeClusterRequest(include_cluster_authorized_operations=True))
    assert answer.cluster_authorized_operations & (1 << Operation.CREATE)


@pytest.mark.parametrize(
    ("endpoint", "code"),
    [
        (1, NO),
        (2, ErrorCode.MISMATCHED_ENDPOINT_TYPE),
        (0, ErrorCode.UNSUPPORTED_ENDPOINT_TYPE),
        (9, ErrorCode.UNSUPPORTED_ENDPOINT_TYPE),
    ],
)
async def test_describe_cluster_endpoint_type(node: Node, endpoint: int, code: ErrorCode) -> None:
    answer = await node.ask(60, 1, m.DescribeClusterRequest(endpoint_type=endpoint))
    assert answer.error_code == code
    assert bool(answer.brokers) is (code == NO)
