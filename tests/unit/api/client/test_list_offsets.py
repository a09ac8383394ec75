"""ListOffsets: every special timestamp, searches by time, leader epochs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from pyralog.api.authorizer import Operation, ResourceType
from pyralog.cluster.requests import CreateTopics, NewTopic
from pyralog.errors import ErrorCode
from pyralog.model import TopicPartition
from pyralog.net.plane_types import SegmentInfo
from pyralog.wire import messages as m
from tests.unit.api.fakes import Denying, FakeLog, Node

TP = TopicPartition("t", 0)
LOG = {"log_start": 5, "end": 100, "high_watermark": 90, "last_stable": 70, "leader_epoch": 3}
NOTHING = (ErrorCode.NONE, -1, -1, -1)


@pytest.fixture
async def served(node: Node) -> Node:
    return await serve(node)


async def serve(node: Node) -> Node:
    await node.quorum.submit(CreateTopics((NewTopic("t", 2, 1),)))
    node.plane.logs[TP] = FakeLog(
        **LOG, segments=[SegmentInfo(5, 50, 9, 1500, 40, 0), SegmentInfo(50, 100, 9, 1200, 99, 0)]
    )
    node.logs.records[TP] = [(5, 1000, 0), (40, 1500, 2), (89, 1200, 3), (95, 2000, 3)]
    node.logs.epoch_starts[TP] = [(0, 0), (2, 30), (3, 60)]
    return node


def asked(timestamp: int, *, partition: int = 0, topic: str = "t", epoch: int = -1, **more: Any) -> Any:
    one = m.ListOffsetsPartition(partition_index=partition, timestamp=timestamp, current_leader_epoch=epoch)
    return m.ListOffsetsRequest(topics=[m.ListOffsetsTopic(name=topic, partitions=[one])], **more)


async def one(node: Node, version: int, request: Any) -> tuple[int, int, int, int]:
    result = (await node.ask(2, version, request)).topics[0].partitions[0]
    return result.error_code, result.offset, result.timestamp, result.leader_epoch


@pytest.mark.parametrize("version", range(1, 12))
async def test_every_timestamp_in_every_version(served: Node, version: int) -> None:
    """Trap 13: -1 latest, -2 earliest, -3 max timestamp (v7), -4 earliest local (v8), -5 last tiered (v9), -6 pending
    upload (v11); a special one above its version or below -6 is 35; -5 and -6 without tiering are -1 without error."""
    epochs = version >= 4
    refused = (ErrorCode.UNSUPPORTED_VERSION, -1, -1, -1)
    expected = {
        -1: (0, 90, -1, 3 if epochs else -1),
        -2: (0, 5, -1, 0 if epochs else -1),
        -3: (0, 40, 1500, 2) if version >= 7 else refused,
        -4: (0, 5, -1, 0) if version >= 8 else refused,
        -5: NOTHING if version >= 9 else refused,
        -6: NOTHING if version >= 11 else refused,
        -7: refused,
        1001: (0, 40, 1500, 2 if epochs else -1),
        0: (0, 5, 1000, 0 if epochs else -1),
        1501: NOTHING,
    }
    for timestamp, answer in expected.items():
        assert await one(served, version, asked(timestamp)) == answer, timestamp


async def test_latest_of_committed_readers_is_the_last_stable_offset(served: Node) -> None:
    """Trap 13."""
    assert (await one(served, 5, asked(-1, isolation_level=1)))[1] == 70
    assert (await one(served, 5, asked(-1, isolation_level=0)))[1] == 90


async def test_record_beyond_what_readers_may_see_is_none(served: Node) -> None:
    """Trap 13: unknown timestamp is offset -1, not an error."""
    served.plane.logs[TP].segments = [SegmentInfo(5, 100, 9, 2000, 95, 0)]
    assert await one(served, 5, asked(1600)) == NOTHING
    served.plane.logs[TP].high_watermark = 96
    assert await one(served, 5, asked(1600)) == (0, 95, 2000, 3)
    assert await one(served, 5, asked(1600, isolation_level=1)) == NOTHING


async def test_empty_log(served: Node) -> None:
    served.plane.logs[TP] = FakeLog(segments=[SegmentInfo(0, 0, 0, -1, -1, 0)])
    served.logs.records[TP] = []
    assert (await one(served, 7, asked(-1)))[:2] == (0, 0)
    assert (await one(served, 7, asked(-2)))[:2] == (0, 0)
    assert await one(served, 7, asked(-3)) == NOTHING
    assert await one(served, 7, asked(0)) == NOTHING


async def test_current_leader_epoch(served: Node) -> None:
    """KIP-320: an older one is fenced, a newer one is not known yet."""
    for timestamp in (-1, -2, 0):
        assert (await one(served, 4, asked(timestamp, epoch=3)))[0] == ErrorCode.NONE
        assert (await one(served, 4, asked(timestamp, epoch=2)))[0] == ErrorCode.FENCED_LEADER_EPOCH
        assert (await one(served, 4, asked(timestamp, epoch=4)))[0] == ErrorCode.UNKNOWN_LEADER_EPOCH


async def test_partitions_that_are_not_there(served: Node) -> None:
    assert (await one(served, 4, asked(-1, topic="x")))[0] == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    for partition in (2, -1, 2**31 - 1):
        assert (await one(served, 4, asked(-1, partition=partition)))[0] == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    served.quorum.register(2, "other", 9092)
    await served.quorum.submit(CreateTopics((NewTopic("elsewhere", assignments=((0, (2,)),)),)))
    assert (await one(served, 4, asked(-1, topic="elsewhere")))[0] == ErrorCode.NOT_LEADER_OR_FOLLOWER
    served.plane.logs[TP].failed = True
    assert (await one(served, 4, asked(-1)))[0] == ErrorCode.KAFKA_STORAGE_ERROR


async def test_partition_named_twice(served: Node) -> None:
    """Compatibility.md section 7: 42 for that partition, answered once."""
    again = asked(-1).topics + asked(-2).topics + asked(-1, partition=1).topics
    answer = await served.ask(2, 4, m.ListOffsetsRequest(topics=again))
    codes = [(one.partition_index, one.error_code) for topic in answer.topics for one in topic.partitions]
    assert codes == [(0, ErrorCode.INVALID_REQUEST), (1, ErrorCode.NONE)]


async def test_slow_search_times_out_alone(served: Node) -> None:
    """KIP-1075: v10 carries a timeout; the ends of logs in the same request are answered all the same."""
    hang = asyncio.Event()

    async def never(*args: Any) -> Any:
        await hang.wait()

    served.logs.find_record = never  # type: ignore[method-assign]
    request = asked(5, timeout_ms=1)
    request.topics[0].partitions.append(m.ListOffsetsPartition(partition_index=1, timestamp=-1))
    token = served.post(2, 10, request)
    async with asyncio.timeout(10):
        while token not in served.plane.replies:
            await asyncio.sleep(0.001)
    partitions = served.answer(2, 10, token).topics[0].partitions
    assert [partition.error_code for partition in partitions] == [ErrorCode.REQUEST_TIMED_OUT, ErrorCode.NONE]
    hang.set()


async def test_not_permitted(new_node: Callable[..., Node]) -> None:
    """Trap 21: whether it exists or not."""
    node = await serve(new_node(authorizer=Denying(*[(Operation.DESCRIBE, ResourceType.TOPIC, n) for n in ("t", "x")])))
    for topic in ("t", "x"):
        assert (await one(node, 4, asked(-1, topic=topic)))[0] == ErrorCode.TOPIC_AUTHORIZATION_FAILED
