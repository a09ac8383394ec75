"""The log cleaner: which partition is compacted next, its passes on their thread, its swaps in the plane (Kafka's
LogCleaner, with one thread)."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pyralog._speedups.keymap import KeyMap
from pyralog.errors import CorruptRecordError, ErrorCode, KafkaError, StorageError
from pyralog.model import TopicPartition
from pyralog.net.plane import Plane
from pyralog.replication.lifecycle import Lifecycle
from pyralog.replication.opening import PartitionStore, Replica
from pyralog.runtime import TaskScope, WorkPool
from pyralog.storage import swapping
from pyralog.storage.compaction import Cleanable, Compaction, Rules, Written, cleanable
from pyralog.storage.names import LOG, segment_name

log = logging.getLogger(__name__)

T = TypeVar("T")

_DECOMPRESSED_BYTES = 1 << 30
_KEY_BYTES = 24
_SMALLEST_MAP_BYTES = 1 << 20
_REST_AFTER_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class CleanerSettings:
    """Kafka's log.cleaner.dedupe.buffer.size and io.max.bytes.per.second (0 = no limit), and the share of a core that
    a pass may take."""

    key_map_bytes: int = 128 << 20
    bytes_per_s: int = 0
    share: float = 0.9
    enabled: bool = True


CLEANER_DEFAULTS = CleanerSettings()


@dataclass(slots=True)
class CleanerCounters:
    """What the cleaner has done since the start."""

    passes: int = 0
    failures: int = 0
    read_bytes: int = 0
    written_bytes: int = 0
    records_read: int = 0
    records_kept: int = 0
    failed: dict[TopicPartition, str] = field(default_factory=dict)


class StoppedError(Exception):
    """The pass is not wanted any more: the node stops, or the partition has been deleted."""


class Pace:
    """Sleeps in the thread that compacts, so that the disk and the cores stay free for clients; ends the pass there."""

    def __init__(self, settings: CleanerSettings, wanted: Callable[[], bool]) -> None:
        self._settings = settings
        self._wanted = wanted
        self._since = time.monotonic()
        self._bytes = 0
        self.stopped = False

    def __call__(self, read_bytes: int) -> None:
        if self.stopped or not self._wanted():
            raise StoppedError
        self._bytes += read_bytes
        if self._bytes < _REST_AFTER_BYTES:
            return
        took = time.monotonic() - self._since
        rest = took * (1 / self._settings.share - 1)
        if self._settings.bytes_per_s > 0:
            rest = max(rest, self._bytes / self._settings.bytes_per_s - took)
        if rest > 0:
            time.sleep(rest)
        self._since, self._bytes = time.monotonic(), 0


class LogCleaner:
    """Compacts the replicas of a Lifecycle, one at a time.

    `settings` may be changed: the next pass goes by them. `save_points` makes the recovery points durable, `point_of`
    tells that of a partition; `remove_later` deletes files. The passes run on `compacting`, what is quick on `work`.
    """

    def __init__(
        self,
        settings: CleanerSettings,
        lifecycle: Lifecycle,
        plane: Plane,
        store: PartitionStore,
        work: WorkPool,
        compacting: WorkPool,
        scope: TaskScope,
        now_ms: Callable[[], int],
        *,
        save_points: Callable[[], Awaitable[None]],
        point_of: Callable[[TopicPartition], int],
        remove_later: Callable[[Replica, list[Path]], None],
    ) -> None:
        self.settings = settings
        self._lifecycle = lifecycle
        self._plane = plane
        self._store = store
        self._work = work
        self._compacting = compacting
        self._scope = scope
        self._now_ms = now_ms
        self._save_points = save_points
        self._point_of = point_of
        self._remove_later = remove_later
        self._cleaned: dict[TopicPartition, int] = {}
        self._secret = os.urandom(16)
        self._running = asyncio.Lock()
        self.counters = CleanerCounters()

    def begin(self) -> None:
        """Take over how far the last run came."""
        self._cleaned = dict(self._store.left.cleaned)

    def forget(self, partitions: Sequence[TopicPartition]) -> None:
        """No new partition of these names may count as cleaned."""
        for tp in partitions:
            self._cleaned.pop(tp, None)
            self.counters.failed.pop(tp, None)

    async def run(self) -> int:
        """Compact what asks for it, the dirtiest first; how many partitions."""
        async with self._running:
            if not self.settings.enabled:
                return 0
            ranked = []
            for replica in list(self._lifecycle.replicas.values()):
                work = await self._cleanable(replica)
                if work is not None:
                    ranked.append((work.overdue, work.dirty_ratio, replica))
            ranked.sort(key=lambda entry: entry[:2], reverse=True)
            done = 0
            for _, _, replica in ranked:
                # What is to be cleaned has changed while others were.
                work = await self._cleanable(replica)
                if work is not None:
                    done += await self._guarded(replica, work)
            return done

    async def _cleanable(self, replica: Replica) -> Cleanable | None:
        """What of a partition may be compacted now; None when there is too little."""
        snapshot = self._plane.snapshot(replica.tp)
        if snapshot is None or snapshot.failed or replica.failed or replica.tp in self.counters.failed:
            return None
        if not replica.settings.compacted:
            return None
        try:
            segments = await self._plane.segments(replica.tp)
        except KafkaError:
            return None
        if len(segments) < 2:
            return None
        settings = replica.settings
        found = cleanable(
            segments,
            log_start=snapshot.log_start,
            checkpoint=self._cleaned.get(replica.tp, 0),
            last_stable=snapshot.last_stable,
            synced=snapshot.synced,
            min_lag_ms=settings.min_compaction_lag_ms,
            max_lag_ms=settings.max_compaction_lag_ms,
            now_ms=self._now_ms(),
        )
        dirty = found.overdue or found.dirty_ratio > settings.min_cleanable_dirty_ratio
        return found if found.dirty_bytes and dirty else None

    async def _guarded(self, replica: Replica, work: Cleanable) -> bool:
        """One pass. A damaged partition is left alone until the next start; its records stay as they are."""
        tp = replica.tp
        try:
            with replica.working():
                return await self._pass(replica, work)
        except StoppedError:
            return False
        except (CorruptRecordError, ValueError) as error:
            self.counters.failed[tp] = str(error)
            log.error("%s-%d is not compacted any more: %s", tp.topic, tp.partition, error)
        except (StorageError, OSError, MemoryError, KafkaError) as error:
            if self._lifecycle.replicas.get(tp) is not replica:
                return False
            log.error("compaction of %s-%d: %s", tp.topic, tp.partition, error)
        self.counters.failures += 1
        return False

    async def _run(self, pace: Pace, function: Callable[..., T], *args: object) -> T:
        """On the thread that compacts; a pass that is cancelled ends at its next pause."""
        running = self._scope.start(self._compacting.run(function, *args), name="compaction", quiet=True)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            pace.stopped = True
            await asyncio.wait([running])
            raise

    async def _pass(self, replica: Replica, work: Cleanable) -> bool:
        tp, settings = replica.tp, replica.settings
        end = work.segments[-1].next_offset
        if self._point_of(tp) < end:
            await self._save_points()
        if self._point_of(tp) < end:  # recovery must not meet the gaps above the recovery point
            return False
        aborted = await self._plane.aborted(tp, 0, end)
        producers = {producer.producer_id for producer in await self._plane.producers(tp)}
        rules = Rules(
            settings.delete_retention_ms,
            settings.segment_bytes,
            settings.segment_index_bytes,
            settings.index_interval_bytes,
            _DECOMPRESSED_BYTES,
        )
        pace = Pace(self.settings, lambda: self._lifecycle.replicas.get(tp) is replica)
        job = Compaction(
            replica.folder,
            work,
            rules,
            KeyMap(self._map_bytes(work), self._secret),
            aborted=aborted,
            producers=producers,
            now_ms=self._now_ms(),
            files=self._store.log_dir.files,
            pause=pace,
        )
        began = time.monotonic()
        for group in await self._run(pace, job.build_map):
            written = await self._run(pace, job.write, group)
            if written is not None and not await self._swap(replica, written):
                return False
        if job.end_offset > work.first_dirty:
            await self._checkpoint(tp, job.end_offset)
        records_in, records_out = job.records
        self.counters.passes += 1
        self.counters.read_bytes += job.read_bytes
        self.counters.records_read += records_in
        self.counters.records_kept += records_out
        log.info(
            "Compacted %s-%d up to offset %d: %d of %d records kept, %.1f s",
            tp.topic,
            tp.partition,
            job.end_offset,
            records_out,
            records_in,
            time.monotonic() - began,
        )
        return True

    def _map_bytes(self, work: Cleanable) -> int:
        """No more than can be needed: a record takes at least eight bytes, and an offset."""
        offsets = work.segments[-1].next_offset - work.first_dirty
        needed = min(offsets, work.dirty_bytes // 8) * _KEY_BYTES * 10 // 8
        return min(self.settings.key_map_bytes, max(needed, _SMALLEST_MAP_BYTES))

    async def _swap(self, replica: Replica, written: Written) -> bool:
        """False when the segments have changed meanwhile."""
        files, folder, base = self._store.log_dir.files, replica.folder, written.base_offset
        replaced: list[int] = []
        try:
            await self._work.run(self._get_ready, replica, written, replaced)
            try:
                await self._plane.swap_segments(replica.tp, written.packed())
            except KafkaError as error:
                if self._lifecycle.replicas.get(replica.tp) is replica:
                    await self._work.run(swapping.withdraw, files, folder, base)
                if error.code != ErrorCode.INVALID_REQUEST:
                    raise
                log.info("%s-%d: segments have changed during compaction", replica.tp.topic, replica.tp.partition)
                return False
            paths = await self._work.run(swapping.retire, files, folder, base, written.old_bases)
        finally:
            for fd in replaced:
                await self._compacting.run(files.close, fd)
        self.counters.written_bytes += written.size_bytes
        self._remove_later(replica, paths)
        return True

    def _get_ready(self, replica: Replica, written: Written, replaced: list[int]) -> None:
        """`replaced` gets a descriptor of the file whose name the cleaned segment takes. It is closed last, and not by
        the plane, which would stand still while the file's blocks are freed: for 64 MiB 20 ms."""
        files, folder, base = self._store.log_dir.files, replica.folder, written.base_offset
        replaced.append(files.open(os.fsencode(folder / segment_name(base, LOG)), os.O_RDONLY))
        swapping.note_compacted(files, folder, written.end)
        swapping.ready(files, folder, base)
        swapping.decide(files, folder, base, written.end, written.size_bytes, written.crc)

    async def _checkpoint(self, tp: TopicPartition, offset: int) -> None:
        alive = self._lifecycle.replicas.keys() | self._lifecycle.failed.keys()
        self._cleaned[tp] = offset
        self._cleaned = {tp: offset for tp, offset in self._cleaned.items() if tp in alive}
        await self._work.run(self._store.log_dir.write_cleaned, dict(self._cleaned))
