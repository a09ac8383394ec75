"""DescribeConfigs, AlterConfigs, IncrementalAlterConfigs, ListConfigResources."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from pyralog.api.authorizer import Operation, ResourceType
from pyralog.cluster.requests import CreateTopics, NewTopic
from pyralog.errors import ErrorCode
from pyralog.wire import messages as m
from tests.unit.api.fakes import Denying, Node

TOPIC, BROKER, LOGGER, METRICS, GROUP = 2, 4, 8, 16, 32
SET, DELETE, APPEND, SUBTRACT = range(4)
NO = ErrorCode.NONE


@pytest.fixture
async def served(node: Node) -> Node:
    await node.quorum.submit(CreateTopics((NewTopic("t", 1, 1, configs=(("retention.ms", "1000"),)),)))
    return node


async def describe(
    node: Node, kind: int, name: str, keys: list[str] | None = None, version: int = 4, **more: Any
) -> Any:
    resource = m.DescribeConfigsResource(resource_type=kind, resource_name=name, configuration_keys=keys)
    return (await node.ask(32, version, m.DescribeConfigsRequest(resources=[resource], **more))).results[0]


async def values(node: Node, kind: int, name: str) -> dict[str, tuple[str | None, int]]:
    return {one.name: (one.value, one.config_source) for one in (await describe(node, kind, name)).configs}


async def increment(
    node: Node, *changes: tuple[str, int, str | None], kind: int = TOPIC, name: str = "t", **more: Any
) -> Any:
    resource = m.IncrementalAlterConfigsRequestAlterConfigsResource(
        resource_type=kind,
        resource_name=name,
        configs=[
            m.IncrementalAlterConfigsRequestAlterableConfig(name=key, config_operation=op, value=value)
            for key, op, value in changes
        ],
    )
    return (await node.ask(44, 1, m.IncrementalAlterConfigsRequest(resources=[resource], **more))).responses[0]


async def replace(node: Node, configs: dict[str, str | None], kind: int = TOPIC, name: str = "t", **more: Any) -> Any:
    resource = m.AlterConfigsRequestAlterConfigsResource(
        resource_type=kind,
        resource_name=name,
        configs=[m.AlterConfigsRequestAlterableConfig(name=key, value=value) for key, value in configs.items()],
    )
    return (await node.ask(33, 2, m.AlterConfigsRequest(resources=[resource], **more))).responses[0]


async def test_topic_lists_every_config_with_source_and_synonyms(served: Node) -> None:
    """Trap 19: all 37, cleanup.policy as a default unless it is set."""
    result = await describe(served, TOPIC, "t", include_synonyms=True, include_documentation=True)
    entries = {one.name: one for one in result.configs}
    assert len(entries) == 37
    assert entries["cleanup.policy"].config_source == 5
    own = entries["retention.ms"]
    assert (own.value, own.config_source, own.read_only, own.is_sensitive) == ("1000", 1, False, False)
    assert (own.synonyms[0].name, own.synonyms[0].value, own.synonyms[0].source) == ("retention.ms", "1000", 1)
    assert all(entry.documentation and entry.config_type for entry in entries.values())


async def test_synonyms_and_documentation_only_when_asked(served: Node) -> None:
    result = await describe(served, TOPIC, "t")
    assert all(one.synonyms == [] and one.documentation is None for one in result.configs)


@pytest.mark.parametrize(
    ("keys", "count"), [(None, 37), ([], 37), (["retention.ms", "nonsense"], 1), (["nonsense"], 0)]
)
async def test_keys(served: Node, keys: list[str] | None, count: int) -> None:
    assert len((await describe(served, TOPIC, "t", keys)).configs) == count


async def test_broker_configs_that_tools_ask_for(served: Node) -> None:
    """Trap 19 (Materialize, Schema Registry): these four are there under Kafka's names."""
    entries = await values(served, BROKER, "1")
    for name, value in {
        "num.partitions": "1",
        "default.replication.factor": "1",
        "min.insync.replicas": "1",
        "auto.create.topics.enable": "true",
    }.items():
        assert entries[name][0] == value


