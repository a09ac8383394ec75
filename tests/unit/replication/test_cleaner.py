"""The log cleaner on a real plane: what it picks, what readers and appends see meanwhile, faults, restarts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from pyralog._speedups.partition_log import PartitionLog
from pyralog.config.schema import Config
from pyralog.errors import KafkaError
from pyralog.model import TopicPartition
from pyralog.records.batch import Record, build, iterate_batches, iterate_records
from pyralog.replication.cleaner import CleanerSettings, Pace, StoppedError
from pyralog.replication.local_logs import LocalLogs
from pyralog.replication.maintenance import maintenance_settings
from pyralog.storage import swapping
from pyralog.storage.compaction import Written
from pyralog.storage.names import CLEANED, SWAP
from tests.unit.replication.served import NOW, Served, config, remove, served, topic

A0 = TopicPartition("a", 0)
COMPACT = {"cleanup_policy": "compact", "internal_segment_bytes": 600}


async def put(node: Served, *rows: tuple[bytes, bytes | None], name: str = "a", timestamp: int = NOW) -> int:
    batch = build([Record(i, timestamp, key, value) for i, (key, value) in enumerate(rows)])
    return await node.plane.append(TopicPartition(name, 0), batch)


async def fill(node: Served, batches: int, keys: int = 5, name: str = "a") -> dict[bytes, bytes | None]:
    newest: dict[bytes, bytes | None] = {}
    for i in range(batches):
        row = (b"k%d" % (i % keys), b"value-%d" % i)
        newest[row[0]] = row[1]
        await put(node, row, name=name)
    await node.synced(name)
    return newest


def rows(log: PartitionLog) -> list[tuple[int, bytes | None, bytes | None]]:
    found, offset = [], log.log_start
    while offset < log.log_end and (data := log.read(offset)):
        for header, raw in iterate_batches(data):
            offset = header.last_offset + 1
            if header.record_count:
                found += [(r.offset, r.key, r.value) for r in iterate_records(raw)]
    return found


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if SWAP in path.name or CLEANED in path.name]


async def test_it_keeps_the_last_values_and_survives_restarts(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        await node.apply(*topic("a", 1, **COMPACT))
        newest = await fill(node, 200)
        before = node.plane.snapshot(A0)
        assert before is not None
        assert await node.maintenance.cleaner.run() == 1
        after = node.plane.snapshot(A0)
        assert after is not None
        assert after.size_bytes < before.size_bytes / 4
        assert after[:6] == before[:6]
        segments = await node.plane.segments(A0)
        assert sum(segment.size_bytes for segment in segments) == after.size_bytes
        assert await node.maintenance.cleaner.run() == 0, "it is clean"
        counters = node.maintenance.cleaner.counters
        assert (counters.passes, counters.failures) == (1, 0)
        assert counters.records_read > counters.records_kept
        assert leftovers(tmp_path / "a-0") == []
        image = node.image
    for crash in (False, True, False):
        async with served(tmp_path, image, crash=crash) as node:
            assert node.end("a") == 200
            assert await node.maintenance.cleaner.run() == 0, "the checkpoint is there"
            image = node.image
            replica = node.lifecycle.replicas[A0]
        assert {key: value for _, key, value in rows(replica.log)} == newest


async def test_the_dirtiest_goes_first_and_the_ratio_counts(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        await node.apply(*topic("a", 1, **COMPACT), config("a", min_cleanable_dirty_ratio=0.9))
        await node.apply(*topic("b", 2, cleanup_policy="delete", internal_segment_bytes=600))
        await fill(node, 60)
        await fill(node, 60, name="b")
        assert await node.maintenance.cleaner.run() == 1
        await fill(node, 6)
        assert await node.maintenance.cleaner.run() == 0
        await node.apply(config("a", min_cleanable_dirty_ratio=0.0))
        await fill(node, 6)
        assert await node.maintenance.cleaner.run() == 1


async def test_settings_change_while_it_runs(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        await node.apply(*topic("a", 1, **COMPACT))
        await fill(node, 60)
        section = Config().storage
        off = section.model_copy(update={"cleaner": section.cleaner.model_copy(update={"enabled": False})})
        node.maintenance.reconfigure(maintenance_settings(off))
        assert await node.maintenance.cleaner.run() == 0
        node.maintenance.reconfigure(maintenance_settings(section))
        assert await node.maintenance.cleaner.run() == 1


async def test_max_compaction_lag_makes_it_due(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        lag = {"max_compaction_lag_ms": 1000, "min_cleanable_dirty_ratio": 1.0}
        await node.apply(*topic("a", 1, **COMPACT, **lag))
        await fill(node, 60)
        assert await node.maintenance.cleaner.run() == 0
        node.now += 1001
        assert await node.maintenance.cleaner.run() == 1


async def test_young_records_wait_for_min_compaction_lag(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        await node.apply(*topic("a", 1, min_compaction_lag_ms=1000, **COMPACT))
        await fill(node, 60)
        assert await node.maintenance.cleaner.run() == 0
        node.now += 1001
        assert await node.maintenance.cleaner.run() == 1


async def test_appends_and_reads_go_on_meanwhile(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        await node.apply(*topic("a", 1, **COMPACT))
        await fill(node, 300)
        newest: dict[bytes, bytes] = {}
        stop = False

        async def write() -> None:
            i = 0
            while not stop:
                newest[b"k%d" % (i % 7)] = b"new-%d" % i
                await put(node, (b"k%d" % (i % 7), b"new-%d" % i))
                i += 1
                await asyncio.sleep(0.001)

        logs = LocalLogs(node.log_dir, node.plane, node.lifecycle, node.maintenance, node.work)

        async def look() -> None:
            while not stop:
                place = await node.plane.locate_timestamp(A0, NOW)
                assert place is not None
                assert await logs.find_record(A0, place, NOW) is not None
                await asyncio.sleep(0.001)

        tasks = [asyncio.create_task(write()), asyncio.create_task(look())]
        passes = 0
        async with asyncio.timeout(30):
            while passes < 3:
                passes += await node.maintenance.cleaner.run()
                await asyncio.sleep(0.01)
        stop = True
        await asyncio.gather(*tasks)
        replica = node.lifecycle.replicas[A0]
    found = {key: value for _, key, value in rows(replica.log)}
    assert {key: found[key] for key in newest} == newest


async def test_a_timestamp_that_only_an_emptied_batch_has_is_looked_for_behind_it(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        await node.apply(*topic("a", 1, **COMPACT, min_cleanable_dirty_ratio=0.0))
        await put(node, (b"k0", b"old"), timestamp=NOW + 50)
        await node.plane.roll(A0)
        await put(node, (b"k0", b"newer"))
        await node.plane.roll(A0)
        await put(node, (b"other", b"1"), timestamp=NOW + 70)
        await node.synced("a")
        logs = LocalLogs(node.log_dir, node.plane, node.lifecycle, node.maintenance, node.work)
        place = await node.plane.locate_timestamp(A0, NOW + 10)
        assert place is not None
        found = await logs.find_record(A0, place, NOW + 10)
        assert found is not None
        assert found.offset == 0
        # The newest batch of an idempotent producer stays when its record goes.
        batch = build([Record(0, NOW + 60, b"k1", b"x")], producer_id=5, producer_epoch=0, base_sequence=0)
        await node.plane.append(A0, batch)
        await node.plane.roll(A0)
        await put(node, (b"k1", b"y"))
        await put(node, (b"last", b"1"), timestamp=NOW + 90)
        await node.plane.roll(A0)
        await node.synced("a")
        assert await node.maintenance.cleaner.run() == 1
        for timestamp, offset in ((NOW + 10, 2), (NOW + 71, 5)):
            place = await node.plane.locate_timestamp(A0, timestamp)
            assert place is not None
            found = await logs.find_record(A0, place, timestamp)
            assert found is not None
            assert (found.offset, found.timestamp >= timestamp) == (offset, True)


async def test_retention_of_compact_and_delete(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        both = {**COMPACT, "cleanup_policy": "compact,delete"}
        await node.apply(*topic("a", 1, retention_ms=10_000, **both))
        await fill(node, 100)
        assert await node.maintenance.cleaner.run() == 1
        node.now += 10_001
        await put(node, (b"young", b"1"), timestamp=node.now)
        await node.maintenance.check_all()
        start = node.start_offset("a")
        assert 90 < start <= 100
        await fill(node, 60)
        assert await node.maintenance.cleaner.run() == 1
        replica = node.lifecycle.replicas[A0]
    assert all(offset >= start for offset, _, _ in rows(replica.log))


async def test_a_damaged_partition_is_told_once_and_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with served(tmp_path) as node:
        await node.apply(*topic("a", 1, **COMPACT))
        await node.apply(*topic("b", 2, **COMPACT))
        await fill(node, 60)
        await fill(node, 60, name="b")
        path = tmp_path / "a-0" / f"{0:020}.log"
        data = bytearray(path.read_bytes())
        data[65] ^= 1
        path.write_bytes(data)
        assert await node.maintenance.cleaner.run() == 1
        assert await node.maintenance.cleaner.run() == 0
        assert node.maintenance.cleaner.counters.failures == 1
        assert set(node.maintenance.cleaner.counters.failed) == {A0}
        assert sum("not compacted any more" in record.message for record in caplog.records) == 1
        assert path.read_bytes() == data
        assert node.end("a") == 60


async def test_a_deleted_topic_is_let_go(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        await node.apply(*topic("a", 1, **COMPACT))
        await fill(node, 300)
        cleaning = asyncio.create_task(node.maintenance.cleaner.run())
        await asyncio.sleep(0.001)
        await node.apply(remove(1))
        await cleaning
        assert not (tmp_path / "a-0").exists()
        assert node.maintenance.cleaner.counters.failed == {}
        await node.apply(*topic("a", 3, **COMPACT))
        await fill(node, 60)
        assert await node.maintenance.cleaner.run() == 1


async def test_a_stop_in_the_middle_loses_nothing(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        await node.apply(*topic("a", 1, **COMPACT))
        newest = await fill(node, 300)
        node.scope.start(node.maintenance.cleaner.run(), name="cleaner", quiet=True)
        await asyncio.sleep(0.005)
        image = node.image
    async with served(tmp_path, image) as node:
        assert node.end("a") == 300
        assert leftovers(tmp_path / "a-0") == []
        replica = node.lifecycle.replicas[A0]
    assert {key: value for _, key, value in rows(replica.log)} == newest


def replaced_files() -> list[str]:
    """Of this process's descriptors, those of log files that have no name any more."""
    links = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            links.append(str(link.readlink()))
    return [link for link in links if link.endswith(".log (deleted)")]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
