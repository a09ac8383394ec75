"""A loaded shard at work: requests to its machine, records to the log, replies when they are committed."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any, NamedTuple, Protocol

from pyralog._speedups.journal import MAX_UNWRITTEN, Entry, Journal, Outbox
from pyralog.coordinator.outcome import (
    NOTHING,
    CoordinatorRecord,
    EncodedRecord,
    Machine,
    Outcome,
    Reply,
    Timer,
    Transaction,
)
from pyralog.coordinator.timers import Timers
from pyralog.coordinator.waiting import Load, fenced, told
from pyralog.errors import ErrorCode, KafkaError, known_code
from pyralog.model import TopicPartition
from pyralog.runtime import Pending
from pyralog.wire.coordinator_records import encode_key, encode_value
from pyralog.wire.protocol import EncodeError

log = logging.getLogger(__name__)

# The records of one outcome; more are refused to the request that caused them.
MAX_OUTCOME_BYTES = 16 << 20
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

    def partitions(self) -> Collection[TopicPartition]:
        """What is hosted here."""
        ...


class Log(MarkerLog, Protocol):
    """The plane, as far as a shard needs it."""

    @property
    def outbox(self) -> Outbox:
        """Where the batches of all shards come together, once a turn."""
        ...


class _Marker(NamedTuple):
    """The end of a producer's transaction."""

    producer_id: int
    producer_epoch: int
    coordinator_epoch: int
    commit: bool


