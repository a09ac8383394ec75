"""Consumer groups as metrics and HTTP see them: their state, members, committed offsets and lag."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from pyralog.model import TopicPartition
from pyralog.wire.protocol import ProtocolError, decode_blob_head

if TYPE_CHECKING:
    from pyralog.cluster.image import ClusterImage
    from pyralog.coordinator.group.offsets import Committed
    from pyralog.coordinator.group.service import GroupCoordinator
    from pyralog.coordinator.group.shard import GroupShard
    from pyralog.net.plane import Plane

CONSUMER = "consumer"


class GroupRow(NamedTuple):
    """A group: its protocol (classic or consumer), state, protocol type and how many members it has."""

    group: str
    kind: str
    state: str
    protocol_type: str
    members: int


class CommittedRow(NamedTuple):
    """A committed offset and when it was committed (wall clock)."""

    group: str
    topic: str
    partition: int
    offset: int
    commit_ms: int
    metadata: str


def group_rows(coordinator: GroupCoordinator) -> Iterator[GroupRow]:
    """Every group of the shards that are loaded here; those that are offsets only are empty classic ones."""
    for shard in list(coordinator.shards()):
        for group_id, group in list(shard.groups.items()):
            yield _row(group_id, group)
        for group_id in list(shard.simple_groups()):
            yield GroupRow(group_id, "classic", "Empty", "", 0)


def group_row(coordinator: GroupCoordinator, group_id: str) -> GroupRow | None:
    """One group; None when no shard here knows it."""
    for shard in _shards(coordinator, group_id):
        group = shard.groups.get(group_id)
        if group is not None:
            return _row(group_id, group)
        if shard.offsets.of_group(group_id):
            return GroupRow(group_id, "classic", "Empty", "", 0)
    return None


def _row(group_id: str, group: Any) -> GroupRow:
    return GroupRow(group_id, group.kind, group.state_name(), group.protocol_type or "", len(group.members))


def committed_of(
    coordinator: GroupCoordinator, *, group: str | None = None, topic: str | None = None
) -> list[CommittedRow]:
    """Committed offsets: of one group, of one topic, or all. An offset below 0 says that there is none."""
    found: list[CommittedRow] = []
    for shard in _shards(coordinator, group):
        wanted = shard.offsets.groups if group is None else {group: shard.offsets.of_group(group)}
        for name, topics in wanted.items():
            for each, partitions in topics.items():
                if topic is None or each == topic:
                    found += _committed(name, each, partitions)
    return found


async def committed_rows(coordinator: GroupCoordinator, most: int, per_turn: int) -> tuple[list[CommittedRow], int]:
    """Committed offsets of all groups, about `most` at most, and how many are left out; the loop goes on meanwhile."""
    found: list[CommittedRow] = []
    total = turn = 0
    for shard in list(coordinator.shards()):
        total += shard.offsets.count
        for name in list(shard.offsets.groups):
            if len(found) >= most:
                break
            for topic, partitions in shard.offsets.of_group(name).items():
                found += _committed(name, topic, partitions)
            if len(found) - turn >= per_turn:
                turn = len(found)
                await asyncio.sleep(0)
    return found, max(0, total - len(found))


def _committed(group: str, topic: str, partitions: Mapping[int, Committed]) -> Iterator[CommittedRow]:
    for partition, one in partitions.items():
        yield CommittedRow(group, topic, partition, one.offset, one.commit_timestamp_ms, one.metadata)


def _shards(coordinator: GroupCoordinator, group: str | None) -> list[GroupShard]:
    """The shards to look into: the one of a group, or all."""
    shards = list(coordinator.shards())
    if group is None or not coordinator.topic.partitions:
        return shards
    wanted = coordinator.partition_of(group)
    return [shard for shard in shards if shard.partition == wanted]


def lag_of(plane: Plane, row: CommittedRow) -> dict[str, Any]:
    """A committed offset with the high watermark and the lag; both null where the partition is not hosted here."""
    return _partition(plane, row.topic, row.partition, row)


def _partition(plane: Plane, topic: str, partition: int, committed: CommittedRow | None) -> dict[str, Any]:
    """What of it rests on a committed offset is null without one."""
    snapshot = plane.snapshot(TopicPartition(topic, partition))
    mark = None if snapshot is None else snapshot.high_watermark
    return {
        "topic": topic,
        "partition": partition,
        "committed_offset": None if committed is None else committed.offset,
        "high_watermark": mark,
        "lag": None if mark is None or committed is None else max(0, mark - committed.offset),
        "commit_ms": None if committed is None else committed.commit_ms,
        "metadata": None if committed is None else committed.metadata,
    }


def partitions_of(
    plane: Plane, committed: Iterable[CommittedRow], members: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """What a group has committed (see lag_of) and what its members (see members_of) are assigned, by topic and number,
    with the `member_id` of who has it; what a consumer says of its offset is null where none is committed."""
    found = {(row.topic, row.partition): {**lag_of(plane, row), "member_id": None} for row in committed}
    for member in members:
        for place in _assigned(member):
            if place not in found:
                found[place] = _partition(plane, *place, None)
            found[place]["member_id"] = member["member_id"]
    return [found[place] for place in sorted(found)]


def _assigned(member: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for one in member["assignment"] or ():
        for partition in one["partitions"]:
            if one["topic"] is not None:
                yield one["topic"], partition


def members_of(coordinator: GroupCoordinator, image: ClusterImage, group_id: str) -> list[dict[str, Any]]:
    """The members of a group and what each is assigned; an assignment that cannot be read is null."""
    for shard in _shards(coordinator, group_id):
        group = shard.groups.get(group_id)
        if group is not None:
            return [_member(group, image, member_id, member) for member_id, member in sorted(group.members.items())]
    return []


def _member(group: Any, image: ClusterImage, member_id: str, member: Any) -> dict[str, Any]:
    if group.kind == CONSUMER:
        owned: list[dict[str, Any]] | None = [
            {"topic": image.topic_names.get(topic_id), "partitions": sorted(partitions)}
            for topic_id, partitions in member.owned.items()
        ]
    else:
        owned = classic_assignment(member.assignment) if group.protocol_type == CONSUMER else None
    return {
        "member_id": member_id,
        "instance_id": member.instance_id,
        "client_id": member.client_id,
        "client_host": member.client_host,
        "assignment": owned,
    }


def classic_assignment(data: bytes) -> list[dict[str, Any]] | None:
    """Topics and partitions of a ConsumerProtocolAssignment, which the group's leader wrote; None when it is none.

    What its assignor keeps behind them is nobody else's, and may be anything.
    """
    try:
        said: Any = decode_blob_head("ConsumerProtocolAssignment", data, "assigned_partitions")
    except ProtocolError:
        return None
    return [{"topic": one.topic, "partitions": sorted(one.partitions)} for one in said.assigned_partitions]
