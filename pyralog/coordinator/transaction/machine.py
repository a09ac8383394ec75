"""One partition of __transaction_state as a machine: its transactional ids, their producers and transactions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pyralog._speedups.codec import Message
from pyralog.coordinator.outcome import NOTHING, Outcome, Reply, Timer, Transaction
from pyralog.coordinator.transaction import adding, ending, initialising
from pyralog.coordinator.transaction.requests import (
    AddPartitions,
    DescribeTransaction,
    Ending,
    EndTransaction,
    Expire,
    GetEnding,
    InitProducerId,
    ListTransactions,
    MarkersWritten,
    ProducerIdNeeded,
    TimedOut,
    VerifyPartitions,
)
from pyralog.coordinator.transaction.state import (
    NO_PRODUCER_ID,
    PREPARED,
    TRANSITIONS,
    TV1,
    Entry,
    ProducerIdentity,
    State,
    entry_of,
    record,
    tombstone,
)
from pyralog.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from pyralog.cluster.image import ClusterImage, ImageDelta
    from pyralog.coordinator.transaction.settings import TransactionSettings

FEATURE = "transaction.version"
EXPIRED_AT_ONCE = 1000  # tombstones of one outcome
EXPIRE_AGAIN_MS = 100  # when there are more
TIMED_OUT = "timeout"
EXPIRE = ("expire",)


class TransactionMachine:
    """The transactional ids of one partition. See coordinator.outcome.Machine for what may change what.

    What is decided is replayed at once and answered when it is committed, so that there is no pending state: a later
    request sees the decision, and its answer comes behind it. `ended(transactional_id)` says that a transaction has
    been decided and needs its markers; whoever is told asks with GetEnding, which answers when the decision is in the
    log, writes them, and says MarkersWritten. After a restart `start` says it again.
    """

    def __init__(
        self, partition: int, settings: TransactionSettings, image: ClusterImage, ended: Callable[[int, str], None]
    ) -> None:
        self.partition = partition
        self.settings = settings
        self.image = image
        self.entries: dict[str, Entry] = {}
        self._ended = ended
        # last_epoch of an entry that is about to be replayed: it is volatile, as in Kafka.
        self._last_epochs: dict[str, int] = {}

    @property
    def level(self) -> int:
        """The finalized transaction.version: what the coordinator does by itself follows it."""
        return self.image.features.get(FEATURE, 0)

    def handle(self, request: Any, ticket: int, now_ms: int) -> Outcome:
        """Decide on a request or an event."""
        handler = HANDLERS.get(type(request))
        if handler is None:
            raise KafkaError(ErrorCode.UNSUPPORTED_VERSION, f"no transaction machine takes {type(request).__name__}")
        return handler(self, request, ticket, now_ms)

    def replay(
        self, key: Message, value: Message | None, *, offset: int, timestamp_ms: int, transaction: Transaction | None
    ) -> None:
        """Apply one record."""
        transactional_id = key.transactional_id  # type: ignore[attr-defined]
        if value is None:
            self.entries.pop(transactional_id, None)
            return
        entry = entry_of(value)  # type: ignore[arg-type]
        last_epoch = self._last_epochs.pop(transactional_id, None)
        self.entries[transactional_id] = entry if last_epoch is None else entry._replace(last_epoch=last_epoch)

    def complete(self, transaction: Transaction, *, committed: bool, now_ms: int) -> Outcome:
        """Nobody writes here in a transaction."""
        return NOTHING

    def start(self, now_ms: int) -> Outcome:
        """Timers of open transactions; what was decided before the restart is brought to its end."""
        timers = [self._next_expiry(now_ms)]
        for transactional_id, entry in self.entries.items():
            if entry.state is State.ONGOING:
                timers.append(self._timeout(transactional_id, entry))
            elif entry.state in PREPARED:
                self._ended(self.partition, transactional_id)
        return Outcome(timers=tuple(timers))

    def _next_expiry(self, now_ms: int) -> Timer:
        return Timer(EXPIRE, now_ms + self.settings.remove_expired_interval_ms, Expire())

    def reconfigure(self, settings: TransactionSettings, now_ms: int) -> Outcome:
        """Go by other settings from now on; a timeout that a producer was granted stays."""
        self.settings = settings
        return Outcome(timers=(self._next_expiry(now_ms),))

    def on_image(self, image: ClusterImage, delta: ImageDelta, now_ms: int) -> Outcome:
        """The cluster has changed: the finalized transaction.version is read from it."""
        self.image = image
        return NOTHING

    # --- what the handlers share ---

    def find(self, transactional_id: str) -> Entry:
        """The entry; INVALID_PRODUCER_ID_MAPPING without one."""
        entry = self.entries.get(transactional_id)
        if entry is None:
            raise KafkaError(ErrorCode.INVALID_PRODUCER_ID_MAPPING)
        return entry

    def move(self, transactional_id: str, before: Entry | None, after: Entry, reply: Reply | None) -> Outcome:
        """The outcome that makes `after` of `before`."""
        _assert_move(before, after)
        self._last_epochs[transactional_id] = after.last_epoch
        if after.state in PREPARED:
            self._ended(self.partition, transactional_id)
        return Outcome(
            records=(record(transactional_id, after, self.level),), replies=() if reply is None else (reply,)
        )

    def timers(self, transactional_id: str, before: Entry, after: Entry) -> tuple[Timer, ...]:
        """A transaction that begins will time out. One timer per transactional id, never taken back: when it is due it
        looks at the transaction there is then."""
        if after.state is not State.ONGOING or before.state is State.ONGOING:
            return ()
        return (self._timeout(transactional_id, after),)

    # --- the quick way: a record is written without a message for it, and its effect comes without a replay ---

    def decide(self, request: AddPartitions | EndTransaction, now_ms: int) -> Entry | None:
        """What becomes of the transactional id, by the rules of `handle`. Nothing changes before `keep`. None where
        nothing would, and where the records have no place for all of it. KafkaError as in `handle`."""
        if self.level < TV1:
            return None
        entry = self.find(request.transactional_id)
        decide = adding.added if type(request) is AddPartitions else ending.ended
        return decide(entry, request, now_ms)  # type: ignore[arg-type]

    def completed(self, transactional_id: str, identity: ProducerIdentity, now_ms: int) -> Entry | None:
        """The same for a transaction whose markers are written."""
        entry = self.entries.get(transactional_id)
        if entry is None or entry.state not in PREPARED or entry.identity != identity:
            return None
        return ending.completed(entry, now_ms)

    def keep(self, transactional_id: str, after: Entry) -> tuple[Timer, ...]:
        """Do what the replay of its record would do; the timers that follow. Whoever ends a transaction this way sees
        to its markers."""
        before = self.entries[transactional_id]
        _assert_move(before, after)
        self.entries[transactional_id] = after
        return self.timers(transactional_id, before, after)

    @staticmethod
    def _timeout(transactional_id: str, entry: Entry) -> Timer:
        return Timer((TIMED_OUT, transactional_id), entry.start_ms + entry.timeout_ms, TimedOut(transactional_id))


def _assert_move(before: Entry | None, after: Entry) -> None:
    assert before is None or after.state in TRANSITIONS[before.state], (before, after)


def _init(machine: TransactionMachine, request: InitProducerId, ticket: int, now_ms: int) -> Outcome:
    if not 0 < request.timeout_ms <= machine.settings.max_timeout_ms:
        raise KafkaError(ErrorCode.INVALID_TRANSACTION_TIMEOUT)
    entry = machine.entries.get(request.transactional_id)
    if entry is not None and entry.state is State.ONGOING:
        aborted = initialising.fenced_abort(entry, request, machine.level, now_ms)
        # The producer asks again, and is given its epoch when the transaction of the one before it has ended.
        error = KafkaError(ErrorCode.CONCURRENT_TRANSACTIONS, "the open transaction is being aborted")
        return machine.move(request.transactional_id, entry, aborted, Reply(ticket, error))
    after = initialising.next_session(entry, request, now_ms)
    return machine.move(request.transactional_id, entry, after, Reply(ticket, after.identity))


def _add(machine: TransactionMachine, request: AddPartitions, ticket: int, now_ms: int) -> Outcome:
    entry = machine.find(request.transactional_id)
    after = adding.added(entry, request, now_ms)
    if after is None:
        return Outcome(replies=(Reply(ticket, None),))
    outcome = machine.move(request.transactional_id, entry, after, Reply(ticket, None))
    return outcome._replace(timers=machine.timers(request.transactional_id, entry, after))


def _verify(machine: TransactionMachine, request: VerifyPartitions, ticket: int, now_ms: int) -> Outcome:
    entry = machine.find(request.transactional_id)
    adding.check(entry, request.identity)
    result = {
        tp: ErrorCode.NONE if tp in entry.partitions else ErrorCode.TRANSACTION_ABORTABLE for tp in request.partitions
    }
    return Outcome(replies=(Reply(ticket, result),))


def _end(machine: TransactionMachine, request: EndTransaction, ticket: int, now_ms: int) -> Outcome:
    entry = machine.find(request.transactional_id)
    after = ending.ended(entry, request, now_ms)
    if after is None:  # a retry of what is done
        return Outcome(replies=(Reply(ticket, entry.identity),))
    told = ProducerIdentity(after.next_producer_id, 0) if after.next_producer_id != NO_PRODUCER_ID else after.identity
    return machine.move(request.transactional_id, entry, after, Reply(ticket, told))


def _get_ending(machine: TransactionMachine, request: GetEnding, ticket: int, now_ms: int) -> Outcome:
    entry = machine.entries.get(request.transactional_id)
    if entry is None or entry.state not in PREPARED:
        return Outcome(replies=(Reply(ticket, None),))
    commit = entry.state is State.PREPARE_COMMIT
    found = Ending(request.transactional_id, entry.identity, commit, entry.partitions, entry.version)
    return Outcome(replies=(Reply(ticket, found),))


def _written(machine: TransactionMachine, request: MarkersWritten, ticket: int, now_ms: int) -> Outcome:
    entry = machine.entries.get(request.transactional_id)
    reply = Reply(ticket, None)
    if entry is None or entry.state not in PREPARED or entry.identity != request.identity:
        return Outcome(replies=(reply,))
    return machine.move(request.transactional_id, entry, ending.completed(entry, now_ms), reply)


def _describe(machine: TransactionMachine, request: DescribeTransaction, ticket: int, now_ms: int) -> Outcome:
    entry = machine.entries.get(request.transactional_id)
    if entry is None:
        raise KafkaError(ErrorCode.TRANSACTIONAL_ID_NOT_FOUND)
    return Outcome(replies=(Reply(ticket, entry),))


def _list(machine: TransactionMachine, request: ListTransactions, ticket: int, now_ms: int) -> Outcome:
    return Outcome(replies=(Reply(ticket, tuple(machine.entries.items())),))


def _timed_out(machine: TransactionMachine, event: TimedOut, ticket: int, now_ms: int) -> Outcome:
    entry = machine.entries.get(event.transactional_id)
    if entry is None or entry.state is not State.ONGOING:
        return NOTHING
    timer = machine._timeout(event.transactional_id, entry)
    assert timer.due_ms is not None
    if timer.due_ms > now_ms:
        return Outcome(timers=(timer,))
    return machine.move(event.transactional_id, entry, ending.aborted(entry, machine.level, now_ms), None)


def _expire(machine: TransactionMachine, event: Expire, ticket: int, now_ms: int) -> Outcome:
    """Tombstones for the ids that were not used for long, some at a time."""
    oldest_ms = now_ms - machine.settings.id_expiration_ms
    expired = []
    for transactional_id, entry in machine.entries.items():
        if entry.updated_ms <= oldest_ms and State.DEAD in TRANSITIONS[entry.state]:
            expired.append(tombstone(transactional_id))
            if len(expired) == EXPIRED_AT_ONCE:
                break
    full = len(expired) == EXPIRED_AT_ONCE
    delay_ms = EXPIRE_AGAIN_MS if full else machine.settings.remove_expired_interval_ms
    return Outcome(records=tuple(expired), timers=(Timer(EXPIRE, now_ms + delay_ms, event),))


HANDLERS: Mapping[type, Callable[[TransactionMachine, Any, int, int], Outcome]] = {
    InitProducerId: _init,
    AddPartitions: _add,
    VerifyPartitions: _verify,
    EndTransaction: _end,
    GetEnding: _get_ending,
    MarkersWritten: _written,
    DescribeTransaction: _describe,
    ListTransactions: _list,
    TimedOut: _timed_out,
    Expire: _expire,
}
__all__ = ["ProducerIdNeeded", "TransactionMachine"]
