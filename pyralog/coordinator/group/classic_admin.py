"""Looking at the groups of a shard one by one, and deleting them: the events of DescribeGroups and DeleteGroups."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from pyralog.coordinator.group.classic import EMPTY, STABLE, ClassicGroup
from pyralog.coordinator.group.classic_member import member_timer
from pyralog.coordinator.outcome import Outcome, Reply, Timer
from pyralog.errors import ErrorCode, KafkaError
from pyralog.wire.messages import DescribedGroupMember, DescribeGroupsResponseDescribedGroup

if TYPE_CHECKING:
    from pyralog.coordinator.group.shard import GroupShard

# Tombstones of one outcome; a group with more offsets is deleted in several.
DELETE_RECORDS = 10_000


class DescribeGroup(NamedTuple):
    """One group of a DescribeGroups."""

    group_id: str


class DeleteGroup(NamedTuple):
    """One group of a DeleteGroups; `ticket` is who waits when it takes several outcomes."""

    group_id: str
    ticket: int = 0


def describe(shard: GroupShard, request: DescribeGroup, ticket: int, now_ms: int) -> Outcome:
    """One group, as DescribeGroups shows it. KafkaError(GROUP_ID_NOT_FOUND) when there is no such classic group."""
    group_id = request.group_id
    group = shard.groups.get(group_id)
    if group is None:
        if not shard.knows(group_id):
            raise KafkaError(ErrorCode.GROUP_ID_NOT_FOUND, f"Group {group_id} not found.")
        answer = DescribeGroupsResponseDescribedGroup(group_id=group_id, group_state=EMPTY.value)
        return Outcome(replies=(Reply(ticket, answer),))
    if group.kind != ClassicGroup.kind:
        raise KafkaError(ErrorCode.GROUP_ID_NOT_FOUND, f"Group {group_id} is not a classic group.")
    stable = group.state is STABLE
    protocol = group.protocol or ""
    answer = DescribeGroupsResponseDescribedGroup(
        group_id=group_id,
        group_state=group.state_name(),
        protocol_type=group.protocol_type or "",
        protocol_data=protocol if stable else "",
        members=[
            DescribedGroupMember(
                member_id=member_id,
                group_instance_id=member.instance_id,
                client_id=member.client_id,
                client_host=member.client_host,
                member_metadata=member.protocols.get(protocol, b"") if stable else b"",
                member_assignment=member.assignment,
            )
            for member_id, member in group.members.items()
        ],
    )
    return Outcome(replies=(Reply(ticket, answer),))


def delete(shard: GroupShard, request: DeleteGroup, ticket: int, now_ms: int) -> Outcome:
    """Remove a group without members, of either kind, and its offsets; answers None, or with a KafkaError."""
    group_id = request.group_id
    ticket = ticket or request.ticket
    if not shard.knows(group_id):
        error = KafkaError(ErrorCode.GROUP_ID_NOT_FOUND, f"Group {group_id} not found.")
        return Outcome(replies=(Reply(ticket, error),))
    group = shard.groups.get(group_id)
    code = ErrorCode.NONE if group is None else group.validate_delete()
    if code is not ErrorCode.NONE:
        return Outcome(replies=(Reply(ticket, KafkaError(code)),))
    records = shard.offsets.tombstones(group_id)
    if len(records) > DELETE_RECORDS:
        again = Timer(("classic-delete", group_id), now_ms, DeleteGroup(group_id, ticket))
        return Outcome(records[:DELETE_RECORDS], timers=(again,))
    timers: tuple[Timer, ...] = ()
    if group is not None:
        records += group.tombstones()
        if group.kind == ClassicGroup.kind:
            timers = tuple(member_timer(group_id, one, None) for one in group.pending)
    return Outcome(records, (Reply(ticket, None),), timers)


ADMIN_HANDLERS: Mapping[type, Callable[[GroupShard, Any, int, int], Outcome]] = {
    DescribeGroup: describe,
    DeleteGroup: delete,
}
