"""The `range` assignor: of each topic every subscriber gets one run of partitions, in a fixed order of members.

Topics with equally many partitions and the same subscribers are co-partitioned: whoever has partition 3 of one has
partition 3 of the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyralog.coordinator.consumer_group.assignor import Subscriber, homogeneous
from pyralog.coordinator.consumer_group.member import Assignment
from pyralog.model import Uuid


def _order(member: Subscriber) -> tuple[bool, str]:
    """Static members come first, by instance id: their place survives a restart."""
    if member.instance_id is not None:
        return (False, member.instance_id)
    return (True, member.member_id)


def assign_ranges(members: Sequence[Subscriber], partitions: Mapping[Uuid, int]) -> dict[str, Assignment]:
    """See the module. O(assigned ranges + partitions)."""
    ordered = sorted(members, key=_order)
    assigned: dict[str, dict[Uuid, frozenset[int]]] = {member.member_id: {} for member in ordered}
    if not ordered:
        return dict(assigned)
    wanted: dict[Uuid, list[Subscriber]] = {}
    if homogeneous(ordered):
        wanted = dict.fromkeys(ordered[0].topics, ordered)
    else:
        for member in ordered:
            for topic_id in member.topics:
                wanted.setdefault(topic_id, []).append(member)
    for topic_id in sorted(wanted):
        subscribers = wanted[topic_id]
        each, extra = divmod(partitions[topic_id], len(subscribers))
        start = 0
        for index, member in enumerate(subscribers):
            end = start + each + (index < extra)
            if start == end:
                break
            assigned[member.member_id][topic_id] = frozenset(range(start, end))
            start = end
    return dict(assigned)
