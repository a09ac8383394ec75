"""An engine over a temporary directory, driven by feed and take_output, with requests and answers as messages."""

from __future__ import annotations

import itertools
import struct
from dataclasses import dataclass, field
from pathlib import Path

from pyralog._speedups.fileops import Files
from pyralog._speedups.plane.delivery import EventKind
from pyralog._speedups.plane.handle import PartitionHandle
from pyralog._speedups.plane.virtual import VirtualEngine
from pyralog.records.batch import iterate_batches, iterate_records
from pyralog.storage.log_config import LogConfig
from pyralog.storage.recovery import open_partition
from pyralog.wire.headers import frame_request, parse_response_header
from pyralog.wire.messages import (
    FetchRequest,
    FetchRequestFetchPartition,
    FetchRequestFetchTopic,
    FetchRequestForgottenTopic,
    FetchResponse,
    FetchResponsePartitionData,
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from pyralog.wire.protocol import decode_response, encode_request
from tests.log_batches import make_batch

PRODUCE, FETCH, API_VERSIONS = 0, 1, 18
READ, WRITE, DENY_READ, DENY_WRITE = 1, 2, 4, 8
FOREVER = (1 << 63) - 1
SETTINGS: dict[str, object] = {
    "max_message_bytes": 1048588,
    "append_time": False,
    "timestamp_before_max_ms": FOREVER,
    "timestamp_after_max_ms": FOREVER,
    "compression": -1,
    "compacted": False,
    "min_insync_replicas": 1,
    "flush_messages": FOREVER,
    "flush_ms": 1 << 62,
    "segment_bytes": 1 << 30,
    "segment_ms": 7 * 86400 * 1000,
    "segment_jitter_ms": 0,
    "index_interval_bytes": 4096,
    "segment_index_bytes": 10 << 20,
    "preallocate": False,
    "use_mmap": True,
}


def topic_id(number: int) -> bytes:
    return bytes(12) + struct.pack(">i", number + 1)


def split_frames(data: bytes) -> list[bytes]:
    """The frames of an output, without their lengths; all of them must be whole."""
    frames = []
    at = 0
    while at < len(data):
        (size,) = struct.unpack_from(">i", data, at)
        assert size >= 4
        assert at + 4 + size <= len(data), f"an answer of {size} bytes is cut at {len(data) - at - 4}"
        frames.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return frames


def decode_answer(api: int, version: int, frame: bytes) -> tuple[int, object]:
    correlation, at = parse_response_header(api, version, frame)
    return correlation, decode_response(api, version, frame, at)


def records_of(data: bytes | None) -> list[tuple[int, bytes | None]]:
    """(offset, value) of the records in fetched bytes, whose every CRC must hold."""
    from pyralog.records.batch import crc_ok

    found = []
    size = 0
    for header, raw in iterate_batches(data or b""):
        assert crc_ok(raw)
        size += header.size
        found += [(record.offset, record.value) for record in iterate_records(raw)]
    assert size == len(data or b""), "an answer holds a part of a batch"
    return found


def fetch_request(
    topics: dict[str | bytes, dict[int, int]] | None = None,
    *,
    epoch: int = -1,
    partition_max_bytes: int = 1 << 20,
    forgotten: dict[str | bytes, list[int]] | None = None,
    session: tuple[int, int] = (0, -1),
    **fields: object,
) -> FetchRequest:
    """Topic (name or id) -> partition -> offset."""
    values: dict[str, object] = {"max_wait_ms": 0, "min_bytes": 1, "max_bytes": 1 << 24, "replica_id": -1}
    values.update(fields)
    return FetchRequest(
        session_id=session[0],
        session_epoch=session[1],
        topics=[
            FetchRequestFetchTopic(
                **_named(topic),
                partitions=[
                    FetchRequestFetchPartition(
                        partition=p,
                        current_leader_epoch=epoch,
                        fetch_offset=at,
                        partition_max_bytes=partition_max_bytes,
                    )
                    for p, at in offsets.items()
                ],
            )
            for topic, offsets in (topics or {}).items()
        ],
        forgotten_topics_data=[
            FetchRequestForgottenTopic(**_named(topic), partitions=numbers)
            for topic, numbers in (forgotten or {}).items()
        ],
        **values,
    )


def _named(topic: str | bytes) -> dict[str, object]:
    return {"topic": topic} if isinstance(topic, str) else {"topic_id": topic}


def produce_request(
    data: dict[str, dict[int, bytes | None]],
    acks: int = -1,
    by_id: dict[str, bytes] | None = None,
    transactional_id: str | None = None,
):
    return ProduceRequest(
        transactional_id=transactional_id,
        acks=acks,
        timeout_ms=30000,
        topic_data=[
            TopicProduceData(
                name=name,
                topic_id=(by_id or {}).get(name, bytes(16)),
                partition_data=[PartitionProduceData(index=p, records=batch) for p, batch in batches.items()],
            )
            for name, batches in data.items()
        ],
    )


@dataclass
class Forwarded:
    token: int
    frame: bytes
    connection: int
    reason: int


@dataclass
class Client:
    """One virtual connection; `received` collects whole answers in order."""

    rig: Rig
    id: int
    sent: list[tuple[int, int, int]] = field(default_factory=list)  # (api, version, correlation) that will be answered
    pending: bytes = b""

    def raw(self, data: bytes) -> None:
        self.rig.engine.feed(self.id, data)

    def send(self, api: int, version: int, message: object, *, answered: bool = True) -> None:
        self.raw(self.frame(api, version, message, answered=answered))

    def frame(self, api: int, version: int, message: object, *, answered: bool = True) -> bytes:
        correlation = next(self.rig.correlations)
        if answered:
            self.sent.append((api, version, correlation))
        return frame_request(api, version, correlation, "test", encode_request(api, version, message))

    def take(self) -> list[object]:
        """Decoded answers that have left since the last call; they must come in the order of the requests."""
        self.pending += self.rig.engine.take_output(self.id)
        answers = []
        while len(self.pending) >= 4:
            size = int.from_bytes(self.pending[:4], "big")
            if len(self.pending) < 4 + size:
                break
            api, version, correlation = self.sent.pop(0)
            got, message = decode_answer(api, version, self.pending[4 : 4 + size])
            assert got == correlation, "answers left out of order"
            answers.append(message)
            self.pending = self.pending[4 + size :]
        return answers

    def ask(self, api: int, version: int, message: object) -> object:
        self.send(api, version, message)
        (answer,) = self.take()
        return answer

    def produce(
        self,
        batch: bytes | None,
        topic: str = "t",
        partition: int = 0,
        *,
        acks: int = -1,
        version: int = 9,
        transactional_id: str | None = None,
    ) -> PartitionProduceResponse | None:
        """One batch; its answer, or None when none has come (yet)."""
        message = produce_request({topic: {partition: batch}}, acks, self.rig.ids, transactional_id)
        self.send(PRODUCE, version, message, answered=acks != 0)
        answers = self.take() if self.alive else []
        if not answers:
            return None
        (answer,) = answers
        assert isinstance(answer, ProduceResponse)
        return answer.responses[0].partition_responses[0]

    def error_of(self, batch: bytes | None, **how: object) -> int:
        answer = self.produce(batch, **how)
        assert answer is not None
        assert (answer.base_offset >= 0) == (answer.error_code == 0)
        return answer.error_code

    def fetch(
        self, offset: int = 0, topic: str = "t", partition: int = 0, *, version: int = 11, **how: object
    ) -> FetchResponsePartitionData:
        key = topic if version < 13 else self.rig.ids[topic]
        answer = self.ask(FETCH, version, fetch_request({key: {partition: offset}}, **how))
        assert isinstance(answer, FetchResponse)
        assert answer.error_code == 0
        return answer.responses[0].partitions[0]

    @property
    def alive(self) -> bool:
        try:
            self.pending += self.rig.engine.take_output(self.id)
        except ConnectionError:
            return False
        return True

    def close(self) -> None:
        self.rig.engine.close_virtual(self.id)


class Rig:
    """An engine and its partitions. `limits` go to the engine."""

    def __init__(self, directory: Path, files: Files | None = None, **limits: object) -> None:
        self.directory = directory
        directory.mkdir(exist_ok=True)
        self.files = files or Files()
        limits.setdefault("produce_max_version", 13)
        self.engine = VirtualEngine(self.files, **limits)
        self.cookies = itertools.count(1)
        self.correlations = itertools.count(1)
        self.ids: dict[str, bytes] = {}
        self.partitions: dict[tuple[str, int], PartitionHandle] = {}
        self.settings: dict[tuple[str, int], dict[str, object]] = {}
        self.seen: list[tuple[object, ...]] = []
        self.now_ms = 1_700_000_000_000

    # --- partitions ---

    def topic(
        self,
        name: str = "t",
        partitions: int = 1,
        *,
        permit: int | None = READ | WRITE,
        epoch: int = 0,
        **settings: object,
    ) -> None:
        for p in range(partitions):
            self.partition(name, p, epoch=epoch, **settings)
        if permit is not None:
            self.permit(name, permit)
        self.turn()

    def partition(
        self, name: str, p: int, *, epoch: int = 0, opened: object = None, **settings: object
    ) -> PartitionHandle:
        values = {**SETTINGS, **settings}
        self.ids.setdefault(name, topic_id(len(self.ids)))
        config = LogConfig(**{key: values[key] for key in LogConfig.__dataclass_fields__})
        if opened is None:
            opened = open_partition(
                self.directory / f"{name}-{p}", config=config, files=self.files, now_ms=self.now_ms, clean=True
            )
        handle = self.engine.add_partition(
            (name, p), name.encode(), self.ids[name], p, opened, epoch, values, next(self.cookies)
        )
        self.partitions[name, p] = handle
        self.settings[name, p] = values
        return handle

    def permit(self, name: str = "t", bits: int = READ | WRITE, principal: int = 0) -> None:
        self.engine.permit(principal, name.encode(), bits)

    def handle(self, name: str = "t", p: int = 0) -> PartitionHandle:
        return self.partitions[name, p]

    def end(self, name: str = "t", p: int = 0) -> int:
        return self.handle(name, p).snapshot()[4]

    # --- commands and events ---

    def turn(self) -> None:
        self.engine.turn()

    def events(self, kind: int | None = None) -> list[tuple[object, ...]]:
        """New events (of one kind; the others are kept for later calls)."""
        self.seen += self.engine.events()
        found = [event for event in self.seen if kind is None or event[0] == kind]
        self.seen = [event for event in self.seen if kind is not None and event[0] != kind]
        return found

    def forwarded(self) -> list[Forwarded]:
        return [Forwarded(token, data, a, b) for _, _, token, data, a, b, _ in self.events(EventKind.REQUEST)]

    def done(self, command: str, *arguments: object) -> tuple[int, bytes]:
        """Runs a command of the engine to its DONE; (result, data)."""
        found = self.begin(command, *arguments)()
        assert found is not None, f"{command} is not done"
        return found

    def begin(self, command: str, *arguments: object):
        """Starts a command; the returned function gives (result, data), or None while it is not done."""
        cookie = next(self.cookies)
        getattr(self.engine, command)(*arguments, cookie)
        self.turn()

        def poll() -> tuple[int, bytes] | None:
            found = None
            for event in self.events():
                if event[0] == EventKind.DONE and event[6] == cookie:
                    found = event[4], event[3]
                else:
                    self.seen.append(event)
            return found

        return poll

    def configure(self, name: str = "t", p: int = 0, **settings: object) -> None:
        self.settings[name, p] = {**self.settings[name, p], **settings}
        assert self.done("configure", self.handle(name, p), self.settings[name, p])[0] == 0

    def remove(self, name: str = "t", p: int = 0):
        """Takes the partition out; its log."""
        handle = self.partitions.pop((name, p))
        assert self.done("remove_partition", handle)[0] == 0
        self.engine.forget_partition(handle)
        return handle.log

    def counter(self, name: str) -> int:
        return self.engine.counters()[name]

    # --- clients ---

    def connect(self, principal: int = 0) -> Client:
        return Client(self, self.engine.open_virtual(principal))

    def close(self) -> None:
        self.engine.close()


def batch(n: int = 1, **how: object) -> bytes:
    return make_batch(0, n, **how)


def patched(data: bytes, at: int, form: str, value: int, *, seal: bool = True) -> bytes:
    """The batch with one header field changed, and its CRC made right again."""
    from crc32c import crc32c

    out = bytearray(data)
    struct.pack_into(form, out, at, value)
    if seal:
        struct.pack_into(">I", out, 17, crc32c(bytes(out[21:])))
    return bytes(out)
