"""What keeps house behind the replicas: retention, checkpoints, idle producers, and files that are to go."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from pyralog.cluster.image import ClusterImage
from pyralog.config.schema import StorageSection
from pyralog.errors import ErrorCode, KafkaError, StorageError
from pyralog.model import TopicPartition
from pyralog.net.plane import Plane
from pyralog.net.plane_types import PartitionSnapshot
from pyralog.replication.cleaner import CLEANER_DEFAULTS, CleanerSettings, LogCleaner
from pyralog.replication.lifecycle import Lifecycle
from pyralog.replication.opening import PartitionStore, Replica
from pyralog.runtime import TaskScope, WorkPool
from pyralog.storage.retention import retain

log = logging.getLogger(__name__)

CHECKPOINT_EVERY_MS = 5_000
EXPIRE_EVERY_MS = 600_000
RETRY_EVERY_MS = 30_000
# Partitions between two turns of the loop, so that ten thousand of them do not hold it up.
PARTITIONS_PER_TURN = 200


@dataclass(frozen=True, slots=True)
class MaintenanceSettings:
    """How often segments are looked at, how long an idle producer is remembered, how often is compacted."""

    retention_check_interval_ms: int = 300_000
    producer_id_expiration_ms: int = 86_400_000
    clean_interval_ms: int = 15_000
    cleaner: CleanerSettings = CLEANER_DEFAULTS


def maintenance_settings(storage: StorageSection) -> MaintenanceSettings:
    """The part of the configuration that is ours."""
    cleaner = storage.cleaner
    return MaintenanceSettings(
        storage.retention_check_interval_ms,
        storage.producer_id_expiration_ms,
        cleaner.check_interval_ms,
        CleanerSettings(cleaner.key_map_bytes, cleaner.max_bytes_per_s, enabled=cleaner.enabled),
    )


class Removals:
    """Deletes files and folders when their time has come; what is left at a stop goes at the next start."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, delay_ms: int, job: Callable[[], None]) -> None:
        """Run a blocking job when the delay is over."""
        heapq.heappush(self._heap, (self._now_ms() + delay_ms, next(self._numbers), job))
        self._changed.set()

    async def run(self, work: WorkPool) -> None:
        """Until it is cancelled."""
        while True:
            self._changed.clear()
            await self.run_due(work)
            wait_s = max(0, self._heap[0][0] - self._now_ms()) / 1000 if self._heap else None
            try:
                await asyncio.wait_for(self._changed.wait(), wait_s)
            except TimeoutError:
                continue

    async def run_due(self, work: WorkPool) -> None:
        """Run the jobs whose time has come."""
        while self._heap and self._heap[0][0] <= self._now_ms():
            job = heapq.heappop(self._heap)[2]
            try:
                await work.run(job)
            except (StorageError, OSError) as error:
                log.warning("a deleted file stays until the next start: %s", error)


def compaction_pool() -> WorkPool:
    """The thread of the log cleaner, which gives way to the others.

    It holds the interpreter's lock between two chunks: were it nicer, a busy machine might not let it go on while the
    loop waits for that lock.
    """
    return WorkPool("compaction", 1, nice=10)


