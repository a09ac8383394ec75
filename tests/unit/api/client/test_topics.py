"""CreateTopics, DeleteTopics, CreatePartitions: what a client sees of the controller's decisions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from pyralog.api.authorizer import Operation, ResourceType
from pyralog.cluster.controller import ControllerSettings
from pyralog.cluster.requests import CreateTopics, NewTopic
from pyralog.errors import ErrorCode
from pyralog.model import ZERO_UUID
from pyralog.wire import messages as m
from tests.unit.api.fakes import Denying, Node

CREATE, DELETE, PARTITIONS = 19, 20, 37
NO = ErrorCode.NONE


def topic(name: str, partitions: int = 1, replicas: int = 1, **more: Any) -> Any:
    return m.CreatableTopic(name=name, num_partitions=partitions, replication_factor=replicas, **more)


def creation(*topics: Any, **more: Any) -> Any:
    return m.CreateTopicsRequest(topics=list(topics), timeout_ms=1000, **more)


async def make(node: Node, name: str, partitions: int = 1) -> None:
    await node.quorum.submit(CreateTopics((NewTopic(name, partitions, 1),)))


async def create(node: Node, *topics: Any, version: int = 7, **more: Any) -> dict[str, Any]:
    answer = await node.ask(CREATE, version, creation(*topics, **more))
    return {result.name: result for result in answer.topics}


async def test_counts_id_and_configs_come_back(node: Node) -> None:
    """Trap 20; KIP-525: the effective configuration, never a null list."""
    config = m.CreatableTopicConfig(name="retention.ms", value="1000")
    result = (await create(node, topic("t", 3, 1, configs=[config])))["t"]
    assert (result.error_code, result.error_message) == (NO, None)
    assert (result.num_partitions, result.replication_factor) == (3, 1)
    assert result.topic_id == node.quorum.image.topics["t"].topic_id
    values = {one.name: (one.value, one.config_source) for one in result.configs}
    assert values["retention.ms"] == ("1000", 1)
    assert values["cleanup.policy"] == ("delete", 5)


@pytest.mark.parametrize("version", range(2, 8))
async def test_defaults_for_minus_one(new_node: Callable[..., Node], version: int) -> None:
    """Trap 20: -1/-1 take the cluster's defaults (KIP-464)."""
    node = new_node(controller=ControllerSettings(num_partitions=4, default_replication_factor=1))
    result = (await create(node, topic("t", -1, -1), version=version))["t"]
    assert result.error_code == NO
    assert len(node.quorum.image.topics["t"].partitions) == 4
    if version >= 5:
        assert result.num_partitions == 4


async def test_manual_assignments(node: Node) -> None:
    """Trap 20, compatibility.md section 7: assignments with a count 42, bad ones 39."""
    node.quorum.register(2, "node2", 9092)

    def placed(name: str, *replicas: list[int], partitions: int = -1) -> Any:
        assignments = [m.CreatableReplicaAssignment(partition_index=i, broker_ids=r) for i, r in enumerate(replicas)]
        return topic(name, partitions, -1, assignments=assignments)

    results = await create(
        node,
        placed("good", [2, 1], [1, 2]),
        placed("count", [1], partitions=1),
        placed("twice", [1, 1]),
        placed("far", [9]),
    )
    assert {name: result.error_code for name, result in results.items()} == {
        "good": NO,
        "count": ErrorCode.INVALID_REQUEST,
        "twice": ErrorCode.INVALID_REPLICA_ASSIGNMENT,
        "far": ErrorCode.INVALID_REPLICA_ASSIGNMENT,
    }
    assert node.quorum.image.topics["good"].partitions[0].replicas == (2, 1)


async def test_validate_only_changes_nothing(node: Node) -> None:
    """Trap 20."""
    image = node.quorum.image
    results = await create(node, topic("t", 3), topic("a/b"), validate_only=True)
    assert results["t"].error_code == NO
    assert results["t"].num_partitions == 3
    assert results["a/b"].error_code == ErrorCode.INVALID_TOPIC_EXCEPTION
    assert node.quorum.image is image or not node.quorum.image.topics


