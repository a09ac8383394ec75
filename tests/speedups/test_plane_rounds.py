"""Commits through lane, shard and plane: answered by the plane when they are in the log, and by nobody before."""

from __future__ import annotations

import errno
from types import SimpleNamespace
from typing import Any

import pytest

from pyralog._speedups.desk import Desk
from pyralog._speedups.faultfiles import FaultFiles
from pyralog._speedups.journal import Entry, Outbox
from pyralog._speedups.lane import CommitLane
from pyralog._speedups.plane.delivery import EventKind
from pyralog.cluster.image import ClusterImage, TopicImage
from pyralog.coordinator.active import ActiveShard
from pyralog.coordinator.group.offsets import MAKE_COMMITTED
from pyralog.coordinator.group.settings import GroupSettings
from pyralog.coordinator.group.shard import GroupShard
from pyralog.coordinator.waiting import Load
from pyralog.errors import ErrorCode
from pyralog.model import PartitionRegistration, TopicPartition
from pyralog.records.batch import iterate_records
from pyralog.wire import messages as m
from tests.speedups.plane_kit import Client, Rig, batch

NAME, COMMIT = "__consumer_offsets", 8
TOPIC = TopicImage("t", bytes([1]) * 16, (PartitionRegistration((0,), (0,), 0, 0, 0),) * 4)
IMAGE = ClusterImage(topics={"t": TOPIC}, topic_names={TOPIC.topic_id: "t"})
SHARDS = 3


class Coordinator:
    """Shards over the plane of a rig. Group "g1" belongs to the shard of partition 1."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self.outbox, self.rounds = rig, Outbox(self), {}  # type: ignore[var-annotated]
        self.callbacks: list[Any] = []
        self.failed: list[tuple[int, BaseException]] = []
        self.refused: list[tuple[int, ErrorCode]] = []
        self.told: set[tuple[int, str]] = set()
        self.stats = SimpleNamespace(requests={"OffsetCommit": 0}, waiting=0)
        self.took = 0
        rig.topic(NAME, SHARDS)
        self.shards = [self._shard(index) for index in range(SHARDS)]
        runtime = SimpleNamespace(active=dict(enumerate(self.shards)), clock=lambda: 1000)
        lane = CommitLane(
            quorum=SimpleNamespace(image=IMAGE),
            groups=SimpleNamespace(settings=GroupSettings(), runtime=runtime, partitions=SHARDS),
            told=self.told,
            rights=None,
            make=MAKE_COMMITTED,
            partition_for=lambda group, _: int(group[1:]),
            desk=Desk("OffsetCommit", self.stats, self._took, self._refuse),
        )
        rig.engine.lanes.append(lane)

    def _shard(self, index: int) -> ActiveShard:
        machine = GroupShard(index, GroupSettings(), IMAGE, lambda: "id")
        fail = lambda _, error: self.failed.append((index, error))  # noqa: E731
        return ActiveShard(TopicPartition(NAME, index), machine, 0, self, lambda: 1000, Load(), fail)  # type: ignore[arg-type]

    def _took(self, ns: int, times: int) -> None:
        self.took += times

    def _refuse(self, token: int, frame: bytes, connection: int, began_ns: int, error: Any) -> None:
        self.refused.append((token, error.code))

    def soon(self, callback: Any) -> None:
        self.callbacks.append(callback)

    def append_round(self, entries: list[Entry]) -> None:
        cookie = next(self.rig.cookies)
        self.rounds[cookie] = entries
        self.rig.engine.append_round(entries, self.rig.partitions, cookie)

    def connect(self) -> Client:
        client = self.rig.connect()
        self.told.add((client.id, "g1"))
        self.told.add((client.id, "g2"))
        return client

    def collect(self) -> None:
        """What Python does in a turn of its loop, the plane's work apart."""
        for _, _, _, data, _, _, cookie in self.rig.events(EventKind.APPENDED):
            self.outbox.appended(self.rounds.pop(cookie), memoryview(data).cast("q"))
        callbacks, self.callbacks = self.callbacks, []
        for callback in callbacks:
            callback()

    def turns(self) -> None:
        for _ in range(3):
            self.collect()
            self.rig.turn()

    def offsets(self, index: int) -> dict[str, Any]:
        return self.shards[index].machine.offsets.groups

    def logged(self, index: int) -> int:
        return self.rig.end(NAME, index)


def commit(group: str, offset: int = 5, partition: int = 0) -> m.OffsetCommitRequest:
    one = m.OffsetCommitRequestPartition(partition_index=partition, committed_offset=offset, committed_metadata="")
    return m.OffsetCommitRequest(
        group_id=group, member_id="", topics=[m.OffsetCommitRequestTopic(name="t", partitions=[one])]
    )


def codes(answers: list[Any]) -> list[int]:
    return [one.error_code for answer in answers for topic in answer.topics for one in topic.partitions]


@pytest.fixture
def files():
    made = FaultFiles()
    yield made
    assert made.broken == []


