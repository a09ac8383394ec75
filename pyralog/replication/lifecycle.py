"""Makes this node serve what the cluster image says: image delta -> logs on the work pool -> commands to the plane."""

from __future__ import annotations

import asyncio
import errno as errnos
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from pyralog.cluster.image import EMPTY, ClusterImage, ImageDelta, ResourceType, TopicImage
from pyralog.config.topics import TopicSettings
from pyralog.errors import KafkaError
from pyralog.model import TopicPartition
from pyralog.net.plane import Plane
from pyralog.net.plane_types import PartitionSettings
from pyralog.replication.opening import Failure, PartitionStore, Replica, Wanted
from pyralog.runtime import WorkPool
from pyralog.storage.log_dir import PartitionFolder

log = logging.getLogger(__name__)

# Partitions that one job of the work pool opens or closes.
PARTITIONS_PER_JOB = 16
PROGRESS_EVERY_MS = 5_000
MAX_NAMED = 5  # partitions that a warning about many of them names

_PLANE_FIELDS = tuple(PartitionSettings.__dataclass_fields__)

T = TypeVar("T")
SettingsOf = Callable[[str, ClusterImage], TopicSettings]


class Follow(Protocol):
    """Who is told what lifecycle has done; replication.maintenance."""

    async def forget(self, partitions: Sequence[TopicPartition]) -> None:
        """These are gone: nothing of them may be found by partitions of the same names."""

    def remove_later(self, folders: Sequence[Path], delay_ms: int) -> None:
        """Delete retired folders when the delay is over."""

    def check_soon(self, replica: Replica) -> None:
        """Its settings have changed."""


def plane_settings(settings: TopicSettings) -> PartitionSettings:
    """The plane's part of a topic's settings."""
    return PartitionSettings(**{name: getattr(settings, name) for name in _PLANE_FIELDS})


def _text(partitions: Sequence[TopicPartition]) -> str:
    named = ", ".join(f"{tp.topic}-{tp.partition}" for tp in partitions[:MAX_NAMED])
    return named if len(partitions) <= MAX_NAMED else f"{named} and {len(partitions) - MAX_NAMED} more"


