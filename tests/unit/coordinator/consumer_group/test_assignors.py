"""The assignors of KIP-848 groups: balance, stickiness, co-partitioning, and the time of a large group."""

from __future__ import annotations

import random
import time

import pytest

from pyralog.coordinator.consumer_group.assignor import Subscriber
from pyralog.coordinator.consumer_group.range_assignor import assign_ranges
from pyralog.coordinator.consumer_group.uniform_assignor import assign_uniformly

A, B, C = bytes([1]) * 16, bytes([2]) * 16, bytes([3]) * 16


def member(name: str, *topics: bytes, before: dict | None = None, instance: str | None = None) -> Subscriber:
    return Subscriber(name, instance, frozenset(topics), before or {})


def loads(assigned: dict) -> list[int]:
    return [sum(map(len, each.values())) for each in assigned.values()]


def test_uniform_balances_and_keeps() -> None:
    first = assign_uniformly([member(f"m{i}", A, B) for i in range(3)], {A: 4, B: 3})
    assert sorted(loads(first)) == [2, 2, 3]
    again = [member(name, A, B, before=before) for name, before in first.items()]
    assert assign_uniformly(again, {A: 4, B: 3}) == first
    more = assign_uniformly([*again, member("m9", A, B)], {A: 4, B: 3})
    assert max(loads(more)) - min(loads(more)) <= 1
    for name, before in first.items():
        for topic, partitions in more[name].items():
            assert partitions <= before[topic], "a partition moved between members that stay"


@pytest.mark.parametrize("seed", range(20))
def test_uniform_with_differing_subscriptions_gives_everything_away_once(seed: int) -> None:
    dice = random.Random(seed)
    counts = {A: dice.randint(1, 9), B: dice.randint(1, 9), C: dice.randint(1, 9)}
    members = [member(f"m{i}", *dice.sample((A, B, C), dice.randint(1, 3))) for i in range(6)]
    assigned = assign_uniformly(members, counts)
    given = [(topic, p) for each in assigned.values() for topic, ps in each.items() for p in ps]
    wanted = {(t, p) for m in members for t in m.topics for p in range(counts[t])}
    assert len(given) == len(set(given))
    assert set(given) == wanted
    assert all(set(assigned[m.member_id]) <= m.topics for m in members)


def test_range_co_partitions_and_puts_static_members_first() -> None:
    members = [member("b", A, B), member("a", A, B), member("z", A, B, instance="i1")]
    assigned = assign_ranges(members, {A: 4, B: 4})
    assert {name: sorted(each[A]) for name, each in assigned.items()} == {"z": [0, 1], "a": [2], "b": [3]}
    assert all(each[A] == each[B] for each in assigned.values())


@pytest.mark.parametrize("assign", [assign_uniformly, assign_ranges])
def test_a_large_group_is_assigned_quickly(assign) -> None:
    topics = [bytes([i]) * 16 for i in range(100)]
    members = [member(f"m{i:04}", *topics) for i in range(1000)]
    began = time.process_time()
    assigned = assign(members, dict.fromkeys(topics, 100))
    assert sum(loads(assigned)) == 10_000
    assert time.process_time() - began < 1  # a few milliseconds; anything quadratic takes many seconds