async def test_the_plane_does_not_free_what_it_replaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever closes the last descriptor of a replaced file waits until its blocks are freed: never the plane."""
    async with served(tmp_path) as node:
        await node.apply(*topic("a", 1, **COMPACT))
        await fill(node, 60)
        swap, held = node.plane.swap_segments, []

        async def watched(tp: TopicPartition, packed: bytes) -> None:
            await swap(tp, packed)
            held.append(replaced_files())

        monkeypatch.setattr(node.plane, "swap_segments", watched)
        assert await node.maintenance.cleaner.run() == 1
        assert held
        assert all(len(links) == 1 for links in held), held
        assert replaced_files() == []


async def test_a_pass_that_is_cancelled_keeps_no_descriptor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it is cancelled on its way to a swap; what it has decided by then is completed at the next start."""
    async with served(tmp_path) as node:
        await node.apply(*topic("a", 1, **COMPACT))
        newest = await fill(node, 60)
        decide, begun, go_on = swapping.decide, threading.Event(), threading.Event()

        def slowly(*args: Any) -> None:
            decide(*args)
            begun.set()
            assert go_on.wait(10)

        monkeypatch.setattr(swapping, "decide", slowly)
        before = len(os.listdir("/dev/fd"))
        running = asyncio.create_task(node.maintenance.cleaner.run())
        while not begun.is_set():
            await asyncio.sleep(0.001)
        running.cancel()
        await asyncio.sleep(0.01)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert len(os.listdir("/dev/fd")) == before
        image = node.image
    async with served(tmp_path, image) as node:
        assert leftovers(tmp_path / "a-0") == []
        replica = node.lifecycle.replicas[A0]
    assert {key: value for _, key, value in rows(replica.log)} == newest


async def test_a_swap_is_refused_for_segments_that_are_not_there(tmp_path: Path) -> None:
    async with served(tmp_path) as node:
        await node.apply(*topic("a", 1, **COMPACT))
        await fill(node, 30)
        nothing = Written((), (), 0, 0, 0, 0, -1, -1, -1, 0, -1, -1, 0, -1, -1)
        for bases in ((), (1,), (0, 1), (99,)):
            with pytest.raises(KafkaError):
                await node.plane.swap_segments(A0, nothing._replace(old_bases=bases).packed())
        whole = nothing._replace(old_bases=(0,)).packed()
        for data in (b"short", whole[:-8], whole[:-16] + (1 << 40).to_bytes(8, "little") + whole[-8:]):
            with pytest.raises(KafkaError):
                await node.plane.swap_segments(A0, data)
        assert node.end("a") == 30


def test_the_pace_ends_a_pass_that_is_not_wanted() -> None:
    wanted = True
    pace = Pace(CleanerSettings(bytes_per_s=1 << 40), lambda: wanted)
    for _ in range(10):
        pace(1 << 20)
    pace.stopped = True
    with pytest.raises(StoppedError):
        pace(1)
    pace.stopped = wanted = False
    with pytest.raises(StoppedError):
        pace(1)
