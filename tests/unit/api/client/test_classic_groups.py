"""Handlers of classic groups: what they answer without, or instead of, the coordinator."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pyralog.api.authorizer import Operation, ResourceType
from pyralog.api.client import (
    delete_groups,
    describe_groups,
    heartbeat,
    join_group,
    leave_group,
    list_groups,
    sync_group,
)
from pyralog.coordinator.runtime import State
from pyralog.errors import ErrorCode, KafkaError
from pyralog.runtime import Pending
from pyralog.wire import messages as m


class Groups:
    """A coordinator that always says the same."""

    def __init__(self, answer: Any, *states: State) -> None:
        self.answer = answer
        self.asked: list[Any] = []
        self.runtime = SimpleNamespace(states=lambda: dict(enumerate(states)))

    def submit(self, group_id: str, request: Any, size: int = 0) -> Pending[Any]:
        self.asked.append(request)
        return Pending.of(self.answer)

    def shards(self) -> list[Any]:
        return []


class Context:
    """As much of a context as these handlers need; `denied` groups are not for the asker."""

    def __init__(self, version: int, answer: Any = None, denied: str = "denied", *states: State) -> None:
        self.version = version
        self.groups = Groups(answer, *states)
        self.services = SimpleNamespace(groups=self.groups)
        self.header = SimpleNamespace(client_id="c")
        self.connection = SimpleNamespace(peer_host="10.0.0.1", principal="User:x")
        self.frame = b""
        self.denied = denied

    def allows(self, operation: Operation, name: str, resource: ResourceType = ResourceType.TOPIC) -> bool:
        assert resource is ResourceType.GROUP
        return name != self.denied

    def allows_on_cluster(self, operation: Operation) -> bool:
        return True


REQUESTS = {
    join_group: m.JoinGroupRequest,
    sync_group: m.SyncGroupRequest,
    heartbeat: m.HeartbeatRequest,
    leave_group: m.LeaveGroupRequest,
}


@pytest.mark.parametrize("handler", REQUESTS, ids=lambda one: one.__name__.rpartition(".")[2])
def test_refusals_before_the_coordinator_is_asked(handler: Any) -> None:
    context = Context(0)
    with pytest.raises(KafkaError) as caught:
        handler.handle(REQUESTS[handler](group_id="denied"), context)
    assert caught.value.code is ErrorCode.GROUP_AUTHORIZATION_FAILED
    try:
        code = handler.handle(REQUESTS[handler](group_id=""), context).error_code
    except KafkaError as error:
        code = error.code
    assert code == ErrorCode.INVALID_GROUP_ID
    assert context.groups.asked == []


@pytest.mark.parametrize(("version", "name"), [(6, ""), (7, None)])
async def test_a_join_without_protocol_can_be_written_in_every_version(version: int, name: str | None) -> None:
    answer = m.JoinGroupResponse(error_code=25, protocol_name=None)
    told = await join_group.handle(m.JoinGroupRequest(group_id="g"), Context(version, answer))  # type: ignore
    assert told.protocol_name == name


async def test_a_heartbeat_while_the_group_is_loaded_is_well() -> None:
    loading = KafkaError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
    told = await heartbeat.handle(m.HeartbeatRequest(group_id="g"), Context(0, loading))  # type: ignore
    assert told.error_code == 0
    with pytest.raises(KafkaError):
        await heartbeat.handle(m.HeartbeatRequest(group_id="g"), Context(0, KafkaError(ErrorCode.NOT_COORDINATOR)))  # type: ignore


async def test_one_that_leaves_is_told_of_its_own_error() -> None:
    answer = m.LeaveGroupResponse(members=[m.MemberResponse(member_id="x", error_code=25)])
    context = Context(2, answer)
    told = await leave_group.handle(m.LeaveGroupRequest(group_id="g", member_id="x"), context)  # type: ignore
    assert (told.error_code, told.members) == (25, [])
    assert context.groups.asked[0].message.members[0].member_id == "x"


@pytest.mark.parametrize("missing", ["protocol_type", "protocol_name"])
def test_a_sync_must_name_its_protocol(missing: str) -> None:
    fields = {"protocol_type": "consumer", "protocol_name": "range", missing: None}
    with pytest.raises(KafkaError) as caught:
        sync_group.handle(m.SyncGroupRequest(group_id="g", **fields), Context(5))  # type: ignore
    assert caught.value.code is ErrorCode.INCONSISTENT_GROUP_PROTOCOL


@pytest.mark.parametrize("handler", [join_group, sync_group])
def test_what_the_log_cannot_take(handler: Any) -> None:
    told = handler.fail(REQUESTS[handler](group_id="g"), ErrorCode.RECORD_LIST_TOO_LARGE, None)
    assert told.error_code == ErrorCode.UNKNOWN_SERVER_ERROR


async def test_groups_that_are_not_to_be_seen_or_deleted() -> None:
    missing = KafkaError(ErrorCode.GROUP_ID_NOT_FOUND, "Group g not found.")
    for version, shown in ((5, (0, None, "Dead")), (6, (69, "Group g not found.", "Dead"))):
        told = await describe_groups.handle(m.DescribeGroupsRequest(groups=["denied", "g"]), Context(version, missing))  # type: ignore
        assert [one.error_code for one in told.groups] == [30, shown[0]]
        assert (told.groups[1].error_code, told.groups[1].error_message, told.groups[1].group_state) == shown
    deleted = await delete_groups.handle(m.DeleteGroupsRequest(groups_names=["denied", "g", "g"]), Context(3, missing))  # type: ignore
    assert [(one.group_id, one.error_code) for one in deleted.results] == [("denied", 30), ("g", 69)]


def test_no_list_with_holes() -> None:
    with pytest.raises(KafkaError) as caught:
        list_groups.handle(m.ListGroupsRequest(), Context(5, None, "", State.ACTIVE, State.LOADING))  # type: ignore
    assert caught.value.code is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    assert list_groups.handle(m.ListGroupsRequest(), Context(5, None, "", State.ACTIVE)).groups == []  # type: ignore
