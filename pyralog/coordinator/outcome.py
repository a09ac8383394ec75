"""What a coordinator machine answers to a request: records to append, replies to give, timers to set."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from pyralog._speedups.codec import Message


class ClientRequest(NamedTuple):
    """A request of a client as a machine gets it; `client_host` is the peer's address, `principal` who asks."""

    message: Message
    version: int
    client_id: str
    client_host: str
    principal: str = ""


class CoordinatorRecord(NamedTuple):
    """One record of a coordinator's topic: wire.coordinator_records says how it is written. No value = a tombstone."""

    key: Message
    value: Message | None
    value_version: int = 0


class Reply(NamedTuple):
    """The answer to the request with this ticket: a response message, or a KafkaError to answer with."""

    ticket: int
    value: Any


class Timer(NamedTuple):
    """Hand `event` to the machine at `due_ms`; None takes the timer back. Setting a key again replaces its timer."""

    key: tuple[str, ...]
    due_ms: int | None
    event: Any = None


class Transaction(NamedTuple):
    """The producer on whose behalf records are appended; they count when its commit marker comes."""

    producer_id: int
    producer_epoch: int


class Outcome(NamedTuple):
    """What follows from a request. The records are appended as one batch: all of them or none are ever replayed.

    The runtime replays them at once and gives the replies when they are committed. With no records the replies still
    wait for what was appended before: nobody is told of state that a crash could take back.
    Records that the log cannot take (too large, or it has failed) are not replayed and the replies become errors; then
    `refused`, if any, is handed to the machine as an event, so that it takes back what it has noted.
    """

    records: tuple[CoordinatorRecord, ...] = ()
    replies: tuple[Reply, ...] = ()
    timers: tuple[Timer, ...] = ()
    transaction: Transaction | None = None
    refused: Any = None


NOTHING = Outcome()


# A record as bytes: timestamp, key, value.
EncodedRecord = tuple[int, bytes, bytes | None]


def combine(*outcomes: Outcome) -> Outcome:
    """Several outcomes as one; none of them may be of a transaction."""
    real = [outcome for outcome in outcomes if outcome is not NOTHING]
    if len(real) < 2:
        return real[0] if real else NOTHING
    return Outcome(
        tuple(record for outcome in real for record in outcome.records),
        tuple(reply for outcome in real for reply in outcome.replies),
        tuple(timer for outcome in real for timer in outcome.timers),
    )


class Machine(Protocol):
    """The state of one shard, that is of one partition of the coordinator's topic. No I/O, no clock, no randomness.

    `handle` decides and may note what is volatile (who waits, when a member was heard of); durable state changes in
    `replay` and `complete` only, which do the same after a restart.
    """

    def handle(self, request: Any, ticket: int, now_ms: int) -> Outcome:
        """Decide on a request or on the event of a timer (ticket 0). A parked request is answered by a later outcome.

        KafkaError = refuse this request alone; nothing may have changed then.
        """

    def replay(
        self, key: Message, value: Message | None, *, offset: int, timestamp_ms: int, transaction: Transaction | None
    ) -> None:
        """Apply one record: of a transaction it stays pending until `complete`."""

    def complete(self, transaction: Transaction, *, committed: bool, now_ms: int) -> Outcome:
        """The producer's marker has been written: apply what is pending of it, or forget it."""

    def start(self, now_ms: int) -> Outcome:
        """The shard is loaded: set the timers that its state asks for."""
