"""Stand-ins for what handlers are built on: a plane that keeps batches in lists, a quorum that commits at once."""

from __future__ import annotations

import asyncio
import itertools
import os
import struct
from array import array
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from pyralog._speedups.journal import Entry, Outbox
from pyralog.api.authorizer import AllowAll, Operation, ResourceType
from pyralog.api.context import ApiSettings, Services
from pyralog.api.dispatch import Dispatcher
from pyralog.api.producer_ids import ProducerIds
from pyralog.api.registry import CLIENT_APIS
from pyralog.cluster.controller import Controller, ControllerSettings
from pyralog.cluster.image import EMPTY, ClusterImage, ImageDelta, replay_batch
from pyralog.cluster.records import ClusterRecord
from pyralog.cluster.requests import RegisterBroker, Request
from pyralog.config.rules import Rules
from pyralog.config.schema import Config
from pyralog.config.view import ConfigurationView
from pyralog.coordinator import wiring
from pyralog.coordinator.runtime import Ports
from pyralog.errors import ErrorCode, KafkaError
from pyralog.model import OffsetAndEpoch, TopicPartition
from pyralog.net.plane_types import ConnectionInfo, Forwarded, PartitionSnapshot, ProducerInfo, SegmentInfo
from pyralog.runtime import TaskScope, WorkPool, now_ms
from pyralog.storage.epochs import LeaderEpochs
from pyralog.storage.reader import TimestampOffset
from pyralog.wire.protocol import API, decode_response, encode_request

NODE = 1
CLUSTER_ID = "kVhWbFHfSKeCSqBSzXS0kA"
CONNECTION = ConnectionInfo(7, "127.0.0.1", 40000, "127.0.0.1", 9092, "User:ANONYMOUS")


class FakeQuorum:
    """One voter that commits before submit returns; `hold` makes it wait."""

    def __init__(self, rules: Any, settings: ControllerSettings | None = None) -> None:
        self._controller = Controller(settings or ControllerSettings(), rules, os.urandom)
        self.image: ClusterImage = EMPTY
        self.listeners: list[Callable[[ClusterImage], None]] = []
        self.subscribers: list[Callable[[ImageDelta, ClusterImage], None]] = []
        self.hold: Any = None
        self.requests: list[Request] = []
        self._commit([ClusterRecord(CLUSTER_ID)])
        self.register(NODE, "127.0.0.1", 9092)

    def register(self, node: int, host: str, port: int, rack: str | None = None) -> None:
        self._apply(RegisterBroker(node, os.urandom(16), os.urandom(16), host, port, rack))

    def fence(self, node: int) -> None:
        brokers = dict(self.image.brokers)
        brokers[node] = brokers[node]._replace(fenced=True)
        self.image = self.image._replace(brokers=brokers)

    async def submit(self, request: Request) -> Any:
        if self.hold is not None:
            await self.hold.wait()
        self.requests.append(request)
        return self._apply(request)

    def _apply(self, request: Request) -> Any:
        outcome = self._controller.handle(self.image, request)
        self._commit(outcome.records)
        return outcome.reply

    def _commit(self, records: Iterable[Any]) -> None:
        records = list(records)
        self.image, delta = replay_batch(
            self.image, records, offset=self.image.offset + len(records), epoch=1, controller_id=NODE
        )
        for listener in self.listeners:
            listener(self.image)
        for subscriber in self.subscribers:
            subscriber(delta, self.image)


@dataclass
class FakeLog:
    """A partition: where it begins and ends, and whatever a test wants it to say."""

    leader_epoch: int = 0
    log_start: int = 0
    end: int = 0
    high_watermark: int | None = None
    last_stable: int | None = None
    failed: bool = False
    size_bytes: int = 0
    segments: list[SegmentInfo] = field(default_factory=list)
    producers: list[ProducerInfo] = field(default_factory=list)
    appended: list[bytes] = field(default_factory=list)


