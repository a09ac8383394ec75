"""Applies the records of KIP-848 groups. A record that does not fit, as compaction may leave it, is let pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pyralog.coordinator.consumer_group.group import ConsumerGroup, Resolved
from pyralog.coordinator.consumer_group.member import FIRST_EPOCH, LEAVE_EPOCH, ClassicPart, Member, Owned
from pyralog.wire.messages import (
    ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupCurrentMemberAssignmentValue,
    ConsumerGroupCurrentMemberAssignmentValueTopicPartitions,
    ConsumerGroupMemberMetadataKey,
    ConsumerGroupMemberMetadataValue,
    ConsumerGroupMetadataKey,
    ConsumerGroupMetadataValue,
    ConsumerGroupPartitionMetadataKey,
    ConsumerGroupPartitionMetadataValue,
    ConsumerGroupRegularExpressionKey,
    ConsumerGroupRegularExpressionValue,
    ConsumerGroupTargetAssignmentMemberKey,
    ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMetadataKey,
    ConsumerGroupTargetAssignmentMetadataValue,
)

if TYPE_CHECKING:
    from pyralog.coordinator.group.shard import GroupShard


def _group(shard: GroupShard, group_id: str, create: bool) -> ConsumerGroup | None:
    """The group; a classic one of this id gives way, as its own tombstone may have been compacted away."""
    found = shard.groups.get(group_id)
    if isinstance(found, ConsumerGroup):
        return found
    if not create:
        return None
    group = ConsumerGroup(group_id)
    shard.groups[group_id] = group
    return group


def _epoch(shard: GroupShard, key: ConsumerGroupMetadataKey, value: ConsumerGroupMetadataValue | None) -> None:
    group = _group(shard, key.group_id, value is not None)
    if group is None:
        return
    if value is None:
        del shard.groups[key.group_id]
        return
    group.epoch = value.epoch
    group.metadata_hash = value.metadata_hash


def _partition_metadata(
    shard: GroupShard, key: ConsumerGroupPartitionMetadataKey, value: ConsumerGroupPartitionMetadataValue | None
) -> None:
    group = _group(shard, key.group_id, value is not None)
    if group is not None:
        group.has_partition_metadata = value is not None


def _member(
    shard: GroupShard, key: ConsumerGroupMemberMetadataKey, value: ConsumerGroupMemberMetadataValue | None
) -> None:
    group = _group(shard, key.group_id, value is not None)
    if group is None:
        return
    if value is None:
        group.remove_member(key.member_id)
        return
    classic = value.classic_member_metadata
    member = group.members.get(key.member_id) or Member(key.member_id)
    group.put_member(
        member._replace(
            instance_id=value.instance_id,
            rack_id=value.rack_id,
            rebalance_timeout_ms=value.rebalance_timeout_ms,
            client_id=value.client_id,
            client_host=value.client_host,
            topics=frozenset(value.subscribed_topic_names),
            regex=value.subscribed_topic_regex or "",
            assignor=value.server_assignor,
            classic=None
            if classic is None
            else ClassicPart(
                classic.session_timeout_ms, tuple((one.name, one.metadata) for one in classic.supported_protocols)
            ),
        )
    )


def _current(
    shard: GroupShard,
    key: ConsumerGroupCurrentMemberAssignmentKey,
    value: ConsumerGroupCurrentMemberAssignmentValue | None,
) -> None:
    group = _group(shard, key.group_id, value is not None)
    if group is None:
        return
    member = group.members.get(key.member_id)
    if value is None:
        if member is not None:
            group.put_member(member._replace(epoch=LEAVE_EPOCH, previous_epoch=LEAVE_EPOCH, owned={}, revoking={}))
        return
    group.put_member(
        (member or Member(key.member_id))._replace(
            epoch=value.member_epoch,
            previous_epoch=value.previous_member_epoch,
            state=value.state,
            owned=_owned(value.assigned_partitions, value.member_epoch),
            revoking=_owned(value.partitions_pending_revocation, value.member_epoch),
        )
    )


def _owned(topics: list[ConsumerGroupCurrentMemberAssignmentValueTopicPartitions], epoch: int) -> Owned:
    """Kafka before 4.3 wrote no epochs of single partitions: then the member's own is as good a bound."""
    found: dict[bytes, Mapping[int, int]] = {}
    for topic in topics:
        epochs = topic.assignment_epochs
        if epochs is None or len(epochs) != len(topic.partitions):
            found[topic.topic_id] = dict.fromkeys(topic.partitions, epoch)
        else:
            found[topic.topic_id] = dict(zip(topic.partitions, epochs, strict=True))
    return found


def _target_epoch(
    shard: GroupShard,
    key: ConsumerGroupTargetAssignmentMetadataKey,
    value: ConsumerGroupTargetAssignmentMetadataValue | None,
) -> None:
    group = _group(shard, key.group_id, value is not None)
    if group is None:
        return
    group.target_epoch = FIRST_EPOCH if value is None else value.assignment_epoch
    group.target_timestamp_ms = 0 if value is None else value.assignment_timestamp


def _target(
    shard: GroupShard,
    key: ConsumerGroupTargetAssignmentMemberKey,
    value: ConsumerGroupTargetAssignmentMemberValue | None,
) -> None:
    group = _group(shard, key.group_id, value is not None)
    if group is None:
        return
    if value is None:
        group.target.pop(key.member_id, None)
        return
    group.target[key.member_id] = {topic.topic_id: frozenset(topic.partitions) for topic in value.topic_partitions}


def _regex(
    shard: GroupShard, key: ConsumerGroupRegularExpressionKey, value: ConsumerGroupRegularExpressionValue | None
) -> None:
    group = _group(shard, key.group_id, value is not None)
    if group is None:
        return
    if value is None:
        group.resolved.pop(key.regular_expression, None)
        return
    group.resolved[key.regular_expression] = Resolved(frozenset(value.topics), value.version, value.timestamp)


REPLAY: Mapping[type, Callable[[GroupShard, Any, Any], None]] = {
    ConsumerGroupMetadataKey: _epoch,
    ConsumerGroupPartitionMetadataKey: _partition_metadata,
    ConsumerGroupMemberMetadataKey: _member,
    ConsumerGroupCurrentMemberAssignmentKey: _current,
    ConsumerGroupTargetAssignmentMetadataKey: _target_epoch,
    ConsumerGroupTargetAssignmentMemberKey: _target,
    ConsumerGroupRegularExpressionKey: _regex,
}
