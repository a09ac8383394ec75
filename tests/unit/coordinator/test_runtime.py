"""Shards come with leadership, are rebuilt from their log, and are never half there."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from pyralog._speedups.journal import Entry, Outbox
from pyralog.cluster.image import NO_DELTA, ClusterImage, ImageDelta, TopicImage
from pyralog.coordinator import runtime as module
from pyralog.coordinator.group.offset_requests import FetchOffsets
from pyralog.coordinator.group.shard import GroupShard
from pyralog.coordinator.outcome import ClientRequest
from pyralog.coordinator.runtime import CoordinatorRuntime, Ports, State
from pyralog.errors import ErrorCode, KafkaError
from pyralog.model import PartitionRegistration, TopicPartition
from pyralog.net.plane_types import PartitionSnapshot, SegmentInfo
from pyralog.runtime import TaskScope, WorkPool, now_ms
from pyralog.wire import messages as m
from pyralog.wire.coordinator_records import GROUP_RECORDS
from tests.unit.coordinator.test_loading import Disk, new_shard

NAME = "__consumer_offsets"
TOPIC_ID = bytes([1] * 16)


class Node:
    """Partitions with a log each, on disk; one plane for all."""

    def __init__(self, folder: Path, partitions: int = 2) -> None:
        self.folder = folder
        self.disks = {TopicPartition(NAME, index): Disk() for index in range(partitions)}
        self.blocked = asyncio.Event()
        self.blocked.set()
        self.broken = False
        self.outbox = Outbox(self)

    def save(self) -> None:
        for tp, disk in self.disks.items():
            (self.folder / str(tp.partition)).mkdir(exist_ok=True)
            disk.pieces = disk.save(self.folder / str(tp.partition)) if disk.log else []  # type: ignore[attr-defined]

    def folder_of(self, tp: TopicPartition) -> Path | None:
        return self.folder / str(tp.partition)

    def snapshot(self, tp: TopicPartition) -> PartitionSnapshot | None:
        end = self.disks[tp].end
        return PartitionSnapshot(0, 0, end, end, end, end, 0, False)

    def takes_records(self, tp: TopicPartition) -> bool:
        return not self.broken

    async def segments(self, tp: TopicPartition) -> list[SegmentInfo]:
        await self.blocked.wait()
        self.save()
        disk = self.disks[tp]
        return [SegmentInfo(one.base_offset, disk.end, one.size_bytes, 0, 0, 0) for one in disk.pieces]  # type: ignore[attr-defined]

    def append_round(self, entries: list[Entry]) -> None:
        if self.broken:
            codes = array("q", [-ErrorCode.KAFKA_STORAGE_ERROR] * len(entries))
            self.soon(lambda: self.outbox.appended(entries, codes))
            return
        for entry in entries:
            self.disks[entry.journal.tp].append_round([entry])

    def start_marker(self, tp: TopicPartition, *args: Any, **options: Any) -> Any:
        return self.disks[tp].start_marker(tp, *args, **options)

    def soon(self, callback: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_soon(callback)


def topic(*leaders: int, epoch: int = 0) -> TopicImage:
    return TopicImage(NAME, TOPIC_ID, tuple(PartitionRegistration((1,), (1,), one, epoch, 0) for one in leaders))


def image(found: TopicImage | None, offset: int = 0) -> ClusterImage:
    return ClusterImage(
        offset=offset, topics={} if found is None else {NAME: found, "t": TopicImage("t", bytes(16), ())}
    )


def commit(offset: int) -> ClientRequest:
    one = m.OffsetCommitRequestPartition(partition_index=0, committed_offset=offset)
    topics = [m.OffsetCommitRequestTopic(name="t", partitions=[one])]
    return ClientRequest(m.OffsetCommitRequest(group_id="g", topics=topics), 8, "", "")


FETCH = FetchOffsets("g", None, -1, (("t", (0,)),), True)


class Bench:
    def __init__(self, node: Node, scope: TaskScope, work: WorkPool) -> None:
        self.node, self.scope, self.work = node, scope, work
        self.runtime = self.restart()

    def restart(self) -> CoordinatorRuntime[GroupShard]:
        ports = Ports(1, self.node, self.work, self.scope, now_ms, self.node.folder_of)  # type: ignore[arg-type]
        self.runtime = CoordinatorRuntime(NAME, GROUP_RECORDS, ports, lambda _, image: new_shard(image))
        return self.runtime

    async def fetched(self, partition: int = 0) -> int:
        found = await self.runtime.submit(partition, FETCH)
        offset: int = found.topics[0].partitions[0].committed_offset
        return offset

    async def code(self, partition: int = 0) -> ErrorCode:
        try:
            await self.runtime.submit(partition, FETCH)
        except KafkaError as error:
            return error.code
        return ErrorCode.NONE

    async def until(self, state: State, partition: int = 0) -> None:
        async with asyncio.timeout(10):
            while self.runtime.states().get(partition) is not state:
                await asyncio.sleep(0.001)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    scope, work = TaskScope("test"), WorkPool("test", 2)
    yield Bench(Node(tmp_path), scope, work)
    await scope.close()
    work.close()


async def test_empty_logs_are_there_at_once_and_others_are_loaded(bench: Bench) -> None:
    assert await bench.code() is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS  # nobody has said yet who leads
    bench.runtime.begin(image(topic(1, 1)))
    await bench.runtime.submit(0, commit(5))
    bench.restart().begin(image(topic(1, 1)))
    assert bench.runtime.states() == {0: State.LOADING, 1: State.ACTIVE}
    assert await bench.code() is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    await bench.until(State.ACTIVE)
    assert await bench.fetched() == 5
    assert len(list(bench.runtime.machines())) == 2


async def test_other_nodes_partitions_are_not_here(bench: Bench) -> None:
    bench.runtime.begin(image(topic(1, 2)))
    assert await bench.code(1) is ErrorCode.NOT_COORDINATOR
    assert await bench.code(0) is ErrorCode.NONE
    assert await bench.code(7) is ErrorCode.NOT_COORDINATOR


async def test_leadership_moves_away_and_back(bench: Bench) -> None:
    bench.runtime.begin(image(topic(1, 1)))
    await bench.runtime.submit(0, commit(5))
    moved = topic(2, 1, epoch=1)
    bench.runtime.on_image(ImageDelta({TOPIC_ID: (topic(1, 1), moved)}), image(moved))
    assert await bench.code() is ErrorCode.NOT_COORDINATOR
    back = topic(1, 1, epoch=2)
    bench.runtime.on_image(ImageDelta({TOPIC_ID: (moved, back)}), image(back))
    await bench.until(State.ACTIVE)
    assert await bench.fetched() == 5


async def test_a_deleted_topic_takes_its_shards(bench: Bench) -> None:
    bench.runtime.begin(image(topic(1, 1)))
    bench.runtime.on_image(ImageDelta({TOPIC_ID: (topic(1, 1), None)}), image(None))
    assert bench.runtime.states() == {}
    assert await bench.code() is ErrorCode.NOT_COORDINATOR


async def test_a_failed_append_rebuilds_the_shard_from_what_is_in_the_log(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_MS", 1)
    bench.runtime.begin(image(topic(1, 1)))
    await bench.runtime.submit(0, commit(5))
    bench.node.broken = True
    lost = bench.runtime.submit(0, commit(6))
    with pytest.raises(KafkaError) as told:
        await lost
    assert told.value.code is ErrorCode.NOT_COORDINATOR
    bench.node.broken = False
    await bench.until(State.ACTIVE)
    assert await bench.fetched() == 5


async def test_a_log_that_has_failed_is_loaded_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_MS", 1)
    bench.runtime.begin(image(topic(1, 1)))
    await bench.runtime.submit(0, commit(5))
    bench.node.broken = True
    shards = set()
    for _ in range(5):
        with pytest.raises(KafkaError) as told:
            await bench.runtime.submit(0, commit(6))
        assert told.value.code is ErrorCode.NOT_COORDINATOR
        await bench.until(State.ACTIVE)
        assert await bench.fetched() == 5
        shards.add(bench.runtime.shard(0))
        assert 0 not in bench.runtime.active  # the quick way would not ask
    assert len(shards) == 1


async def test_a_damaged_log_is_unavailable_and_never_wrong(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "RETRY_MS", 1)
    bench.runtime.begin(image(topic(1, 1)))
    await bench.runtime.submit(0, commit(5))
    disk = bench.node.disks[TopicPartition(NAME, 0)]
    whole = disk.log[0]
    disk.log[0] = whole[:-1] + bytes([whole[-1] ^ 1])
    bench.restart().begin(image(topic(1, 1)))
    await bench.until(State.FAILED)
    assert await bench.code() is ErrorCode.COORDINATOR_NOT_AVAILABLE
    assert "cannot be loaded" in caplog.text
    disk.log[0] = whole
    await bench.until(State.ACTIVE)
    assert await bench.fetched() == 5


async def test_who_asks_is_loaded_first(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.node.disks = {TopicPartition(NAME, index): Disk() for index in range(6)}
    leaders = topic(*[1] * 6)
    bench.runtime.begin(image(leaders))
    for index in range(6):
        await bench.runtime.submit(index, commit(index))
    bench.node.blocked.clear()
    bench.restart().begin(image(leaders))
    await asyncio.sleep(0)
    assert await bench.code(5) is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    assert bench.runtime._wanted[0] == 5
    bench.node.blocked.set()
    for index in range(6):
        await bench.until(State.ACTIVE, index)
        assert await bench.fetched(index) == index


async def test_stop_finishes_appends_and_sends_everybody_away(bench: Bench) -> None:
    bench.runtime.begin(image(topic(1, 1)))
    committed = bench.runtime.submit(0, commit(5))
    await bench.runtime.stop(1000)
    assert committed.done
    assert (await committed).topics[0].partitions[0].error_code == 0
    assert await bench.code() is ErrorCode.NOT_COORDINATOR


async def test_offsets_of_a_deleted_topic_go_and_those_of_one_recreated_do_not_come_back(bench: Bench) -> None:
    bench.runtime.begin(image(topic(1, 1)))
    await bench.runtime.submit(0, commit(5))
    gone = TopicImage("t", bytes(16), ())
    without = image(topic(1, 1))
    without = without._replace(topics={NAME: topic(1, 1)})
    bench.runtime.on_image(ImageDelta({bytes(16): (gone, None)}), without)
    async with asyncio.timeout(5):
        while await bench.fetched() != -1:
            await asyncio.sleep(0.001)
    bench.restart().begin(image(topic(1, 1)))
    await bench.until(State.ACTIVE)
    assert await bench.fetched() == -1


async def test_images_reach_the_machines(bench: Bench) -> None:
    bench.runtime.begin(image(topic(1, 1)))
    later = image(topic(1, 1), offset=9)
    bench.runtime.on_image(NO_DELTA, later)
    assert all(machine.image is later for machine in bench.runtime.machines())
