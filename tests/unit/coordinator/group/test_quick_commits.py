"""The quick way of a commit beside the way of messages: two shards hear the same, and nobody can tell them apart."""

from __future__ import annotations

import asyncio
import itertools
import random
import struct
from types import SimpleNamespace
from typing import Any

import pytest

from pyralog._speedups.desk import Desk
from pyralog._speedups.lane import CommitLane
from pyralog.cluster.image import ClusterImage, TopicImage
from pyralog.coordinator.active import ActiveShard
from pyralog.coordinator.group.offsets import MAKE_COMMITTED
from pyralog.coordinator.group.settings import GroupSettings
from pyralog.coordinator.group.shard import GroupShard
from pyralog.coordinator.outcome import ClientRequest
from pyralog.coordinator.partitioner import partition_for
from pyralog.coordinator.waiting import Load
from pyralog.errors import ErrorCode, KafkaError
from pyralog.model import PartitionRegistration
from pyralog.runtime import Pending
from pyralog.wire import messages as m
from pyralog.wire.headers import frame_request, frame_response, parse_request_header
from pyralog.wire.protocol import decode_request, encode_request, encode_response
from tests.unit.coordinator.fakes import TP, HeldPlane

PARTITION = PartitionRegistration((0,), (0,), 0, 0, 0)
TOPIC = TopicImage("t", bytes([1]) * 16, (PARTITION,) * 4)
METADATA = bytes.fromhex("00010000000100017400000000ffffffff")
IMAGE = ClusterImage(topics={"t": TOPIC}, topic_names={TOPIC.topic_id: "t"})
COMMIT, JOIN, SYNC, BEAT = 8, 11, 14, 68
CONNECTION = 5
SETTINGS = GroupSettings(offset_metadata_max_bytes=50)


class Side:
    """A shard over a log of its own."""

    def __init__(self) -> None:
        self.now_ms = 1_000_000
        self.plane = HeldPlane(held=False)
        ids = itertools.count()
        self.machine = GroupShard(0, GroupSettings(), IMAGE, lambda: f"id{next(ids)}")
        self.load = Load()
        self.shard = ActiveShard(TP, self.machine, 0, self.plane, lambda: self.now_ms, self.load, self._failed)
        self.stats = SimpleNamespace(requests={"OffsetCommit": 0}, waiting=0)
        self.waiting: dict[int, Pending[Any]] = {}
        self.tokens = itertools.count(1)
        runtime = SimpleNamespace(active={0: self.shard}, clock=lambda: self.now_ms)
        self.lane = CommitLane(
            quorum=SimpleNamespace(image=IMAGE),
            groups=SimpleNamespace(settings=SETTINGS, runtime=runtime, partitions=1),
            told={(CONNECTION, "g"), (CONNECTION, "h")},
            rights=None,
            make=MAKE_COMMITTED,
            partition_for=partition_for,
            desk=Desk("OffsetCommit", self.stats, lambda ns, times: None, self.refused),
        )
        self.timers: list[Any] = []
        given = self.shard._timers.set
        self.shard._timers.set = lambda timer, now_ms: (self.timers.append(timer), given(timer, now_ms))[1]  # type: ignore[method-assign]

    def _failed(self, shard: ActiveShard, error: BaseException) -> None:
        raise AssertionError("the shard failed") from error

    def submit(self, frame: bytes) -> Pending[Any]:
        """By messages; the result of a commit is a framed answer, or an error."""
        header = parse_request_header(frame)
        message: Any = decode_request(header.api_key, header.api_version, frame, header.body_offset)
        if header.api_key == COMMIT:
            for topic in message.topics:
                topic.name, topic.topic_id = TOPIC.name, TOPIC.topic_id
        request = ClientRequest(message, header.api_version, "client", "/host")
        pending = self.shard.submit(request, len(frame))
        if header.api_key != COMMIT:
            return pending
        return pending.map(
            lambda answer: frame_response(header, encode_response(header.api_key, header.api_version, answer))
        )

    def take(self, frame: bytes) -> Pending[Any] | None:
        """The quick way; None when it does not take the commit."""
        token = next(self.tokens)
        if not self.lane.offer(token, frame, CONNECTION):
            return None
        pending = self.waiting[token] = Pending[Any]()
        return pending

    def refused(self, token: int, frame: bytes, connection: int, began_ns: int, error: Any) -> None:
        self.waiting.pop(token).resolve(error)

    def settle(self) -> None:
        """Hand on what the plane has answered."""
        for token in [token for token in self.waiting if token in self.plane.replies]:
            self.waiting.pop(token).resolve(self.plane.replies.pop(token))

    async def result(self, pending: Pending[Any]) -> Any:
        async with asyncio.timeout(10):
            while not pending.done:
                self.settle()
                await asyncio.sleep(0)
            try:
                return await pending
            except KafkaError as error:
                return error.code

    def state(self) -> Any:
        offsets = self.machine.offsets
        return self.plane.batches, offsets.groups, offsets.count, self.timers, self.shard.next_offset, self.load.waiting


