"""A loaded shard at work: requests to its machine, records to the log, replies when they are committed."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol

from pyralog._speedups.statelog import batch
from pyralog.coordinator.outcome import (
    NOTHING,
    CoordinatorRecord,
    EncodedRecord,
    Machine,
    Outcome,
    QuickMachine,
    QuickRequest,
    Reply,
    Transaction,
)
from pyralog.coordinator.timers import Timers
from pyralog.coordinator.waiting import Answered, Load, told
from pyralog.errors import ErrorCode, KafkaError
from pyralog.model import TopicPartition
from pyralog.records.batch import TRANSACTIONAL
from pyralog.runtime import Pending
from pyralog.wire.coordinator_records import encode_key, encode_value
from pyralog.wire.protocol import EncodeError

log = logging.getLogger(__name__)

# Records of several outcomes share a batch up to here; a batch of one outcome may be larger.
BATCH_BYTES = 1 << 20
# The records of one outcome; more are refused to the request that caused them.
MAX_OUTCOME_BYTES = 16 << 20
# Batches that the plane has not confirmed; the next ones grow meanwhile.
MAX_IN_FLIGHT = 4
_RECORD_OVERHEAD = 24


class MarkerLog(Protocol):
    """The plane, as far as markers need it."""

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
        """Append the control batch that ends a producer's transaction, in the order of the calls."""
        ...


class Log(MarkerLog, Protocol):
    """The plane, as far as a shard needs it."""

    def append_then(self, tp: TopicPartition, batch: bytes, done: Callable[[int | KafkaError], None]) -> None:
        """Append in the order of the calls; `done` gets the offset, or why there is none."""
        ...

    def soon(self, callback: Callable[[], None]) -> None:
        """Call back when the requests at hand have been handled."""
        ...


class _Marker(NamedTuple):
    """The end of a producer's transaction."""

    producer_id: int
    producer_epoch: int
    coordinator_epoch: int
    commit: bool


class _Entry:
    """A batch on its way to the log, and what is to be said when it is there."""

    __slots__ = ("base_offset", "done", "marker", "records", "replies", "size", "transaction")

    def __init__(self, base_offset: int, transaction: Transaction | None = None, marker: _Marker | None = None) -> None:
        self.base_offset = base_offset
        self.transaction = transaction
        self.marker = marker
        self.records: list[EncodedRecord] = []
        self.size = 0
        self.replies: list[tuple[Answered, Any]] = []
        self.done = False


