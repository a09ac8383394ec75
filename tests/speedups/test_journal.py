"""Batches of coordinators against the builder in Python, and what becomes of them turn by turn."""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable
from typing import Any

import pytest

from pyralog._speedups.journal import Entry, Journal, Outbox
from pyralog._speedups.txnlane import write_whenever
from pyralog.errors import ErrorCode
from pyralog.records.batch import TRANSACTIONAL, Record, build, crc_ok


def some_records(rng: random.Random, count: int) -> list[tuple[int, bytes, bytes | None]]:
    sizes = (0, 1, 63, 64, 100, 8191, 8192, 70_000)
    return [
        (
            1_700_000_000_000 + rng.randint(-(10**9), 10**9),
            rng.randbytes(rng.choice(sizes)),
            None if rng.random() < 0.2 else rng.randbytes(rng.choice(sizes)),
        )
        for _ in range(count)
    ]


def filled(records: list[tuple[int, bytes, bytes | None]], transaction: tuple[int, int] | None = None) -> Entry:
    entry = Entry(None, 0, transaction)
    for record in records:
        entry.add(*record)
    return entry


@pytest.mark.parametrize("seed", range(20))
def test_a_batch_is_that_of_the_builder_in_python(seed: int) -> None:
    rng = random.Random(seed)
    records = some_records(rng, rng.choice((1, 2, 100)))
    expected = [Record(at, *record) for at, record in enumerate(records)]
    plain, of_producer = filled(records), filled(records, (7, 3))
    assert plain.count == len(records)
    assert plain.batch() == build(expected)
    assert of_producer.batch() == build(expected, producer_id=7, producer_epoch=3, attributes=TRANSACTIONAL)
    assert crc_ok(plain.batch())


def test_a_batch_may_grow_after_it_was_looked_at() -> None:
    records = some_records(random.Random(1), 3)
    entry = filled(records[:2])
    entry.batch()
    entry.add(*records[2])
    assert entry.batch() == filled(records).batch()


def test_what_is_no_batch() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Entry(None, 0).batch()
    with pytest.raises(TypeError):
        Entry(None, 0).add(1, "text", None)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Entry(None, 0).add(1, b"key", "text")  # type: ignore[arg-type]


class Told:
    """Who waits, and what it heard."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def resolve(self, value: Any) -> None:
        self.heard.append(value)


class NoisyLog:
    """A log that keeps what it is asked, in order."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.callbacks: list[Callable[[], None]] = []
        self.delayed: list[Callable[[], None]] = []
        self.outbox = Outbox(self)

    def append_round(self, entries: list[Entry]) -> None:
        self.asked.append([(entry.journal.tp, entry.base_offset, entry.count) for entry in entries])
        self.entries = entries

    def soon(self, callback: Callable[[], None]) -> None:
        self.callbacks.append(callback)

    def later(self, ms: int, callback: Callable[[], None]) -> None:
        self.delayed.append(callback)

    def turn(self) -> None:
        callbacks, self.callbacks = self.callbacks, []
        for callback in callbacks:
            callback()


class Shard(Journal):
    """A journal whose markers are noted among the rounds."""

    def __init__(self, name: str, log: NoisyLog) -> None:
        super().__init__(name, None, 10, log.outbox, None)
        self.log, self.errors = log, list[Any]()

    def send_marker(self, entry: Entry) -> None:
        self.log.asked.append(("marker", self.tp, entry.base_offset))
        self.sent_marker = entry

    def misplaced(self, entry: Entry, result: int) -> None:
        self.fail(result)

    def fail(self, error: Any) -> None:
        self.closed = True
        self.errors.append(error)
        self.refuse(error)

    def add(self, transaction: tuple[int, int] | None = None) -> Told:
        entry = self.entry(100, transaction)
        entry.add(5, b"key", b"value")
        told = Told()
        entry.replies.append((told, "written"))
        return told


def test_a_turn_is_one_round() -> None:
    log = NoisyLog()
    one, two = Shard("one", log), Shard("two", log)
    told = [one.add(), two.add(), one.add()]
    assert (one.next_offset, two.next_offset) == (12, 11)
    log.turn()
    assert log.asked == [[("one", 10, 2), ("two", 10, 1)]]
    assert not one.idle
    log.outbox.appended(log.entries, array("q", [10, 10]))
    assert [each.heard for each in told] == [["written"]] * 3
    assert one.idle
    assert one.last is None


