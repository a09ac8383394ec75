"""All shards of one coordinator topic on this node: loads those it leads, hands them requests, drops those it lost."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from pyralog.coordinator.active import ActiveShard
from pyralog.coordinator.loading import Last, Piece, apply, read
from pyralog.coordinator.outcome import Machine, Outcome
from pyralog.coordinator.partitioner import partition_for
from pyralog.coordinator.waiting import Load, fenced
from pyralog.errors import CorruptRecordError, ErrorCode, KafkaError, StorageError
from pyralog.model import TopicPartition
from pyralog.runtime import BulkLoad, Pending
from pyralog.wire.protocol import ProtocolError

if TYPE_CHECKING:
    from pyralog.cluster.image import ClusterImage, ImageDelta, TopicImage
    from pyralog.coordinator.internal_topics import InternalTopic
    from pyralog.net.plane import Plane
    from pyralog.runtime import TaskScope, WorkPool

log = logging.getLogger(__name__)

LOADERS = 2  # shards that are read at the same time
ATTEMPTS = 3  # a segment may be swapped or deleted while it is read
RETRY_MS = 1_000  # before a shard whose log failed is loaded again
FENCED_RETRY_MS = 50  # the same when the log is well: what is still on its way to it has come by then
MAX_RETRY_MS = 60_000
POLL_S = 0.002

M = TypeVar("M", bound="ImageMachine")


class ImageMachine(Machine, Protocol):
    """A machine that follows the cluster image."""

    image: ClusterImage

    def on_image(self, image: ClusterImage, delta: ImageDelta, now_ms: int) -> Outcome:
        """The cluster has changed."""
        ...

    def reconfigure(self, settings: Any, now_ms: int) -> Outcome:
        """Go by other settings from now on."""
        ...


class Ports(NamedTuple):
    """What a runtime needs of the node. `folder_of` is where a partition that is served here lies."""

    node_id: int
    plane: Plane
    work: WorkPool
    scope: TaskScope
    clock: Callable[[], int]
    folder_of: Callable[[TopicPartition], Path | None]


class State(Enum):
    """LOADING -> ACTIVE -> LOADING (its log failed) ...; FAILED -> LOADING after a while."""

    LOADING = "loading"
    ACTIVE = "active"
    FAILED = "failed"


class _Slot:
    """A partition that this node leads in this epoch."""

    __slots__ = ("epoch", "failures", "retry", "shard", "state")

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.state = State.LOADING
        self.shard: ActiveShard | None = None
        self.failures = 0
        self.retry: asyncio.TimerHandle | None = None


class CoordinatorRuntime(Generic[M]):
    """The shards of `topic` here. Everything runs on the event loop, reading logs apart."""

    def __init__(
        self,
        topic: str,
        types: Mapping[int, str],
        ports: Ports,
        make: Callable[[int, ClusterImage], M],
        load: Load | None = None,
    ) -> None:
        self.topic = topic
        self.load = load or Load()
        self._types = types
        self._ports = ports
        self._make = make
        self._image: ClusterImage | None = None
        self._slots: dict[int, _Slot] = {}
        # The shards that take records, by partition.
        self.active: dict[int, ActiveShard] = {}
        self._wanted: deque[int] = deque()
        self._loaders = 0
        self._stopping = False
        self._settings: Any = None

    # --- requests ---

    @property
    def clock(self) -> Callable[[], int]:
        """The time that all shards go by, in milliseconds."""
        return self._ports.clock

    def submit(self, partition: int, request: Any, size: int = 0) -> Pending[Any]:
        """Hand a request to a shard. KafkaError, also in the result: 14, 15 or 16 when it is not to be had here."""
        shard = self.active.get(partition)
        try:
            return (self.shard(partition) if shard is None else shard).submit(request, size)
        except KafkaError as error:
            return Pending.of(error)

    def submit_by_key(self, topic: InternalTopic, key: str, request: Any, size: int) -> Pending[Any]:
        """The same for the shard that holds this group or transactional id; its topic is made first where need be."""
        partitions = topic.partitions
        if partitions:
            return self.submit(partition_for(key, partitions), request, size)
        result: Pending[Any] = Pending()

        def made(error: BaseException | None) -> None:
            if error is not None:
                result.resolve(error)
            else:
                self.submit_by_key(topic, key, request, size).then(result.resolve)

        topic.make().then(made)
        return result

    def shard(self, partition: int) -> ActiveShard:
        """The shard of a partition; KafkaError when it is elsewhere, still loading, or cannot be loaded."""
        slot = self._slots.get(partition)
        if self._image is None and not self._stopping:
            raise KafkaError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, "this node has just started")
        if slot is None or self._stopping:
            raise KafkaError(ErrorCode.NOT_COORDINATOR)
        if slot.shard is not None:
            return slot.shard
        if slot.state is State.FAILED:
            raise KafkaError(ErrorCode.COORDINATOR_NOT_AVAILABLE, "the coordinator's log cannot be read")
        if partition in self._wanted:  # it is asked for: it comes next
            self._wanted.remove(partition)
            self._wanted.appendleft(partition)
        raise KafkaError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)

    def machines(self) -> Iterator[M]:
        """The machines that are loaded."""
        for slot in list(self._slots.values()):
            if slot.shard is not None:
                yield slot.shard.machine  # type: ignore[misc]

    def states(self) -> dict[int, State]:
        """The state of each partition that is led here. KafkaError before it is known which those are."""
        if self._image is None:
            raise KafkaError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, "this node has just started")
        return {partition: slot.state for partition, slot in self._slots.items()}

    # --- the cluster ---

    def begin(self, image: ClusterImage) -> None:
        """Load, in the background, what this node leads."""
        self._image = image
        topic = image.topics.get(self.topic)
        if topic is not None:
            self._lead(topic)

    def on_image(self, delta: ImageDelta, image: ClusterImage) -> None:
        """The cluster has changed: shards come and go, and those that stay are told."""
        if self._image is None or self._stopping:
            return
        self._image = image
        for before, after in delta.topics.values():
            if before is not None and before.name == self.topic and after is None:
                for partition in list(self._slots):
                    self._drop(partition)
        for _, after in delta.topics.values():
            if after is not None and after.name == self.topic:
                self._lead(after)
        for slot in list(self._slots.values()):
            if slot.shard is not None:
                slot.shard.tell(partial(slot.shard.machine.on_image, image, delta))  # type: ignore[attr-defined]

    def reconfigure(self, settings: Any) -> None:
        """Other settings for the shards that are loaded, and for those that are being loaded once they are."""
        self._settings = settings
        for slot in list(self._slots.values()):
            if slot.shard is not None:
                slot.shard.tell(partial(slot.shard.machine.reconfigure, settings))  # type: ignore[attr-defined]

    def _lead(self, topic: TopicImage) -> None:
        for partition, registration in enumerate(topic.partitions):
            slot = self._slots.get(partition)
            if registration.leader != self._ports.node_id:
                self._drop(partition)
            elif slot is None or slot.epoch != registration.leader_epoch:
                self._drop(partition)
                self._slots[partition] = _Slot(registration.leader_epoch)
                self._want(partition)

    def _drop(self, partition: int) -> None:
        slot = self._slots.pop(partition, None)
        self.active.pop(partition, None)
        if slot is None:
            return
        if slot.retry is not None:
            slot.retry.cancel()
        if slot.shard is not None:
            slot.shard.close(KafkaError(ErrorCode.NOT_COORDINATOR, "the coordinator has moved"))

    async def stop(self, timeout_ms: int) -> None:
        """Take no more, let what is on its way reach the log, and tell everybody else to look elsewhere."""
        self._stopping = True
        self.active.clear()
        deadline = asyncio.get_running_loop().time() + timeout_ms / 1000
        shards = [slot.shard for slot in self._slots.values() if slot.shard is not None]
        while any(not shard.idle for shard in shards) and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(POLL_S)
        for partition in list(self._slots):
            self._drop(partition)

    # --- loading ---

    def _want(self, partition: int) -> None:
        slot = self._slots[partition]
        slot.state = State.LOADING
        tp = TopicPartition(self.topic, partition)
        snapshot = self._ports.plane.snapshot(tp)
        if snapshot is not None and not snapshot.failed and snapshot.log_start == snapshot.log_end:
            self._activate(partition, slot, self._make(partition, self._current()), snapshot.log_end)
            return
        self._wanted.append(partition)
        if self._loaders < LOADERS:
            self._loaders += 1
            self._ports.scope.start(self._load_wanted(), name=f"load {self.topic}")

    def _current(self) -> ClusterImage:
        assert self._image is not None
        return self._image

    async def _load_wanted(self) -> None:
        try:
            with BulkLoad() as bulk:
                while self._wanted and not self._stopping:
                    partition = self._wanted.popleft()
                    slot = self._slots.get(partition)
                    if slot is not None and slot.shard is None:
                        await self._load(partition, slot, bulk)
        finally:
            self._loaders -= 1

    async def _load(self, partition: int, slot: _Slot, bulk: BulkLoad) -> None:
        image = self._current()
        machine = self._make(partition, image)
        try:
            end = await self._rebuild(TopicPartition(self.topic, partition), machine, bulk)
        except (CorruptRecordError, ProtocolError, StorageError, OSError, KafkaError) as error:
            if self._slots.get(partition) is slot:
                self._failed_to_load(partition, slot, error)
            return
        if self._slots.get(partition) is slot and not self._stopping:
            self._activate(partition, slot, machine, end)

    async def _rebuild(self, tp: TopicPartition, machine: M, bulk: BulkLoad) -> int:
        """Replay the log of a partition into a new machine; where the log ends."""
        ports = self._ports
        began = ports.clock()
        for attempt in range(1, ATTEMPTS + 1):
            snapshot, folder = ports.plane.snapshot(tp), ports.folder_of(tp)
            if snapshot is None or folder is None:
                raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, "the partition could not be opened")
            segments = await ports.plane.segments(tp)
            pieces = [Piece(one.base_offset, one.size_bytes) for one in segments]
            try:
                last = await ports.work.run(read, folder, pieces, snapshot.log_start)
                break
            except (CorruptRecordError, FileNotFoundError):
                if attempt == ATTEMPTS:
                    raise
        last.next_offset = max(last.next_offset, segments[-1].next_offset if segments else 0)
        count = await ports.work.run(_apply, last, machine, self._types)
        bulk.made(count)
        log.info("%s-%d: %d records loaded in %d ms", *tp, count, ports.clock() - began)
        return last.next_offset

    def _activate(self, partition: int, slot: _Slot, machine: M, end: int) -> None:
        tp = TopicPartition(self.topic, partition)
        ports = self._ports
        if self._settings is not None:
            machine.reconfigure(self._settings, ports.clock())

        def failed(shard: ActiveShard, error: BaseException) -> None:
            if slot.shard is shard:
                slot.shard = None
                self.active.pop(partition, None)
                slot.state = State.LOADING
                self._retry(partition, slot, FENCED_RETRY_MS if fenced(error) else RETRY_MS)

        machine.image = self._current()
        # A log that has failed stays so until the next start. Loading once more for each request would not help.
        read_only = not ports.plane.takes_records(tp)
        shard = ActiveShard(tp, machine, end, ports.plane, ports.clock, self.load, failed, read_only=read_only)
        slot.shard, slot.state, slot.failures = shard, State.ACTIVE, 0
        if not self._stopping and not read_only:
            self.active[partition] = shard
        shard.start()

    def _failed_to_load(self, partition: int, slot: _Slot, error: Exception) -> None:
        slot.state = State.FAILED
        slot.failures += 1
        log.error(
            "%s-%d cannot be loaded, its groups or transactions are unavailable: %s", self.topic, partition, error
        )
        self._retry(partition, slot, min(RETRY_MS << slot.failures, MAX_RETRY_MS))

    def _retry(self, partition: int, slot: _Slot, delay_ms: int) -> None:
        if self._stopping:
            return

        def again() -> None:
            slot.retry = None
            if self._slots.get(partition) is slot and not self._stopping:
                self._want(partition)

        slot.retry = asyncio.get_running_loop().call_later(delay_ms / 1000, again)


def _apply(last: Last, machine: Any, types: Mapping[int, str]) -> int:
    return apply(last, machine, types)
