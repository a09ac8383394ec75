"""Transactions in virtual time: producers and their zombies, a network that delays, repeats and loses, a coordinator
that crashes at any record, partitions with the plane's rules. One seed is one run.

Not simulated: groups (offsets are a partition like any other here) and the replication of the coordinator's log; a
crash keeps what was committed and any part of what was not.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Generator
from typing import Any, NamedTuple

from pyralog.coordinator.outcome import Outcome
from pyralog.coordinator.transaction.machine import TransactionMachine
from pyralog.coordinator.transaction.requests import (
    AddPartitions,
    Ending,
    EndTransaction,
    GetEnding,
    InitProducerId,
    MarkersWritten,
    ProducerIdNeeded,
    VerifyPartitions,
)
from pyralog.coordinator.transaction.settings import TransactionSettings
from pyralog.coordinator.transaction.state import TV2, Entry, ProducerIdentity, State
from pyralog.errors import ErrorCode, KafkaError
from pyralog.model import TopicPartition
from pyralog.wire.coordinator_records import TRANSACTION_RECORDS, decode_key, decode_value, encode_key, encode_value
from tests.unit.coordinator.transaction.kit import image

Callback = Callable[[Any], None]
RETRY = {
    ErrorCode.NOT_COORDINATOR,
    ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
    ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.CONCURRENT_TRANSACTIONS,
}
TIMED_OUT = KafkaError(ErrorCode.REQUEST_TIMED_OUT)
DATA_TIMEOUT_MS = 2_000
TXN_TIMEOUT_MS = 1_500


class Shape(NamedTuple):
    """What a run is made of."""

    level: int = TV2
    ids: int = 2
    partitions: int = 3
    incarnations: int = 6
    transactions: int = 8
    loss: float = 0.05
    crashes: int = 4


class Value(NamedTuple):
    """A record: which transaction of which incarnation, and a number."""

    incarnation: int
    transaction: int
    number: int


class Claim:
    """What a producer believes of one of its transactions."""

    def __init__(self) -> None:
        self.sent: set[tuple[int, Value]] = set()
        self.acked: set[tuple[int, Value]] = set()
        self.asked_commit = False
        self.told: bool | None = None
        self.outcome: bool | None = None


class World:
    """Virtual time and everything in it."""

    def __init__(self, seed: int, shape: Shape) -> None:
        self.rng = random.Random(seed)
        self.shape = shape
        self.now_ms = 1_000_000
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self.calm = False
        self.claims: dict[tuple[int, int], Claim] = {}
        self.partitions = [Partition(self, index) for index in range(shape.partitions)]
        self.coordinator = Coordinator(self)
        self.incarnations = itertools.count()
        self.handed_out: dict[str, list[ProducerIdentity]] = {}
        self.steps = 0

    def later(self, delay_ms: int, what: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now_ms + delay_ms, next(self._order), what))

    def delay(self) -> int:
        """Mostly short; sometimes so long that the sender has given up."""
        roll = self.rng.random()
        if self.calm or roll < 0.8:
            return self.rng.randrange(1, 20)
        return self.rng.randrange(20, 400) if roll < 0.95 else self.rng.randrange(400, 6_000)

    def run(self) -> None:
        for number in range(self.shape.ids):
            for _ in range(self.shape.incarnations):
                self.later(self.rng.randrange(0, 12_000), lambda number=number: Producer(self, f"id-{number}"))  # type: ignore[misc]
        for _ in range(self.shape.crashes):
            self.later(self.rng.randrange(0, 15_000), self.coordinator.crash)
        self.later(30_000, self._calm_down)
        while self._events:
            at, _, what = heapq.heappop(self._events)
            if at > 1_000_000 + 120_000:
                break
            self.now_ms = at
            self.steps += 1
            what()
        self._judge()

    def _calm_down(self) -> None:
        self.calm = True

    def _judge(self) -> None:
        for partition in self.partitions:
            for producer_id, producer in partition.producers.items():
                assert producer.open is None, f"partition {partition.index}: {producer_id} hangs"
        for entry in self.coordinator.machine.entries.values():
            assert entry.state in (State.EMPTY, State.COMPLETE_ABORT, State.COMPLETE_COMMIT), entry
        visible = {(partition.index, value) for partition in self.partitions for value in partition.visible}
        assert len(visible) == sum(len(partition.visible) for partition in self.partitions), "a duplicate"
        for name, claim in self.claims.items():
            seen = {item for item in claim.sent if item in visible}
            if claim.told is True:
                assert seen == claim.sent == claim.acked, f"{name}: a lost commit"
            if claim.told is False or not claim.asked_commit:
                assert not seen, f"{name}: visible though aborted"
            assert not seen or seen == claim.sent, f"{name}: torn"


class _Producer:
    """A producer as a partition knows it."""

    __slots__ = ("coordinator_epoch", "epoch", "guard", "open", "sequence")

    def __init__(self) -> None:
        self.epoch = -1
        self.sequence = -1
        self.open: list[Value] | None = None
        self.coordinator_epoch = -1
        self.guard: object | None = None


class Partition:
    """A partition with the plane's rules for transactional writes and markers."""

    def __init__(self, world: World, index: int) -> None:
        self.world = world
        self.index = index
        self.tp = TopicPartition("t", index)
        self.producers: dict[int, _Producer] = {}
        self.visible: list[Value] = []

    def guard(self, identity: ProducerIdentity) -> object:
        """Taken before the coordinator is asked; a marker takes it away."""
        producer = self.producers.setdefault(identity.producer_id, _Producer())
        if producer.guard is None:
            producer.guard = object()
        return producer.guard

    def append(self, identity: ProducerIdentity, sequence: int, value: Value, guard: object | None) -> ErrorCode:
        producer = self.producers.setdefault(identity.producer_id, _Producer())
        if identity.epoch < producer.epoch:
            return ErrorCode.INVALID_PRODUCER_EPOCH
        new = identity.epoch > producer.epoch
        if not new and sequence <= producer.sequence:
            return ErrorCode.NONE
        if sequence != (0 if new else producer.sequence + 1):
            return ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
        if producer.open is None and (guard is None or producer.guard is not guard):
            return ErrorCode.INVALID_TXN_STATE
        assert not (new and producer.open is not None), "a new epoch inside an open transaction"
        producer.epoch, producer.sequence = identity.epoch, sequence
        if producer.open is None:
            producer.open = []
        producer.open.append(value)
        return ErrorCode.NONE

    def marker(self, identity: ProducerIdentity, coordinator_epoch: int, commit: bool) -> ErrorCode:
        producer = self.producers.setdefault(identity.producer_id, _Producer())
        if coordinator_epoch < producer.coordinator_epoch:
            return ErrorCode.TRANSACTION_COORDINATOR_FENCED
        if identity.epoch < producer.epoch:
            return ErrorCode.INVALID_PRODUCER_EPOCH
        if identity.epoch > producer.epoch:
            producer.sequence = -1
        producer.epoch, producer.coordinator_epoch, producer.guard = identity.epoch, coordinator_epoch, None
        values, producer.open = producer.open or [], None
        if commit:
            self.visible += values
        for value in values:
            claim = self.world.claims[value.incarnation, value.transaction]
            assert claim.outcome in (None, commit), f"{value}: one partition commits, another aborts"
            claim.outcome = commit
        return ErrorCode.NONE


