"""The blocking half of a replica's life, for the work pool: its folder is made, its log recovered, closed, put away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyralog._speedups.partition_log import PartitionLog
from pyralog.cluster.controller_topics import METADATA_TOPIC
from pyralog.config.topics import TopicSettings
from pyralog.errors import CorruptRecordError, StorageError
from pyralog.model import ZERO_UUID, TopicPartition, Uuid
from pyralog.storage.epochs import LeaderEpochs
from pyralog.storage.log_config import LogConfig
from pyralog.storage.log_dir import Checkpoints, LogDir, PartitionFolder
from pyralog.storage.recovery import close_partition, open_partition

log = logging.getLogger(__name__)

_LOG_FIELDS = tuple(LogConfig.__dataclass_fields__)
_EPOCH_AT = 12  # leader epoch in the header of a batch
NOTHING_LEFT = Checkpoints({}, {}, True)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A partition that this node shall serve. `create`: there is no folder of it, or none that may be used."""

    tp: TopicPartition
    topic_id: Uuid
    leader_epoch: int
    settings: TopicSettings
    create: bool


@dataclass(slots=True)
class Replica:
    """A partition that this node serves. The plane owns `log`.

    `saved_epochs` is what the checkpoint file holds; `jobs` still work in the folder.
    """

    tp: TopicPartition
    topic_id: Uuid
    folder: Path
    log: PartitionLog
    settings: TopicSettings
    epochs: LeaderEpochs
    saved_epochs: tuple[tuple[int, int], ...] = ()
    failed: bool = False
    jobs: set[asyncio.Future[Any]] = field(default_factory=set)

    @contextmanager
    def working(self) -> Iterator[None]:
        """The folder is not put away meanwhile; for the thread of the event loop."""
        job: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.jobs.add(job)
        try:
            yield
        finally:
            self.jobs.discard(job)
            job.set_result(None)


@dataclass(frozen=True, slots=True)
class Failure:
    """A partition that could not be opened, and why."""

    wanted: Wanted
    error: Exception


def log_config(settings: TopicSettings) -> LogConfig:
    """The log's part of a topic's settings."""
    return LogConfig(**{name: getattr(settings, name) for name in _LOG_FIELDS})


def epochs_in_log(opened: PartitionLog, known: Sequence[tuple[int, int]] = (), limit: int = 1 << 31) -> LeaderEpochs:
    """The leader epochs of a log from its batches: by bisection, since they only rise.

    `known` are those that need not be looked for. What says a higher epoch than `limit` is damaged.
    """

    def epoch_at(offset: int) -> int:
        try:
            batch = opened.read(offset, -1, 1, True)
        except ValueError:
            return -1  # recovery has found it unreadable
        epoch = int.from_bytes(batch[_EPOCH_AT : _EPOCH_AT + 4], "big", signed=True) if batch else -1
        return epoch if epoch <= limit else -1

    found = LeaderEpochs(known)
    start, end = max(opened.log_start, known[-1][1] if known else 0), opened.log_end
    if start >= end:
        return found
    last = epoch_at(end - 1)
    while start < end:
        epoch = epoch_at(start)
        if epoch > found.latest:
            found.assign(epoch, start)
        if epoch >= last:
            break
        low, high = start, end - 1  # epoch_at(low) == epoch < epoch_at(high)
        while low + 1 < high:
            middle = (low + high) // 2
            low, high = (middle, high) if epoch_at(middle) <= epoch else (low, middle)
        start = high
    return found


