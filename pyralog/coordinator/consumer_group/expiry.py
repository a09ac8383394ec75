"""What time does to a KIP-848 group, what it does after a restart, and when topics of the cluster change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyralog.coordinator.consumer_group.draft import Draft
from pyralog.coordinator.consumer_group.group import ConsumerGroup
from pyralog.coordinator.consumer_group.member import Member, MemberState
from pyralog.coordinator.consumer_group.metadata import metadata_hash
from pyralog.coordinator.consumer_group.migration import part_with
from pyralog.coordinator.consumer_group.subscription import bump_epoch, topics_with
from pyralog.coordinator.consumer_group.timers import (
    MemberExpired,
    RevocationExpired,
    revocation_timer,
    session_timer,
)
from pyralog.coordinator.outcome import NOTHING, Outcome, combine

if TYPE_CHECKING:
    from pyralog.cluster.image import ImageDelta
    from pyralog.coordinator.group.shard import GroupShard


def member_expired(shard: GroupShard, event: MemberExpired, ticket: int, now_ms: int) -> Outcome:
    """Throw out a member that was not heard of in time."""
    return _throw_out(shard, event.group_id, event.member_id, now_ms)


def revocation_expired(shard: GroupShard, event: RevocationExpired, ticket: int, now_ms: int) -> Outcome:
    """Throw out a member that has still not given up its partitions."""
    group = shard.groups.get(event.group_id)
    member = group.members.get(event.member_id) if isinstance(group, ConsumerGroup) else None
    if member is None or member.epoch != event.epoch or member.state != MemberState.UNREVOKED_PARTITIONS:
        return NOTHING
    return _throw_out(shard, event.group_id, event.member_id, now_ms)


def _throw_out(shard: GroupShard, group_id: str, member_id: str, now_ms: int) -> Outcome:
    group = shard.groups.get(group_id)
    if not isinstance(group, ConsumerGroup) or member_id not in group.members:
        return NOTHING
    draft = Draft(shard, group_id, now_ms)
    part_with(draft, group, [group.members[member_id]])
    return draft.outcome()


def start(shard: GroupShard, now_ms: int) -> Outcome:
    """The shard is loaded: every member has its whole session timeout to be heard of."""
    outcomes = []
    for group in shard.groups.values():
        if isinstance(group, ConsumerGroup) and group.members:
            group.regexes_stale = bool(group.regex_counts)
            draft = Draft(shard, group.group_id, now_ms)
            _follow(draft, group)
            for member in group.members.values():
                draft.timers.append(
                    session_timer(group.group_id, member.member_id, now_ms + session_timeout_ms(draft, member))
                )
                if member.state == MemberState.UNREVOKED_PARTITIONS and member.classic is None:
                    due_ms = now_ms + member.rebalance_timeout_ms
                    draft.timers.append(revocation_timer(group.group_id, member.member_id, member.epoch, due_ms))
            outcomes.append(draft.outcome())
    return combine(*outcomes)


def session_timeout_ms(draft: Draft, member: Member) -> int:
    """A classic member has said its own."""
    return draft.session_timeout_ms if member.classic is None else member.classic.session_timeout_ms


def on_image(shard: GroupShard, delta: ImageDelta, now_ms: int) -> Outcome:
    """Topics have come, gone or grown: groups that consume them are assigned again from the next heartbeat on."""
    if not delta.topics:
        return NOTHING
    names = {topic.name for pair in delta.topics.values() for topic in pair if topic is not None}
    others = any(before is None or after is None for before, after in delta.topics.values())
    outcomes = []
    for group in shard.groups.values():
        if not isinstance(group, ConsumerGroup) or not group.members:
            continue
        if others and group.regex_counts:
            group.regexes_stale = True
        if any(group.subscribed_to(name) for name in names):
            draft = Draft(shard, group.group_id, now_ms)
            _follow(draft, group)
            outcomes.append(draft.outcome())
    return combine(*outcomes)


def _follow(draft: Draft, group: ConsumerGroup) -> None:
    """Bump the epoch if the topics are not what they were at the last bump."""
    topics = topics_with(group, None, None, group.resolved, draft.shard.image)
    if metadata_hash(topics, draft.shard.image) != group.metadata_hash:
        bump_epoch(draft, group, topics)
