"""The `uniform` assignor: loads differ by at most one where subscriptions allow it, and members keep what they can."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from heapq import heapify, heappop, heappush, heapreplace

from pyralog.coordinator.consumer_group.assignor import Subscriber, homogeneous
from pyralog.coordinator.consumer_group.member import Assignment
from pyralog.model import Uuid

# Rounds over all topics after which differing subscriptions count as balanced; each only lowers the imbalance.
MAX_ROUNDS = 8

_Sets = dict[str, dict[Uuid, set[int]]]
_Loads = dict[str, int]


def assign_uniformly(members: Sequence[Subscriber], partitions: Mapping[Uuid, int]) -> dict[str, Assignment]:
    """See the module. O(members + partitions) for equal subscriptions; else O(subscriptions + partitions x log)."""
    if not members:
        return {}
    if homogeneous(members):
        return _spread_evenly(sorted(members), partitions)
    return _Balance(sorted(members), partitions).assignment()


# --- equal subscriptions ---


def _spread_evenly(members: Sequence[Subscriber], partitions: Mapping[Uuid, int]) -> dict[str, Assignment]:
    topics = sorted(members[0].topics)
    total = sum(partitions[topic_id] for topic_id in topics)
    quota, extras = divmod(total, len(members))
    taken: dict[Uuid, set[int]] = {topic_id: set() for topic_id in topics}
    assigned: dict[str, Assignment] = {}
    short: list[tuple[Subscriber, dict[Uuid, set[int]], int]] = []
    # Who has more than the quota already keeps one of the extras: nothing moves that need not.
    for member in sorted(members, key=_most_first):
        kept, count = _valid(member.before, partitions, taken)
        allowed = quota + 1 if extras and count > quota else quota
        if count > allowed:
            kept = _cut(kept, allowed)
            count = allowed
        if count > quota:
            extras -= 1
        for topic_id, has in kept.items():
            taken[topic_id] |= has
        if count < quota or (count == quota and extras):
            short.append((member, kept, count))
        else:
            assigned[member.member_id] = _frozen(kept, member.before)
    free = _free(topics, partitions, taken)
    # First the extras to those nearest to them, so that a balanced group stays as it is.
    for member, kept, count in short:
        wanted = quota - count
        if extras:
            wanted += 1
            extras -= 1
        for _ in range(wanted):
            topic_id, partition = next(free)
            kept.setdefault(topic_id, set()).add(partition)
        assigned[member.member_id] = _frozen(kept, member.before)
    return assigned


def _most_first(member: Subscriber) -> int:
    return -sum(map(len, member.before.values()))


def _valid(
    before: Assignment, partitions: Mapping[Uuid, int], taken: Mapping[Uuid, set[int]]
) -> tuple[dict[Uuid, set[int]], int]:
    """What of an earlier assignment still exists and nobody else has."""
    kept: dict[Uuid, set[int]] = {}
    count = 0
    for topic_id, had in before.items():
        others = taken.get(topic_id)
        if others is None:
            continue
        most = partitions[topic_id]
        has = {partition for partition in had if partition < most and partition not in others}
        if has:
            kept[topic_id] = has
            count += len(has)
    return kept, count


def _cut(kept: Mapping[Uuid, set[int]], allowed: int) -> dict[Uuid, set[int]]:
    """The first `allowed` of the partitions."""
    found: dict[Uuid, set[int]] = {}
    for topic_id, has in kept.items():
        if allowed <= 0:
            break
        found[topic_id] = has if len(has) <= allowed else set(sorted(has)[:allowed])
        allowed -= len(has)
    return found


def _free(
    topics: Sequence[Uuid], partitions: Mapping[Uuid, int], taken: Mapping[Uuid, set[int]]
) -> Iterator[tuple[Uuid, int]]:
    for topic_id in topics:
        others = taken[topic_id]
        for partition in range(partitions[topic_id]):
            if partition not in others:
                yield topic_id, partition


def _frozen(has: Mapping[Uuid, set[int]], before: Assignment) -> Assignment:
    """The assignment; the very object of before where nothing has changed, so that comparing is cheap."""
    if has.keys() == before.keys() and all(has[topic_id] == before[topic_id] for topic_id in has):
        return before
    return {topic_id: frozenset(partitions) for topic_id, partitions in has.items() if partitions}


# --- differing subscriptions ---


class _Balance:
    """Keeps what is valid, gives free partitions to the least loaded, then evens out topic by topic."""

    def __init__(self, members: Sequence[Subscriber], partitions: Mapping[Uuid, int]) -> None:
        self._members = {member.member_id: member for member in members}
        self._partitions = partitions
        self._wanted: dict[Uuid, list[str]] = {}
        for member in members:
            for topic_id in member.topics:
                self._wanted.setdefault(topic_id, []).append(member.member_id)
        # Topics that few want come first: the others can make up for them.
        self._topics = sorted(self._wanted, key=lambda topic_id: (len(self._wanted[topic_id]), topic_id))
        self._has: _Sets = {member.member_id: {} for member in members}
        self._loads: _Loads = dict.fromkeys(self._has, 0)

    def assignment(self) -> dict[str, Assignment]:
        """See the class."""
        self._keep()
        for _ in range(MAX_ROUNDS):
            if not sum(self._level(topic_id) for topic_id in self._topics):
                break
        return {
            member_id: _frozen({t: p for t, p in has.items() if p}, self._members[member_id].before)
            for member_id, has in self._has.items()
        }

    def _keep(self) -> None:
        taken: dict[Uuid, set[int]] = {topic_id: set() for topic_id in self._topics}
        for member_id, member in self._members.items():
            for topic_id, had in member.before.items():
                if topic_id not in member.topics:
                    continue
                most, others = self._partitions[topic_id], taken[topic_id]
                has = {partition for partition in had if partition < most and partition not in others}
                if has:
                    others |= has
                    self._has[member_id][topic_id] = has
                    self._loads[member_id] += len(has)
        for topic_id in self._topics:
            count = self._partitions[topic_id]
            if len(taken[topic_id]) < count:
                self._give(topic_id, [p for p in range(count) if p not in taken[topic_id]])

    def _give(self, topic_id: Uuid, free: Sequence[int]) -> None:
        """Each free partition to the subscriber who has least."""
        loads = self._loads
        heap = [(loads[member_id], member_id) for member_id in self._wanted[topic_id]]
        heapify(heap)
        for partition in free:
            load, member_id = heap[0]
            self._has[member_id].setdefault(topic_id, set()).add(partition)
            loads[member_id] = load + 1
            heapreplace(heap, (load + 1, member_id))

    def _level(self, topic_id: Uuid) -> bool:
        """Move partitions of one topic from the most to the least loaded subscribers; whether any moved."""
        loads, has = self._loads, self._has
        subscribers = self._wanted[topic_id]
        lowest = min(loads[member_id] for member_id in subscribers)
        givers = [
            (-loads[member_id], member_id)
            for member_id in subscribers
            if loads[member_id] > lowest + 1 and has[member_id].get(topic_id)
        ]
        if not givers:
            return False
        takers = [(loads[member_id], member_id) for member_id in subscribers]
        heapify(givers)
        heapify(takers)
        moved = False
        while givers:
            load, giver = -givers[0][0], givers[0][1]
            while takers and takers[0][0] != loads[takers[0][1]]:
                heappop(takers)  # of before it gave or took
            if not takers or load <= takers[0][0] + 1:
                break
            low, taker = heappop(takers)
            has[taker].setdefault(topic_id, set()).add(has[giver][topic_id].pop())
            loads[giver], loads[taker] = load - 1, low + 1
            heappush(takers, (low + 1, taker))
            heappush(takers, (load - 1, giver))
            moved = True
            if has[giver][topic_id]:
                heapreplace(givers, (1 - load, giver))
            else:
                heappop(givers)
        return moved
