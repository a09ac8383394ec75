"""One step of a member towards the target assignment: what it must give up first, what it may have now (KIP-848)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from pyralog.coordinator.consumer_group.member import Assignment, Member, MemberState, Owned
from pyralog.errors import ErrorCode, KafkaError
from pyralog.model import Uuid


class TopicPartitions(Protocol):
    """Partitions of a topic as a member reports them."""

    @property
    def topic_id(self) -> Uuid:
        """The topic."""
        ...

    @property
    def partitions(self) -> list[int]:
        """Their numbers."""
        ...


Reported = Sequence[TopicPartitions] | None
_NONE: Mapping[int, int] = {}


class Goal(NamedTuple):
    """Where a member shall go. `owner` names who has a partition now, `subscribed` says whether the member wants a
    topic, `reported` is what the member says it has (None: nothing was said), `consistent` that topics it no longer
    wants must go at once, whatever the target."""

    epoch: int
    target: Assignment
    owner: Callable[[Uuid, int], str | None]
    subscribed: Callable[[Uuid], bool]
    reported: Reported
    consistent: bool = False


def reconcile(member: Member, goal: Goal) -> Member:
    """The member after this step: the same object where there is none to take."""
    if member.state == MemberState.STABLE:
        if member.epoch != goal.epoch:
            return _advance(member, goal, member.epoch)
        return _drop_unsubscribed(member, goal) if goal.consistent else member
    if member.state == MemberState.UNREVOKED_PARTITIONS:
        if _still_has(goal.reported, member.revoking):
            return _drop_unsubscribed(member, goal) if goal.consistent else member
        return _advance(member, goal, member.epoch)
    if member.state == MemberState.UNRELEASED_PARTITIONS:
        return _advance(member, goal, member.epoch)
    # A state of a later release. Joining again from nothing is safe.
    if goal.reported is None or goal.reported:
        raise KafkaError(
            ErrorCode.FENCED_MEMBER_EPOCH,
            "The consumer group member is in a unknown state. The member must abandon all its partitions and rejoin.",
        )
    return _advance(member, goal, goal.epoch)


def _still_has(reported: Reported, revoking: Owned) -> bool:
    """Whether the member has, or may have, any of what it must give up."""
    if reported is None:
        return True
    for topic in reported:
        given_up = revoking.get(topic.topic_id)
        if given_up and any(partition in given_up for partition in topic.partitions):
            return True
    return False


def _drop_unsubscribed(member: Member, goal: Goal) -> Member:
    """Without topics that the member has unsubscribed from: they may belong to a target not yet worked out."""
    gone = [topic_id for topic_id in member.owned if not goal.subscribed(topic_id)]
    if not gone:
        return member
    owned = {topic_id: has for topic_id, has in member.owned.items() if topic_id not in gone}
    revoking = dict(member.revoking)
    for topic_id in gone:
        revoking[topic_id] = {**revoking.get(topic_id, _NONE), **member.owned[topic_id]}
    if _still_has(goal.reported, revoking):
        return member.moved(member.epoch, MemberState.UNREVOKED_PARTITIONS, owned, revoking)
    return member.moved(member.epoch, member.state, owned, member.revoking)


def _advance(member: Member, goal: Goal, epoch: int) -> Member:
    """Give up what the target lacks; only then go to the target's epoch and take what nobody else has."""
    keep: dict[Uuid, Mapping[int, int]] = {}
    revoking: dict[Uuid, Mapping[int, int]] = {}
    take: dict[Uuid, list[int]] = {}
    waiting = False
    for topic_id in dict.fromkeys((*goal.target, *member.owned)):
        target = goal.target.get(topic_id, frozenset())
        if target and not goal.subscribed(topic_id):
            target = frozenset()
        has = member.owned.get(topic_id, _NONE)
        kept = {partition: since for partition, since in has.items() if partition in target}
        if kept:
            keep[topic_id] = kept
        if len(kept) < len(has):
            revoking[topic_id] = {partition: since for partition, since in has.items() if partition not in target}
        if len(kept) == len(target):
            continue
        own = member.revoking.get(topic_id, _NONE)
        for partition in target:
            if partition in kept:
                continue
            if goal.owner(topic_id, partition) is None or partition in own:
                take.setdefault(topic_id, []).append(partition)
            else:
                waiting = True
    if revoking and _still_has(goal.reported, revoking):
        return member.moved(epoch, MemberState.UNREVOKED_PARTITIONS, keep, revoking)
    for topic_id, partitions in take.items():
        keep[topic_id] = {**keep.get(topic_id, _NONE), **dict.fromkeys(partitions, goal.epoch)}
    state = MemberState.UNRELEASED_PARTITIONS if waiting else MemberState.STABLE
    return member.moved(goal.epoch, state, keep, {})