@pytest.mark.parametrize(
    ("kind", "name", "code"),
    [
        (TOPIC, "missing", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        (TOPIC, "", ErrorCode.INVALID_TOPIC_EXCEPTION),
        (TOPIC, "a/b", ErrorCode.INVALID_TOPIC_EXCEPTION),
        (BROKER, "", NO),
        (BROKER, "2", ErrorCode.INVALID_REQUEST),
        (BROKER, "x", ErrorCode.INVALID_REQUEST),
        (LOGGER, "1", NO),
        (LOGGER, "", ErrorCode.INVALID_REQUEST),
        (METRICS, "x", ErrorCode.INVALID_REQUEST),
        (GROUP, "x", NO),
        (GROUP, "", ErrorCode.INVALID_REQUEST),
        (0, "", ErrorCode.INVALID_REQUEST),
        (99, "x", ErrorCode.INVALID_REQUEST),
    ],
)
async def test_resources(served: Node, kind: int, name: str, code: ErrorCode) -> None:
    result = await describe(served, kind, name)
    assert result.error_code == code
    assert (result.resource_type, result.resource_name) == (kind, name)
    if code != NO:
        assert result.configs == []
        assert result.error_message


async def test_incremental_changes(served: Node) -> None:
    assert (await increment(served, ("max.message.bytes", SET, "5"), ("retention.ms", DELETE, None))).error_code == NO
    entries = await values(served, TOPIC, "t")
    assert entries["max.message.bytes"] == ("5", 1)
    assert entries["retention.ms"][1] == 5
    await increment(served, ("cleanup.policy", APPEND, "compact"))
    assert (await values(served, TOPIC, "t"))["cleanup.policy"] == ("delete,compact", 1)
    await increment(served, ("cleanup.policy", SUBTRACT, "delete"))
    assert (await values(served, TOPIC, "t"))["cleanup.policy"] == ("compact", 1)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("nonsense", DELETE, None), NO),
        (("nonsense", SET, "1"), ErrorCode.INVALID_CONFIG),
        (("retention.ms", SET, "soon"), ErrorCode.INVALID_CONFIG),
        (("retention.ms", SET, None), ErrorCode.INVALID_REQUEST),
        (("retention.ms", APPEND, "5"), ErrorCode.INVALID_CONFIG),
        (("retention.ms", 9, "5"), ErrorCode.INVALID_REQUEST),
    ],
)
async def test_refused_changes(served: Node, change: tuple[str, int, str | None], code: ErrorCode) -> None:
    """Compatibility.md section 7: deleting an unknown key is fine, APPEND to what is no list is 40."""
    result = await increment(served, change)
    assert result.error_code == code
    assert bool(result.error_message) is (code != NO)
    assert (await values(served, TOPIC, "t"))["retention.ms"] == ("1000", 1)


async def test_alter_configs_resets_what_it_does_not_name(served: Node) -> None:
    """Trap 19."""
    assert (await replace(served, {"max.message.bytes": "7"})).error_code == NO
    entries = await values(served, TOPIC, "t")
    assert entries["max.message.bytes"] == ("7", 1)
    assert entries["retention.ms"][1] == 5
    assert (await replace(served, {"max.message.bytes": None})).error_code == ErrorCode.INVALID_REQUEST
    assert (await replace(served, {})).error_code == NO
    assert (await values(served, TOPIC, "t"))["max.message.bytes"][1] == 5


async def test_validate_only(served: Node) -> None:
    image = served.quorum.image
    for change in (replace(served, {"max.message.bytes": "7"}, validate_only=True),):
        assert (await change).error_code == NO
    assert (await increment(served, ("max.message.bytes", SET, "5"), validate_only=True)).error_code == NO
    wrong = await increment(served, ("max.message.bytes", SET, "x"), validate_only=True)
    assert wrong.error_code == ErrorCode.INVALID_CONFIG
    assert served.quorum.image.configs == image.configs


async def test_dynamic_broker_configs_reach_topics(served: Node) -> None:
    """Trap 19: source and precedence of a cluster-wide and of a node's own value."""
    await increment(served, ("message.max.bytes", SET, "5000"), kind=BROKER, name="")
    assert (await values(served, TOPIC, "t"))["max.message.bytes"] == ("5000", 3)
    assert (await values(served, BROKER, ""))["message.max.bytes"] == ("5000", 3)
    await increment(served, ("message.max.bytes", SET, "6000"), kind=BROKER, name="1")
    assert (await values(served, TOPIC, "t"))["max.message.bytes"] == ("6000", 2)
    assert (await increment(served, ("listeners", SET, "3"), kind=BROKER, name="")).error_code != NO


@pytest.mark.parametrize(
    ("kind", "name"), [(TOPIC, "missing"), (BROKER, "77"), (METRICS, "m"), (GROUP, "g"), (99, "x")]
)
async def test_resources_that_cannot_be_altered(served: Node, kind: int, name: str) -> None:
    assert (await increment(served, ("retention.ms", SET, "5"), kind=kind, name=name)).error_code != NO
    assert (await replace(served, {"retention.ms": "5"}, kind=kind, name=name)).error_code != NO
    assert (kind, name) not in served.quorum.image.configs


async def test_logger_levels(served: Node) -> None:
    """Requirements LG-2: levels change at run time."""
    logger = logging.getLogger("pyralog.api.dispatch")
    before = logger.level
    try:
        assert (await increment(served, (logger.name, SET, "TRACE"), kind=LOGGER, name="1")).error_code == NO
        assert logger.level == 5
        assert (await values(served, LOGGER, "1"))[logger.name] == ("TRACE", 6)
        assert (await increment(served, (logger.name, DELETE, None), kind=LOGGER, name="1")).error_code == NO
        assert logger.level == logging.NOTSET
        for change, code in (
            (("pyralog.nowhere.else", SET, "INFO"), ErrorCode.INVALID_CONFIG),
            ((logger.name, SET, "LOUD"), ErrorCode.INVALID_CONFIG),
            (("root", DELETE, None), ErrorCode.INVALID_REQUEST),
            (("pyralog.audit", SET, "OFF"), ErrorCode.INVALID_CONFIG),
            ((logger.name, SET, None), ErrorCode.INVALID_CONFIG),
            ((logger.name, APPEND, "INFO"), ErrorCode.INVALID_REQUEST),
        ):
            assert (await increment(served, change, kind=LOGGER, name="1")).error_code == code
        assert (
            await increment(served, (logger.name, SET, "OFF"), kind=LOGGER, name="1", validate_only=True)
        ).error_code == NO
        assert (
            await increment(served, (logger.name, SET, "OFF"), kind=LOGGER, name="")
        ).error_code == ErrorCode.INVALID_REQUEST
        assert logger.level == logging.NOTSET
    finally:
        logger.setLevel(before)


