"""The quorum and its single voter: order, group commit, failures, restarts."""

from __future__ import annotations

import asyncio
import errno
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pyralog.cluster.controller import Controller, ControllerSettings
from pyralog.cluster.image import ClusterImage, ImageDelta
from pyralog.cluster.quorum import Quorum
from pyralog.cluster.raft_storage import MetadataCorrupt, MetadataLog
from pyralog.cluster.records import ProducerIdsRecord, Record
from pyralog.cluster.requests import (
    CreateTopics,
    CreateTopicsReply,
    DeleteTopics,
    NewTopic,
    RegisterBroker,
    RegisterBrokerReply,
    TopicRef,
)
from pyralog.cluster.voter import SingleVoter
from pyralog.errors import ErrorCode, KafkaError
from pyralog.runtime import TaskScope, WorkPool, now_ms


class NoRules:
    """Anything goes."""

    def validate(self, image: object, resource_type: int, resource_name: str, values: Mapping[str, str]) -> None:
        pass

    def list_default(self, image: object, resource_type: int, name: str) -> str | None:
        return None


class FaultyLog(MetadataLog):
    """A log whose next append fails as told, and whose writes can be held up."""

    fail_write: int = 0
    fail_sync: bool = False

    def append(self, epoch: int, records: Sequence[Record], timestamp_ms: int) -> int:
        if self.fail_write:
            code, self.fail_write = self.fail_write, 0
            with self.directory.joinpath(f"{0:020d}.log").open("ab") as file:
                file.write(b"torn")
            raise OSError(code, "injected")
        if self.fail_sync:
            raise MetadataCorrupt("fdatasync of the metadata log failed: injected")
        return super().append(epoch, records, timestamp_ms)


class Node:
    """A quorum with its parts."""

    def __init__(self, quorum: Quorum, voter: SingleVoter, log: FaultyLog, scope: TaskScope) -> None:
        self.quorum, self.voter, self.log, self.scope = quorum, voter, log, scope

    async def create(self, *names: str) -> list[ErrorCode]:
        reply = await self.quorum.submit(CreateTopics(tuple(NewTopic(name, 1, 1) for name in names)))
        assert isinstance(reply, CreateTopicsReply)
        return [t.error for t in reply.topics]


@asynccontextmanager
async def node(data_dir: Path, *, snapshot_after: int = 10_000, crash: bool = False) -> AsyncIterator[Node]:
    scope, meta, work = TaskScope("test"), WorkPool("meta", 1), WorkPool("work", 1)
    log = FaultyLog(data_dir)
    voter = SingleVoter(log, 1, scope, meta, work, now_ms)
    controller = Controller(ControllerSettings(), NoRules(), random.Random().randbytes)
    quorum = Quorum(voter, controller, scope, 1, snapshot_after)
    try:
        await quorum.start("cluster-id")
        await quorum.submit(RegisterBroker(1, b"i" * 16, b"d" * 16, "localhost", 9092))
        yield Node(quorum, voter, log, scope)
        if not crash:
            await quorum.stop()
    finally:
        await scope.close()
        log.close()
        meta.close()
        work.close()


async def test_a_first_start_forms_a_cluster(tmp_path: Path) -> None:
    async with node(tmp_path) as n:
        assert n.quorum.image.cluster_id == "cluster-id"
        assert n.quorum.image.controller_id == 1
        assert n.quorum.image.epoch == 1
        assert n.quorum.image.brokers[1].broker_epoch == 1


async def test_topics_survive_a_restart_with_new_leader_epochs(tmp_path: Path) -> None:
    for crash in (False, True, False):
        async with node(tmp_path, crash=crash) as n:
            await n.create("a")
            image = n.quorum.image
    assert image.topics["a"].partitions[0].leader_epoch == 2
    async with node(tmp_path) as n:
        assert n.quorum.image.epoch == 4
        assert n.quorum.image.topics["a"].topic_id == image.topics["a"].topic_id
        assert n.quorum.image.cluster_id == "cluster-id"


async def test_replies_come_after_the_applier_and_the_subscribers(tmp_path: Path) -> None:
    order: list[str] = []
    async with node(tmp_path) as n:

        async def applier(delta: ImageDelta, image: ClusterImage) -> None:
            assert "a" not in n.quorum.image.topics
            assert "a" in image.topics
            order.append("apply")
            await asyncio.sleep(0)

        def subscriber(delta: ImageDelta, image: ClusterImage) -> None:
            assert n.quorum.image is image
            assert [t.name for t in delta.created] == ["a"]
            order.append("subscriber")

        n.quorum.set_applier(applier)
        n.quorum.subscribe(subscriber)
        assert await n.create("a") == [ErrorCode.NONE]
        order.append("reply")
    assert order == ["apply", "subscriber", "reply"]