class ActiveShard:
    """A machine, its log and its timers. `failed` is called once, when the shard can no longer go on."""

    def __init__(
        self,
        tp: TopicPartition,
        machine: Machine,
        next_offset: int,
        plane: Log,
        clock: Callable[[], int],
        load: Load,
        failed: Callable[[ActiveShard, BaseException], None],
    ) -> None:
        self.tp = tp
        self.machine = machine
        self.next_offset = next_offset
        self.closed = False
        self._plane = plane
        self._clock = clock
        self._load = load
        self._failed = failed
        self._tickets = itertools.count(1)
        self._waiting: dict[int, tuple[Pending[Any], int]] = {}
        self._unsent: deque[_Entry] = deque()
        self._sent: deque[_Entry] = deque()
        self._flush_planned = False
        self._timers = Timers(clock, self._fire)

    @property
    def waiting(self) -> int:
        """Requests that have no answer yet, parked ones included."""
        return len(self._waiting)

    @property
    def idle(self) -> bool:
        """Nothing is on its way to the log."""
        return not self._unsent and not self._sent

    def start(self) -> None:
        """Set the timers of what was loaded."""
        now_ms = self._clock()
        self._take(self.machine.start(now_ms), now_ms)

    def submit(self, request: Any, size: int = 0) -> Pending[Any]:
        """The machine's answer to a request, once what it rests on is committed. Decided before this returns."""
        self._load.admit(size)
        ticket = next(self._tickets)
        pending: Pending[Any] = Pending()
        self._waiting[ticket] = (pending, size)
        now_ms = self._clock()
        try:
            outcome = self.machine.handle(request, ticket, now_ms)
        except KafkaError as error:
            outcome = Outcome(replies=(Reply(ticket, error),))
        except Exception as error:
            log.exception("%s-%d: a request failed: %.1000r", *self.tp, request)
            outcome = Outcome(replies=(Reply(ticket, KafkaError(ErrorCode.UNKNOWN_SERVER_ERROR, str(error))),))
        self._take(outcome, now_ms)
        return pending

    def take(self, request: QuickRequest, size: int, answered: Answered) -> bool:
        """What `submit` does, for a request that the machine admits. False: nothing has happened, `submit` it."""
        if self.closed or self._load.full(size):
            return False
        now_ms = self._clock()
        machine: QuickMachine = self.machine  # type: ignore[assignment]
        timers = machine.admit(request, now_ms)
        if timers is None:
            return False
        records: list[EncodedRecord] = []
        size_bytes = request.records(now_ms, records) + _RECORD_OVERHEAD * len(records)
        if size_bytes > MAX_OUTCOME_BYTES:
            return False
        entry = self._entry(size_bytes, None)
        entry.replies.append((answered, request.answer))
        try:
            machine.store(request, now_ms, self._put(entry, records, size_bytes))
        except Exception as error:
            log.exception("%s-%d: a record could not be applied", *self.tp)
            self._fail(error)
            return True
        for timer in timers:
            self._timers.set(timer, now_ms)
        return True

    def tell(self, decide: Callable[[int], Outcome]) -> None:
        """Let the machine decide on something that nobody waits for."""
        now_ms = self._clock()
        self._take(decide(now_ms), now_ms)

    def write_marker(
        self, producer_id: int, producer_epoch: int, coordinator_epoch: int, *, commit: bool
    ) -> Pending[None]:
        """End a producer's transaction here; done when the marker is committed."""
        pending: Pending[None] = Pending()
        entry = _Entry(self.next_offset, marker=_Marker(producer_id, producer_epoch, coordinator_epoch, commit))
        entry.replies.append((pending, None))
        self.next_offset += 1
        self._unsent.append(entry)
        self._plan_flush()
        now_ms = self._clock()
        transaction = Transaction(producer_id, producer_epoch)
        try:
            outcome = self.machine.complete(transaction, committed=commit, now_ms=now_ms)
        except Exception as error:
            log.exception("%s-%d: a marker could not be applied", *self.tp)
            self._fail(error)
            return pending
        self._take(outcome, now_ms)
        return pending

    def close(self, error: KafkaError) -> None:
        """Answer everything that waits with this error, and do no more."""
        if self.closed:
            return
        self.closed = True
        self._timers.close()
        waiting, self._waiting = self._waiting, {}
        for pending, size in waiting.values():
            self._load.release(size)
            pending.resolve(error)
        for entry in (*self._sent, *self._unsent):
            for answered, _ in entry.replies:
                answered.resolve(error)
        self._sent.clear()
        self._unsent.clear()

    # --- outcomes ---

    def _fire(self, event: Any, now_ms: int) -> None:
        if self.closed:
            return
        try:
            outcome = self.machine.handle(event, 0, now_ms)
        except Exception:
            log.exception("%s-%d: an event failed: %.1000r", *self.tp, event)
            return
        self._take(outcome, now_ms)

    def _take(self, outcome: Outcome, now_ms: int) -> None:
        """Records to the next batch and into the machine, timers, and the replies behind what they rest on."""
        if outcome is NOTHING or self.closed:
            return
        if outcome.records:
            try:
                encoded = _encode(outcome.records, now_ms)
            except (EncodeError, KafkaError) as error:
                self._refuse(outcome, error, now_ms)
                return
            if not self._replay(outcome, encoded, now_ms):
                return
        for timer in outcome.timers:
            self._timers.set(timer, now_ms)
        if outcome.replies:
            last = self._unsent[-1] if self._unsent else self._sent[-1] if self._sent else None
            for ticket, value in outcome.replies:
                pending = self._answered(ticket)
                if pending is None:
                    continue
                if last is None:
                    pending.resolve(value)
                else:
                    last.replies.append((pending, value))

    def _replay(self, outcome: Outcome, encoded: tuple[list[EncodedRecord], int], now_ms: int) -> bool:
        records, size = encoded
        offset = self._put(self._entry(size, outcome.transaction), records, size)
        replay = self.machine.replay
        try:
            for key, value, _ in outcome.records:
                replay(key, value, offset=offset, timestamp_ms=now_ms, transaction=outcome.transaction)
                offset += 1
        except Exception as error:
            log.exception("%s-%d: a record could not be applied", *self.tp)
            self._fail(error)
            return False
        return True

    def _put(self, entry: _Entry, records: list[EncodedRecord], size: int) -> int:
        """Records into a batch; the offset of the first."""
        entry.records += records
        entry.size += size
        offset = self.next_offset
        self.next_offset += len(records)
        return offset

    def _entry(self, size: int, transaction: Transaction | None) -> _Entry:
        """The batch for records of this size: the open one if they fit. A transaction's are alone in theirs."""
        last = self._unsent[-1] if self._unsent else None
        if last is None or transaction is not None or last.transaction is not None or last.marker is not None:
            shared = False
        else:
            shared = last.size + size <= BATCH_BYTES
        if last is None or not shared:
            last = _Entry(self.next_offset, transaction)
            self._unsent.append(last)
            self._plan_flush()
        return last

    def _refuse(self, outcome: Outcome, error: Exception, now_ms: int) -> None:
        """The log cannot take these records: an error to whom it concerns, nothing is replayed."""
        log.error("%s-%d: %d records were refused: %s", *self.tp, len(outcome.records), error)
        code = error if isinstance(error, KafkaError) else KafkaError(ErrorCode.UNKNOWN_SERVER_ERROR, str(error))
        replies = tuple(Reply(reply.ticket, code) for reply in outcome.replies)
        self._take(Outcome(replies=replies), now_ms)
        if outcome.refused is not None:
            self._fire(outcome.refused, now_ms)

    def _answered(self, ticket: int) -> Pending[Any] | None:
        found = self._waiting.pop(ticket, None)
        if found is None:
            return None
        self._load.release(found[1])
        return found[0]

    # --- the log ---

    def _plan_flush(self) -> None:
        if not self._flush_planned:
            self._flush_planned = True
            self._plane.soon(self._flush)

    def _flush(self) -> None:
        self._flush_planned = False
        while self._unsent and len(self._sent) < MAX_IN_FLIGHT and not self.closed:
            entry = self._unsent.popleft()
            self._sent.append(entry)
            try:
                self._send(entry)
            except Exception as error:  # noqa: BLE001 - whatever it is, the shard starts again from its log
                self._fail(error)

    def _send(self, entry: _Entry) -> None:
        if entry.marker is None:
            self._plane.append_then(self.tp, _batch(entry), partial(self._appended, entry))
        else:
            producer_id, producer_epoch, coordinator_epoch, commit = entry.marker
            self._plane.start_marker(
                self.tp, producer_id, producer_epoch, coordinator_epoch, commit=commit, timestamp_ms=self._clock()
            ).add_done_callback(partial(self._marked, entry))
        entry.records = []

    def _marked(self, entry: _Entry, future: asyncio.Future[tuple[int, bytes]]) -> None:
        if future.cancelled():
            self._appended(entry, KafkaError(ErrorCode.NOT_COORDINATOR, "the data plane has stopped"))
        else:
            error = future.exception()
            self._appended(entry, future.result()[0] if error is None else error)

    def _appended(self, entry: _Entry, offset: int | BaseException) -> None:
        if self.closed:
            return
        if isinstance(offset, BaseException):
            self._fail(offset)
            return
        if offset != entry.base_offset:
            # Somebody else has written here: what the machine believes of offsets is wrong.
            self._fail(AssertionError(f"records expected at {entry.base_offset} are at {offset}"))
            return
        entry.done = True
        while self._sent and self._sent[0].done:
            for pending, value in self._sent.popleft().replies:
                pending.resolve(value)
        if self._unsent and not self._flush_planned:
            self._flush()

    def _fail(self, error: BaseException) -> None:
        if self.closed:
            return
        log.error("%s-%d: the shard starts again from its log: %s", *self.tp, error)
        self.close(KafkaError(told(error), "the coordinator's log failed"))
        self._failed(self, error)


def _encode(records: tuple[CoordinatorRecord, ...], now_ms: int) -> tuple[list[EncodedRecord], int]:
    """The records as bytes, and their size. KafkaError when they are too large for a batch."""
    encoded = []
    size = 0
    for key, value, version in records:
        raw_key = encode_key(key)
        raw_value = None if value is None else encode_value(value, version)
        size += len(raw_key) + _RECORD_OVERHEAD + (0 if raw_value is None else len(raw_value))
        encoded.append((now_ms, raw_key, raw_value))
    if size > MAX_OUTCOME_BYTES:
        raise KafkaError(ErrorCode.RECORD_LIST_TOO_LARGE, f"{size} bytes of records, at most {MAX_OUTCOME_BYTES}")
    return encoded, size


def _batch(entry: _Entry) -> bytes:
    if entry.transaction is None:
        return batch(entry.records)
    return batch(entry.records, *entry.transaction, TRANSACTIONAL)
