"""What can be asked of a transaction machine, the events that it sets timers for, and what it answers."""

from __future__ import annotations

from typing import NamedTuple

from pyralog.coordinator.transaction.state import NO_PRODUCER_ID, ProducerIdentity, State
from pyralog.errors import ErrorCode, KafkaError
from pyralog.model import TopicPartition


class ProducerIdNeeded(KafkaError):
    """The request needs a new producer id: ask again with a spare one."""

    def __init__(self) -> None:
        super().__init__(ErrorCode.COORDINATOR_NOT_AVAILABLE, "a new producer id is needed")


class InitProducerId(NamedTuple):
    """Begin a session of a producer: who had the id before is fenced. -> ProducerIdentity.

    `expected` is what the producer says it has (KIP-360). `spare_id` is a producer id to use if one is needed.
    """

    transactional_id: str
    timeout_ms: int
    expected: ProducerIdentity | None = None
    spare_id: int = NO_PRODUCER_ID


class AddPartitions(NamedTuple):
    """Make partitions part of the transaction, which begins with the first. -> None."""

    transactional_id: str
    identity: ProducerIdentity
    partitions: frozenset[TopicPartition]
    version: int


class VerifyPartitions(NamedTuple):
    """Are these partitions part of the producer's transaction? -> dict of TopicPartition to ErrorCode."""

    transactional_id: str
    identity: ProducerIdentity
    partitions: frozenset[TopicPartition]


class EndTransaction(NamedTuple):
    """Commit or abort. -> ProducerIdentity to go on with (TV2), or none of it."""

    transactional_id: str
    identity: ProducerIdentity
    commit: bool
    version: int
    spare_id: int = NO_PRODUCER_ID


class DescribeTransaction(NamedTuple):
    """-> Entry, or TRANSACTIONAL_ID_NOT_FOUND."""

    transactional_id: str


class ListTransactions(NamedTuple):
    """-> tuple of (transactional id, Entry), all of the shard."""


class GetEnding(NamedTuple):
    """-> Ending, once the decision is in the log, or None when there is nothing (any more) to write."""

    transactional_id: str


class MarkersWritten(NamedTuple):
    """Every partition of a decided transaction has its marker. -> None."""

    transactional_id: str
    identity: ProducerIdentity


class Ending(NamedTuple):
    """A decided transaction whose markers are to be written, under this identity."""

    transactional_id: str
    identity: ProducerIdentity
    commit: bool
    partitions: frozenset[TopicPartition]
    version: int


class TimedOut(NamedTuple):
    """Event: look whether the transaction is still open and too old."""

    transactional_id: str


class Expire(NamedTuple):
    """Event: remove the transactional ids that nobody has used for long."""


ENDS = {True: State.PREPARE_COMMIT, False: State.PREPARE_ABORT}