class Pair:
    """Both ways at once."""

    def __init__(self) -> None:
        self.quick, self.slow = Side(), Side()
        self.taken = 0
        self.errors: set[ErrorCode] = set()

    async def both(self, key: int, version: int, message: Any) -> Any:
        """The decoded answer of both."""
        frame = frame_request(key, version, 9, "client", encode_request(key, version, message))[4:]
        pending = self.quick.take(frame)
        if pending is None:
            pending = self.quick.submit(frame)
        else:
            self.taken += 1
        other = self.slow.submit(frame)
        assert pending.done == other.done
        answers = [await self.quick.result(pending), await self.slow.result(other)]
        assert answers[0] == answers[1]
        assert self.quick.state() == self.slow.state()
        if isinstance(answers[0], ErrorCode):
            self.errors.add(answers[0])
        for side in (self.quick, self.slow):
            side.now_ms += 10
        return answers[0]


def commit_of(rng: random.Random, group: str, who: list[tuple[str, str | None, int]]) -> tuple[int, Any]:
    version = rng.randrange(2, 11)
    member, instance, generation = rng.choice(who)
    partitions = [
        m.OffsetCommitRequestPartition(
            partition_index=rng.randrange(4),
            committed_offset=rng.randrange(1000),
            committed_metadata=rng.choice(("", None, "x", "y" * 50)),
        )
        for _ in range(rng.choice((1, 3)))
    ]
    topic = {"topic_id": TOPIC.topic_id} if version >= 10 else {"name": "t"}
    return version, m.OffsetCommitRequest(
        group_id=group,
        member_id=member,
        group_instance_id=instance if version >= 7 else None,
        generation_id_or_member_epoch=generation,
        retention_time_ms=rng.choice((-1, -1, 5000)) if version <= 4 else -1,
        topics=[m.OffsetCommitRequestTopic(partitions=partitions, **topic)],
    )


STRANGERS: list[tuple[str, str | None, int]] = [("", None, -1), ("", None, 0), ("nobody", None, 1), ("", "nobody", -1)]


@pytest.mark.parametrize("seed", range(5))
async def test_a_group_that_is_offsets_only(seed: int) -> None:
    rng, pair = random.Random(seed), Pair()
    for _ in range(150):
        await pair.both(COMMIT, *commit_of(rng, rng.choice(("g", "h")), STRANGERS))
    assert pair.taken > 10
    assert {ErrorCode.UNKNOWN_MEMBER_ID} <= pair.errors


def join(member: str, instance: str | None) -> Any:
    protocols = [m.JoinGroupRequestProtocol(name="range", metadata=METADATA)]
    return m.JoinGroupRequest(
        group_id="g",
        member_id=member,
        group_instance_id=instance,
        session_timeout_ms=10_000,
        rebalance_timeout_ms=10_000,
        protocol_type="consumer",
        protocols=protocols,
    )


@pytest.mark.parametrize("instance", [None, "i"])
async def test_a_classic_group(instance: str | None) -> None:
    rng, pair = random.Random(1), Pair()
    for side in (pair.quick, pair.slow):
        settings = side.machine.settings._replace(initial_rebalance_delay_ms=0)
        side.machine.settings = settings
    for side in (pair.quick, pair.slow):
        frame = frame_request(JOIN, 5, 9, "client", encode_request(JOIN, 5, join("", instance)))[4:]
        first = side.submit(frame)
        await side.result(first)
        if instance is None:
            frame = frame_request(JOIN, 5, 9, "client", encode_request(JOIN, 5, join("client-id0", None)))[4:]
            await side.result(side.submit(frame))
    [member] = pair.quick.machine.groups["g"].members
    assert [member] == list(pair.slow.machine.groups["g"].members)
    who = [(member, instance, 1), (member, None, 1), (member, instance, 2), (member, "other", 1), *STRANGERS]
    for _ in range(30):  # nobody knows who consumes what yet
        await pair.both(COMMIT, *commit_of(rng, "g", who))
    assert ErrorCode.REBALANCE_IN_PROGRESS in pair.errors
    part = m.SyncGroupRequestAssignment(member_id=member, assignment=b"a")
    sync = m.SyncGroupRequest(group_id="g", member_id=member, generation_id=1, assignments=[part])
    await pair.both(SYNC, 0, sync)
    taken = pair.taken
    for _ in range(150):
        await pair.both(COMMIT, *commit_of(rng, "g", who))
    assert pair.taken > taken + 10
    assert {ErrorCode.ILLEGAL_GENERATION, ErrorCode.UNKNOWN_MEMBER_ID} <= pair.errors


async def test_a_group_of_the_newer_protocol() -> None:
    rng, pair = random.Random(2), Pair()
    beat = m.ConsumerGroupHeartbeatRequest(
        group_id="g",
        member_id="member",
        member_epoch=0,
        rebalance_timeout_ms=10_000,
        subscribed_topic_names=["t"],
        topic_partitions=[],
    )
    await pair.both(BEAT, 1, beat)
    [member] = pair.quick.machine.groups["g"].members.values()
    epochs = [member.epoch, member.epoch, member.epoch + 1, member.epoch - 1, 0]
    who = [("member", None, epoch) for epoch in epochs] + STRANGERS
    for _ in range(200):
        await pair.both(COMMIT, *commit_of(rng, "g", who))
    assert pair.taken > 5
    assert {ErrorCode.STALE_MEMBER_EPOCH, ErrorCode.UNKNOWN_MEMBER_ID, ErrorCode.UNSUPPORTED_VERSION} <= pair.errors