class ActiveShard(Journal):
    """A machine, its log and its timers. `failed` is called once, when the shard can no longer go on.

    With `read_only` the log takes no records: what needs some is refused, anything else is answered.
    """

    machine: Machine
    load: Load

    def __init__(
        self,
        tp: TopicPartition,
        machine: Machine,
        next_offset: int,
        plane: Log,
        clock: Callable[[], int],
        load: Load,
        failed: Callable[[ActiveShard, BaseException], None],
        *,
        read_only: bool = False,
    ) -> None:
        super().__init__(tp, machine, next_offset, plane.outbox, load)
        self._plane = plane
        self._clock = clock
        self._failed = failed
        self._read_only = read_only
        self._tickets = itertools.count(1)
        self._waiting: dict[int, tuple[Pending[Any], int]] = {}
        self._timers = Timers(clock, self._fire)

    @property
    def waiting(self) -> int:
        """Requests that have no answer yet, parked ones included."""
        return len(self._waiting)

    def start(self) -> None:
        """Set the timers of what was loaded."""
        now_ms = self._clock()
        self._take(self.machine.start(now_ms), now_ms)

    def submit(self, request: Any, size: int = 0) -> Pending[Any]:
        """The machine's answer to a request, once what it rests on is committed. Decided before this returns."""
        self.load.admit(size)
        if self.outbox.unwritten > MAX_UNWRITTEN:
            self.load.release(size)
            raise self.load.too_many("too many records wait for the log")
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

    def set_timers(self, timers: Iterable[Timer], now_ms: int) -> None:
        """What follows from a request that was taken on the quick way."""
        for timer in timers:
            self._timers.set(timer, now_ms)

    def tell(self, decide: Callable[[int], Outcome]) -> None:
        """Let the machine decide on something that nobody waits for."""
        now_ms = self._clock()
        self._take(decide(now_ms), now_ms)

    def write_marker(
        self, producer_id: int, producer_epoch: int, coordinator_epoch: int, *, commit: bool
    ) -> Pending[None]:
        """End a producer's transaction here; done when the marker is committed."""
        if self._read_only:
            return Pending.of(_takes_nothing())
        pending: Pending[None] = Pending()
        entry = self.marker(_Marker(producer_id, producer_epoch, coordinator_epoch, commit))
        entry.replies.append((pending, None))
        now_ms = self._clock()
        transaction = Transaction(producer_id, producer_epoch)
        try:
            outcome = self.machine.complete(transaction, committed=commit, now_ms=now_ms)
        except Exception as error:
            log.exception("%s-%d: a marker could not be applied", *self.tp)
            self.fail(error)
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
            self.load.release(size)
            pending.resolve(error)
        self.refuse(error)

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
            if self._read_only:
                self._refuse(outcome, _takes_nothing(), now_ms)
                return
            try:
                encoded = _encode(outcome.records, now_ms)
            except (EncodeError, KafkaError) as error:
                log.error("%s-%d: %d records were refused: %s", *self.tp, len(outcome.records), error)
                self._refuse(outcome, error, now_ms)
                return
            if not self._replay(outcome, encoded, now_ms):
                return
        self.set_timers(outcome.timers, now_ms)
        if outcome.replies:
            last = self.last
            for ticket, value in outcome.replies:
                pending = self._answered(ticket)
                if pending is None:
                    continue
                if last is None:
                    pending.resolve(value)
                else:
                    last.replies.append((pending, value))
            self.hurry()

    def _replay(self, outcome: Outcome, encoded: tuple[list[EncodedRecord], int], now_ms: int) -> bool:
        records, size = encoded
        entry, offset = self.entry(size, outcome.transaction), self.next_offset
        for record in records:
            entry.add(*record)
        replay = self.machine.replay
        try:
            for key, value, _ in outcome.records:
                replay(key, value, offset=offset, timestamp_ms=now_ms, transaction=outcome.transaction)
                offset += 1
        except Exception as error:
            log.exception("%s-%d: a record could not be applied", *self.tp)
            self.fail(error)
            return False
        return True

    def _refuse(self, outcome: Outcome, error: Exception, now_ms: int) -> None:
        """The log cannot take these records: an error to whom it concerns, nothing is replayed."""
        code = error if isinstance(error, KafkaError) else KafkaError(ErrorCode.UNKNOWN_SERVER_ERROR, str(error))
        replies = tuple(Reply(reply.ticket, code) for reply in outcome.replies)
        self._take(Outcome(replies=replies), now_ms)
        if outcome.refused is not None:
            self._fire(outcome.refused, now_ms)

    def _answered(self, ticket: int) -> Pending[Any] | None:
        found = self._waiting.pop(ticket, None)
        if found is None:
            return None
        self.load.release(found[1])
        return found[0]

    # --- the log ---

    def send_marker(self, entry: Entry) -> None:
        """Have the marker of an entry appended."""
        producer_id, producer_epoch, coordinator_epoch, commit = entry.marker
        self._plane.start_marker(
            self.tp, producer_id, producer_epoch, coordinator_epoch, commit=commit, timestamp_ms=self._clock()
        ).add_done_callback(partial(self._marked, entry))

    def _marked(self, entry: Entry, future: asyncio.Future[tuple[int, bytes]]) -> None:
        if future.cancelled():
            self.fail(KafkaError(ErrorCode.NOT_COORDINATOR, "the data plane has stopped"))
        elif (error := future.exception()) is not None:
            self._refused(entry, error)
        else:
            self.marked(entry, future.result()[0])

    def misplaced(self, entry: Entry, result: int) -> None:
        """A batch is not where the machine believes it: somebody else has written here, or nothing was written."""
        if result < 0:
            self._refused(entry, KafkaError(known_code(-result), "refused by the data plane"))
        else:
            self.fail(AssertionError(f"records expected at {entry.base_offset} are at {result}"))

    def _refused(self, entry: Entry, error: BaseException) -> None:
        """The log did not take this entry. Whoever caused it hears the true reason where a second try is in vain: the
        coordinator of a transaction would send its marker again, and fail the shard with it, for ever."""
        cause = entry.replies.pop(0)[0] if fenced(error) and entry.replies else None
        self.fail(error)
        if cause is not None:
            cause.resolve(error)

    def fail(self, error: BaseException) -> None:
        """Do no more: what is in memory cannot be relied on."""
        if self.closed:
            return
        log.error("%s-%d: the shard starts again from its log: %s", *self.tp, error)
        self.close(KafkaError(told(error), "the coordinator's log failed"))
        self._failed(self, error)


def _takes_nothing() -> KafkaError:
    """What clients hear while the log directory has failed: what Kafka's, whose replica is offline, hear there."""
    return KafkaError(told(KafkaError(ErrorCode.KAFKA_STORAGE_ERROR)), "the coordinator's log takes no records")


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