class Maintenance:
    """The periodic work on the replicas of a Lifecycle, which it follows."""

    def __init__(
        self,
        settings: MaintenanceSettings,
        lifecycle: Lifecycle,
        plane: Plane,
        store: PartitionStore,
        work: WorkPool,
        compacting: WorkPool,
        scope: TaskScope,
        now_ms: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._lifecycle = lifecycle
        self._plane = plane
        self._store = store
        self._work = work
        self._scope = scope
        self._now_ms = now_ms
        self._removals = Removals(now_ms)
        self._recovery_points: dict[TopicPartition, int] = {}
        self._log_starts: dict[TopicPartition, int] = {}
        self._writing = asyncio.Lock()
        self._starts_changed = 0
        self._starts_written = 0
        self._reconfigured = asyncio.Event()
        self.segments_deleted = 0
        self.cleaner = LogCleaner(
            settings.cleaner,
            lifecycle,
            plane,
            store,
            work,
            compacting,
            scope,
            now_ms,
            save_points=self.checkpoint,
            point_of=lambda tp: self._recovery_points.get(tp, 0),
            remove_later=self._remove_files,
        )

    def start(self, image: Callable[[], ClusterImage]) -> None:
        """Begin the periodic work; `image()` is the newest image."""

        async def retry() -> None:
            if self._lifecycle.failed:
                await self._lifecycle.retry_failed(image())

        self._every("checkpoints", CHECKPOINT_EVERY_MS, self.checkpoint)
        self._every("retention", lambda: self._settings.retention_check_interval_ms, self.check_all)
        self._every(
            "producers", lambda: min(EXPIRE_EVERY_MS, self._settings.producer_id_expiration_ms), self.expire_producers
        )
        self._every("cleaner", lambda: self._settings.clean_interval_ms, self.cleaner.run)
        self._every("retry", RETRY_EVERY_MS, retry)
        self._scope.start(self._removals.run(self._work), name="removals", critical=True)

    def reconfigure(self, settings: MaintenanceSettings) -> None:
        """Go by other settings from now on; the waits at hand are cut or made longer accordingly."""
        self._settings = settings
        self.cleaner.settings = settings.cleaner
        self._reconfigured.set()
        self._reconfigured = asyncio.Event()

    def _every(self, name: str, interval_ms: int | Callable[[], int], job: Callable[[], object]) -> None:
        interval = interval_ms if callable(interval_ms) else lambda: interval_ms

        async def loop() -> None:
            last = asyncio.get_running_loop().time()
            while True:
                await self._wait(last, interval)
                await self._guarded(name, job)
                last = asyncio.get_running_loop().time()

        self._scope.start(loop(), name=name, critical=True)

    async def _wait(self, since: float, interval_ms: Callable[[], int]) -> None:
        """Until an interval has passed that may change meanwhile; `since` is in seconds of the loop."""
        while True:
            left = since + interval_ms() / 1000 - asyncio.get_running_loop().time()
            try:
                await asyncio.wait_for(self._reconfigured.wait(), max(left, 0))
            except TimeoutError:
                return

    async def _guarded(self, name: str, job: Callable[[], object]) -> None:
        """A failing disk must not end the loop that would notice that it works again."""
        try:
            await job()  # type: ignore[misc]
        except (StorageError, OSError) as error:
            log.error("%s: %s", name, error)

    # --- what lifecycle tells ---

    async def forget(self, partitions: Sequence[TopicPartition]) -> None:
        """No new partition of these names may find offsets of the old ones."""
        self.cleaner.forget(partitions)
        gone = [tp for tp in partitions if tp in self._recovery_points or tp in self._log_starts]
        for tp in gone:
            self._recovery_points.pop(tp, None)
            self._log_starts.pop(tp, None)
        if not gone:
            return
        try:
            async with self._writing:
                await self._write(self._recovery_points, self._log_starts)
        except OSError as error:
            log.error("offsets of deleted partitions stay in the checkpoints for now: %s", error)

    def remove_later(self, folders: Sequence[Path], delay_ms: int) -> None:
        """Delete retired partition folders when the delay is over."""
        for folder in folders:
            self._removals.add(delay_ms, lambda folder=folder: self._store.log_dir.remove(folder))  # type: ignore[misc]

    def _remove_files(self, replica: Replica, paths: list[Path]) -> None:
        self._removals.add(replica.settings.file_delete_delay_ms, lambda: self._store.log_dir.remove_files(paths))

    async def remove_due(self) -> None:
        """Delete what is due, without waiting for the loop that does it."""
        await self._removals.run_due(self._work)

    def check_soon(self, replica: Replica) -> None:
        """The settings of a replica have changed: its retention may ask for less."""
        self._scope.start(self._guarded("retention", lambda: self.check(replica)), name="retention of changed topic")

    def detached(self, tp: TopicPartition, bases: Sequence[int]) -> None:
        """The plane has taken segments out of a log: rename their files now, delete them later."""
        replica = self._lifecycle.replicas.get(tp)
        if replica is None:
            return
        task = self._scope.start(self._retire(replica, list(bases)), name="retire segments")
        replica.jobs.add(task)
        task.add_done_callback(replica.jobs.discard)

    async def _retire(self, replica: Replica, bases: list[int]) -> None:
        log_dir = self._store.log_dir
        try:
            paths = await self._work.run(log_dir.retire_segments, replica.folder, bases)
        except OSError as error:
            log.error("segments %s of %s stay on disk: %s", bases, replica.folder, error)
            return
        self.segments_deleted += len(bases)
        self._removals.add(replica.settings.file_delete_delay_ms, lambda: log_dir.remove_files(paths))

    # --- retention ---

    async def check_all(self) -> None:
        """Retention of every partition."""
        for replica in list(self._lifecycle.replicas.values()):
            await self.check(replica)

    async def check(self, replica: Replica) -> None:
        """Delete what retention.ms and retention.bytes ask for."""
        settings, tp = replica.settings, replica.tp
        if not settings.deletes or (settings.retention_ms < 0 and settings.retention_bytes < 0):
            return
        snapshot = self._snapshot(replica)
        if snapshot is None or snapshot.size_bytes == 0:
            return
        try:
            decision = retain(
                await self._plane.segments(tp),
                log_start=snapshot.log_start,
                high_watermark=snapshot.high_watermark,
                retention_ms=settings.retention_ms,
                retention_bytes=settings.retention_bytes,
                now_ms=self._now_ms(),
            )
            if decision.roll:
                await self._plane.roll(tp)
            if decision.log_start > snapshot.log_start:
                await self._plane.move_log_start(tp, decision.log_start)
                log.info("%s-%d: retention moved the log start to %d", tp.topic, tp.partition, decision.log_start)
        except KafkaError as error:
            # Deleted meanwhile, or its disk has failed, which has been reported.
            if self._lifecycle.replicas.get(tp) is replica:
                log.warning("retention of %s-%d: %s", tp.topic, tp.partition, error)

    async def delete_records(self, tp: TopicPartition, offset: int) -> int:
        """Raise the log start to an offset, durably; the log start then. (DeleteRecords)"""
        start = await self._plane.move_log_start(tp, offset)
        if self._log_starts.get(tp, 0) < start:
            self._log_starts[tp] = start
            self._starts_changed += 1
        await self._save_log_starts(self._starts_changed)
        return start

    async def _save_log_starts(self, change: int) -> None:
        """Write the log starts; changes that gather during one write share the next."""
        async with self._writing:
            if self._starts_written >= change:
                return
            change = self._starts_changed
            try:
                await self._work.run(self._store.log_dir.write_log_starts, dict(self._log_starts))
            except OSError as error:
                raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"cannot save the log start: {error}") from error
            self._starts_written = change

    # --- checkpoints ---

    def begin(self) -> None:
        """Take over the offsets that the last run has left, for partitions that this run cannot open."""
        left = self._store.left
        self.cleaner.begin()
        mine = {failure.wanted.tp for failure in self._lifecycle.failed.values() if not failure.wanted.create}
        self._recovery_points = {tp: offset for tp, offset in left.recovery_points.items() if tp in mine}
        self._log_starts = {tp: offset for tp, offset in left.log_starts.items() if tp in mine}

    async def checkpoint(self) -> None:
        """Save recovery points, log starts and leader epochs that have changed."""
        points: dict[TopicPartition, int] = {}
        starts: dict[TopicPartition, int] = {}
        epochs: list[tuple[Replica, int]] = []
        for number, replica in enumerate(list(self._lifecycle.replicas.values()), 1):
            if number % PARTITIONS_PER_TURN == 0:
                await asyncio.sleep(0)
            snapshot = self._snapshot(replica)
            if snapshot is None:
                continue
            points[replica.tp] = min(snapshot.synced, snapshot.log_end)
            if snapshot.log_start > 0:
                starts[replica.tp] = snapshot.log_start
            replica.epochs.truncate_start(snapshot.log_start)
            if replica.epochs.entries != replica.saved_epochs:
                epochs.append((replica, snapshot.log_end))
        async with self._writing:
            points, starts = self._merged(points, starts)
            change = self._starts_changed
            if points != self._recovery_points or starts != self._log_starts:
                await self._write(points, starts)
                self._starts_written = max(self._starts_written, change)
        with ExitStack() as working:
            epochs = [entry for entry in epochs if self._lifecycle.replicas.get(entry[0].tp) is entry[0]]
            for replica, _ in epochs:
                working.enter_context(replica.working())
            if epochs:
                await self._work.run(self._save_epochs, epochs)

    def _merged(
        self, points: Mapping[TopicPartition, int], starts: Mapping[TopicPartition, int]
    ) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
        """New offsets over what is known of partitions that cannot be asked, without those deleted meanwhile."""
        alive = self._lifecycle.replicas.keys() | self._lifecycle.failed.keys()
        all_points = {tp: offset for tp, offset in {**self._recovery_points, **points}.items() if tp in alive}
        all_starts = {tp: offset for tp, offset in self._log_starts.items() if tp in alive}
        for tp, offset in starts.items():
            if tp in alive:
                all_starts[tp] = max(offset, all_starts.get(tp, 0))
        return all_points, all_starts

    def _save_epochs(self, changed: Sequence[tuple[Replica, int]]) -> None:
        for replica, log_end in changed:
            if replica.folder.exists():  # nobody has deleted it by hand
                self._store.save_epochs(replica, log_end)

    async def _write(self, points: Mapping[TopicPartition, int], starts: Mapping[TopicPartition, int]) -> None:
        log_dir = self._store.log_dir
        self._recovery_points, self._log_starts = dict(points), dict(starts)
        await self._work.run(log_dir.write_recovery_points, dict(points))
        await self._work.run(log_dir.write_log_starts, dict(starts))

    def _snapshot(self, replica: Replica) -> PartitionSnapshot | None:
        """Offsets of a replica that is served and whose disk works."""
        found = self._plane.snapshot(replica.tp)
        return None if found is None or found.failed or replica.failed else found

    async def save_final(self, clean: bool) -> None:
        """After the last log is closed: what the next start begins with."""
        closed = [replica for replica in self._lifecycle.replicas.values() if not replica.failed]
        starts = {r.tp: r.log.log_start for r in closed if r.log.log_start > 0}
        async with self._writing:
            await self._write(*self._merged({r.tp: r.log.log_end for r in closed}, starts))
            if clean:
                await self._work.run(self._store.log_dir.mark_clean)

    # --- producers ---

    async def expire_producers(self) -> None:
        """Forget producers that have been idle for longer than producer.id.expiration.ms."""
        not_after = self._now_ms() - self._settings.producer_id_expiration_ms
        for replica in list(self._lifecycle.replicas.values()):
            if self._snapshot(replica) is None:
                continue
            try:
                await self._plane.expire_producers(replica.tp, not_after)
            except KafkaError as error:
                log.debug("producers of %s-%d: %s", replica.tp.topic, replica.tp.partition, error)