async def test_refusals(node: Node) -> None:
    """Trap 20: unknown configurations are refused, every topic by itself; a failed one has an empty list of them."""
    await make(node, "old")
    unknown = [m.CreatableTopicConfig(name="retention.mss", value="1")]
    wrong = [m.CreatableTopicConfig(name="retention.ms", value="soon")]
    null = [m.CreatableTopicConfig(name="retention.ms", value=None)]
    results = await create(
        node,
        topic("old"),
        topic("fine"),
        topic("a.b"),
        topic("a_b"),
        topic("zero", 0),
        topic("replicas", 1, 2),
        topic("unknown", configs=unknown),
        topic("wrong", configs=wrong),
        topic("null", configs=null),
        topic("twice"),
        topic("twice"),
        topic(""),
    )
    codes = {name: result.error_code for name, result in results.items()}
    assert codes == {
        "old": ErrorCode.TOPIC_ALREADY_EXISTS,
        "fine": NO,
        "a.b": NO,
        "a_b": ErrorCode.INVALID_TOPIC_EXCEPTION,
        "zero": ErrorCode.INVALID_PARTITIONS,
        "replicas": ErrorCode.INVALID_REPLICATION_FACTOR,
        "unknown": ErrorCode.INVALID_CONFIG,
        "wrong": ErrorCode.INVALID_CONFIG,
        "null": ErrorCode.INVALID_CONFIG,
        "twice": ErrorCode.INVALID_REQUEST,
        "": ErrorCode.INVALID_TOPIC_EXCEPTION,
    }
    for name, result in results.items():
        if codes[name] != NO:
            assert result.error_message
            assert result.configs == []
            assert result.topic_id == ZERO_UUID


async def test_more_partitions_than_one_request_may_make(node: Node) -> None:
    """Compatibility.md section 7: 44, for the request as a whole."""
    results = await create(node, topic("many", 2**31 - 1), topic("few"))
    assert {result.error_code for result in results.values()} == {ErrorCode.POLICY_VIOLATION}


async def test_every_topic_config_of_kafka_is_accepted(node: Node) -> None:
    """Traps 19, 20: a value equal to the default is accepted for each key that DescribeConfigs lists."""
    resource = m.DescribeConfigsResource(resource_type=2, resource_name="t", configuration_keys=None)
    await make(node, "t")
    answer = await node.ask(32, 4, m.DescribeConfigsRequest(resources=[resource]))
    listed = answer.results[0].configs
    configs = [m.CreatableTopicConfig(name=one.name, value=one.value) for one in listed]
    results = await create(node, topic("all", configs=configs))
    assert (results["all"].error_code, results["all"].error_message) == (NO, None)


async def test_creation_that_takes_too_long(node: Node) -> None:
    node.quorum.hold = asyncio.Event()
    request = creation(topic("slow"))
    request.timeout_ms = 1
    token = node.post(CREATE, 7, request)
    async with asyncio.timeout(10):
        while token not in node.plane.replies:
            await asyncio.sleep(0.001)
    assert node.answer(CREATE, 7, token).topics[0].error_code == ErrorCode.REQUEST_TIMED_OUT
    node.quorum.hold.set()


async def test_who_may_create(new_node: Callable[..., Node]) -> None:
    denied = [
        (Operation.CREATE, ResourceType.CLUSTER, "kafka-cluster"),
        (Operation.CREATE, ResourceType.TOPIC, "no"),
        (Operation.DESCRIBE_CONFIGS, ResourceType.TOPIC, "dumb"),
    ]
    node = new_node(authorizer=Denying(*denied))
    results = await create(node, topic("no"), topic("yes"), topic("dumb"))
    assert results["no"].error_code == ErrorCode.TOPIC_AUTHORIZATION_FAILED
    assert (results["yes"].error_code, results["yes"].topic_config_error_code) == (NO, NO)
    dumb = results["dumb"]
    assert (dumb.error_code, dumb.topic_config_error_code) == (NO, ErrorCode.TOPIC_AUTHORIZATION_FAILED)
    assert (dumb.num_partitions, dumb.replication_factor, dumb.configs) == (-1, -1, [])
    assert set(node.quorum.image.topics) == {"yes", "dumb"}


def by_name(*names: str) -> Any:
    return m.DeleteTopicsRequest(topic_names=list(names))


def states(*pairs: tuple[str | None, bytes]) -> Any:
    return m.DeleteTopicsRequest(topics=[m.DeleteTopicState(name=name, topic_id=topic_id) for name, topic_id in pairs])


async def codes_of(node: Node, request: Any, version: int = 6) -> list[tuple[str | None, int]]:
    answer = await node.ask(DELETE, version, request)
    return [(result.name, result.error_code) for result in answer.responses]


async def test_delete_by_name_and_id(node: Node) -> None:
    """Trap 4: an id is a topic's for ever and nobody else's."""
    for name in ("a", "b"):
        await make(node, name)
    topic_id = node.quorum.image.topics["b"].topic_id
    assert await codes_of(node, by_name("a"), 5) == [("a", NO)]
    assert await codes_of(node, states((None, topic_id))) == [("b", NO)]
    assert await codes_of(node, states((None, topic_id))) == [(None, ErrorCode.UNKNOWN_TOPIC_ID)]
    assert await codes_of(node, states(("a", ZERO_UUID))) == [("a", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)]
    assert not node.quorum.image.topics