def test_commits_of_a_turn_are_written_and_answered(rigs, files):
    node = Coordinator(rigs(files))
    clients = [node.connect() for _ in range(4)]
    for at, client in enumerate(clients):
        client.send(COMMIT, 7, commit("g1" if at < 3 else "g2", at, at))
    node.collect()
    assert node.stats.waiting == 4
    assert [client.take() for client in clients] == [[]] * 4
    node.rig.turn()
    assert [codes(client.take()) for client in clients] == [[0]] * 4
    assert (node.logged(1), node.logged(2)) == (3, 1)
    assert files.counts["write"] == 2
    assert node.stats.waiting == 4  # Python has not heard of it
    node.collect()
    assert (node.stats.waiting, node.took, node.stats.requests["OffsetCommit"]) == (0, 4, 4)
    assert {partition: one.record_offset for partition, one in node.offsets(1)["g1"]["t"].items()} == {0: 0, 1: 1, 2: 2}
    assert all(shard.idle for shard in node.shards)
    data = node.rig.connect().fetch(0, NAME, 1).records
    assert [record.offset for record in iterate_records(data)] == [0, 1, 2]


def test_a_connection_goes_on_with_its_next_request(rigs, files):
    node = Coordinator(rigs(files))
    client = node.connect()
    client.raw(b"".join(client.frame(COMMIT, version, commit("g1", version)) for version in (2, 5, 7, 8, 9)))
    for _ in range(5):
        node.turns()
    assert codes(client.take()) == [0] * 5
    assert node.logged(1) == 5


def test_what_nobody_was_told_of_becomes_a_request(rigs, files):
    node = Coordinator(rigs(files))
    client = node.rig.connect()
    client.send(COMMIT, 7, commit("g1"))
    assert [one.connection for one in node.rig.forwarded()] == [client.id]
    assert not node.callbacks


def test_a_commit_waits_for_the_sync_where_acks_do(rigs, files):
    node = Coordinator(rigs(files, sync_on_write=True))
    client = node.connect()
    synced = files.counts["sync"]
    client.send(COMMIT, 7, commit("g1"))
    node.turns()
    assert codes(client.take()) == [0]
    assert files.counts["sync"] > synced
    assert node.rig.handle(NAME, 1).snapshot()[5] == 1


def test_a_failed_sync_answers_nobody_and_fails_the_shard(rigs, files):
    node = Coordinator(rigs(files, sync_on_write=True))
    client = node.connect()
    files.fail("sync", errno=errno.EIO)
    client.send(COMMIT, 7, commit("g1"))
    node.turns()
    assert client.take() == []
    assert [index for index, _ in node.failed] == [1]
    assert [code for _, code in node.refused] == [ErrorCode.NOT_COORDINATOR]
    assert node.stats.waiting == 0


def test_a_failed_write_answers_nobody_and_fails_the_shards(rigs, files):
    node = Coordinator(rigs(files))
    one, two = node.connect(), node.connect()
    files.fail("write", errno=errno.ENOSPC, suffix=".log")
    one.send(COMMIT, 7, commit("g1")), two.send(COMMIT, 7, commit("g2"))
    node.turns()
    assert one.take() + two.take() == []
    assert sorted(index for index, _ in node.failed) == [1, 2]
    assert [code for _, code in node.refused] == [ErrorCode.NOT_COORDINATOR] * 2
    files.heal()


def test_records_of_somebody_else_fail_the_shard_before_anybody_is_answered(rigs, files):
    node = Coordinator(rigs(files))
    one, two = node.connect(), node.connect()
    node.rig.engine.append(node.rig.handle(NAME, 1), batch(), next(node.rig.cookies))
    one.send(COMMIT, 7, commit("g1")), two.send(COMMIT, 7, commit("g2"))
    node.turns()
    assert one.take() == []
    assert codes(two.take()) == [0]
    [(index, error)] = node.failed
    assert (index, "at 1" in str(error)) == (1, True)


def test_a_partition_that_is_gone_fails_its_shard(rigs, files):
    node = Coordinator(rigs(files))
    one, two = node.connect(), node.connect()
    node.rig.remove(NAME, 1)
    node.rig.partitions.pop((NAME, 1), None)
    one.send(COMMIT, 7, commit("g1")), two.send(COMMIT, 7, commit("g2"))
    node.turns()
    assert one.take() == []
    assert codes(two.take()) == [0]
    assert [code for _, code in node.refused] == [ErrorCode.NOT_COORDINATOR]


def test_a_client_that_has_gone_is_not_missed(rigs, files):
    node = Coordinator(rigs(files))
    client, other = node.connect(), node.connect()
    client.send(COMMIT, 7, commit("g1"))
    other.send(COMMIT, 7, commit("g1", 6, 1))
    node.collect()
    client.close()
    node.rig.turn()
    node.collect()
    assert codes(other.take()) == [0]
    assert (node.logged(1), node.stats.waiting) == (2, 0)


def test_an_engine_that_ends_meanwhile_gives_everything_back(rigs, files):
    node = Coordinator(rigs(files))
    client = node.connect()
    client.send(COMMIT, 7, commit("g1"))
    node.collect()
    node.rig.close()
    assert node.rounds  # nobody will hear of it: net.plane answers them at the stop
