"""A data directory served by a real plane, without sockets: what the tests of this folder share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from pyralog._speedups.fileops import Files
from pyralog._speedups.plane.driver import PlaneEngine
from pyralog.cluster.image import EMPTY, ClusterImage, ResourceType, replay_batch
from pyralog.cluster.records import (
    BrokerRecord,
    ConfigRecord,
    LeadershipRecord,
    PartitionRecord,
    Record,
    RemoveTopicRecord,
    TopicRecord,
)
from pyralog.config.effective import BrokerDefaults
from pyralog.config.schema import Config
from pyralog.config.topics import TopicSettings
from pyralog.model import TopicPartition
from pyralog.net.plane import Plane
from pyralog.records.batch import Record as LogRecord
from pyralog.records.batch import build
from pyralog.replication.lifecycle import Lifecycle
from pyralog.replication.maintenance import Maintenance, MaintenanceSettings
from pyralog.replication.opening import PartitionStore
from pyralog.runtime import TaskScope, WorkPool, start_thread
from pyralog.storage.log_dir import LogDir

NODE = 1
NOW = 1_700_000_000_000


def uuid(number: int) -> bytes:
    return number.to_bytes(16, "big")


def topic(name: str, number: int, partitions: int = 1, epoch: int = 0, **configs: object) -> list[Record]:
    """Records that make a topic; configs with underscores for dots."""
    made: list[Record] = [TopicRecord(name, uuid(number))]
    made += [PartitionRecord(uuid(number), p, (NODE,), (NODE,), NODE, epoch) for p in range(partitions)]
    made += [config(name, **{key: value}) for key, value in configs.items()]
    return made


def config(name: str, **configs: object) -> ConfigRecord:
    ((key, value),) = configs.items()
    text = None if value is None else str(value)
    return ConfigRecord(ResourceType.TOPIC, name, key.replace("_", "."), text)


def remove(number: int) -> RemoveTopicRecord:
    return RemoveTopicRecord(uuid(number))


def more_partitions(number: int, first: int, count: int, epoch: int = 0) -> list[Record]:
    return [PartitionRecord(uuid(number), p, (NODE,), (NODE,), NODE, epoch) for p in range(first, first + count)]


def batch(values: Sequence[bytes], timestamp: int = NOW, producer_id: int = -1, sequence: int = -1) -> bytes:
    records = [LogRecord(i, timestamp, None, value) for i, value in enumerate(values)]
    epoch = -1 if producer_id < 0 else 0
    return build(records, producer_id=producer_id, producer_epoch=epoch, base_sequence=sequence)


class Served:
    """The parts, an image that they follow, and a clock that tests turn."""

    def __init__(self, data_dir: Path) -> None:
        self.now = NOW
        self.data_dir = data_dir
        self.broker = BrokerDefaults(Config())
        self.work = WorkPool("work", 2)
        self.scope = TaskScope("test")
        self.log_dir = LogDir(data_dir)
        self.plane = Plane(PlaneEngine(Files(), cache_ms=1))
        self.store = PartitionStore(self.log_dir, lambda: self.now)
        self.lifecycle = Lifecycle(NODE, self.plane, self.store, self.work, self.settings_of, lambda: self.now)
        self.maintenance = Maintenance(
            MaintenanceSettings(),
            self.lifecycle,
            self.plane,
            self.store,
            self.work,
            self.work,
            self.scope,
            lambda: self.now,
        )
        self.lifecycle.set_follow(self.maintenance)
        self.plane.events.detached = self.maintenance.detached
        self.plane.events.failed = self.lifecycle.lost_disk
        self.image = EMPTY

    def settings_of(self, name: str, image: ClusterImage) -> TopicSettings:
        return self.broker.settings(image.config(ResourceType.TOPIC, name))

    async def apply(self, *records: Record) -> None:
        """As the quorum does: first the node serves it, then the image shows it."""
        image, delta = replay_batch(
            self.image, records, offset=self.image.offset + len(records), epoch=1, controller_id=NODE
        )
        await self.lifecycle.apply(delta, image)
        self.image = image

    async def append(self, name: str, *values: bytes, partition: int = 0, timestamp: int = NOW) -> int:
        return await self.plane.append(TopicPartition(name, partition), batch(values, timestamp))

    def end(self, name: str, partition: int = 0) -> int:
        snapshot = self.plane.snapshot(TopicPartition(name, partition))
        assert snapshot is not None
        return snapshot.log_end

    def start_offset(self, name: str, partition: int = 0) -> int:
        snapshot = self.plane.snapshot(TopicPartition(name, partition))
        assert snapshot is not None
        return snapshot.log_start

    async def synced(self, name: str, partition: int = 0) -> None:
        """Wait until all that is written is on disk."""
        tp = TopicPartition(name, partition)
        async with asyncio.timeout(10):
            while True:
                snapshot = self.plane.snapshot(tp)
                assert snapshot is not None
                if snapshot.synced == snapshot.log_end:
                    return
                await asyncio.sleep(0.001)

    def names(self) -> list[str]:
        """Folders in the data directory, the unique part of retired ones cut."""
        found = []
        for path in self.data_dir.iterdir():
            if path.is_dir():
                head, _, tail = path.name.rpartition(".")
                found.append(f"{head}{tail[32:]}" if tail.endswith(("-delete", "-stray")) else path.name)
        return sorted(found)


@asynccontextmanager
async def served(data_dir: Path, image: ClusterImage = EMPTY, *, crash: bool = False) -> AsyncIterator[Served]:
    """A node that has started with this image; a crash ends it without closing anything."""
    node = Served(data_dir)
    node.log_dir.lock()
    try:
        broker = BrokerRecord(NODE, 0, bytes(16), bytes(16), "localhost", 9092)
        records: list[Record] = [broker]
        if image.topics:
            records.append(LeadershipRecord(NODE))
        node.image, _ = replay_batch(
            image, records, offset=image.offset + len(records), epoch=image.epoch + 1, controller_id=NODE
        )
        node.plane.attach(asyncio.get_running_loop())
        node.plane.start(start_thread)
        await node.lifecycle.start(node.image)
        node.maintenance.begin()
        await node.maintenance.checkpoint()
        yield node
    finally:
        await node.scope.close()
        node.plane.stop()
        if not crash:
            clean = await node.lifecycle.close()
            await node.maintenance.save_final(clean)
        node.work.close()
        node.log_dir.unlock()
