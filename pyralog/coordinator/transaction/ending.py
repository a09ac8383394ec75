"""EndTxn, timeouts and fencing: how a transaction is decided, and what is left when its markers are written.

Under TV2 (KIP-890) each end moves the epoch: the markers and the next transaction have the new one, so that a late
request of the old transaction cannot touch the next. The epoch also tells a retry from a new request:

| state | abort, old epoch | abort, epoch | commit, old epoch | commit, epoch |
|---|---|---|---|---|
| Empty | fenced | epoch moves | fenced | INVALID_TXN_STATE |
| CompleteAbort | done | epoch moves | INVALID_TXN_STATE | INVALID_TXN_STATE |
| CompleteCommit | INVALID_TXN_STATE | epoch moves | done | INVALID_TXN_STATE |

Under TV1 the epoch stays, an end that was done is done again without effect, and nothing can be ended on Empty.
"""

from __future__ import annotations

from pyralog.coordinator.transaction.requests import ENDS, EndTransaction, ProducerIdNeeded
from pyralog.coordinator.transaction.state import (
    COMPLETED,
    MAX_EPOCH,
    NO_EPOCH,
    NO_PRODUCER_ID,
    PREPARED,
    TV2,
    Entry,
    State,
)
from pyralog.errors import ErrorCode, KafkaError

_COMMITTED = frozenset({State.PREPARE_COMMIT, State.COMPLETE_COMMIT})


def ended(entry: Entry, request: EndTransaction, now_ms: int) -> Entry | None:
    """The decided transaction; None when the request repeats one that has ended. KafkaError when it is refused."""
    return _ended_tv2(entry, request, now_ms) if request.version >= TV2 else _ended_tv1(entry, request, now_ms)


def _ended_tv1(entry: Entry, request: EndTransaction, now_ms: int) -> Entry | None:
    if entry.producer_id != request.identity.producer_id:
        raise KafkaError(ErrorCode.INVALID_PRODUCER_ID_MAPPING)
    if entry.epoch != request.identity.epoch:
        raise KafkaError(ErrorCode.PRODUCER_FENCED)
    if entry.state is State.ONGOING:
        return entry._replace(
            state=ENDS[request.commit],
            updated_ms=now_ms,
            previous_producer_id=entry.producer_id,
            next_producer_id=NO_PRODUCER_ID,
            version=0,
        )
    if _was(entry, request.commit):
        return None
    raise KafkaError(ErrorCode.INVALID_TXN_STATE, f"the state is {entry.state.name}")


def _ended_tv2(entry: Entry, request: EndTransaction, now_ms: int) -> Entry | None:
    producer_id, epoch = request.identity
    rotated = entry.previous_producer_id == producer_id and epoch == MAX_EPOCH - 1 and entry.epoch == 0
    if entry.producer_id != producer_id and not (rotated and entry.state in COMPLETED):
        raise KafkaError(ErrorCode.INVALID_PRODUCER_ID_MAPPING)
    current = epoch == entry.epoch and entry.producer_id == producer_id
    retry = epoch + 1 == entry.epoch or (rotated and not current)
    if entry.state in PREPARED:
        allowed = retry
    elif entry.state in COMPLETED:
        allowed = retry or current
    else:
        allowed = current
    # Above MAX_EPOCH - 1 the coordinator has fenced the last epoch: who had it needs another producer id.
    if not allowed or (retry and entry.state in COMPLETED and entry.epoch == MAX_EPOCH):
        raise KafkaError(ErrorCode.PRODUCER_FENCED)
    if entry.state is State.ONGOING:
        return _bumped(entry, request.commit, request.spare_id, now_ms)
    if retry:
        if _was(entry, request.commit):
            return None
    elif not request.commit:
        return _bumped(entry, False, request.spare_id, now_ms)._replace(start_ms=now_ms)
    raise KafkaError(ErrorCode.INVALID_TXN_STATE, f"the state is {entry.state.name}")


def _was(entry: Entry, commit: bool) -> bool:
    """The transaction has ended in this way; CONCURRENT_TRANSACTIONS while it is only decided."""
    if entry.state is State.EMPTY or (entry.state in _COMMITTED) is not commit:
        return False
    if entry.state in PREPARED:
        raise KafkaError(ErrorCode.CONCURRENT_TRANSACTIONS, "the transaction is still ending")
    return True


def aborted(entry: Entry, level: int, now_ms: int) -> Entry:
    """An open transaction that the coordinator ends by itself, under an epoch that fences its producer."""
    assert entry.state is State.ONGOING
    if level >= TV2:
        # The epoch may be used up: then InitProducerId gives the producer that comes next a new id.
        return _moved(entry, False, now_ms)
    return entry._replace(
        state=State.PREPARE_ABORT,
        epoch=entry.epoch + 1,
        last_epoch=NO_EPOCH,
        updated_ms=now_ms,
        previous_producer_id=entry.producer_id,
        next_producer_id=NO_PRODUCER_ID,
        version=0,
    )


def _bumped(entry: Entry, commit: bool, spare_id: int, now_ms: int) -> Entry:
    """The end that a producer asked for; it goes on with another producer id when its epochs are used up."""
    if entry.exhausted and spare_id == NO_PRODUCER_ID:
        raise ProducerIdNeeded
    after = _moved(entry, commit, now_ms)
    return after._replace(next_producer_id=spare_id) if entry.exhausted else after


def _moved(entry: Entry, commit: bool, now_ms: int) -> Entry:
    return entry._replace(
        state=ENDS[commit],
        epoch=entry.epoch + 1,
        last_epoch=entry.epoch,
        updated_ms=now_ms,
        previous_producer_id=entry.producer_id,
        next_producer_id=NO_PRODUCER_ID,
        version=TV2,
    )


def completed(entry: Entry, now_ms: int) -> Entry:
    """What is left of a decided transaction when all its markers are written."""
    state = State.COMPLETE_COMMIT if entry.state is State.PREPARE_COMMIT else State.COMPLETE_ABORT
    after = entry._replace(
        state=state,
        partitions=frozenset(),
        updated_ms=now_ms,
        previous_producer_id=entry.producer_id,
        next_producer_id=NO_PRODUCER_ID,
    )
    if entry.next_producer_id == NO_PRODUCER_ID:
        return after
    # The markers have the last epoch of all; the producer has seen the one before it, and goes on at 0 of the new id.
    return after._replace(producer_id=entry.next_producer_id, epoch=0)
