"""A data plane that holds appends until it is told, and a machine that counts."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from pyralog._speedups.journal import Entry, Outbox
from pyralog.coordinator.outcome import CoordinatorRecord, Outcome, Reply, Timer, Transaction
from pyralog.errors import ErrorCode, KafkaError
from pyralog.model import TopicPartition
from pyralog.records.batch import Record, iterate_records
from pyralog.wire.messages import OffsetCommitKey, OffsetCommitValue

TP = TopicPartition("__consumer_offsets", 0)


class HeldPlane:
    """Appends wait for `release`; `fail` breaks the next ones."""

    def __init__(self, held: bool = True) -> None:
        self.held = held
        self.end = 0
        self.batches: list[bytes] = []
        self.markers: list[tuple[int, int, int, bool]] = []
        self.waiting: list[tuple[asyncio.Future[tuple[int, bytes]], int]] = []
        self.outbox = Outbox(self)
        self.replies: dict[int, bytes] = {}

    def append_round(self, entries: list[Entry]) -> None:
        for entry in entries:
            self.batches.append(entry.batch())
            self._put(entry.count).add_done_callback(partial(self._told, entry))

    def _told(self, entry: Entry, future: asyncio.Future[tuple[int, bytes]]) -> None:
        error = future.exception()
        if error is None:
            self.replies.update(entry.told())
        else:
            assert isinstance(error, KafkaError)
        self.outbox.appended([entry], array("q", [future.result()[0] if error is None else -error.code]))

    def soon(self, callback: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_soon(callback)

    def start_marker(
        self,
        tp: TopicPartition,
        producer_id: int,
        producer_epoch: int,
        coordinator_epoch: int,
        *,
        commit: bool,
        timestamp_ms: int,
    ) -> asyncio.Future[tuple[int, bytes]]:
        self.markers.append((producer_id, producer_epoch, coordinator_epoch, commit))
        return self._put(1)

    def _put(self, count: int) -> asyncio.Future[tuple[int, bytes]]:
        future: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self.waiting.append((future, self.end))
        self.end += count
        if not self.held:
            self.release()
        return future

    def release(self, count: int | None = None) -> None:
        for future, offset in self.waiting[:count]:
            future.set_result((offset, b""))
        del self.waiting[:count]

    def fail(self, code: ErrorCode) -> None:
        for future, _ in self.waiting:
            future.set_exception(KafkaError(code))
        self.waiting.clear()

    def records(self) -> list[Record]:
        return [record for batch in self.batches for record in iterate_records(batch)]


class Add(NamedTuple):
    """Ask the machine to write so many records of this size."""

    n: int = 1
    size: int = 1
    transaction: Transaction | None = None
    refused: Any = None


class Look(NamedTuple):
    """Ask for the state."""


class Park(NamedTuple):
    """Wait until Wake."""


class Wake(NamedTuple):
    """Answer everybody who is parked."""


class Fire(NamedTuple):
    """Set a timer whose event is noted."""

    key: str
    due_ms: int | None


class Fired(NamedTuple):
    """The event of that timer."""

    key: str


class Wrong(NamedTuple):
    """Raise this."""

    error: Exception


class Counter:
    """Its state is how many records it has seen."""

    def __init__(self) -> None:
        self.count = 0
        self.offsets: list[int] = []
        self.fired: list[Any] = []
        self.parked: list[int] = []
        self.pending: dict[Transaction, int] = {}
        self.break_replay = False

    def handle(self, request: Any, ticket: int, now_ms: int) -> Outcome:
        match request:
            case Add(n, size, transaction, refused):
                key = OffsetCommitKey(group="g", topic="t", partition=0)
                value = OffsetCommitValue(offset=1, metadata="x" * size)
                records = (CoordinatorRecord(key, value, 3),) * n
                return Outcome(records, (Reply(ticket, self.count + n),), (), transaction, refused)
            case Look():
                return Outcome(replies=(Reply(ticket, self.count),))
            case Park():
                self.parked.append(ticket)
                return Outcome()
            case Wake():
                replies = tuple(Reply(one, "awake") for one in (*self.parked, ticket))
                self.parked.clear()
                return Outcome(replies=replies)
            case Fire(key, due_ms):
                return Outcome(replies=(Reply(ticket, None),), timers=(Timer((key,), due_ms, Fired(key)),))
            case Wrong(error):
                raise error
        self.fired.append(request)
        return Outcome()

    def replay(self, key: Any, value: Any, *, offset: int, timestamp_ms: int, transaction: Transaction | None) -> None:
        if self.break_replay:
            raise ValueError("broken")
        self.offsets.append(offset)
        if transaction is not None:
            self.pending[transaction] = self.pending.get(transaction, 0) + 1
        else:
            self.count += 1

    def complete(self, transaction: Transaction, *, committed: bool, now_ms: int) -> Outcome:
        pending = self.pending.pop(transaction, 0)
        self.count += pending if committed else 0
        return Outcome()

    def start(self, now_ms: int) -> Outcome:
        return Outcome()

    def on_image(self, image: Any, delta: Any, now_ms: int) -> Outcome:
        return Outcome()