async def test_who_may(new_node: Callable[..., Node]) -> None:
    """Trap 21: topic 29, group 30, cluster 31."""
    denied = [
        (operation, kind, name)
        for operation in (Operation.DESCRIBE_CONFIGS, Operation.ALTER_CONFIGS)
        for kind, name in (
            (ResourceType.TOPIC, "t"),
            (ResourceType.CLUSTER, "kafka-cluster"),
            (ResourceType.GROUP, "g"),
        )
    ]
    node = new_node(authorizer=Denying(*denied))
    await node.quorum.submit(CreateTopics((NewTopic("t", 1, 1),)))
    for kind, name, code in (
        (TOPIC, "t", ErrorCode.TOPIC_AUTHORIZATION_FAILED),
        (BROKER, "1", ErrorCode.CLUSTER_AUTHORIZATION_FAILED),
        (LOGGER, "1", ErrorCode.CLUSTER_AUTHORIZATION_FAILED),
        (GROUP, "g", ErrorCode.GROUP_AUTHORIZATION_FAILED),
    ):
        assert (await describe(node, kind, name)).error_code == code
        assert (await increment(node, ("x", SET, "y"), kind=kind, name=name)).error_code == code
        assert (await replace(node, {"x": "y"}, kind=kind, name=name)).error_code == code
    answer = await node.ask(74, 1, m.ListConfigResourcesRequest())
    assert answer.error_code == ErrorCode.CLUSTER_AUTHORIZATION_FAILED


async def test_configs_of_groups(served: Node) -> None:
    """A group need not exist; what is set takes effect with its members' next heartbeats."""
    session, heartbeat = "consumer.session.timeout.ms", "consumer.heartbeat.interval.ms"

    async def listed() -> set[str]:
        answer = await served.ask(74, 1, m.ListConfigResourcesRequest(resource_types=[GROUP]))
        return {one.resource_name for one in answer.config_resources}

    async def told() -> int:
        request = m.ConsumerGroupHeartbeatRequest(
            group_id="g",
            member_id="member",
            rebalance_timeout_ms=60_000,
            subscribed_topic_names=["t"],
            topic_partitions=[],
        )
        answer = await served.ask(68, 1, request)
        assert answer.error_code == NO, answer
        interval: int = answer.heartbeat_interval_ms
        return interval

    async def change(*changes: tuple[str, int, str | None]) -> Any:
        return await increment(served, *changes, kind=GROUP, name="g")

    assert await values(served, GROUP, "g") == {
        "consumer.assignment.interval.ms": ("1000", 5),
        heartbeat: ("5000", 5),
        session: ("45000", 5),
    }
    assert await told() == 5000
    assert (await change((heartbeat, SET, "7000"), (session, SET, "50000"))).error_code == NO
    assert (await values(served, GROUP, "g"))[heartbeat] == ("7000", 8)
    assert await told() == 7000
    assert await listed() == {"g"}
    for one in (("nope", SET, "1"), (heartbeat, SET, "4999"), (heartbeat, APPEND, "1"), ("share.x", SET, "1")):
        refused = await change(one)
        assert (refused.error_code, bool(refused.error_message)) == (ErrorCode.INVALID_CONFIG, True)
    assert (await replace(served, {session: "55000"}, kind=GROUP, name="g")).error_code == NO
    assert (await values(served, GROUP, "g"))[heartbeat] == ("5000", 5)
    assert await told() == 5000
    assert (await change((session, DELETE, None), ("nope", DELETE, None))).error_code == NO
    assert await listed() == set()
    assert (
        await increment(served, (session, SET, "50000"), kind=GROUP, name="")
    ).error_code == ErrorCode.INVALID_REQUEST


async def test_list_config_resources(served: Node) -> None:
    """KIP-1142: v0 knows client metrics only, v1 every type."""

    async def listed(version: int, *kinds: int) -> Any:
        answer = await served.ask(74, version, m.ListConfigResourcesRequest(resource_types=list(kinds)))
        return answer.error_code, {(one.resource_type, one.resource_name) for one in answer.config_resources}

    assert await listed(0) == (NO, set())
    assert await listed(1) == (NO, {(TOPIC, "t"), (BROKER, "1"), (LOGGER, "1")})
    assert await listed(1, TOPIC) == (NO, {(TOPIC, "t")})
    assert await listed(1, BROKER, BROKER) == (NO, {(BROKER, "1")})
    assert await listed(1, TOPIC, 99) == (ErrorCode.UNSUPPORTED_VERSION, set())
