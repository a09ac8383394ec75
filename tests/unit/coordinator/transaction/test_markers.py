"""Markers: each partition gets its own, however often it takes; what is gone needs none."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from pyralog.cluster.image import ClusterImage, TopicImage
from pyralog.coordinator.transaction import markers as module
from pyralog.coordinator.transaction.markers import Markers
from pyralog.coordinator.transaction.requests import Ending
from pyralog.coordinator.transaction.state import ProducerIdentity
from pyralog.errors import ErrorCode, KafkaError
from pyralog.model import PartitionRegistration, TopicPartition
from pyralog.runtime import Pending


class Partitions:
    """Takes markers, or fails with `errors` so many times; with `hold` it answers when it is told to."""

    def __init__(self) -> None:
        self.errors: dict[TopicPartition, list[ErrorCode]] = {}
        self.written: list[tuple[TopicPartition, int, int, int, bool]] = []
        self.held: list[asyncio.Future[tuple[int, bytes]]] = []
        self.hold = False
        self.tries: Counter[TopicPartition] = Counter()
        self.hosted: set[TopicPartition] = set()

    def partitions(self) -> set[TopicPartition]:
        return self.hosted

    def start_marker(
        self,
        tp: TopicPartition,
        producer_id: int,
        producer_epoch: int,
        coordinator_epoch: int,
        *,
        commit: bool,
        timestamp_ms: int,
    ) -> asyncio.Future[tuple[int, bytes]]:
        self.tries[tp] += 1
        errors = self.errors.get(tp)
        if errors and errors[0] is ErrorCode.UNKNOWN_TOPIC_OR_PARTITION:
            raise KafkaError(errors.pop(0))
        future: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        if errors:
            future.set_exception(KafkaError(errors.pop(0)))
            return future
        self.written.append((tp, producer_id, producer_epoch, coordinator_epoch, commit))
        if self.hold:
            self.held.append(future)
        else:
            future.set_result((0, b""))
        return future

    def write_marker(
        self, partition: int, producer_id: int, producer_epoch: int, coordinator_epoch: int, *, commit: bool
    ) -> Pending[None]:
        tp = TopicPartition("__consumer_offsets", partition)
        self.tries[tp] += 1
        if self.errors.get(tp):
            raise KafkaError(self.errors[tp].pop(0))
        self.written.append((tp, producer_id, producer_epoch, coordinator_epoch, commit))
        return Pending.of(None)


def cluster(*names: str, partitions: int = 3) -> ClusterImage:
    registration = PartitionRegistration((1,), (1,), 1, 0, 0)
    topics = {name: TopicImage(name, name.encode().ljust(16)[:16], (registration,) * partitions) for name in names}
    return ClusterImage(topics=topics)


class Bench:
    def __init__(self, *topics: str, partitions: int = 3) -> None:
        self.image = cluster(*(topics or ("t", "__consumer_offsets")), partitions=partitions)
        self.target = Partitions()
        self.markers = Markers(self.target, {OFFSETS.topic: self.target}, lambda: 1000, lambda: self.image)
        self.done: list[str] = []
        self.wanted = True

    def end(self, *partitions: TopicPartition, name: str = "x") -> None:
        ending = Ending(name, ProducerIdentity(7, 3), True, frozenset(partitions), 2)
        self.markers.end(ending, 9, lambda: self.wanted, lambda: self.done.append(name))

    async def until(self, condition: Any) -> None:
        for _ in range(1000):
            if condition():
                return
            await asyncio.sleep(0.001)
        raise AssertionError("it never comes")


T0, T1 = TopicPartition("t", 0), TopicPartition("t", 1)
OFFSETS = TopicPartition("__consumer_offsets", 2)


async def test_every_partition_gets_its_marker_and_then_it_is_done() -> None:
    bench = Bench()
    bench.end(T0, T1, OFFSETS)
    await bench.until(lambda: bench.done)
    assert bench.target.written == [(tp, 7, 3, 9, True) for tp in (OFFSETS, T0, T1)]
    assert bench.done == ["x"]


async def test_a_transaction_without_partitions_is_done_at_once() -> None:
    bench = Bench()
    bench.end()
    assert bench.done == ["x"]


@pytest.mark.parametrize(
    "code",
    [
        ErrorCode.NOT_LEADER_OR_FOLLOWER,
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode.KAFKA_STORAGE_ERROR,
        ErrorCode.NOT_ENOUGH_REPLICAS,
    ],
)
async def test_a_partition_that_is_not_ready_is_tried_again(code: ErrorCode) -> None:
    bench = Bench()
    bench.target.errors[T1] = [code] * 3
    bench.end(T0, T1)
    await bench.until(lambda: bench.target.tries[T1] >= 2)
    assert bench.done == []
    await bench.until(lambda: bench.done)
    assert bench.target.tries == {T0: 1, T1: 4}


async def test_a_transaction_of_another_coordinator_is_left_to_it() -> None:
    """TRANSACTION_COORDINATOR_FENCED: a marker with a later coordinator epoch has been there."""
    bench = Bench()
    bench.target.errors[T0] = [ErrorCode.TRANSACTION_COORDINATOR_FENCED] * 1000
    bench.end(T0, T1)
    bench.end(T1, name="other")
    await bench.until(lambda: bench.done)
    assert bench.done == ["other"]
    assert bench.target.tries[T0] == 1
    assert bench.markers.retries == 0


async def test_a_group_coordinator_that_is_loading_is_asked_again() -> None:
    bench = Bench()
    bench.target.errors[OFFSETS] = [ErrorCode.COORDINATOR_LOAD_IN_PROGRESS] * 2
    bench.end(OFFSETS)
    await bench.until(lambda: bench.done)
    assert bench.target.tries[OFFSETS] == 3


async def test_what_has_been_deleted_or_ended_needs_no_marker() -> None:
    bench = Bench("t")
    bench.target.errors[TopicPartition("gone", 0)] = [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]
    bench.target.errors[T0] = [ErrorCode.INVALID_PRODUCER_EPOCH]
    bench.end(TopicPartition("gone", 0), T0, T1)
    await bench.until(lambda: bench.done)
    assert [tp for tp, *_ in bench.target.written] == [T1]


async def test_a_topic_that_is_deleted_meanwhile_ends_the_trying() -> None:
    bench = Bench("t")
    bench.target.errors[T0] = [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION] * 1000
    bench.end(T0)
    await bench.until(lambda: bench.target.tries[T0] >= 2)
    bench.image = cluster()
    await bench.until(lambda: bench.done)


async def test_a_coordinator_that_has_moved_writes_no_more() -> None:
    bench = Bench()
    bench.target.errors[T0] = [ErrorCode.NOT_LEADER_OR_FOLLOWER] * 1000
    bench.end(T0)
    bench.wanted = False
    await asyncio.sleep(0.05)
    assert bench.target.tries[T0] == 1
    assert bench.done == []


async def test_only_so_many_are_on_their_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_IN_FLIGHT", 10)
    bench = Bench("t", partitions=50)
    bench.target.hold = True
    bench.end(*(TopicPartition("t", index) for index in range(50)))
    for _ in range(5):
        assert len(bench.target.held) == 10
        held, bench.target.held = bench.target.held, []
        for future in held:
            future.set_result((0, b""))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert bench.done == ["x"]


async def test_nothing_is_written_after_the_end() -> None:
    bench = Bench()
    bench.target.errors[T0] = [ErrorCode.NOT_LEADER_OR_FOLLOWER] * 1000
    bench.end(T0)
    await bench.until(lambda: bench.target.tries[T0] == 1)
    bench.markers.close()
    await asyncio.sleep(0.05)
    assert bench.target.tries[T0] == 1
    bench.end(T1)
    assert bench.target.tries[T1] == 0


def test_what_the_plane_writes_by_itself() -> None:
    bench = Bench()
    many = {TopicPartition("t", index) for index in range(module.MAX_DIRECT + 1)}
    bench.target.hosted = many - {T1} | {OFFSETS}
    direct = bench.markers.direct
    assert direct({T0})
    assert direct(many - {T1})
    for others in (set(), {T0, T1}, {T0, OFFSETS}):
        assert not direct(others)
    bench.target.hosted |= many
    assert not direct(many)


@pytest.mark.parametrize("gone", [True, False])
async def test_thousands_of_partitions_that_refuse_at_once(gone: bool) -> None:
    """Such as those of a topic that was deleted meanwhile: each answer comes before the next marker is given away."""
    places = [TopicPartition("large", index) for index in range(3000)]
    bench = Bench("t" if gone else "large", partitions=len(places))
    for tp in places:
        bench.target.errors[tp] = [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]
    bench.end(*places)
    await bench.until(lambda: bench.done)
    assert len(bench.target.written) == (0 if gone else len(places))