class PartitionStore:
    """Opens and closes the logs of one log directory."""

    def __init__(self, log_dir: LogDir, now_ms: Callable[[], int]) -> None:
        self.log_dir = log_dir
        self._now_ms = now_ms
        self.left = NOTHING_LEFT

    def begin(self) -> tuple[Checkpoints, list[PartitionFolder]]:
        """What the last run left behind."""
        self.left = self.log_dir.begin()
        return self.left, [folder for folder in self.log_dir.scan() if folder.tp.topic != METADATA_TOPIC]

    def open_all(self, pieces: Sequence[Wanted]) -> list[Replica | Failure]:
        """Open some partitions; one that cannot be opened does not keep the others."""
        return [self._try_open(wanted) for wanted in pieces]

    def _try_open(self, wanted: Wanted) -> Replica | Failure:
        try:
            return self.open(wanted)
        except (StorageError, OSError, CorruptRecordError) as error:
            return Failure(wanted, error)

    def open(self, wanted: Wanted) -> Replica:
        """Open the log of one partition, after making its folder if need be."""
        tp, left = wanted.tp, NOTHING_LEFT if wanted.create else self.left
        folder = self._new_folder(wanted) if wanted.create else self.log_dir.folder(tp)
        opened = open_partition(
            folder,
            config=log_config(wanted.settings),
            recovery_point=left.recovery_points.get(tp, 0),
            log_start=left.log_starts.get(tp, 0),
            epoch_limit=wanted.leader_epoch,
            clean=left.clean,
            files=self.log_dir.files,
            now_ms=self._now_ms(),
        )
        epochs, saved = self._epochs(folder, opened, wanted, left)
        # Its leader is about to begin an epoch at the end of the log. The file follows once there are records in it.
        epochs.assign(wanted.leader_epoch, opened.log_end)
        return Replica(tp, wanted.topic_id, folder, opened, wanted.settings, epochs, saved)

    def _new_folder(self, wanted: Wanted) -> Path:
        """A folder without a past, unless it is that of an earlier attempt."""
        folder = self.log_dir.folder(wanted.tp)
        if folder.exists() and self.log_dir.topic_id(folder) != wanted.topic_id:
            self.log_dir.quarantine(folder)
        return self.log_dir.create(wanted.tp, wanted.topic_id)

    def _epochs(
        self, folder: Path, opened: PartitionLog, wanted: Wanted, left: Checkpoints
    ) -> tuple[LeaderEpochs, tuple[tuple[int, int], ...]]:
        """The leader epochs of a log, and which of them the checkpoint file holds."""
        if wanted.create or opened.log_start >= opened.log_end:
            return LeaderEpochs(), ()
        known = self.log_dir.read_epochs(folder)
        saved = () if known is None else known.entries
        if known is None or not left.clean:
            # The file has a checksum, the field in the batches has none: up to what was flushed the file is right.
            flushed = min(left.recovery_points.get(wanted.tp, 0), opened.log_end)
            kept = tuple(entry for entry in saved if entry[1] < flushed)
            return epochs_in_log(opened, kept, wanted.leader_epoch), saved
        return known, saved

    def adopt(self, folder: PartitionFolder, topic_id: Uuid) -> bool:
        """True when a folder on disk is that of this topic. One that does not say so is taken by its name."""
        if folder.topic_id == topic_id:
            return True
        if folder.topic_id != ZERO_UUID:
            return False
        log.warning("%s does not say which topic id it belongs to; taking it for that of its name", folder.path)
        self.log_dir.record_topic_id(folder.path, topic_id)
        return True

    def close_all(self, replicas: Iterable[Replica]) -> None:
        """Close logs that the plane has given back: flushed, with what the next start needs not to scan them."""
        for replica in replicas:
            try:
                close_partition(replica.log, files=self.log_dir.files)
                self.save_epochs(replica, replica.log.log_end)
            except (StorageError, OSError) as error:
                replica.failed = True
                log.error("%s-%d could not be closed cleanly: %s", replica.tp.topic, replica.tp.partition, error)

    def save_epochs(self, replica: Replica, log_end: int) -> None:
        """Write the leader-epoch checkpoint of a replica, once there are records of its newest epoch.

        An epoch in which nothing was written is the next leader's to replace, so idle partitions cost nothing.
        """
        entries = replica.epochs.entries
        if entries and entries != replica.saved_epochs and log_end > entries[-1][1]:
            self.log_dir.write_epochs(replica.folder, replica.epochs)
            replica.saved_epochs = entries

    def retire_all(self, replicas: Sequence[Replica]) -> list[Path]:
        """Close the logs of deleted partitions and rename their folders, so that the names are free; the new names."""
        retired = []
        for replica in replicas:
            try:
                replica.log.close()
                retired.append(self.log_dir.retire(replica.folder))
            except (StorageError, OSError) as error:
                log.error("the folder %s of a deleted partition stays: %s", replica.folder, error)
        return retired