async def test_requests_are_decided_on_the_newest_state_but_answered_when_it_is_durable(tmp_path: Path) -> None:
    async with node(tmp_path) as n:
        first, second = asyncio.ensure_future(n.create("a")), asyncio.ensure_future(n.create("a"))
        await asyncio.sleep(0)
        assert not first.done()
        # The second rests on the first, which is not durable yet.
        assert not second.done()
        assert await first == [ErrorCode.NONE]
        assert await second == [ErrorCode.TOPIC_ALREADY_EXISTS]


async def test_many_requests_share_a_write(tmp_path: Path) -> None:
    async with node(tmp_path) as n:
        before = n.voter.writes
        results = await asyncio.gather(*(n.create(f"t{i}") for i in range(200)))
        assert all(r == [ErrorCode.NONE] for r in results)
        assert n.voter.writes - before < 20
        assert len(n.quorum.image.topics) == 200
        assert n.quorum.in_flight == 0


async def test_changes_that_gather_are_applied_as_one(tmp_path: Path) -> None:
    deltas: list[ImageDelta] = []
    async with node(tmp_path) as n:
        gate = asyncio.Event()

        async def applier(delta: ImageDelta, image: ClusterImage) -> None:
            deltas.append(delta)
            await gate.wait()

        n.quorum.set_applier(applier)
        first = asyncio.ensure_future(n.create("a"))
        while not deltas:
            await asyncio.sleep(0.001)
        later = [asyncio.ensure_future(n.create(f"t{i}")) for i in range(5)]
        later.append(asyncio.ensure_future(n.quorum.submit(DeleteTopics((TopicRef("t0"),)))))  # type: ignore[arg-type]
        while n.quorum.image.offset < 0 or n.voter.writes < 4:
            await asyncio.sleep(0.001)
        gate.set()
        await asyncio.gather(first, *later)
        assert [t.name for t in deltas[0].created] == ["a"]
        seen = [t.name for delta in deltas[1:] for t in delta.created]
        assert sorted(seen) == ["t1", "t2", "t3", "t4"]


async def test_a_full_disk_refuses_the_change_and_nothing_else(tmp_path: Path) -> None:
    async with node(tmp_path) as n:
        await n.create("a")
        n.log.fail_write = errno.ENOSPC
        with pytest.raises(KafkaError) as caught:
            await n.create("b")
        assert caught.value.code == ErrorCode.KAFKA_STORAGE_ERROR
        assert set(n.quorum.image.topics) == {"a"}
        assert await n.create("b", "c") == [ErrorCode.NONE, ErrorCode.NONE]
        image = n.quorum.image
    async with node(tmp_path) as n:
        assert set(n.quorum.image.topics) == {"a", "b", "c"}
        assert n.quorum.image.topics["b"].topic_id == image.topics["b"].topic_id


async def test_what_was_built_on_a_failed_write_fails_with_it(tmp_path: Path) -> None:
    async with node(tmp_path) as n:
        n.log.fail_write = errno.EIO
        results = await asyncio.gather(n.create("a"), n.create("b"), n.create("a"), return_exceptions=True)
        assert all(isinstance(r, KafkaError) for r in results)
        assert await n.create("a") == [ErrorCode.NONE]


async def test_a_failed_fsync_ends_the_node(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with node(tmp_path, crash=True) as n:
        n.log.fail_sync = True
        with pytest.raises(KafkaError):
            await n.create("a")
        error = await asyncio.wait_for(n.scope.failed, 5)
        assert isinstance(error, MetadataCorrupt)
        with pytest.raises(KafkaError):
            await n.create("b")
    assert "ends the node" in caplog.text
    async with node(tmp_path) as n:
        assert not n.quorum.image.topics


async def test_a_failing_applier_ends_the_node_and_leaves_nobody_waiting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with node(tmp_path) as n:

        async def applier(delta: ImageDelta, image: ClusterImage) -> None:
            raise RuntimeError("broken")

        n.quorum.set_applier(applier)
        with pytest.raises(KafkaError):
            await n.create("a")
        assert isinstance(await n.scope.failed, RuntimeError)
    assert "broken" in caplog.text


async def test_no_requests_while_stopping(tmp_path: Path) -> None:
    async with node(tmp_path) as n:
        pending = asyncio.ensure_future(n.create("a"))
        await asyncio.sleep(0)
        stopping = asyncio.ensure_future(n.quorum.stop())
        await asyncio.sleep(0)
        with pytest.raises(KafkaError):
            await n.create("b")
        assert await pending == [ErrorCode.NONE]
        await stopping


async def test_a_cancelled_request_is_carried_out_all_the_same(tmp_path: Path) -> None:
    async with node(tmp_path) as n:
        request = asyncio.ensure_future(n.create("a"))
        await asyncio.sleep(0)
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)
        assert await n.create("a") == [ErrorCode.TOPIC_ALREADY_EXISTS]