class Lifecycle:
    """The replicas of this node. `apply` is the quorum's applier: what it did is true before the image shows it."""

    def __init__(
        self,
        node_id: int,
        plane: Plane,
        store: PartitionStore,
        work: WorkPool,
        settings_of: SettingsOf,
        now_ms: Callable[[], int],
    ) -> None:
        self.replicas: dict[TopicPartition, Replica] = {}
        self.failed: dict[TopicPartition, Failure] = {}
        self._node_id = node_id
        self._plane = plane
        self._store = store
        self._work = work
        self._settings_of = settings_of
        self._now_ms = now_ms
        self._follow: Follow | None = None
        self._busy = asyncio.Lock()
        self._applied = EMPTY
        self.started = False
        self.recovered = (0, 0)  # partitions that the start has opened, of how many
        self.disk_failed = False

    def set_follow(self, follow: Follow) -> None:
        """Who keeps house behind this."""
        self._follow = follow

    # --- start and stop ---

    async def start(self, image: ClusterImage) -> None:
        """Recover every partition that the image says is this node's; set aside what it does not know."""
        self._applied = image
        left, folders = await self._work.run(self._store.begin)
        wanted, strays, missing = await self._work.run(self._plan, image, folders)
        if strays:
            log.warning("%d partition folders are not in the metadata: %s", len(strays), _text([f.tp for f in strays]))
            for folder in strays:
                await self._work.run(self._store.log_dir.quarantine, folder.path)
        if missing:
            log.warning("%d partitions have no folder and begin empty: %s", len(missing), _text(missing))
        began = self._now_ms()
        async with self._busy:
            await self._host(wanted, progress=True)
        self.started = True
        if wanted:
            how = "after a clean stop" if left.clean else "after a crash"
            log.info("%d partitions opened %s in %d ms", len(self.replicas), how, self._now_ms() - began)

    def _plan(
        self, image: ClusterImage, folders: Iterable[PartitionFolder]
    ) -> tuple[list[Wanted], list[PartitionFolder], list[TopicPartition]]:
        """What to open, which folders nobody knows, and which partitions have no folder."""
        wanted = {w.tp: w for topic in image.topics.values() for w in self._wanted(topic, image, 0, create=True)}
        strays = []
        present = set()
        for folder in folders:
            found = wanted.get(folder.tp)
            if found is None or not self._store.adopt(folder, found.topic_id):
                strays.append(folder)
            else:
                present.add(folder.tp)
        plan = [
            Wanted(w.tp, w.topic_id, w.leader_epoch, w.settings, create=w.tp not in present) for w in wanted.values()
        ]
        return plan, strays, [w.tp for w in plan if w.create]

    async def close(self) -> bool:
        """Close every log, once the plane has stopped; True when there is none that the next start has to scan."""
        replicas = list(self.replicas.values())
        await self._spread(replicas, self._close_some)
        broken = self.disk_failed or self.failed or any(replica.failed for replica in replicas)
        return self.started and not broken

    async def _close_some(self, replicas: Sequence[Replica]) -> None:
        await self._work.run(self._store.close_all, [replica for replica in replicas if not replica.failed])

    def folder_of(self, tp: TopicPartition) -> Path | None:
        """Where a partition that is served here lies."""
        replica = self.replicas.get(tp)
        return None if replica is None else replica.folder

    # --- changes ---

    async def apply(self, delta: ImageDelta, image: ClusterImage) -> None:
        """Do what a change of the image asks of this node."""
        async with self._busy:
            self._applied = image
            await self._drop([tp for topic in delta.deleted for tp in _partitions(topic)])
            wanted = [w for topic in delta.created for w in self._wanted(topic, image, 0, create=True)]
            for before, after in delta.changed:
                wanted += self._wanted(after, image, len(before.partitions), create=True)
                await self._lead(before, after)
            await self._host(wanted)
            await self._reconfigure(delta, image)

    async def refresh(self) -> None:
        """The configuration of this node was read again, so topics may inherit other values."""
        async with self._busy:
            # What was applied last, which may be newer than what the rest of the node sees.
            await self._reconfigure_topics(self._applied.topics, self._applied)

    async def retry_failed(self, image: ClusterImage) -> None:
        """Try again what could not be opened; a disk may have room again."""
        async with self._busy:
            again = [failure.wanted for failure in self.failed.values()]
            current = {w.tp: w for topic in image.topics.values() for w in self._wanted(topic, image, 0, create=True)}
            await self._host(
                [
                    Wanted(w.tp, w.topic_id, current[w.tp].leader_epoch, current[w.tp].settings, w.create)
                    for w in again
                    if w.tp in current and current[w.tp].topic_id == w.topic_id
                ]
            )

    def lost_disk(self, errno: int, tp: TopicPartition | None) -> None:
        """The plane says that a write or sync failed: what it answers from now on is KAFKA_STORAGE_ERROR.

        Nothing in the log directory is trusted any more, so the next start has to look at all of it.
        """
        self.disk_failed = True
        replicas = [self.replicas[tp]] if tp in self.replicas else list(self.replicas.values())
        for replica in replicas:
            replica.failed = True
        where = _text([replica.tp for replica in replicas])
        why = errnos.errorcode.get(errno, str(errno))
        log.error("the log directory failed (%s, at %s): it takes no records until this node is restarted", why, where)

    def _wanted(self, topic: TopicImage, image: ClusterImage, first: int, *, create: bool) -> Iterator[Wanted]:
        """The partitions from `first` on that this node leads. (A node alone leads all that it has.)"""
        settings = self._settings_of(topic.name, image)
        for index in range(first, len(topic.partitions)):
            registration = topic.partitions[index]
            if registration.leader == self._node_id:
                tp = TopicPartition(topic.name, index)
                yield Wanted(tp, topic.topic_id, registration.leader_epoch, settings, create)

    async def _host(self, wanted: Sequence[Wanted], *, progress: bool = False) -> None:
        done, noted = 0, self._now_ms()

        async def some(piece: Sequence[Wanted]) -> None:
            nonlocal done, noted
            opened = await self._work.run(self._store.open_all, piece)
            await asyncio.gather(*(self._serve(one, w) for one, w in zip(opened, piece, strict=True)))
            done += len(piece)
            if progress:
                self.recovered = (done, len(wanted))
            if progress and self._now_ms() - noted >= PROGRESS_EVERY_MS:
                noted = self._now_ms()
                log.info("recovering: %d of %d partitions", done, len(wanted))

        await self._spread(wanted, some)

    async def _serve(self, opened: Replica | Failure, wanted: Wanted) -> None:
        tp = wanted.tp
        if isinstance(opened, Replica):
            try:
                await self._plane.add_topic_partition(
                    tp, wanted.topic_id, opened.log, wanted.leader_epoch, plane_settings(wanted.settings)
                )
            except KafkaError as error:
                opened = Failure(wanted, error)
        if isinstance(opened, Failure):
            if tp not in self.failed:
                log.error("%s-%d cannot be served: %s", tp.topic, tp.partition, opened.error)
            self.failed[tp] = opened
            return
        self.failed.pop(tp, None)
        self.replicas[tp] = opened

    async def _spread(self, items: Sequence[T], job: Callable[[Sequence[T]], Awaitable[None]]) -> None:
        """Do a job for pieces of a list, as many at once as the work pool has threads."""
        pieces = iter([items[i : i + PARTITIONS_PER_JOB] for i in range(0, len(items), PARTITIONS_PER_JOB)])

        async def worker() -> None:
            for piece in pieces:
                await job(piece)

        await asyncio.gather(*(worker() for _ in range(self._work.threads)))

    async def _lead(self, before: TopicImage, after: TopicImage) -> None:
        """New leader epochs of partitions that are served already."""
        for index, (old, new) in enumerate(zip(before.partitions, after.partitions, strict=False)):
            replica = self.replicas.get(TopicPartition(after.name, index))
            if replica is None or new.leader != self._node_id or new.leader_epoch == old.leader_epoch:
                continue
            await self._plane.lead(replica.tp, new.leader_epoch)
            snapshot = self._plane.snapshot(replica.tp)
            if snapshot is not None:
                replica.epochs.assign(new.leader_epoch, snapshot.log_end)

    async def _drop(self, partitions: Sequence[TopicPartition]) -> None:
        """Stop serving deleted partitions, and free their names."""
        dropped = []
        for tp in partitions:
            self.failed.pop(tp, None)
            replica = self.replicas.pop(tp, None)
            if replica is not None:
                dropped.append(replica)
        if not partitions:
            return
        for replica in dropped:
            await self._plane.remove_partition(replica.tp)
            if replica.jobs:
                await asyncio.wait(replica.jobs)

        async def some(piece: Sequence[Replica]) -> None:
            retired = await self._work.run(self._store.retire_all, piece)
            if self._follow is not None:
                self._follow.remove_later(retired, max(replica.settings.file_delete_delay_ms for replica in piece))

        await self._spread(dropped, some)
        if self._follow is not None:
            await self._follow.forget(partitions)

    async def _reconfigure(self, delta: ImageDelta, image: ClusterImage) -> None:
        """New settings of topics; a broker's configuration is a default of all topics."""
        topics: Iterable[str] = [name for kind, name in delta.configs if kind == ResourceType.TOPIC]
        if any(kind == ResourceType.BROKER for kind, _ in delta.configs):
            topics = image.topics
        await self._reconfigure_topics(topics, image)

    async def _reconfigure_topics(self, names: Iterable[str], image: ClusterImage) -> None:
        for name in names:
            topic = image.topics.get(name)
            if topic is None:
                continue
            settings = self._settings_of(name, image)
            for tp in _partitions(topic):
                replica = self.replicas.get(tp)
                if replica is None or replica.settings == settings:
                    continue
                replica.settings = settings
                await self._plane.configure(tp, plane_settings(settings))
                if self._follow is not None:
                    self._follow.check_soon(replica)


def _partitions(topic: TopicImage) -> Iterator[TopicPartition]:
    return (TopicPartition(topic.name, index) for index in range(len(topic.partitions)))