async def test_delete_twice_or_ambiguous(node: Node) -> None:
    """Compatibility.md section 7: twice, or name and id together: 42, and nothing is deleted."""
    await make(node, "a")
    topic_id = node.quorum.image.topics["a"].topic_id
    wrong = ErrorCode.INVALID_REQUEST
    assert {code for _, code in await codes_of(node, by_name("a", "a"), 5)} == {wrong}
    assert {code for _, code in await codes_of(node, states(("a", ZERO_UUID), (None, topic_id)))} == {wrong}
    assert await codes_of(node, states(("a", topic_id))) == [("a", wrong)]
    assert await codes_of(node, states((None, ZERO_UUID))) == [(None, wrong)]
    assert "a" in node.quorum.image.topics


@pytest.mark.parametrize("version", range(1, 7))
async def test_deletion_disabled(new_node: Callable[..., Node], version: int) -> None:
    """delete.topic.enable=false: 73, which v1 and v2 do not know."""
    node = new_node(controller=ControllerSettings(delete_topic_enable=False))
    await make(node, "t")
    expected = ErrorCode.INVALID_REQUEST if version < 3 else ErrorCode.TOPIC_DELETION_DISABLED
    request = states(("t", ZERO_UUID)) if version == 6 else by_name("t")
    assert await codes_of(node, request, version) == [("t", expected)]
    assert "t" in node.quorum.image.topics


async def test_who_may_delete(new_node: Callable[..., Node]) -> None:
    """Trap 21: by id the name of a topic that may not be described stays unknown."""
    denied = [(Operation.DELETE, ResourceType.TOPIC, name) for name in ("seen", "hidden")]
    node = new_node(authorizer=Denying(*denied, (Operation.DESCRIBE, ResourceType.TOPIC, "hidden")))
    for name in ("seen", "hidden", "free"):
        await make(node, name)
    ids = {name: node.quorum.image.topics[name].topic_id for name in ("seen", "hidden", "free")}
    failed = ErrorCode.TOPIC_AUTHORIZATION_FAILED
    assert await codes_of(node, by_name("seen"), 5) == [("seen", failed)]
    answers = await codes_of(node, states((None, ids["seen"]), (None, ids["hidden"]), (None, ids["free"])))
    assert answers == [("seen", failed), (None, failed), ("free", NO)]


def more(name: str, count: int, assignments: list[list[int]] | None = None) -> Any:
    lists = None if assignments is None else [m.CreatePartitionsAssignment(broker_ids=ids) for ids in assignments]
    return m.CreatePartitionsTopic(name=name, count=count, assignments=lists)


async def test_more_partitions(node: Node) -> None:
    """Compatibility.md section 7: an empty list of assignments is not "no assignments" but 39."""
    for name in ("a", "b", "c", "d", "twice"):
        await make(node, name, 2)
    request = m.CreatePartitionsRequest(
        topics=[
            more("a", 4),
            more("b", 3, [[1]]),
            more("c", 3, []),
            more("d", 2),
            more("twice", 3),
            more("twice", 3),
            more("missing", 3),
        ],
        timeout_ms=1000,
    )
    answer = await node.ask(PARTITIONS, 3, request)
    assert {result.name: result.error_code for result in answer.results} == {
        "a": NO,
        "b": NO,
        "c": ErrorCode.INVALID_REPLICA_ASSIGNMENT,
        "d": ErrorCode.INVALID_PARTITIONS,
        "twice": ErrorCode.INVALID_REQUEST,
        "missing": ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    }
    assert len(answer.results) == 6, "one result per topic"
    assert [len(node.quorum.image.topics[name].partitions) for name in "abcd"] == [4, 3, 2, 2]


async def test_more_partitions_validate_only_and_denied(new_node: Callable[..., Node]) -> None:
    node = new_node(authorizer=Denying((Operation.ALTER, ResourceType.TOPIC, "no")))
    await make(node, "t", 2)
    request = m.CreatePartitionsRequest(topics=[more("t", 4), more("no", 4)], timeout_ms=1000, validate_only=True)
    answer = await node.ask(PARTITIONS, 3, request)
    codes = {result.name: result.error_code for result in answer.results}
    assert codes == {"t": NO, "no": ErrorCode.TOPIC_AUTHORIZATION_FAILED}
    assert len(node.quorum.image.topics["t"].partitions) == 2