async def test_snapshots_are_taken_and_used(tmp_path: Path) -> None:
    async with node(tmp_path, snapshot_after=20) as n:
        for i in range(30):
            await n.create(f"t{i}")
    directory = tmp_path / "__cluster_metadata-0"
    assert len(list(directory.glob("*.checkpoint"))) >= 1
    async with node(tmp_path, snapshot_after=20) as n:
        assert len(n.quorum.image.topics) == 30


async def test_registration_answers_the_epoch_of_its_record(tmp_path: Path) -> None:
    async with node(tmp_path) as n:
        reply = await n.quorum.submit(RegisterBroker(1, b"k" * 16, b"d" * 16, "localhost", 9092))
        assert isinstance(reply, RegisterBrokerReply)
        assert n.quorum.image.brokers[1].broker_epoch == reply.broker_epoch


async def test_propose_answers_the_index(tmp_path: Path) -> None:
    async with node(tmp_path) as n:
        index = await n.quorum.propose((ProducerIdsRecord(1, 1, 5), ProducerIdsRecord(1, 1, 6)))
        assert index == n.quorum.image.offset
        assert n.quorum.image.next_producer_id == 6


async def test_power_cut_at_every_byte_of_a_running_node(tmp_path: Path) -> None:
    """What was answered before a cut is there after it, for every length the log file can have."""
    acknowledged: list[tuple[int, set[str]]] = []
    source = tmp_path / "source"
    async with node(source, crash=True) as n:
        log = source / "__cluster_metadata-0" / f"{0:020d}.log"
        for step in range(6):
            await n.create(f"t{step}")
            acknowledged.append((log.stat().st_size, set(n.quorum.image.topics)))
        state = (source / "__cluster_metadata-0" / "quorum-state").read_bytes()
    whole = log.read_bytes()
    for size in range(len(whole) + 1):
        data_dir = tmp_path / f"cut-{size}"
        directory = data_dir / "__cluster_metadata-0"
        directory.mkdir(parents=True)
        (directory / "quorum-state").write_bytes(state)
        (directory / log.name).write_bytes(whole[:size])
        storage = MetadataLog(data_dir)
        image = storage.load().image
        storage.close()
        promised = [topics for end, topics in acknowledged if end <= size]
        following = [topics for end, topics in acknowledged if end > size]
        assert (promised[-1] if promised else set()) <= set(image.topics)
        assert set(image.topics) <= (following[0] if following else promised[-1])


async def test_a_refused_start_changes_nothing(tmp_path: Path) -> None:
    async with node(tmp_path) as n:
        await n.create("a")
    directory = tmp_path / "__cluster_metadata-0"
    (directory / f"{0:020d}.log").write_bytes(b"\0" * 400)
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    scope, meta = TaskScope("test"), WorkPool("meta", 1)
    voter = SingleVoter(MetadataLog(tmp_path), 1, scope, meta, meta, now_ms)
    quorum = Quorum(voter, Controller(ControllerSettings(), NoRules(), random.Random().randbytes), scope, 1)
    with pytest.raises(MetadataCorrupt):
        await quorum.start(None)
    await quorum.stop()
    await scope.close()
    meta.close()
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before


async def test_a_node_of_a_cluster_does_not_form_another(tmp_path: Path) -> None:
    scope, meta = TaskScope("test"), WorkPool("meta", 1)
    voter = SingleVoter(MetadataLog(tmp_path), 1, scope, meta, meta, now_ms)
    quorum = Quorum(voter, Controller(ControllerSettings(), NoRules(), random.Random().randbytes), scope, 1)
    with pytest.raises(MetadataCorrupt, match="missing or empty"):
        await quorum.start(None)
    await quorum.stop()
    await scope.close()
    meta.close()
