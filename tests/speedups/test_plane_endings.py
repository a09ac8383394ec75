"""What a round brings with its batches: partitions promised to transactions, and the markers of those it decides."""

from __future__ import annotations

import errno
from typing import Any

import pytest

from pyralog._speedups.batch import parse
from pyralog._speedups.faultfiles import FaultFiles
from pyralog._speedups.journal import Entry, Journal, Outbox
from pyralog._speedups.plane.delivery import EventKind
from pyralog.errors import ErrorCode
from pyralog.model import TopicPartition
from pyralog.net.markers import Markers
from pyralog.net.rounds import Rounds
from pyralog.records.batch import iterate_batches
from tests.speedups.plane_kit import FETCH, Rig, batch, fetch_request, records_of

STATE, COMMITTED, EPOCH = "__transaction_state", 1, 0
T0, T1 = TopicPartition("t", 0), TopicPartition("t", 1)


class Shard(Journal):
    """A journal over the plane, as a coordinator's is."""

    def __init__(self, node: Node, outbox: Outbox) -> None:
        super().__init__(TopicPartition(STATE, 0), None, 0, outbox, None)
        self.errors: list[Any] = []

    def misplaced(self, entry: Entry, result: int) -> None:
        self.fail(result)

    def fail(self, error: Any) -> None:
        self.closed = True
        self.errors.append(error)
        self.refuse(error)


