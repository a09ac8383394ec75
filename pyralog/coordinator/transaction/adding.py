"""AddPartitionsToTxn: a transaction begins with its first partition, and takes more while it is open."""

from __future__ import annotations

from pyralog.coordinator.transaction.requests import AddPartitions
from pyralog.coordinator.transaction.state import PREPARED, Entry, ProducerIdentity, State
from pyralog.errors import ErrorCode, KafkaError


def check(entry: Entry, identity: ProducerIdentity) -> None:
    """KafkaError unless the producer may act in a transaction now."""
    if entry.producer_id != identity.producer_id:
        raise KafkaError(ErrorCode.INVALID_PRODUCER_ID_MAPPING)
    if entry.epoch != identity.epoch:
        raise KafkaError(ErrorCode.PRODUCER_FENCED)
    if entry.state in PREPARED:
        raise KafkaError(ErrorCode.CONCURRENT_TRANSACTIONS, "the last transaction is still ending")


def added(entry: Entry, request: AddPartitions, now_ms: int) -> Entry | None:
    """The transaction with these partitions; None when it has them. KafkaError when it is refused."""
    check(entry, request.identity)
    ongoing = entry.state is State.ONGOING
    if ongoing and request.partitions <= entry.partitions:
        return None
    return entry._replace(
        state=State.ONGOING,
        partitions=entry.partitions | request.partitions,
        start_ms=entry.start_ms if ongoing else now_ms,
        updated_ms=now_ms,
        previous_producer_id=entry.producer_id,
        version=request.version,
    )
