"""InitProducerId: which producer id and epoch a transactional id goes on with (KIP-360)."""

from __future__ import annotations

from pyralog.coordinator.transaction.ending import aborted
from pyralog.coordinator.transaction.requests import InitProducerId, ProducerIdNeeded
from pyralog.coordinator.transaction.state import (
    MAX_EPOCH,
    NO_EPOCH,
    NO_PRODUCER_ID,
    NO_TIME,
    PREPARED,
    Entry,
    ProducerIdentity,
    State,
)
from pyralog.errors import ErrorCode, KafkaError


def fenced_abort(entry: Entry, request: InitProducerId, level: int, now_ms: int) -> Entry:
    """The open transaction of the producer before, aborted under an epoch that fences it.

    Kafka does this for a producer that names an old epoch too, and refuses it afterwards. Here it is refused at once:
    a zombie must not end the transaction of its successor.
    """
    if request.expected is not None and request.expected != entry.identity:
        raise KafkaError(ErrorCode.PRODUCER_FENCED)
    return aborted(entry, level, now_ms)


def next_session(entry: Entry | None, request: InitProducerId, now_ms: int) -> Entry:
    """The entry of a producer that begins, or begins again. KafkaError when it is fenced or must wait."""
    expected = request.expected
    if entry is None:
        # A producer that names an id which has expired gets a new one: it is nobody's.
        return Entry(_spare(request), 0, request.timeout_ms, updated_ms=now_ms)
    if expected is not None and not _may_name(entry, expected):
        raise KafkaError(ErrorCode.PRODUCER_FENCED)
    if entry.state in PREPARED:
        raise KafkaError(ErrorCode.CONCURRENT_TRANSACTIONS, "the last transaction is still ending")
    producer_id, (epoch, last_epoch) = entry.producer_id, (entry.epoch, entry.last_epoch)
    retry = expected is not None and expected.epoch == entry.last_epoch and expected.epoch != entry.epoch
    if expected is not None and expected.epoch != entry.epoch and not retry:
        raise KafkaError(ErrorCode.PRODUCER_FENCED)
    if not retry:
        last_epoch = NO_EPOCH if expected is None else entry.epoch
        epoch = entry.epoch + 1
    # A retry: the epoch was moved for this producer, which did not get the answer.
    if epoch >= MAX_EPOCH:
        producer_id, epoch = _spare(request), 0
    return entry._replace(
        producer_id=producer_id,
        epoch=epoch,
        last_epoch=last_epoch,
        timeout_ms=request.timeout_ms,
        state=State.EMPTY,
        partitions=frozenset(),
        start_ms=NO_TIME,
        updated_ms=now_ms,
        previous_producer_id=entry.producer_id,
        next_producer_id=NO_PRODUCER_ID,
    )


def _may_name(entry: Entry, expected: ProducerIdentity) -> bool:
    """The producer names the current id, or the one before when its epochs are used up and the answer was lost."""
    if expected.producer_id == entry.producer_id:
        return True
    return expected.producer_id == entry.previous_producer_id and expected.epoch >= MAX_EPOCH - 1


def _spare(request: InitProducerId) -> int:
    if request.spare_id == NO_PRODUCER_ID:
        raise ProducerIdNeeded
    return request.spare_id
