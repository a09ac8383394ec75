"""Metadata: who is listed, what is made, what is hidden."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from pyralog.api.authorizer import NOT_ASKED, Operation, ResourceType
from pyralog.cluster.requests import CreateTopics, DeleteTopics, NewTopic, TopicRef
from pyralog.errors import ErrorCode
from pyralog.model import ZERO_UUID
from pyralog.wire import messages as m
from tests.unit.api.fakes import CLUSTER_ID, Denying, Node


def named(*names: str | None, **more: Any) -> Any:
    return m.MetadataRequest(topics=[m.MetadataRequestTopic(name=name) for name in names], **more)


def by_id(topic_id: bytes) -> Any:
    return m.MetadataRequest(topics=[m.MetadataRequestTopic(name=None, topic_id=topic_id)])


async def make(node: Node, *names: str, partitions: int = 1) -> None:
    reply = await node.quorum.submit(CreateTopics(tuple(NewTopic(name, partitions, 1) for name in names)))
    assert all(topic.error == ErrorCode.NONE for topic in reply.topics)


async def test_all_none_and_some(node: Node) -> None:
    """Trap 15: null topics are all of them (v1+), an empty list none; in v0 the empty list means all."""
    await make(node, "a", "b")
    for version, topics, expected in ((0, [], 2), (1, None, 2), (1, [], 0), (13, None, 2), (13, [], 0)):
        answer = await node.ask(3, version, m.MetadataRequest(topics=topics))
        assert len(answer.topics) == expected, (version, topics)
    answer = await node.ask(3, 13, named("b", "b", "a"))
    assert [topic.name for topic in answer.topics] == ["b", "a"]


async def test_brokers_controller_and_address(node: Node) -> None:
    """Trap 15: the controller is a live broker, the address is the one this connection can reach."""
    node.quorum.register(2, "node2.example.com", 19092, rack="r2")
    node.quorum.register(3, "node3.example.com", 19092)
    node.quorum.fence(3)
    answer = await node.ask(3, 12, named())
    assert [(b.node_id, b.host, b.port, b.rack) for b in answer.brokers] == [
        (1, "localhost", 9092, None),
        (2, "node2.example.com", 19092, "r2"),
    ]
    assert answer.controller_id == 1
    assert answer.cluster_id == CLUSTER_ID
    node.quorum.fence(1)
    assert (await node.ask(3, 12, named())).controller_id == 2


async def test_partition_fields(node: Node) -> None:
    node.quorum.register(2, "node2", 9092)
    await node.quorum.submit(CreateTopics((NewTopic("t", assignments=((0, (1, 2)), (1, (2, 1)))),)))
    node.quorum.fence(2)
    topic = (await node.ask(3, 12, named("t"))).topics[0]
    assert topic.topic_id == node.quorum.image.topics["t"].topic_id
    first = topic.partitions[0]
    assert (first.partition_index, first.leader_id, first.replica_nodes) == (0, 1, [1, 2])
    assert first.offline_replicas == [2]
    assert first.leader_epoch == node.quorum.image.topics["t"].partitions[0].leader_epoch


async def test_auto_creation_needs_both_flags(new_node: Callable[..., Node]) -> None:
    """Trap 15: only if the broker and the request allow it."""
    for broker, asked, version, made in (
        (True, True, 12, True),
        (True, False, 12, False),
        (False, True, 12, False),
        (True, True, 0, True),
        (True, True, 3, True),
    ):
        node = new_node(auto_create_topics=broker)
        answer = await node.ask(3, version, named("fresh", allow_auto_topic_creation=asked))
        assert ("fresh" in node.quorum.image.topics) is made, (broker, asked, version)
        expected = ErrorCode.NONE if made else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        assert answer.topics[0].error_code == expected
        assert len(answer.topics[0].partitions) == made


async def test_auto_created_topic_is_served_when_the_answer_leaves(node: Node) -> None:
    """Compatibility.md section 7: a leader that Produce and Fetch do not know yet must not be shown."""
    node.quorum.hold = asyncio.Event()
    token = node.post(3, 12, named("slow"))
    for _ in range(20):
        await asyncio.sleep(0)
    assert token not in node.plane.replies
    node.quorum.hold.set()
    await node.settle()
    assert node.answer(3, 12, token).topics[0].error_code == ErrorCode.NONE


async def test_leader_not_available_while_creating(new_node: Callable[..., Node]) -> None:
    """Trap 15: LEADER_NOT_AVAILABLE, which clients retry, when it takes too long."""
    node = new_node(request_timeout_ms=1)
    node.quorum.hold = asyncio.Event()
    token = node.post(3, 12, named("slow"))
    async with asyncio.timeout(10):
        while token not in node.plane.replies:
            await asyncio.sleep(0.001)
    assert node.answer(3, 12, token).topics[0].error_code == ErrorCode.LEADER_NOT_AVAILABLE
    node.quorum.hold.set()


async def test_a_topic_that_somebody_else_makes_meanwhile(node: Node) -> None:
    node.quorum.hold = asyncio.Event()
    tokens = [node.post(3, 12, named("same")) for _ in range(3)]
    for _ in range(20):
        await asyncio.sleep(0)
    node.quorum.hold.set()
    await node.settle()
    for token in tokens:
        assert node.answer(3, 12, token).topics[0].error_code == ErrorCode.NONE


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "é", "x" * 250, "a\0b"])
@pytest.mark.parametrize("create", [True, False])
async def test_illegal_names(node: Node, name: str, create: bool) -> None:
    """Trap 15: names that no topic may have are error 17, and nothing is made."""
    answer = await node.ask(3, 12, named(name, allow_auto_topic_creation=create))
    assert answer.topics[0].error_code == ErrorCode.INVALID_TOPIC_EXCEPTION
    assert answer.topics[0].name == name
    assert not node.quorum.image.topics


async def test_name_that_collides_is_refused(node: Node) -> None:
    await make(node, "a.b")
    answer = await node.ask(3, 12, named("a_b"))
    assert answer.topics[0].error_code == ErrorCode.INVALID_TOPIC_EXCEPTION


async def test_internal_topics_are_not_made_here(node: Node) -> None:
    answer = await node.ask(3, 12, named("__consumer_offsets"))
    assert answer.topics[0].error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert answer.topics[0].is_internal
    assert not node.quorum.image.topics


async def test_by_id_from_version_12(node: Node) -> None:
    """Trap 4, and compatibility.md section 7: by id needs v12, v10 and v11 say 42."""
    await make(node, "t")
    topic_id = node.quorum.image.topics["t"].topic_id
    for version in (12, 13):
        answer = await node.ask(3, version, by_id(topic_id))
        assert (answer.topics[0].name, answer.topics[0].topic_id) == ("t", topic_id)
        missing = (await node.ask(3, version, by_id(bytes([7] * 16)))).topics[0]
        assert (missing.error_code, missing.name) == (ErrorCode.UNKNOWN_TOPIC_ID, None)
    for version in (10, 11):
        answer = await node.ask(3, version, by_id(topic_id))
        assert answer.topics[0].error_code == ErrorCode.INVALID_REQUEST


async def test_neither_name_nor_id(node: Node) -> None:
    """Compatibility.md section 7: Kafka answers -1, ours 42."""
    answer = await node.ask(3, 13, named(None))
    assert answer.error_code == ErrorCode.INVALID_REQUEST


async def test_recreated_topic_has_a_new_id_and_higher_epochs(node: Node) -> None:
    """Traps 4 and 5."""
    await make(node, "t")
    before = (await node.ask(3, 12, named("t"))).topics[0]
    await node.quorum.submit(DeleteTopics((TopicRef("t"),)))
    await make(node, "t")
    after = (await node.ask(3, 12, named("t"))).topics[0]
    assert after.topic_id != before.topic_id
    assert after.partitions[0].leader_epoch > before.partitions[0].leader_epoch
    gone = (await node.ask(3, 12, by_id(before.topic_id))).topics[0]
    assert gone.error_code == ErrorCode.UNKNOWN_TOPIC_ID


async def test_authorised_operations_only_when_asked(node: Node) -> None:
    """Trap 21."""
    await make(node, "t")
    answer = await node.ask(3, 8, named("t"))
    assert answer.topics[0].topic_authorized_operations == NOT_ASKED
    assert answer.cluster_authorized_operations == NOT_ASKED
    answer = await node.ask(
        3, 8, named("t", include_topic_authorized_operations=True, include_cluster_authorized_operations=True)
    )
    assert answer.topics[0].topic_authorized_operations == 0b1101_1111_1000
    assert answer.cluster_authorized_operations == 0b1_1111_1010_0000
    absent = await node.ask(
        3, 8, named("not-there", allow_auto_topic_creation=False, include_topic_authorized_operations=True)
    )
    assert absent.topics[0].error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert absent.topics[0].topic_authorized_operations == 0b1101_1111_1000


async def test_what_may_not_be_described_stays_hidden(new_node: Callable[..., Node]) -> None:
    """Trap 21: no name in the list of all, no id by name, no name by id, no difference to a topic that is not there."""
    denied = [(Operation.DESCRIBE, ResourceType.TOPIC, name) for name in ("secret", "missing")]
    node = new_node(authorizer=Denying(*denied))
    await make(node, "secret", "open")
    answer = await node.ask(3, 12, m.MetadataRequest(topics=None))
    assert [topic.name for topic in answer.topics] == ["open"]
    answer = await node.ask(3, 12, named("secret", "missing"))
    for topic in answer.topics:
        assert topic.error_code == ErrorCode.TOPIC_AUTHORIZATION_FAILED
        assert topic.topic_id == ZERO_UUID
        assert topic.partitions == []
    answer = await node.ask(3, 12, by_id(node.quorum.image.topics["secret"].topic_id))
    assert (answer.topics[0].error_code, answer.topics[0].name) == (ErrorCode.TOPIC_AUTHORIZATION_FAILED, None)
    assert "missing" not in node.quorum.image.topics


async def test_who_may_not_create_makes_nothing(new_node: Callable[..., Node]) -> None:
    denied = [
        (Operation.CREATE, ResourceType.CLUSTER, "kafka-cluster"),
        (Operation.CREATE, ResourceType.TOPIC, "fresh"),
    ]
    node = new_node(authorizer=Denying(*denied))
    answer = await node.ask(3, 12, named("fresh", "allowed"))
    codes = {topic.name: topic.error_code for topic in answer.topics}
    assert codes == {"fresh": ErrorCode.TOPIC_AUTHORIZATION_FAILED, "allowed": ErrorCode.NONE}


async def test_a_thousand_topics_are_encoded_once(node: Node) -> None:
    await make(node, *(f"t{index}" for index in range(1000)))
    for _ in range(5):
        answer = await node.ask(3, 12, m.MetadataRequest(topics=None))
    assert len(answer.topics) == 1000
    assert node.dispatcher.stats.cache_hits == 4
    await make(node, "another")
    assert len((await node.ask(3, 12, m.MetadataRequest(topics=None))).topics) == 1001
