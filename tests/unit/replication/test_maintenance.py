"""Housekeeping: retention, DeleteRecords, checkpoints, idle producers, and files that are to go."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from pyralog.errors import ErrorCode, KafkaError
from pyralog.model import TopicPartition
from pyralog.replication.local_logs import LocalLogs
from pyralog.replication.maintenance import Removals
from pyralog.replication.opening import Replica
from pyralog.runtime import TaskScope, WorkPool
from tests.unit.replication.served import NOW, Served, config, remove, served, topic

A0 = TopicPartition("a", 0)
# Each batch of one small record fills a segment.
TINY = {"internal_segment_bytes": 100}


async def fill(node: Served, batches: int, *, timestamp: int = NOW) -> None:
    for _ in range(batches):
        await node.append("a", b"x" * 60, timestamp=timestamp)


async def settled(node: Served) -> None:
    """Until the jobs that retire segments have ended."""
    await asyncio.sleep(0.01)
    while node.lifecycle.replicas[A0].jobs:
        await asyncio.sleep(0.001)


def segment_files(folder: Path, suffix: str = ".log") -> list[int]:
    return sorted(int(path.name[:20]) for path in folder.iterdir() if path.name[20:] == suffix)


def checkpoint(path: Path) -> dict[str, int]:
    rows = [line.split() for line in path.read_text().splitlines()[2:]]
    return {f"{topic}-{partition}": int(offset) for topic, partition, offset in rows}


class TestRetention:
    """retention.bytes and retention.ms."""

    async def test_by_size(self, tmp_path: Path) -> None:
        async with served(tmp_path) as node:
            await node.apply(*topic("a", 1, retention_bytes=300, file_delete_delay_ms=1000, **TINY))
            await fill(node, 10)
            await node.maintenance.check_all()
            await settled(node)
            start = node.start_offset("a")
            assert 0 < start < 10
            assert min(segment_files(tmp_path / "a-0")) == start
            assert segment_files(tmp_path / "a-0", ".log.deleted") == list(range(start))
            assert node.maintenance.segments_deleted == start
            node.now += 999
            await node.maintenance.remove_due()
            assert segment_files(tmp_path / "a-0", ".log.deleted")
            node.now += 2
            await node.maintenance.remove_due()
            assert not list((tmp_path / "a-0").glob("*.deleted"))

    async def test_by_time_with_the_active_segment(self, tmp_path: Path) -> None:
        async with served(tmp_path) as node:
            await node.apply(*topic("a", 1, retention_ms=1000, **TINY))
            await fill(node, 3)
            node.now = NOW + 1000
            await node.maintenance.check_all()
            assert node.start_offset("a") == 0
            node.now = NOW + 1001
            await node.maintenance.check_all()
            await settled(node)
            assert (node.start_offset("a"), node.end("a")) == (3, 3)
            assert segment_files(tmp_path / "a-0") == [3]
            assert await node.append("a", b"y") == 3

    async def test_newer_records_stay(self, tmp_path: Path) -> None:
        async with served(tmp_path) as node:
            await node.apply(*topic("a", 1, retention_ms=1000, **TINY))
            await fill(node, 2)
            await fill(node, 2, timestamp=NOW + 5000)
            node.now = NOW + 5500
            await node.maintenance.check_all()
            assert node.start_offset("a") == 2

    @pytest.mark.parametrize("configs", [{}, {"cleanup_policy": "compact", "retention_ms": 1}])
    async def test_nothing_goes_without_a_reason(self, tmp_path: Path, configs: dict[str, object]) -> None:
        async with served(tmp_path) as node:
            await node.apply(*topic("a", 1, **configs, **TINY))
            await fill(node, 5)
            node.now = NOW + 3_600_000
            await node.maintenance.check_all()
            assert node.start_offset("a") == 0

    async def test_a_changed_configuration_is_looked_at_at_once(self, tmp_path: Path) -> None:
        async with served(tmp_path) as node:
            await node.apply(*topic("a", 1, **TINY))
            await fill(node, 10)
            await node.apply(config("a", retention_bytes=200))
            async with asyncio.timeout(10):
                while node.start_offset("a") == 0:
                    await asyncio.sleep(0.001)

    async def test_the_log_start_is_the_same_after_a_restart(self, tmp_path: Path) -> None:
        async with served(tmp_path, crash=True) as node:
            await node.apply(*topic("a", 1, retention_bytes=300, **TINY))
            await fill(node, 10)
            await node.synced("a")
            await node.maintenance.check_all()
            await settled(node)
            start, image = node.start_offset("a"), node.image
        async with served(tmp_path, image) as node:
            assert (node.start_offset("a"), node.end("a")) == (start, 10)
            assert not list((tmp_path / "a-0").glob("*.deleted"))


class TestDeleteRecords:
    """DeleteRecords: what has been answered holds after a crash."""

    async def test_it_is_on_disk_when_it_returns(self, tmp_path: Path) -> None:
        async with served(tmp_path, crash=True) as node:
            await node.apply(*topic("a", 1))
            await fill(node, 10)
            await node.synced("a")
            assert await node.maintenance.delete_records(A0, 7) == 7
            assert checkpoint(tmp_path / "log-start-offset-checkpoint") == {"a-0": 7}
            assert await node.maintenance.delete_records(A0, 3) == 7
            image = node.image
        async with served(tmp_path, image) as node:
            assert (node.start_offset("a"), node.end("a")) == (7, 10)

    async def test_many_at_once_share_writes(self, tmp_path: Path) -> None:
        async with served(tmp_path) as node:
            await node.apply(*topic("a", 1, partitions=8))
            written = []
            write = node.log_dir.write_log_starts

            def spy(offsets: dict[TopicPartition, int]) -> None:
                written.append(len(offsets))
                write(offsets)

            node.log_dir.write_log_starts = spy  # type: ignore[assignment]
            for index in range(8):
                await node.append("a", b"x", partition=index)
            requests = [node.maintenance.delete_records(TopicPartition("a", index), 1) for index in range(8)]
            assert await asyncio.gather(*requests) == [1] * 8
            assert len(written) < 8
            assert len(checkpoint(tmp_path / "log-start-offset-checkpoint")) == 8

    async def test_above_the_high_watermark_is_refused(self, tmp_path: Path) -> None:
        async with served(tmp_path) as node:
            await node.apply(*topic("a", 1))
            await fill(node, 2)
            with pytest.raises(KafkaError) as caught:
                await node.maintenance.delete_records(A0, 3)
            assert caught.value.code == ErrorCode.OFFSET_OUT_OF_RANGE

    async def test_a_full_disk_is_an_error_not_an_answer(self, tmp_path: Path) -> None:
        async with served(tmp_path) as node:
            await node.apply(*topic("a", 1))
            await fill(node, 2)
            (tmp_path / "log-start-offset-checkpoint").unlink(missing_ok=True)
            (tmp_path / "log-start-offset-checkpoint").mkdir()
            with pytest.raises(KafkaError) as caught:
                await node.maintenance.delete_records(A0, 1)
            assert caught.value.code == ErrorCode.KAFKA_STORAGE_ERROR
            (tmp_path / "log-start-offset-checkpoint").rmdir()
            assert await node.maintenance.delete_records(A0, 1) == 1
            assert checkpoint(tmp_path / "log-start-offset-checkpoint") == {"a-0": 1}


class TestCheckpoints:
    """Recovery points, log starts, leader epochs."""

    async def test_they_are_written_when_they_change(self, tmp_path: Path) -> None:
        path = tmp_path / "recovery-point-offset-checkpoint"
        async with served(tmp_path) as node:
            await node.apply(*topic("a", 1), *topic("b", 2))
            await fill(node, 4)
            await node.synced("a")
            await node.maintenance.checkpoint()
            assert checkpoint(path) == {"a-0": 4, "b-0": 0}
            before = path.stat().st_ino
            await node.maintenance.checkpoint()
            assert path.stat().st_ino == before
            assert (tmp_path / "a-0" / "leader-epoch-checkpoint").read_text().split()[2:] == ["1", "0", "0"]
            # Nothing was written under an epoch of this topic.
            assert not (tmp_path / "b-0" / "leader-epoch-checkpoint").exists()

    async def test_deleted_partitions_leave_them(self, tmp_path: Path) -> None:
        async with served(tmp_path) as node:
            await node.apply(*topic("a", 1), *topic("b", 2))
            await fill(node, 4)
            await node.synced("a")
            await node.maintenance.checkpoint()
            await node.apply(remove(1))
            assert checkpoint(tmp_path / "recovery-point-offset-checkpoint") == {"b-0": 0}

    async def test_a_topic_is_deleted_while_they_are_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its folder is put away when the thread that writes in it is done."""
        async with served(tmp_path) as node:
            await node.apply(*topic("a", 1))
            await fill(node, 4)
            await node.synced("a")
            save, begun, go_on = node.store.save_epochs, threading.Event(), threading.Event()

            def slowly(replica: Replica, log_end: int) -> None:
                begun.set()
                assert go_on.wait(10)
                save(replica, log_end)

            monkeypatch.setattr(node.store, "save_epochs", slowly)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(node.maintenance.checkpoint())
                while not begun.is_set():
                    await asyncio.sleep(0.001)
                tasks.create_task(node.apply(remove(1)))
                while node.plane.snapshot(A0) is not None:
                    await asyncio.sleep(0.001)
                await asyncio.sleep(0.02)
                assert (tmp_path / "a-0").exists()
                go_on.set()
            assert not (tmp_path / "a-0").exists()

    async def test_a_stop_saves_everything(self, tmp_path: Path) -> None:
        async with served(tmp_path) as node:
            await node.apply(*topic("a", 1))
            await fill(node, 4)
        assert checkpoint(tmp_path / "recovery-point-offset-checkpoint") == {"a-0": 4}
        assert (tmp_path / ".clean_shutdown").exists()

    async def test_epochs_begin_at_the_log_start(self, tmp_path: Path) -> None:
        async with served(tmp_path) as node:
            await node.apply(*topic("a", 1))
            await fill(node, 4)
            await node.plane.lead(A0, 5)
            node.lifecycle.replicas[A0].epochs.assign(5, 4)
            await fill(node, 2)
            await node.maintenance.delete_records(A0, 5)
            await node.maintenance.checkpoint()
            assert node.lifecycle.replicas[A0].epochs.entries == ((5, 5),)