def test_markers_go_behind_what_is_before_them() -> None:
    log = NoisyLog()
    one, two = Shard("one", log), Shard("two", log)
    two.add()
    one.add()
    one.marker("a marker")
    late = one.add()
    log.turn()
    assert log.asked == [[("two", 10, 1), ("one", 10, 1)], ("marker", "one", 11), [("one", 12, 1)]]
    log.outbox.appended(log.entries, array("q", [12]))
    assert not late.heard  # what is before it is not known to be written
    one.marked(one.sent_marker, 11)
    assert not late.heard


def test_what_belongs_to_a_transaction_is_alone() -> None:
    log = NoisyLog()
    shard = Shard("one", log)
    shard.add(), shard.add((7, 1)), shard.add((7, 1)), shard.add(), shard.add()
    log.turn()
    assert log.asked == [[("one", 10, 1), ("one", 11, 1), ("one", 12, 1), ("one", 13, 2)]]


def test_no_more_than_a_few_batches_of_a_shard_are_on_their_way() -> None:
    log = NoisyLog()
    shard = Shard("one", log)
    for _ in range(6):
        shard.add((7, 1))
    log.turn()
    first = log.entries
    assert len(first) == 4
    log.outbox.appended(first[:1], array("q", [10]))
    log.turn()
    assert log.asked[1:] == [[("one", 14, 1)]]


@pytest.mark.parametrize("result", [9, 11, -ErrorCode.KAFKA_STORAGE_ERROR])
def test_a_batch_elsewhere_fails_its_shard_alone(result: int) -> None:
    log = NoisyLog()
    one, two = Shard("one", log), Shard("two", log)
    told, other = one.add(), two.add()
    log.turn()
    late = one.add()
    log.outbox.appended(log.entries, array("q", [result, 10]))
    assert one.errors == [result]
    assert (told.heard, late.heard, other.heard) == ([result], [result], ["written"])
    log.turn()
    assert len(log.asked) == 1  # a shard that has failed sends nothing more


def test_a_log_that_takes_nothing_fails_all_shards_of_the_round() -> None:
    log = NoisyLog()
    one, two = Shard("one", log), Shard("two", log)
    told = one.add(), two.add()
    error = RuntimeError("closed")

    def refuse(entries: list[Entry]) -> None:
        raise error

    log.append_round = refuse  # type: ignore[method-assign]
    log.turn()
    assert [each.heard for each in told] == [[error], [error]]
    assert one.errors == two.errors == [error]


STATE = (1, 0, 60_000, 4, frozenset({("t", 0)}), 5, 6, 1, -1, -1, 2)


def test_what_nobody_waits_for_goes_with_the_next() -> None:
    log = NoisyLog()
    one = Shard("one", log)
    write_whenever(one, "x", STATE, 5)
    write_whenever(one, "y", STATE, 6)
    log.turn()
    assert (log.asked, one.next_offset, one.idle) == ([], 12, False)
    told = one.add()
    log.turn()
    assert log.asked == [[("one", 10, 3)]]
    log.outbox.appended(log.entries, array("q", [10]))
    assert told.heard == ["written"]
    assert log.outbox.unwritten == 0
    [late] = log.delayed
    late()
    log.turn()
    assert len(log.asked) == 1


def test_what_nobody_waits_for_is_not_left_lying() -> None:
    log = NoisyLog()
    one, two = Shard("one", log), Shard("two", log)
    write_whenever(one, "x", STATE, 5)
    write_whenever(two, "y", STATE, 5)
    [late] = log.delayed
    late()
    log.turn()
    assert log.asked == [[("one", 10, 1), ("two", 10, 1)]]
    write_whenever(one, "x", STATE, 5)
    assert len(log.delayed) == 2


def test_who_waits_for_what_was_decided_does_not_let_it_lie() -> None:
    log = NoisyLog()
    one = Shard("one", log)
    write_whenever(one, "x", STATE, 5)
    assert one.last is not None
    one.hurry()
    log.turn()
    assert log.asked == [[("one", 10, 1)]]
    one.fail("gone")
    late = log.delayed[0]
    late()
    log.turn()
    assert len(log.asked) == 1