class FakePlane:
    """Hosts every partition of the image that this node leads, and notes what it is told."""

    def __init__(self) -> None:
        self.logs: dict[TopicPartition, FakeLog] = {}
        self.replies: dict[int, bytes] = {}
        self.closed: list[int] = []
        self.permits: dict[tuple[str, str], tuple[bool, bool | None]] = {}
        self.resubmitted: dict[int, bytes | None] = {}
        self.answers: dict[tuple[int, int], bytes] = {}
        self.markers: list[tuple[Any, ...]] = []
        self.failed_markers: dict[TopicPartition, ErrorCode] = {}
        self.verified: list[tuple[TopicPartition, int, int]] = []
        self.connections: dict[int, ConnectionInfo] = {}
        self.lanes: list[Any] = []
        self.outbox = Outbox(self)

    def follow(self, image: ClusterImage) -> None:
        wanted = {
            TopicPartition(topic.name, index): partition.leader_epoch
            for topic in image.topics.values()
            for index, partition in enumerate(topic.partitions)
            if partition.leader == NODE
        }
        for tp, epoch in wanted.items():
            self.logs.setdefault(tp, FakeLog(leader_epoch=epoch))
        for tp in list(self.logs):
            if tp not in wanted:
                del self.logs[tp]

    def snapshot(self, tp: TopicPartition) -> PartitionSnapshot | None:
        log = self.logs.get(tp)
        if log is None:
            return None
        hw = log.end if log.high_watermark is None else log.high_watermark
        stable = hw if log.last_stable is None else log.last_stable
        return PartitionSnapshot(
            log.leader_epoch, log.log_start, hw, stable, log.end, log.end, log.size_bytes, log.failed
        )

    async def move_log_start(self, tp: TopicPartition, offset: int) -> int:
        self.logs[tp].log_start = max(self.logs[tp].log_start, offset)
        return self.logs[tp].log_start

    async def segments(self, tp: TopicPartition) -> list[SegmentInfo]:
        return self.logs[tp].segments

    async def locate_timestamp(self, tp: TopicPartition, timestamp: int) -> tuple[int, int, int] | None:
        for segment in self.logs[tp].segments:
            if segment.max_timestamp >= timestamp:
                return segment.base_offset, 0, segment.size_bytes
        return None

    def takes_records(self, tp: TopicPartition) -> bool:
        found = self.snapshot(tp)
        return found is not None and not found.failed

    async def producers(self, tp: TopicPartition) -> list[ProducerInfo]:
        return self.logs[tp].producers

    async def append(self, tp: TopicPartition, batch: bytes) -> int:
        log = self.logs.get(tp)
        if log is None:
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        log.appended.append(batch)
        log.end += 1
        return log.end - 1

    def append_round(self, entries: list[Entry]) -> None:
        results = array("q")
        for entry in entries:
            log = self.logs.get(entry.journal.tp)
            if log is None:
                results.append(-ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
                continue
            results.append(log.end)
            log.appended.append(entry.batch())
            log.end += entry.count
        self.soon(lambda: self._appended(entries, results))

    def _appended(self, entries: list[Entry], results: array[int]) -> None:
        for entry, result in zip(entries, results, strict=True):
            if result >= 0:
                self._follow(entry)
        self.outbox.appended(entries, results)

    def _follow(self, entry: Entry) -> None:
        """What the plane does when a batch is in the log."""
        for tp, producer_id, epoch, _, guard in entry.promises or ():
            self.verify_transaction(tp, producer_id, epoch, guard, principal="")
        for token, frame in entry.told():
            self.reply(token, frame)
        for partitions, producer_id, epoch, coordinator_epoch, commit, at, told in entry.endings or ():
            markers = [
                self.start_marker(tp, producer_id, epoch, coordinator_epoch, commit=commit, timestamp_ms=at)
                for tp in partitions
            ]
            self.soon(partial(told, all(marker.exception() is None for marker in markers)))

    def connection(self, connection: int) -> ConnectionInfo | None:
        return self.connections.get(connection)

    def take_with(self, lane: Any) -> None:
        self.lanes.append(lane)

    def soon(self, callback: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_soon(callback)

    def later(self, ms: int, callback: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(ms / 1000, callback)

    def partitions(self) -> Collection[TopicPartition]:
        return self.logs.keys()

    def principal_id(self, principal: str) -> int:
        return 0

    def start_marker(
        self, tp: TopicPartition, *marker: int, commit: bool, timestamp_ms: int
    ) -> asyncio.Future[tuple[int, bytes]]:
        done: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        if tp in self.failed_markers:
            done.set_exception(KafkaError(self.failed_markers[tp]))
        elif tp not in self.logs:
            done.set_exception(KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION))
        else:
            self.markers.append((tp, *marker, commit))
            log = self.logs[tp]
            done.set_result((log.end, b""))
            log.end += 1
        return done

    def verification(self) -> int:
        return len(self.markers)

    def verify_transaction(
        self, tp: TopicPartition, producer_id: int, epoch: int, guard: int, *, principal: str
    ) -> bool:
        if guard != len(self.markers):
            return False
        self.verified.append((tp, producer_id, epoch))
        return True

    def permit(self, principal: str, topic: str, *, read: bool, write: bool | None) -> None:
        self.permits[principal, topic] = (read, write)

    def resubmit(self, token: int, frame: bytes | None = None) -> None:
        self.resubmitted[token] = frame

    def reply(self, token: int, frame: bytes) -> None:
        assert token not in self.replies
        self.replies[token] = frame

    def close(self, token: int) -> None:
        self.closed.append(token)

    def install_answer(self, api_key: int, version: int, body: bytes) -> None:
        self.answers[api_key, version] = body


class FakeLogs:
    """What this node keeps on disk; records by offset, timestamp and epoch."""

    directory = "/data/pyralog"

    def __init__(self, plane: FakePlane) -> None:
        self._plane = plane
        self.records: dict[TopicPartition, list[tuple[int, int, int]]] = {}
        self.epoch_starts: dict[TopicPartition, list[tuple[int, int]]] = {}

    async def space(self) -> tuple[int, int]:
        return 1000, 400

    async def find_record(
        self, tp: TopicPartition, place: tuple[int, int, int], timestamp: int
    ) -> TimestampOffset | None:
        for offset, stamp, epoch in self.records.get(tp, ()):
            if stamp >= timestamp:
                return TimestampOffset(offset, stamp, epoch)
        return None

    def epoch_at(self, tp: TopicPartition, offset: int) -> int:
        return self._epochs(tp).epoch_of(offset)

    def epoch_end(self, tp: TopicPartition, epoch: int, log_end: int) -> OffsetAndEpoch:
        return self._epochs(tp).end_offset(epoch, log_end)

    def _epochs(self, tp: TopicPartition) -> LeaderEpochs:
        return LeaderEpochs(self.epoch_starts.get(tp, [(0, 0)]))

    async def delete_records(self, tp: TopicPartition, offset: int) -> int:
        return await self._plane.move_log_start(tp, offset)


class Denying:
    """An authorizer that denies what it is told to: (operation, resource type, name)."""

    def __init__(self, *denied: tuple[Operation, ResourceType, str]) -> None:
        self.denied = set(denied)

    def allows(self, principal: str, operation: Operation, resource: ResourceType, name: str) -> bool:
        return (operation, resource, name) not in self.denied


class Node:
    """A node's API layer over the stand-ins: `ask` sends a request through the dispatcher as the plane would."""

    def __init__(self, services: Services, plane: FakePlane, quorum: FakeQuorum, logs: FakeLogs) -> None:
        self.services, self.plane, self.quorum, self.logs = services, plane, quorum, logs
        self.dispatcher = Dispatcher(CLIENT_APIS, services)
        self._tokens = 0

    def send(self, frame: bytes, reason: int = 0, connection: ConnectionInfo = CONNECTION) -> int:
        """Dispatch raw bytes; the token under which the plane hears of the outcome."""
        self._tokens += 1
        self.plane.connections[connection.id] = connection
        if any(lane.offer(self._tokens, frame, connection.id) for lane in self.plane.lanes):
            return self._tokens
        self.dispatcher.dispatch(Forwarded(self._tokens, frame, connection, reason))
        return self._tokens

    def post(self, key: int, version: int, request: Any, **kwargs: Any) -> int:
        return self.send(request_frame(key, version, encode_request(key, version, request)), **kwargs)

    async def ask(self, key: int, version: int, request: Any, **kwargs: Any) -> Any:
        """The decoded answer."""
        token = self.post(key, version, request, **kwargs)
        await self.settle()
        return self.answer(key, version, token)

    def answer(self, key: int, version: int, token: int) -> Any:
        """The decoded answer to a token; its correlation id is checked."""
        frame = self.plane.replies[token]
        assert int.from_bytes(frame[:4], "big") == len(frame) - 4
        assert int.from_bytes(frame[4:8], "big") == CORRELATION_ID
        flexible = key != 18 and version >= API[key].flexible_from
        if flexible:
            assert frame[8] == 0
        return decode_response(key, version, frame, 9 if flexible else 8)

    async def settle(self) -> None:
        """Wait until no request waits any more."""
        async with asyncio.timeout(30):
            for turn in itertools.count():
                if self.dispatcher.stats.waiting == 0:
                    return
                await asyncio.sleep(0 if turn < 50 else 0.001)


CORRELATION_ID = 0x01020304


def request_frame(key: int, version: int, body: bytes, client_id: str | None = "test") -> bytes:
    """Header and body, without the length."""
    head = struct.pack(">hhi", key, version, CORRELATION_ID)
    if client_id is None:
        head += struct.pack(">h", -1)
    else:
        raw = client_id.encode()
        head += struct.pack(">h", len(raw)) + raw
    spec = API.get(key)
    if spec is not None and spec.flexible_from is not None and version >= spec.flexible_from:
        head += b"\0"
    return head + body


def make_node(
    scope: TaskScope, *, controller: ControllerSettings | None = None, config_tree: Any = None, **settings: Any
) -> Node:
    """A node without topics."""
    plane = FakePlane()
    config = Config.model_validate(config_tree or {})
    quorum = FakeQuorum(Rules(ConfigurationView(config)), controller)
    quorum.listeners.append(plane.follow)
    logs = FakeLogs(plane)
    authorizer = settings.pop("authorizer", None) or AllowAll()
    work = WorkPool("test", 1)
    ports = Ports(NODE, plane, work, scope, now_ms, lambda tp: None)  # type: ignore[arg-type]
    producer_ids = ProducerIds(NODE, quorum)  # type: ignore[arg-type]
    coordinators = wiring.build(config.groups, config.transactions, quorum, ports, producer_ids)  # type: ignore[arg-type]
    quorum.subscribers.append(coordinators.on_image)
    coordinators.begin(quorum.image)
    services = Services(
        ApiSettings(NODE, **settings),
        quorum,  # type: ignore[arg-type]
        plane,  # type: ignore[arg-type]
        logs,
        ConfigurationView(config),
        scope,
        work,
        lambda connection: ("localhost", connection.local_port),
        coordinators.groups,
        coordinators.transactions,
        producer_ids,
        authorizer,
    )
    return Node(services, plane, quorum, logs)
