"""What the coordinator knows of one transactional id, and its record in __transaction_state."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple

from pyralog.coordinator.outcome import CoordinatorRecord
from pyralog.model import TopicPartition
from pyralog.wire.messages import TransactionLogKey, TransactionLogValue, TransactionLogValuePartitionsSchema

NO_PRODUCER_ID = -1
NO_EPOCH = -1
NO_TIME = -1
# The last epoch a client may have is one less: the coordinator can always fence it, and end its transaction.
MAX_EPOCH = 2**15 - 1
# Transaction versions (the levels of the feature transaction.version): records with tags, an epoch per transaction.
TV1, TV2 = 1, 2


class State(IntEnum):
    """The states of a transactional id; numbers are those of its records.

    EMPTY -> ONGOING, PREPARE_ABORT (TV2: an abort of nothing still moves the epoch), DEAD
    ONGOING -> ONGOING (another partition), PREPARE_COMMIT, PREPARE_ABORT
    PREPARE_COMMIT -> COMPLETE_COMMIT; PREPARE_ABORT -> COMPLETE_ABORT (all markers are written)
    COMPLETE_COMMIT, COMPLETE_ABORT -> ONGOING, EMPTY (InitProducerId), PREPARE_ABORT (TV2), DEAD
    EMPTY -> EMPTY (InitProducerId)
    DEAD: removed after transactional.id.expiration.ms without use, by a tombstone; never in a record.
    PREPARE_EPOCH_FENCE: Kafka's step before PREPARE_ABORT in memory; here both are one step. Never in a record.
    """

    EMPTY = 0
    ONGOING = 1
    PREPARE_COMMIT = 2
    PREPARE_ABORT = 3
    COMPLETE_COMMIT = 4
    COMPLETE_ABORT = 5
    DEAD = 6
    PREPARE_EPOCH_FENCE = 7


_IDLE_NEXT = frozenset({State.EMPTY, State.ONGOING, State.PREPARE_ABORT, State.DEAD})
TRANSITIONS = {
    State.EMPTY: _IDLE_NEXT,
    State.ONGOING: frozenset({State.ONGOING, State.PREPARE_COMMIT, State.PREPARE_ABORT}),
    State.PREPARE_COMMIT: frozenset({State.COMPLETE_COMMIT}),
    State.PREPARE_ABORT: frozenset({State.COMPLETE_ABORT}),
    State.COMPLETE_COMMIT: _IDLE_NEXT,
    State.COMPLETE_ABORT: _IDLE_NEXT,
}
STATE_NAMES = {state: "".join(word.capitalize() for word in state.name.split("_")) for state in State}
STATES_BY_NAME = {name: state for state, name in STATE_NAMES.items()}
PREPARED = frozenset({State.PREPARE_COMMIT, State.PREPARE_ABORT})
COMPLETED = frozenset({State.COMPLETE_COMMIT, State.COMPLETE_ABORT})


class ProducerIdentity(NamedTuple):
    """A producer id and the epoch under which it may write."""

    producer_id: int = NO_PRODUCER_ID
    epoch: int = NO_EPOCH


class Entry(NamedTuple):
    """A transactional id. `version` is the transaction version of the client that moved it last.

    `next_producer_id` is what the producer goes on with when its epochs are used up; `previous_producer_id` is what
    it had before. `last_epoch` is the epoch before the last bump, if a retry may still name it; it is not in the log.
    """

    producer_id: int
    epoch: int
    timeout_ms: int
    state: State = State.EMPTY
    partitions: frozenset[TopicPartition] = frozenset()
    start_ms: int = NO_TIME
    updated_ms: int = NO_TIME
    previous_producer_id: int = NO_PRODUCER_ID
    next_producer_id: int = NO_PRODUCER_ID
    last_epoch: int = NO_EPOCH
    version: int = 0

    @property
    def identity(self) -> ProducerIdentity:
        """The producer that may act for the transactional id now."""
        return ProducerIdentity(self.producer_id, self.epoch)

    @property
    def exhausted(self) -> bool:
        """No client may get a higher epoch of this producer id."""
        return self.epoch >= MAX_EPOCH - 1


def record(transactional_id: str, entry: Entry, level: int) -> CoordinatorRecord:
    """The record of an entry; tags are written from TV1 on, which older readers could not skip."""
    value = TransactionLogValue(
        producer_id=entry.producer_id,
        producer_epoch=entry.epoch,
        transaction_timeout_ms=entry.timeout_ms,
        transaction_status=int(entry.state),
        transaction_partitions=None if entry.state is State.EMPTY else _grouped(entry.partitions),
        transaction_last_update_timestamp_ms=entry.updated_ms,
        transaction_start_timestamp_ms=entry.start_ms,
    )
    if level >= TV1:
        value.previous_producer_id = entry.previous_producer_id
        value.next_producer_id = entry.next_producer_id
        value.client_transaction_version = entry.version
    return CoordinatorRecord(
        TransactionLogKey(transactional_id=transactional_id), value, value_version=1 if level >= TV1 else 0
    )


def tombstone(transactional_id: str) -> CoordinatorRecord:
    """The record that removes an entry."""
    return CoordinatorRecord(TransactionLogKey(transactional_id=transactional_id), None)


def entry_of(value: TransactionLogValue) -> Entry:
    """The entry that a record says. ValueError for a state that is never written."""
    state = State(value.transaction_status)
    if state not in TRANSITIONS:
        raise ValueError(f"a transactional id is not stored as {state.name}")
    bumped = value.client_transaction_version >= TV2 and (state in PREPARED or state in COMPLETED)
    return Entry(
        producer_id=value.producer_id,
        epoch=value.producer_epoch,
        timeout_ms=value.transaction_timeout_ms,
        state=state,
        partitions=frozenset(
            TopicPartition(topic.topic, partition)
            for topic in value.transaction_partitions or ()
            for partition in topic.partition_ids
        ),
        start_ms=value.transaction_start_timestamp_ms,
        updated_ms=value.transaction_last_update_timestamp_ms,
        previous_producer_id=value.previous_producer_id,
        next_producer_id=value.next_producer_id,
        # Each transaction of TV2 moves the epoch by one, so this much is known without being in the record.
        last_epoch=value.producer_epoch - 1 if bumped and value.producer_epoch > 0 else NO_EPOCH,
        version=value.client_transaction_version,
    )


def _grouped(partitions: Iterable[TopicPartition]) -> list[TransactionLogValuePartitionsSchema]:
    topics: dict[str, list[int]] = {}
    for topic, partition in sorted(partitions):
        topics.setdefault(topic, []).append(partition)
    return [TransactionLogValuePartitionsSchema(topic=name, partition_ids=ids) for name, ids in topics.items()]