class Node:
    """A coordinator's shard, two partitions that producers write to, and the turns of a loop."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        rig.topic(STATE, 1)
        rig.topic("t", 2)
        self.client = rig.connect()
        self.callbacks: list[Any] = []
        self.markers = Markers()
        self.rounds = Rounds(rig.engine, rig.partitions, self.markers, rig.cookies)  # type: ignore[arg-type]
        self.outbox = Outbox(self)
        self.shard = Shard(self, self.outbox)
        self.told: list[bool] = []

    def append_round(self, entries: list[Entry]) -> None:
        self.rounds.append(entries, self.outbox)

    def soon(self, callback: Any) -> None:
        self.callbacks.append(callback)

    def entry(self) -> Entry:
        entry = self.shard.entry(100, None)
        entry.add(1_000, b"key", b"value")
        return entry

    def promise(self, tp: TopicPartition = T0, pid: int = 1, epoch: int = EPOCH) -> None:
        self.entry().promise(tp, pid, epoch, 0, self.markers.number)

    def end(
        self, *partitions: TopicPartition, pid: int = 1, epoch: int = EPOCH, commit: bool = True, coordinator: int = 0
    ) -> None:
        self.entry().ending(partitions or (T0,), pid, epoch, coordinator, commit, 1_000, self.told.append)

    def send(self) -> None:
        """The end of a turn of the loop."""
        callbacks, self.callbacks = self.callbacks, []
        for callback in callbacks:
            callback()

    def hear(self) -> None:
        for _, _, _, data, _, _, cookie in self.rig.events(EventKind.APPENDED):
            self.rounds.landed(cookie, data)

    def turn(self) -> None:
        self.send()
        self.rig.turn()
        self.hear()

    def write(self, partition: int = 0, sequence: int = 0, pid: int = 1) -> int | None:
        """The error of a batch in the transaction; None when Python is asked about it."""
        data = batch(2, producer_id=pid, epoch=EPOCH, sequence=sequence, transactional=True)
        answer = self.client.produce(data, partition=partition, transactional_id="x")
        return None if answer is None else answer.error_code

    def stable(self, partition: int = 0) -> int:
        return self.rig.handle("t", partition).snapshot()[3]

    def aborted(self) -> bytes:
        return self.rig.done("aborted", self.rig.handle(), 0, 1 << 40)[1]

    def begin(self, *partitions: int) -> None:
        """Batches in a transaction, in both partitions or these."""
        for partition in partitions or (0, 1):
            self.promise(TopicPartition("t", partition))
        self.turn()
        for partition in partitions or (0, 1):
            assert self.write(partition) == 0


@pytest.fixture
def node(rig):
    return Node(rig)


@pytest.fixture
def files():
    made = FaultFiles()
    yield made
    assert made.broken == []


# --- promises ---


def test_what_is_promised_may_be_written_when_the_batch_is_in_the_log(node):
    node.promise()
    node.send()
    node.rig.turn()
    assert node.write() == 0  # Python has not heard of it
    node.hear()
    assert node.shard.idle


def test_nothing_is_promised_by_a_batch_that_is_not_where_it_should_be(node):
    node.rig.engine.append(node.rig.handle(STATE), batch(), next(node.rig.cookies))
    node.promise()
    node.turn()
    assert node.shard.errors == [1]
    assert node.write() is None


def test_nothing_is_promised_by_a_batch_that_was_not_written(rigs, files):
    node = Node(rigs(files))
    files.fail("write", errno=errno.ENOSPC, suffix=".log")
    node.promise()
    node.turn()
    assert node.shard.errors == [-ErrorCode.KAFKA_STORAGE_ERROR]
    assert node.write() is None
    files.heal()


def test_a_marker_that_comes_between_takes_the_promise_back(node):
    """In the same cycle of the plane, where nobody else could tell."""
    node.promise()
    node.send()
    node.rig.engine.write_marker(node.rig.handle(), 1, EPOCH, 0, False, 1_000, next(node.rig.cookies))
    node.rig.turn()
    assert node.write() is None


def test_a_marker_that_was_issued_before_the_round_takes_it_back(node):
    node.promise()
    node.markers.issue(T0, 1)
    node.turn()
    assert node.shard.errors == []
    assert node.write() is None


def test_a_promise_is_for_one_producer_epoch_and_partition(node):
    node.promise()
    node.turn()
    assert node.write(partition=1) is None
    other = node.rig.connect()
    node.client = other
    assert node.write(pid=2) is None


def test_a_promise_waits_for_the_sync_where_acks_do(rigs, files):
    node = Node(rigs(files, sync_on_write=True))
    node.promise()
    node.turn()
    node.rig.turn()
    node.hear()
    assert node.shard.idle
    assert node.rig.handle(STATE).snapshot()[5] == 1


def test_a_partition_that_is_removed_meanwhile(node):
    node.promise(T1)
    node.send()
    removal = node.rig.begin("remove_partition", node.rig.handle("t", 1))
    node.rig.turn()
    assert removal() is not None
    node.hear()
    assert node.shard.errors == []


# --- markers ---


def test_markers_follow_in_the_same_turn(node):
    node.begin()
    node.end(T0, T1, commit=False, coordinator=4)
    node.turn()
    assert node.told == [True]
    assert node.shard.idle
    assert (node.stable(0), node.stable(1)) == (3, 3)
    for partition in (0, 1):
        *_, (_, raw) = iterate_batches(node.client.fetch(0, "t", partition).records)
        found = parse(raw)
        assert (found["producer_id"], found["producer_epoch"], found["max_timestamp"]) == (1, EPOCH, 1_000)
        assert found["attributes"] & 0x20
    assert len(node.aborted()) == 32
    # What had been promised is over.
    assert node.write(sequence=2) is None


def test_a_reader_that_waits_for_what_is_stable_is_woken(node):
    node.begin(0)
    reader = node.rig.connect()
    request = fetch_request({"t": {0: 0}}, isolation_level=COMMITTED, max_wait_ms=60_000)
    reader.send(FETCH, 11, request)
    assert reader.take() == []
    node.end()
    node.send()
    node.rig.turn()
    (answer,) = reader.take()
    assert [offset for offset, _ in records_of(answer.responses[0].partitions[0].records)] == [0, 1, 2]


def test_each_transaction_hears_of_its_own_markers(node):
    node.begin()
    node.end(T0, pid=1, coordinator=5)
    node.end(T0, T1, pid=2, coordinator=4)
    node.end(T1, pid=3, coordinator=4)
    node.turn()
    assert node.told == [True, True, True]
    node.end(T0, T1, pid=1, coordinator=4)  # another coordinator has been there
    node.end(T0, pid=2, coordinator=4)
    node.end(TopicPartition("gone", 0), pid=3)
    node.turn()
    assert node.told[3:] == [False, True, False]
    assert node.shard.errors == []


def test_no_marker_follows_a_batch_that_is_not_where_it_should_be(node):
    node.begin(0)
    node.rig.engine.append(node.rig.handle(STATE), batch(), next(node.rig.cookies))
    node.end()
    node.turn()
    assert node.told == [False]
    assert node.shard.errors == [2]
    assert (node.stable(), node.rig.end()) == (0, 2)


def test_no_marker_follows_a_batch_that_was_not_written(rigs, files):
    node = Node(rigs(files))
    node.begin(0)
    files.fail("write", errno=errno.ENOSPC, suffix=".log")
    node.end()
    node.turn()
    assert node.told == [False]
    assert node.shard.errors == [-ErrorCode.KAFKA_STORAGE_ERROR]
    assert (node.stable(), node.rig.end()) == (0, 2)
    files.heal()


def test_a_marker_that_cannot_be_written_is_told(rigs, files):
    node = Node(rigs(files))
    node.begin(1)
    files.fail("write", errno=errno.EIO, suffix="t-1/00000000000000000000.log")
    node.end(T1)
    node.turn()
    files.heal()
    assert node.told == [False]
    assert node.shard.errors == []


def test_a_marker_comes_after_the_sync_of_its_decision(rigs, files):
    node = Node(rigs(files, sync_on_write=True))
    node.promise()
    node.turn()
    node.rig.turn()
    node.hear()
    node.client.produce(batch(2, producer_id=1, epoch=EPOCH, sequence=0, transactional=True), transactional_id="x")
    node.rig.turn()
    files.fail("sync", errno=errno.EIO)
    node.end()
    for _ in range(3):
        node.turn()
    assert node.told == [False]
    assert node.shard.errors
    assert node.rig.end() == 2


def test_markers_are_told_when_they_are_synced(rigs, files):
    node = Node(rigs(files, sync_on_write=True))
    node.end()
    for _ in range(4):
        node.turn()
    assert node.told == [True]
    assert node.shard.idle
    assert node.rig.handle().snapshot()[5] == 1


def test_a_partition_that_goes_before_its_marker(node):
    node.end(T0, T1)
    node.send()
    removal = node.rig.begin("remove_partition", node.rig.handle("t", 1))
    node.rig.turn()
    assert removal() is not None
    node.hear()
    assert node.told == [False]
    assert node.rig.end() == 1


def test_an_engine_that_ends_meanwhile_gives_everything_back(rigs, files):
    node = Node(rigs(files))
    node.promise()
    node.end(T0, T1)
    node.send()
    node.rig.close()
    node.rounds.close()
    assert node.told == [False]
    assert [error.code for error in node.shard.errors] == [ErrorCode.NOT_LEADER_OR_FOLLOWER]
