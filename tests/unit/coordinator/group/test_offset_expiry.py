"""What becomes of offsets by themselves: retention by Kafka's rules, deleted topics, in portions."""

from __future__ import annotations

from typing import Any

import pytest

from pyralog.cluster.image import NO_DELTA, ClusterImage, ImageDelta, TopicImage
from pyralog.coordinator.group import offset_requests
from pyralog.coordinator.group.offset_requests import ExpireOffsets, ForgetTopics, forget_topics
from pyralog.coordinator.group.offsets import NO_EXPIRY, Committed, commit_record
from pyralog.coordinator.group.settings import GroupSettings
from pyralog.coordinator.group.shard import GroupShard
from pyralog.coordinator.outcome import NOTHING, CoordinatorRecord, Outcome, Transaction
from pyralog.wire.messages import GroupMetadataKey

RETENTION_MS = 1000
T = TopicImage("t", bytes([1] * 16), ())


class FakeGroup:
    """A group that says what it is told to."""

    def __init__(self, since: int | None, *, empty: bool = True, topics: tuple[str, ...] = ()) -> None:
        self.since, self.is_empty, self.topics = since, empty, topics

    def expires_from(self, commit_timestamp_ms: int) -> int | None:
        return commit_timestamp_ms if self.since == -1 else self.since

    def subscribed_to(self, topic: str) -> bool:
        return topic in self.topics

    def tombstones(self) -> tuple[CoordinatorRecord, ...]:
        return (CoordinatorRecord(GroupMetadataKey(group="g"), None),)


def shard(**groups: Any) -> GroupShard:
    made = GroupShard(0, GroupSettings(offsets_retention_ms=RETENTION_MS), ClusterImage(topics={"t": T}), lambda: "id")
    made.groups.update(groups)
    return made


def put(
    shard: GroupShard,
    partition: int,
    at_ms: int,
    *,
    topic: str = "t",
    expire_ms: int = NO_EXPIRY,
    topic_id: bytes = bytes(16),
    transaction: Transaction | None = None,
) -> None:
    committed = Committed(5, -1, "", at_ms, expire_ms, topic_id, 0)
    record = commit_record("g", topic, partition, committed)
    shard.replay(record.key, record.value, offset=partition, timestamp_ms=at_ms, transaction=transaction)


def take(shard: GroupShard, outcome: Outcome) -> list[Any]:
    """Replay the tombstones; what they removed."""
    removed = []
    for key, value, _ in outcome.records:
        assert value is None
        shard.replay(key, None, offset=0, timestamp_ms=0, transaction=None)
        removed.append("group" if type(key) is GroupMetadataKey else (key.topic, key.partition))
    return removed


def expire(shard: GroupShard, now_ms: int) -> list[Any]:
    return take(shard, shard.handle(ExpireOffsets(), 0, now_ms))


def test_simple_consumers_by_commit_time() -> None:
    found = shard()
    put(found, 0, 0)
    put(found, 1, 500)
    assert expire(found, 999) == []
    assert expire(found, 1000) == [("t", 0)]
    assert found.knows("g")
    assert expire(found, 1500) == [("t", 1)]
    assert not found.knows("g")


def test_the_next_look_comes_by_itself() -> None:
    found = shard()
    (timer,) = found.handle(ExpireOffsets(), 0, 7).timers
    assert (timer.key, timer.due_ms) == (("expire",), 7 + 600_000)
    assert [timer.key for timer in found.start(7).timers] == [("expire",)]


def test_an_expiry_of_its_own_wins() -> None:
    found = shard()
    put(found, 0, 0, expire_ms=50)
    put(found, 1, 0, expire_ms=5000)
    assert expire(found, 49) == []
    assert expire(found, 50) == [("t", 0)]
    assert expire(found, 4999) == []


def test_a_group_that_became_empty() -> None:
    found = shard(g=FakeGroup(since=3000))
    put(found, 0, 0)
    assert expire(found, 3999) == []
    assert expire(found, 4000) == [("t", 0), "group"]


@pytest.mark.parametrize("group", [FakeGroup(None), FakeGroup(-1, empty=False, topics=("t",))])
def test_what_members_use_stays(group: FakeGroup) -> None:
    found = shard(g=group)
    put(found, 0, 0)
    assert expire(found, 10**9) == []


def test_members_keep_the_group() -> None:
    found = shard(g=FakeGroup(-1, empty=False))
    put(found, 0, 0)
    assert expire(found, 10**9) == [("t", 0)]


def test_an_empty_group_without_offsets_goes() -> None:
    assert expire(shard(g=FakeGroup(0)), 10**9) == ["group"]


def test_what_a_transaction_has_pending_stays() -> None:
    found = shard(g=FakeGroup(-1))
    put(found, 0, 0)
    put(found, 0, 0, transaction=Transaction(1, 0))
    assert expire(found, 10**9) == []
    found.complete(Transaction(1, 0), committed=False, now_ms=0)
    assert expire(found, 10**9) == [("t", 0), "group"]


def test_offsets_of_topics_that_are_gone_or_others() -> None:
    found = shard()
    put(found, 0, 0, topic="gone")
    put(found, 1, 0, topic_id=bytes([9] * 16))  # an earlier topic of that name
    put(found, 2, 0, topic_id=T.topic_id)
    put(found, 3, 0)
    assert sorted(take(found, found.handle(ForgetTopics(), 0, 5))) == [("gone", 0), ("t", 1)]
    assert [timer.key for timer in found.start(5).timers] == [("expire",), ("forget",)]


def test_only_deletions_cause_a_look() -> None:
    found = shard()
    assert forget_topics(found, ImageDelta({T.topic_id: (T, None)}), 5) is NOTHING
    put(found, 0, 0)
    assert forget_topics(found, NO_DELTA, 5) is NOTHING
    (timer,) = forget_topics(found, ImageDelta({T.topic_id: (T, None)}), 5).timers
    assert (timer.due_ms, timer.event) == (5, ForgetTopics())


def test_much_is_done_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The records of an outcome are one batch."""
    monkeypatch.setattr(offset_requests, "SWEEP_RECORDS", 10)
    found = shard()
    for partition in range(25):
        put(found, partition, 0, topic="gone")
    portions, event, now_ms = [], ForgetTopics(), 3
    while event is not None:
        outcome = found.handle(event, 0, now_ms)
        portions.append(len(take(found, outcome)))
        event = next((timer.event for timer in outcome.timers if timer.due_ms == now_ms), None)
    assert portions == [10, 10, 5]


def test_expiry_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offset_requests, "SWEEP_RECORDS", 1)
    found = shard()
    for name in ("a", "b", "c"):
        record = commit_record(name, "t", 0, Committed(5, -1, "", 0, NO_EXPIRY, bytes(16), 0))
        found.replay(record.key, record.value, offset=0, timestamp_ms=0, transaction=None)
    event: Any = ExpireOffsets()
    seen = []
    while event is not None:
        outcome = found.handle(event, 0, 10**9)
        seen += [key.group for key, _, _ in outcome.records]
        event = next((timer.event for timer in outcome.timers if timer.due_ms == 10**9), None)
    assert seen == ["a", "b", "c"]
