"""The records of KIP-848 groups, as Kafka writes them; tombstones in Kafka's order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyralog.coordinator.consumer_group.member import Assignment, Member, Owned
from pyralog.coordinator.outcome import CoordinatorRecord
from pyralog.wire.messages import (
    ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupCurrentMemberAssignmentValue,
    ConsumerGroupCurrentMemberAssignmentValueTopicPartitions,
    ConsumerGroupMemberMetadataKey,
    ConsumerGroupMemberMetadataValue,
    ConsumerGroupMemberMetadataValueClassicMemberMetadata,
    ConsumerGroupMemberMetadataValueClassicProtocol,
    ConsumerGroupMetadataKey,
    ConsumerGroupMetadataValue,
    ConsumerGroupPartitionMetadataKey,
    ConsumerGroupRegularExpressionKey,
    ConsumerGroupRegularExpressionValue,
    ConsumerGroupTargetAssignmentMemberKey,
    ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMemberValueTopicPartition,
    ConsumerGroupTargetAssignmentMetadataKey,
    ConsumerGroupTargetAssignmentMetadataValue,
)

if TYPE_CHECKING:
    from pyralog.coordinator.consumer_group.group import ConsumerGroup, Resolved

Record = CoordinatorRecord


def member_record(group_id: str, member: Member) -> Record:
    """What a member has said of itself."""
    classic = None
    if member.classic is not None:
        classic = ConsumerGroupMemberMetadataValueClassicMemberMetadata(
            session_timeout_ms=member.classic.session_timeout_ms,
            supported_protocols=[
                ConsumerGroupMemberMetadataValueClassicProtocol(name=name, metadata=metadata)
                for name, metadata in member.classic.protocols
            ],
        )
    value = ConsumerGroupMemberMetadataValue(
        instance_id=member.instance_id,
        rack_id=member.rack_id,
        client_id=member.client_id,
        client_host=member.client_host,
        subscribed_topic_names=sorted(member.topics),
        subscribed_topic_regex=member.regex,
        rebalance_timeout_ms=member.rebalance_timeout_ms,
        server_assignor=member.assignor,
        classic_member_metadata=classic,
    )
    return Record(ConsumerGroupMemberMetadataKey(group_id=group_id, member_id=member.member_id), value)


def epoch_record(group_id: str, epoch: int, metadata_hash: int) -> Record:
    """The group's epoch, and a hash of the topics that it was reached with."""
    value = ConsumerGroupMetadataValue(epoch=epoch, metadata_hash=metadata_hash)
    return Record(ConsumerGroupMetadataKey(group_id=group_id), value)


def target_epoch_record(group_id: str, epoch: int, timestamp_ms: int) -> Record:
    """The epoch that the target assignment was worked out for, and when."""
    value = ConsumerGroupTargetAssignmentMetadataValue(assignment_epoch=epoch, assignment_timestamp=timestamp_ms)
    return Record(ConsumerGroupTargetAssignmentMetadataKey(group_id=group_id), value)


def target_record(group_id: str, member_id: str, assignment: Assignment) -> Record:
    """What a member shall have."""
    value = ConsumerGroupTargetAssignmentMemberValue(
        topic_partitions=[
            ConsumerGroupTargetAssignmentMemberValueTopicPartition(topic_id=topic_id, partitions=sorted(partitions))
            for topic_id, partitions in assignment.items()
            if partitions
        ]
    )
    return Record(ConsumerGroupTargetAssignmentMemberKey(group_id=group_id, member_id=member_id), value)


def current_record(group_id: str, member: Member) -> Record:
    """What a member has."""
    value = ConsumerGroupCurrentMemberAssignmentValue(
        member_epoch=member.epoch,
        previous_member_epoch=member.previous_epoch,
        state=int(member.state),
        assigned_partitions=_owned(member.owned),
        partitions_pending_revocation=_owned(member.revoking),
    )
    return Record(ConsumerGroupCurrentMemberAssignmentKey(group_id=group_id, member_id=member.member_id), value)


def _owned(owned: Owned) -> list[ConsumerGroupCurrentMemberAssignmentValueTopicPartitions]:
    found = []
    for topic_id, partitions in owned.items():
        pairs = sorted(partitions.items())
        found.append(
            ConsumerGroupCurrentMemberAssignmentValueTopicPartitions(
                topic_id=topic_id,
                partitions=[partition for partition, _ in pairs],
                assignment_epochs=[epoch for _, epoch in pairs],
            )
        )
    return found


def regex_record(group_id: str, regex: str, resolved: Resolved) -> Record:
    """The topics that a regular expression matches."""
    value = ConsumerGroupRegularExpressionValue(
        topics=sorted(resolved.topics), version=resolved.version, timestamp=resolved.timestamp_ms
    )
    return Record(ConsumerGroupRegularExpressionKey(group_id=group_id, regular_expression=regex), value)


def regex_tombstone(group_id: str, regex: str) -> Record:
    """Nobody uses this regular expression any more."""
    return Record(ConsumerGroupRegularExpressionKey(group_id=group_id, regular_expression=regex), None)


def partition_metadata_tombstone(group_id: str) -> Record:
    """Takes back what Kafka before 4.1 wrote in the place of the hash."""
    return Record(ConsumerGroupPartitionMetadataKey(group_id=group_id), None)


def member_tombstones(group_id: str, member_id: str) -> tuple[Record, Record, Record]:
    """A member leaves; the order matters to whoever replays it."""
    return (
        _current_tombstone(group_id, member_id),
        _target_tombstone(group_id, member_id),
        _member_tombstone(group_id, member_id),
    )


def group_tombstones(group: ConsumerGroup, replaced: tuple[str, str] | None = None) -> tuple[Record, ...]:
    """The group is deleted, or becomes a classic one. `replaced` are the ids of a static member and of who has taken
    its place by records that have not been replayed yet."""
    group_id = group.group_id
    old, new = replaced or ("", "")
    members = [new if member_id == old else member_id for member_id in group.members]
    targets = [new if member_id == old else member_id for member_id in group.target]
    records = [_current_tombstone(group_id, member_id) for member_id in members]
    records += [_target_tombstone(group_id, member_id) for member_id in targets]
    records.append(Record(ConsumerGroupTargetAssignmentMetadataKey(group_id=group_id), None))
    records += [_member_tombstone(group_id, member_id) for member_id in members]
    records += [regex_tombstone(group_id, regex) for regex in group.resolved]
    records.append(partition_metadata_tombstone(group_id))
    records.append(Record(ConsumerGroupMetadataKey(group_id=group_id), None))
    return tuple(records)


def _current_tombstone(group_id: str, member_id: str) -> Record:
    return Record(ConsumerGroupCurrentMemberAssignmentKey(group_id=group_id, member_id=member_id), None)


def _target_tombstone(group_id: str, member_id: str) -> Record:
    return Record(ConsumerGroupTargetAssignmentMemberKey(group_id=group_id, member_id=member_id), None)


def _member_tombstone(group_id: str, member_id: str) -> Record:
    return Record(ConsumerGroupMemberMetadataKey(group_id=group_id, member_id=member_id), None)
