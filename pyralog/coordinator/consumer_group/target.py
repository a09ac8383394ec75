"""The target assignment of a group: who shall have which partitions, as the group's assignor decides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pyralog.coordinator.consumer_group.assignor import Assignor, Subscriber
from pyralog.coordinator.consumer_group.group import NO_ASSIGNMENT, ConsumerGroup, Resolved
from pyralog.coordinator.consumer_group.metadata import existing
from pyralog.coordinator.consumer_group.range_assignor import assign_ranges
from pyralog.coordinator.consumer_group.uniform_assignor import assign_uniformly

if TYPE_CHECKING:
    from pyralog.cluster.image import ClusterImage
    from pyralog.coordinator.consumer_group.member import Assignment, Member
    from pyralog.model import Uuid

ASSIGNORS: Mapping[str, Assignor] = {"uniform": assign_uniformly, "range": assign_ranges}

# Members and partitions that are assigned again at once, per millisecond that must lie between two assignments.
WEIGHT_PER_MS = 16
# The part of that time in which no member may have come or gone.
CALM = 1 / 4


def may_assign(group: ConsumerGroup, members: int, partitions: int, longest_ms: int, now_ms: int) -> bool:
    """Whether the next assignment may be worked out now.

    Kafka waits for group.consumer.assignment.interval.ms since the last one, so that a storm of joins costs a few
    assignments and not one for each. Here that is the longest wait: small groups, for which an assignment costs
    nothing, get theirs at once, and others when enough time has passed and no storm is under way, since whoever has
    got an epoch in the midst of it must be told of the next one too. A single change is no storm.
    """
    last = group.target_timestamp_ms
    wait = min(longest_ms, (members + partitions) // WEIGHT_PER_MS)
    if last == 0 or wait == 0 or last > now_ms or now_ms >= last + longest_ms:
        return True
    calm = bool(group.classic_count) or not 0 <= now_ms - group.changed_ms < wait * CALM
    return calm and now_ms >= last + wait


class Subscriptions:
    """Topic ids by subscription, worked out once for all members that want the same."""

    def __init__(self, image: ClusterImage, resolved: Mapping[str, Resolved]) -> None:
        self._image = image
        self._resolved = resolved
        self._known: dict[tuple[frozenset[str], str], frozenset[Uuid]] = {}

    def topic_ids(self, member: Member) -> frozenset[Uuid]:
        """The existing topics that a member wants; an expression that is not resolved yet wants none."""
        key = member.subscription
        found = self._known.get(key)
        if found is None:
            names = member.topics
            if member.regex:
                resolved = self._resolved.get(member.regex)
                if resolved is not None:
                    names = member.topics | resolved.topics
            topics = self._image.topics
            found = frozenset(topics[name].topic_id for name in existing(names, self._image))
            self._known[key] = found
        return found


def assign(
    group: ConsumerGroup,
    updated: Member | None,
    replaced_id: str | None,
    subscriptions: Subscriptions,
    image: ClusterImage,
    assignor: str,
) -> dict[str, Assignment]:
    """The target of every member, `updated` standing in for its former self or for the member it replaces."""
    subscribers = []
    for member_id, member in group.members.items():
        if member_id == replaced_id or (updated is not None and member_id == updated.member_id):
            continue
        subscribers.append(
            Subscriber(
                member_id,
                member.instance_id,
                subscriptions.topic_ids(member),
                group.target.get(member_id, NO_ASSIGNMENT),
            )
        )
    if updated is not None:
        before = group.target.get(replaced_id or updated.member_id, NO_ASSIGNMENT)
        subscribers.append(Subscriber(updated.member_id, updated.instance_id, subscriptions.topic_ids(updated), before))
    partitions: dict[Uuid, int] = {}
    for wanted in {subscriber.topics for subscriber in subscribers}:
        for topic_id in wanted:
            topic = image.topic_by_id(topic_id)
            partitions[topic_id] = 0 if topic is None else len(topic.partitions)
    return ASSIGNORS[assignor](subscribers, partitions)
