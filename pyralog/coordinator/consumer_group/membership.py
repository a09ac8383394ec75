"""Who is in a KIP-848 group: joining, coming back, static replacement, and leaving, all with Kafka's checks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from pyralog.coordinator.consumer_group.group import ConsumerGroup
from pyralog.coordinator.consumer_group.member import JOIN_EPOCH, STATIC_LEAVE_EPOCH, Member, Owned
from pyralog.coordinator.consumer_group.records import (
    current_record,
    member_record,
    member_tombstones,
    regex_tombstone,
    target_epoch_record,
    target_record,
)
from pyralog.coordinator.consumer_group.subscription import bump_epoch, topics_without
from pyralog.coordinator.consumer_group.timers import no_timers
from pyralog.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from pyralog.coordinator.consumer_group.draft import Draft
    from pyralog.coordinator.consumer_group.reconcile import Reported


class Found(NamedTuple):
    """The member as it was before the request, and the id of the static member whose place it takes."""

    member: Member
    replaced_id: str | None = None

    def known_to(self, group: ConsumerGroup) -> bool:
        """Whether the group has this member, or the one whose place it takes."""
        return (self.replaced_id or self.member.member_id) in group.members


def refuse_if_full(group: ConsumerGroup, most: int, member_id: str, instance_id: str | None) -> None:
    """KafkaError GROUP_MAX_SIZE_REACHED when a new member does not fit."""
    if len(group.members) < most or (member_id and member_id in group.members):
        return
    if instance_id is not None and instance_id in group.static_members:
        return
    raise KafkaError(
        ErrorCode.GROUP_MAX_SIZE_REACHED,
        f"The consumer group has reached its maximum capacity of {most} members.",
    )


def dynamic_member(group: ConsumerGroup, member_id: str, epoch: int, reported: Reported, create: bool) -> Found:
    """A member without instance id; `epoch` -1 is that of a classic member, which is checked otherwise."""
    member = group.members.get(member_id)
    if member is None:
        if not create:
            raise unknown_member(group, member_id)
        return Found(Member(member_id))
    if epoch >= 0:
        check_epoch(member, epoch, reported)
    return Found(member)


def static_member(
    draft: Draft, group: ConsumerGroup, member_id: str, instance_id: str, epoch: int, reported: Reported, joins: bool
) -> Found:
    """A member with instance id. Who comes back under a new member id takes over what the former one had."""
    known = group.static_member(instance_id)
    if not joins:
        if known is None:
            raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID, f"Instance id {instance_id} is unknown.")
        refuse_if_fenced(known, member_id, instance_id)
        if epoch >= 0:
            check_epoch(known, epoch, reported)
        return Found(known)
    if known is None:
        return Found(group.members.get(member_id) or Member(member_id))
    if epoch >= 0 and known.classic is None and known.epoch != STATIC_LEAVE_EPOCH:
        raise KafkaError(
            ErrorCode.UNRELEASED_INSTANCE_ID,
            f"Static member {member_id} with instance id {instance_id} cannot join the group because the instance id "
            f"is owned by {known.member_id} member.",
        )
    successor = known._replace(member_id=member_id, epoch=JOIN_EPOCH, previous_epoch=JOIN_EPOCH)
    draft.write(member_tombstones(group.group_id, known.member_id))
    draft.records.append(member_record(group.group_id, successor))
    draft.records.append(target_record(group.group_id, member_id, group.target.get(known.member_id, {})))
    draft.records.append(current_record(group.group_id, successor))
    if known.member_id != member_id:
        draft.timers.extend(no_timers(group.group_id, known.member_id))
    return Found(successor, known.member_id)


def unknown_member(group: ConsumerGroup, member_id: str) -> KafkaError:
    """UNKNOWN_MEMBER_ID with Kafka's text."""
    return KafkaError(ErrorCode.UNKNOWN_MEMBER_ID, f"Member {member_id} is not a member of group {group.group_id}.")


def refuse_if_fenced(member: Member, member_id: str, instance_id: str) -> None:
    """KafkaError FENCED_INSTANCE_ID when another member has this instance id."""
    if member.member_id != member_id:
        raise KafkaError(
            ErrorCode.FENCED_INSTANCE_ID,
            f"Static member {member_id} with instance id {instance_id} was fenced by member {member.member_id}.",
        )


def check_epoch(member: Member, epoch: int, reported: Reported) -> None:
    """KafkaError FENCED_MEMBER_EPOCH. Its former epoch is let pass with nothing that is not its own: then the answer
    with the new one was lost on the way."""
    if epoch in (JOIN_EPOCH, member.epoch):
        return
    if epoch < member.epoch and epoch == member.previous_epoch and _within(reported, member.owned):
        return
    relation = "greater" if epoch > member.epoch else "smaller"
    raise KafkaError(
        ErrorCode.FENCED_MEMBER_EPOCH,
        f"The consumer group member has a {relation} member epoch ({epoch}) than the one known by the group "
        f"coordinator ({member.epoch}). The member must abandon all its partitions and rejoin.",
    )


def _within(reported: Reported, owned: Owned) -> bool:
    if reported is None:
        return False
    for topic in reported:
        has = owned.get(topic.topic_id)
        if has is None or any(partition not in has for partition in topic.partitions):
            return False
    return True


def remove_members(draft: Draft, group: ConsumerGroup, members: Sequence[Member]) -> None:
    """Members leave, or are thrown out: their partitions are free, and the group is to be assigned again."""
    group_id = group.group_id
    for member in members:
        draft.write(member_tombstones(group_id, member.member_id))
    counts = Counter(member.regex for member in members if member.regex)
    resolved = dict(group.resolved)
    for regex, count in counts.items():
        if group.regex_counts[regex] <= count:
            draft.records.append(regex_tombstone(group_id, regex))
            resolved.pop(regex, None)
    epoch = bump_epoch(draft, group, topics_without(group, members, resolved, draft.shard.image))
    group.changed_ms = draft.now_ms
    if len(members) == len(group.members):
        draft.records.append(target_epoch_record(group_id, epoch, draft.now_ms))  # there is nothing to assign
    for member in members:
        draft.timers.extend(no_timers(group_id, member.member_id))