class Coordinator:
    """The machine behind a log that a crash cuts, with the marker writer of its service."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.settings = TransactionSettings()
        self.log: list[tuple[bytes, bytes | None]] = []
        self.committed = 0
        self.epoch = 0
        self.up = True
        self._ids = itertools.count(1000)
        self._tickets = itertools.count(1)
        self._replies: list[tuple[int, Callback, Any]] = []
        self._callbacks: dict[int, Callback] = {}
        self._noted: list[str] = []
        self.highest: dict[str, Entry] = {}
        self.machine = self._new()

    def _new(self) -> TransactionMachine:
        return TransactionMachine(0, self.settings, image(self.world.shape.level), lambda _, name: self._note(name))

    def _note(self, name: str) -> None:
        self._noted.append(name)

    # --- requests ---

    def submit(self, request: Any, answer: Callback) -> None:
        if not self.up:
            answer(KafkaError(ErrorCode.NOT_COORDINATOR))
            return
        ticket = next(self._tickets)
        self._callbacks[ticket] = answer
        try:
            outcome = self.machine.handle(request, ticket, self.world.now_ms)
        except ProducerIdNeeded:
            self.submit(request._replace(spare_id=next(self._ids)), answer)
            return
        except KafkaError as error:
            # As in the runtime, a refusal waits for what it was decided on.
            self._reply(answer, error)
            return
        self._take(outcome)

    def _take(self, outcome: Outcome) -> None:
        for record in outcome.records:
            raw_value = None if record.value is None else encode_value(record.value, record.value_version)
            self._append(encode_key(record.key), raw_value)
        for key, due_ms, event in outcome.timers:
            if due_ms is not None:
                self._timer(key, due_ms, event)
        for ticket, value in outcome.replies:
            self._reply(self._callbacks.pop(ticket), value)
        noted, self._noted = self._noted, []
        for name in noted:
            self._end(name)

    def _timer(self, key: tuple[str, ...], due_ms: int, event: Any) -> None:
        epoch = self.epoch

        def fire() -> None:
            if self.up and self.epoch == epoch:
                self._take(self.machine.handle(event, 0, self.world.now_ms))

        self.world.later(max(0, due_ms - self.world.now_ms), fire)

    def _append(self, raw_key: bytes, raw_value: bytes | None) -> None:
        self.log.append((raw_key, raw_value))
        self._replay(raw_key, raw_value)
        name = decode_key(raw_key, TRANSACTION_RECORDS).transactional_id  # type: ignore[union-attr]
        self._never_back(name, self.machine.entries[name])
        end, epoch = len(self.log), self.epoch

        def commit() -> None:
            if self.epoch == epoch and self.up and self.committed < end:
                self.committed = end
                self._answer()

        self.world.later(self.world.rng.randrange(0, 6), commit)

    def _replay(self, raw_key: bytes, raw_value: bytes | None) -> None:
        key = decode_key(raw_key, TRANSACTION_RECORDS)
        assert key is not None
        value = None if raw_value is None else decode_value(key, raw_value)
        self.machine.replay(key, value, offset=0, timestamp_ms=0, transaction=None)

    def _never_back(self, name: str, entry: Entry) -> None:
        before = self.highest.get(name)
        if before is not None and before.producer_id == entry.producer_id:
            assert entry.epoch >= before.epoch, f"{name}: the epoch goes back, {before} -> {entry}"
        elif before is not None:
            assert entry.producer_id > before.producer_id, f"{name}: an old producer id again"
        self.highest[name] = entry

    def _reply(self, answer: Callback, value: Any) -> None:
        if self.committed >= len(self.log):
            answer(value)
        else:
            self._replies.append((len(self.log), answer, value))

    def _answer(self) -> None:
        due = [reply for reply in self._replies if reply[0] <= self.committed]
        self._replies = [reply for reply in self._replies if reply[0] > self.committed]
        for _, answer, value in due:
            answer(value)

    # --- markers ---

    def _end(self, name: str) -> None:
        epoch = self.epoch

        def decided(ending: Ending | None) -> None:
            if ending is None or self.epoch != epoch:
                return
            left = {tp.partition for tp in ending.partitions}
            if not left:
                self.submit(MarkersWritten(name, ending.identity), lambda _: None)
            for partition in sorted(left):
                self._mark(ending, partition, left, epoch)

        self.submit(GetEnding(name), decided)

    def _mark(self, ending: Ending, partition: int, left: set[int], epoch: int) -> None:
        """A marker on its way; it may arrive after its coordinator has been replaced."""
        world = self.world

        def arrive() -> None:
            if not world.calm and world.rng.random() < 0.2:
                self._mark(ending, partition, left, epoch)
                return
            code = world.partitions[partition].marker(ending.identity, epoch, ending.commit)
            if code is ErrorCode.TRANSACTION_COORDINATOR_FENCED or self.epoch != epoch or not self.up:
                return
            left.discard(partition)
            if not left:
                self.submit(MarkersWritten(ending.transactional_id, ending.identity), lambda _: None)

        world.later(world.delay(), arrive)

    # --- crashes ---

    def crash(self) -> None:
        if not self.up:
            return
        self.up = False
        kept = self.world.rng.randint(self.committed, len(self.log))
        del self.log[kept:]
        self._replies.clear()
        self._callbacks.clear()
        self._noted.clear()
        self.world.later(self.world.rng.randrange(1, 300), self._load)

    def _load(self) -> None:
        self.epoch += 1
        self.committed = len(self.log)
        self.machine = self._new()
        last = dict(self.log)
        for raw_key, raw_value in last.items():
            self._replay(raw_key, raw_value)
        self.highest = dict(self.machine.entries)
        self.up = True
        self._take(self.machine.start(self.world.now_ms))


class Producer:
    """One incarnation of an application: begins, writes some transactions, or dies in the middle."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.number = next(world.incarnations)
        self.identity = ProducerIdentity()
        self.sequences: dict[int, int] = {}
        self._calls = 0
        self._life = self._live()
        self._go_on(None)

    @property
    def tv2(self) -> bool:
        return self.world.shape.level >= TV2

    def _go_on(self, value: Any) -> None:
        try:
            send = self._life.send(value)
        except StopIteration:
            return
        self._call(send)

    def _call(self, send: Callable[[Callback], None]) -> None:
        """Send a request; again when no answer comes, over other connections: the first may still arrive.

        Under TV1 nothing tells a late request of the last transaction from one of the next, so nothing is sent twice.
        """
        world = self.world
        self._calls += 1
        call = self._calls
        attempts = 4 if self.tv2 else 1

        def answered(value: Any) -> None:
            if self._calls == call:
                self._calls += 1
                self._go_on(value)

        def attempt(left: int) -> None:
            if self._calls != call:
                return
            if left == 0:
                answered(TIMED_OUT)
                return
            lost = 0.0 if world.calm else world.shape.loss
            copies = 2 if self.tv2 and world.rng.random() < 0.1 and not world.calm else 1
            for _ in range(copies):
                if world.rng.random() >= lost:
                    world.later(world.delay(), lambda: send(reply))
            world.later(DATA_TIMEOUT_MS // 2, lambda: attempt(left - 1))

        def reply(value: Any) -> None:
            if world.calm or world.rng.random() >= world.shape.loss:
                world.later(world.delay(), lambda: answered(value))

        attempt(attempts)

    def _ask(self, send: Callable[[Callback], None]) -> Generator[Any, Any, Any]:
        """The answer, after as many retries as it takes."""
        for _ in range(200):
            value = yield send
            if not (isinstance(value, KafkaError) and value.code in RETRY):
                return value
            yield self._pause
        return TIMED_OUT

    def _pause(self, answer: Callback) -> None:
        self.world.later(self.world.rng.randrange(5, 60), lambda: answer(None))

    def _live(self) -> Generator[Any, Any, None]:
        world = self.world
        value = yield from self._ask(self._to_coordinator(InitProducerId(self.name, TXN_TIMEOUT_MS)))
        if isinstance(value, KafkaError):
            return
        self.identity = value
        for number in range(world.shape.transactions):
            if world.rng.random() < 0.08:
                return
            ok = yield from self._transaction(number)
            if ok is None:
                return
            if not ok:
                expected = self.identity
                value = yield from self._ask(self._to_coordinator(InitProducerId(self.name, TXN_TIMEOUT_MS, expected)))
                if isinstance(value, KafkaError):
                    return
                self._new_identity(value)

    def _new_identity(self, identity: ProducerIdentity) -> None:
        if identity != self.identity:
            self.sequences.clear()
        self.identity = identity

    def _to_coordinator(self, request: Any) -> Callable[[Callback], None]:
        return lambda answer: self.world.coordinator.submit(request, answer)

    def _transaction(self, number: int) -> Generator[Any, Any, bool | None]:
        """True = go on, False = the producer needs a new epoch, None = it is over."""
        world = self.world
        claim = Claim()
        world.claims[self.number, number] = claim
        good = True
        for count in range(world.rng.randrange(0, 4)):
            partition = world.rng.randrange(world.shape.partitions)
            value = Value(self.number, number, count)
            if not self.tv2:
                added = yield from self._ask(
                    self._to_coordinator(AddPartitions(self.name, self.identity, frozenset({self._tp(partition)}), 0))
                )
                if isinstance(added, KafkaError):
                    return None
            claim.sent.add((partition, value))
            sequence = self.sequences.get(partition, -1) + 1
            wrote = yield from self._ask(self._produce(partition, sequence, value))
            if isinstance(wrote, KafkaError):
                if wrote.code not in (ErrorCode.INVALID_TXN_STATE, ErrorCode.TRANSACTION_ABORTABLE):
                    return None
                good = False
                break
            self.sequences[partition] = sequence
            claim.acked.add((partition, value))
            if world.rng.random() < 0.05:
                yield lambda answer: world.later(world.rng.randrange(100, 3_000), lambda: answer(None))
            if world.rng.random() < 0.03:
                return None
        commit = good and world.rng.random() < 0.7
        if not claim.sent:
            return True
        claim.asked_commit = commit
        ended = yield from self._ask(
            self._to_coordinator(EndTransaction(self.name, self.identity, commit, 2 if self.tv2 else 0))
        )
        if isinstance(ended, KafkaError):
            return None
        claim.told = commit
        if self.tv2:
            assert ended != self.identity, "a transaction of TV2 moves the epoch"
            self._new_identity(ended)
        return good

    def _tp(self, partition: int) -> TopicPartition:
        return self.world.partitions[partition].tp

    def _produce(self, index: int, sequence: int, value: Value) -> Callable[[Callback], None]:
        """What the broker does with a Produce: ask the coordinator with a guard, then append."""
        identity, name, world = self.identity, self.name, self.world
        partition = world.partitions[index]

        def send(answer: Callback) -> None:
            guard = partition.guard(identity)

            def checked(result: Any) -> None:
                if isinstance(result, KafkaError):
                    answer(result)
                elif isinstance(result, dict) and result[partition.tp] is not ErrorCode.NONE:
                    answer(KafkaError(result[partition.tp]))
                else:
                    world.later(world.rng.randrange(0, 3), append)

            def append() -> None:
                code = partition.append(identity, sequence, value, guard)
                answer(None if code is ErrorCode.NONE else KafkaError(code))

            wanted = frozenset({partition.tp})
            if self.tv2:
                world.coordinator.submit(AddPartitions(name, identity, wanted, TV2), checked)
            else:
                world.coordinator.submit(VerifyPartitions(name, identity, wanted), checked)

        return send


def run(seed: int, shape: Shape | None = None) -> World:
    """One run; AssertionError when an invariant breaks."""
    world = World(seed, shape or Shape())
    world.run()
    return world


if __name__ == "__main__":
    import sys

    done = run(int(sys.argv[1]), Shape(level=int(sys.argv[2]) if len(sys.argv) > 2 else TV2))
    print(f"{done.steps} steps, {len(done.claims)} transactions: no fault")
