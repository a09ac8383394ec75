"""What the audit log is told of requests."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pyralog.api.audit import AUDITED, Auditor
from pyralog.api.authorizer import AllowAll, Operation, ResourceType
from pyralog.api.dispatch import Dispatcher
from pyralog.api.registry import CLIENT_APIS
from pyralog.errors import ErrorCode
from pyralog.wire import messages as m
from pyralog.wire.headers import RequestHeader
from tests.unit.api.fakes import CONNECTION, Node

Events = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def events(caplog: pytest.LogCaptureFixture) -> Events:
    caplog.set_level(logging.INFO, "pyralog.audit")
    return lambda: [record.audit for record in caplog.records if record.name == "pyralog.audit"]  # type: ignore[attr-defined]


class Nobody(AllowAll):
    """Allows looking only."""

    def allows(self, principal: str, operation: Operation, resource: ResourceType, name: str) -> bool:
        return operation in (Operation.DESCRIBE, Operation.DESCRIBE_CONFIGS)


class FakeContext:
    """As much of a context as the auditor reads."""

    def __init__(self, connection: Any = CONNECTION) -> None:
        self.connection = connection
        self.principal = connection.principal
        self.peer = f"{connection.peer_host}:{connection.peer_port}"
        self.header = RequestHeader(0, 0, 1, "tool", 0)
        self.refused: list[tuple[Operation, ResourceType, str]] | None = None


def test_every_audited_api_is_served() -> None:
    assert AUDITED.keys() <= CLIENT_APIS.keys()


def restricted(node: Node) -> Node:
    node.services = replace(node.services, authorizer=Nobody())
    node.dispatcher = Dispatcher(CLIENT_APIS, node.services)
    return node


async def test_a_refused_change_is_denied(node: Node, events: Events) -> None:
    token = restricted(node).post(20, 6, m.DeleteTopicsRequest(topics=[m.DeleteTopicState(name="orders")]))
    await node.settle()
    assert node.answer(20, 6, token).responses[0].error_code == ErrorCode.TOPIC_AUTHORIZATION_FAILED
    (told,) = events()
    assert (told["event"], told["resource"], told["result"]) == ("topic.delete", "orders", "denied")


async def test_any_refused_request_is_denied(node: Node, events: Events) -> None:
    request = m.JoinGroupRequest(group_id="secrets", protocol_type="consumer")
    restricted(node).post(11, 5, request)
    node.post(11, 5, request)
    await node.settle()
    (told,) = events()
    assert (told["event"], told["resource"], told["result"]) == ("group.denied", "secrets", "denied")
    assert told["details"] == {"operation": "read"}


async def test_a_handler_that_fails_is_audited_too(node: Node, events: Events) -> None:
    request = m.UpdateFeaturesRequest(
        feature_updates=[m.FeatureUpdateKey(feature="metadata.version", max_version_level=1, upgrade_type=1)]
    )
    restricted(node).post(57, 2, request)
    await node.settle()
    (told,) = events()
    assert (told["event"], told["resource"], told["result"]) == ("feature.update", "metadata.version", "denied")


def test_the_same_refusal_is_told_once_a_minute(events: Events) -> None:
    now = [1000.0]
    auditor = Auditor(lambda: now[0])
    context = FakeContext()
    context.refused = [(Operation.READ, ResourceType.TOPIC, "orders")]
    for _ in range(5):
        auditor.answered(1, None, None, context)  # type: ignore[arg-type]
    assert len(events()) == 1
    now[0] += 61
    auditor.answered(1, None, None, context)  # type: ignore[arg-type]
    assert len(events()) == 2


def commit(group_id: str = "readers", generation: int = -1, member_id: str = "") -> tuple[Any, Any]:
    partitions = [m.OffsetCommitRequestPartition(partition_index=n, committed_offset=7) for n in range(3)]
    topics = [m.OffsetCommitRequestTopic(name="orders", partitions=partitions)]
    request = m.OffsetCommitRequest(
        group_id=group_id, generation_id_or_member_epoch=generation, member_id=member_id, topics=topics
    )
    results = [m.OffsetCommitResponsePartition(partition_index=n, error_code=3 * (n == 2)) for n in range(3)]
    return request, m.OffsetCommitResponse(topics=[m.OffsetCommitResponseTopic(name="orders", partitions=results)])


def test_commits_of_nobody_are_told_once_a_connection(events: Events) -> None:
    auditor, context = Auditor(), FakeContext()
    auditor.answered(8, *commit(generation=3, member_id="m"), context)  # type: ignore[arg-type]
    assert events() == []
    auditor.answered(8, *commit(), context)  # type: ignore[arg-type]
    auditor.answered(8, *commit(), context)  # type: ignore[arg-type]
    assert [(each["result"], each["details"]) for each in events()] == [
        ("ok", {"topic": "orders", "offsets": {"0": 7, "1": 7}}),
        ("UNKNOWN_TOPIC_OR_PARTITION", {"topic": "orders", "offsets": {"2": 7}}),
    ]
    auditor.answered(8, *commit("others"), context)  # type: ignore[arg-type]
    auditor.answered(8, *commit(), FakeContext(CONNECTION._replace(id=99)))  # type: ignore[arg-type]
    assert len(events()) == 6


def test_secrets_do_not_reach_the_log(events: Events) -> None:
    configs = [
        m.IncrementalAlterConfigsRequestAlterableConfig(name="ssl.key.password", config_operation=0, value="hunter2"),
        m.IncrementalAlterConfigsRequestAlterableConfig(name="retention.ms", config_operation=1, value=None),
        m.IncrementalAlterConfigsRequestAlterableConfig(name="cleanup.policy", config_operation=2, value="compact"),
        m.IncrementalAlterConfigsRequestAlterableConfig(name="x", config_operation=77, value="1"),
    ]
    resource = m.IncrementalAlterConfigsRequestAlterConfigsResource(
        resource_type=2, resource_name="orders", configs=configs
    )
    other = m.IncrementalAlterConfigsRequestAlterConfigsResource(resource_type=99, resource_name="", configs=[])
    request = m.IncrementalAlterConfigsRequest(resources=[resource, other], validate_only=True)
    response = CLIENT_APIS[44].fail(request, ErrorCode.INVALID_CONFIG, None)
    Auditor().answered(44, request, response, FakeContext())  # type: ignore[arg-type]
    first, second = events()
    assert first["details"] == {
        "changes": {
            "ssl.key.password": "********",
            "retention.ms": "delete",
            "cleanup.policy": "append compact",
            "x": "operation 77 1",
        },
        "validate_only": True,
    }
    assert (second["resource"], second["result"]) == ("resource type 99", "INVALID_CONFIG")


def test_partitions_of_a_topic_are_one_event(events: Events) -> None:
    markers = [
        m.WritableTxnMarker(
            producer_id=5,
            producer_epoch=0,
            transaction_result=False,
            topics=[m.WritableTxnMarkerTopic(name="orders", partition_indexes=[0])],
            coordinator_epoch=0,
        )
    ]
    request = m.WriteTxnMarkersRequest(markers=markers)
    Auditor().answered(27, request, CLIENT_APIS[27].fail(request, ErrorCode.NONE, None), FakeContext())  # type: ignore[arg-type]
    (told,) = events()
    assert (told["event"], told["resource"], told["details"]) == ("transaction.abort", "orders-0", {"producer_id": 5})
    before = m.DeleteRecordsRequest(
        topics=[
            m.DeleteRecordsTopic(
                name="orders",
                partitions=[m.DeleteRecordsPartition(partition_index=n, offset=n * 10) for n in range(3)],
            )
        ]
    )
    Auditor().answered(21, before, CLIENT_APIS[21].fail(before, ErrorCode.NONE, None), FakeContext())  # type: ignore[arg-type]
    assert events()[-1]["details"] == {"before_offsets": {"0": 0, "1": 10, "2": 20}}


@pytest.mark.parametrize(
    ("key", "request_", "event", "resource"),
    [
        (
            37,
            m.CreatePartitionsRequest(topics=[m.CreatePartitionsTopic(name="t", count=3)], validate_only=False),
            "topic.add_partitions",
            "t",
        ),
        (42, m.DeleteGroupsRequest(groups_names=["g"]), "group.delete", "g"),
        (45, m.AlterPartitionReassignmentsRequest(), "partition.reassign", ""),
        (47, m.OffsetDeleteRequest(group_id="g"), "group.delete_offsets", "g"),
        (
            13,
            m.LeaveGroupRequest(group_id="g", members=[m.MemberIdentity(member_id="", group_instance_id="i")]),
            "group.remove_member",
            "g",
        ),
    ],
)
def test_failures_name_their_code(key: int, request_: Any, event: str, resource: str, events: Events) -> None:
    response = CLIENT_APIS[key].fail(request_, ErrorCode.NOT_CONTROLLER, None)
    if key == 13:
        response = m.LeaveGroupResponse(error_code=41, members=[m.MemberResponse(member_id="", group_instance_id="i")])
    Auditor().answered(key, request_, response, FakeContext())  # type: ignore[arg-type]
    (told,) = events()
    assert (told["event"], told.get("resource", ""), told["result"]) == (event, resource, "NOT_CONTROLLER")


def test_a_mistake_of_the_auditor_harms_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    Auditor().answered(19, None, m.CreateTopicsResponse(topics=[]), FakeContext())  # type: ignore[arg-type]
    assert "could not be audited" in caplog.text