# --- what the shard does with one ---


def simple_commit(partition: int = 0) -> bytes:
    one = m.OffsetCommitRequestPartition(partition_index=partition, committed_offset=5, committed_metadata="")
    topics = [m.OffsetCommitRequestTopic(name="t", partitions=[one])]
    message = m.OffsetCommitRequest(group_id="g", member_id="", topics=topics)
    return frame_request(COMMIT, 7, 9, "client", encode_request(COMMIT, 7, message))[4:]


async def test_the_answer_waits_for_the_log() -> None:
    side = Side()
    side.plane.held = True
    first, second = side.take(simple_commit(0)), side.take(simple_commit(1))
    assert first is not None
    assert second is not None
    await asyncio.sleep(0)
    assert len(side.plane.batches) == 1  # both in one
    assert not first.done
    assert side.machine.offsets.count == 2
    side.plane.release()
    assert await side.result(first) == await side.result(simple_answer(second))


def simple_answer(pending: Pending[Any]) -> Pending[Any]:
    return pending.map(lambda frame: frame[:-6] + bytes(6))  # they differ in their partition


async def test_a_log_that_fails_answers_with_the_error() -> None:
    side = Side()
    failures: list[BaseException] = []
    side.shard._failed = lambda _, error: failures.append(error)
    side.plane.held = True
    pending = side.take(simple_commit())
    assert pending is not None
    await asyncio.sleep(0)
    side.plane.fail(ErrorCode.KAFKA_STORAGE_ERROR)
    assert await side.result(pending) is ErrorCode.NOT_COORDINATOR
    assert len(failures) == 1
    assert side.take(simple_commit()) is None  # it is closed


async def test_without_room_nothing_is_taken() -> None:
    side = Side()
    side.load.max_waiting_bytes = 9
    assert side.take(simple_commit()) is None
    assert side.shard.next_offset == 0


async def test_nothing_is_taken_while_too_many_records_wait_for_the_log() -> None:
    side = Side()
    side.plane.held = True
    partition = m.OffsetCommitRequestPartition(partition_index=3, committed_offset=1)
    topics = [m.OffsetCommitRequestTopic(name="t", partitions=[partition] * 4000)]
    request = m.OffsetCommitRequest(group_id="g", generation_id_or_member_epoch=-1, member_id="", topics=topics)
    frame = frame_request(COMMIT, 5, 9, "client", encode_request(COMMIT, 5, request))[4:]
    taken = list(itertools.takewhile(lambda one: one is not None, (side.take(frame) for _ in range(1000))))
    assert 64 << 20 < side.plane.outbox.unwritten < 65 << 20
    assert len(taken) < 500
    with pytest.raises(KafkaError, match="too many records wait"):
        side.submit(frame)
    for _ in range(1000):
        await asyncio.sleep(0)
        side.plane.release()
    assert side.plane.outbox.unwritten == 0
    side.settle()
    assert not side.waiting
    assert side.take(frame) is not None


async def test_records_that_cannot_be_applied_close_the_shard() -> None:
    side = Side()
    failures: list[BaseException] = []
    side.shard._failed = lambda _, error: failures.append(error)
    first = side.take(simple_commit(0))
    assert first is not None
    side.machine.offsets.groups = None  # type: ignore[assignment]
    assert side.take(simple_commit(1)) is None  # the messages find no shard either
    assert await side.result(first) is ErrorCode.COORDINATOR_NOT_AVAILABLE
    assert len(failures) == 1
    assert side.stats.waiting == 0


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ("ü" * 50, ErrorCode.NONE),
        ("😀" * 25, ErrorCode.NONE),
        ("😀" * 25 + "x", ErrorCode.OFFSET_METADATA_TOO_LARGE),
        ("x" * 51, ErrorCode.OFFSET_METADATA_TOO_LARGE),
    ],
)
async def test_metadata_is_measured_in_utf_16_as_kafka_does(metadata: str, code: ErrorCode) -> None:
    side = Side()
    side.machine.settings = SETTINGS
    one = m.OffsetCommitRequestPartition(partition_index=0, committed_offset=5, committed_metadata=metadata)
    topics = [m.OffsetCommitRequestTopic(name="t", partitions=[one])]
    message = m.OffsetCommitRequest(group_id="g", member_id="", topics=topics)
    frame = frame_request(COMMIT, 7, 9, "client", encode_request(COMMIT, 7, message))[4:]
    assert side.take(frame) is None  # its bytes may be too many
    answer = await side.result(side.submit(frame))
    assert struct.unpack_from(">h", answer, len(answer) - 2)[0] == code