async def test_idle_producers_are_forgotten(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        await node.apply(*topic("a", 1), *topic("b", 2))
        told = []
        expire = node.plane.expire_producers

        async def spy(tp: TopicPartition, not_after_ms: int) -> int:
            told.append((tp.topic, not_after_ms))
            return await expire(tp, not_after_ms)

        node.plane.expire_producers = spy  # type: ignore[method-assign]
        await node.maintenance.expire_producers()
        assert sorted(told) == [("a", NOW - 86_400_000), ("b", NOW - 86_400_000)]


async def test_removals_come_in_their_order_and_one_failure_does_not_keep_the_rest(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now, done = [0], []
    work, scope = WorkPool("work", 1), TaskScope("test")
    removals = Removals(lambda: now[0])

    def fails() -> None:
        raise OSError(5, "broken")

    removals.add(30, lambda: done.append("late"))
    removals.add(10, lambda: done.append("early"))
    removals.add(20, fails)
    task = scope.start(removals.run(work), name="removals", critical=True)
    await asyncio.sleep(0.01)
    assert not done
    now[0] = 30
    removals.add(0, lambda: done.append("last"))
    async with asyncio.timeout(5):
        while len(removals):
            await asyncio.sleep(0.001)
    assert not task.done()
    await scope.close()
    work.close()
    assert done == ["early", "late", "last"]
    assert "stays until the next start" in caplog.text


async def test_local_logs(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        await node.apply(*topic("a", 1))
        for offset in range(4):
            await node.append("a", b"x", timestamp=NOW + 10 * offset)
        logs = LocalLogs(node.log_dir, node.plane, node.lifecycle, node.maintenance, node.work)
        place = await node.plane.locate_timestamp(A0, NOW + 11)
        assert place is not None
        assert await logs.find_record(A0, place, NOW + 11) == (2, NOW + 20, 0)
        assert await logs.find_record(A0, (99, 0, 100), NOW) == (0, NOW, 0), "a place that is gone is looked for again"
        await logs.delete_records(A0, 3)
        assert await logs.find_record(A0, place, NOW + 11) == (3, NOW + 30, 0)
        assert logs.epoch_at(A0, 2) == 0
        assert logs.epoch_end(A0, 0, 4) == (4, 0)
        unknown = TopicPartition("zz", 0)
        assert (logs.epoch_at(unknown, 0), logs.epoch_end(unknown, 0, 0)) == (-1, (-1, -1))
        with pytest.raises(KafkaError):
            await logs.find_record(unknown, place, NOW)
        assert logs.directory == str(tmp_path)
        total, usable = await logs.space()
        assert 0 < usable <= total
