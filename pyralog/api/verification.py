"""Transactional batches of a Produce: may they be appended? Their coordinator knows; the plane is told (KIP-890).

The plane forwards a batch whose transaction is not open in its partition. Under TV2 (Produce 12+) the partition becomes
part of the transaction by being written to; older producers have added it, and the coordinator is asked whether.
A marker that comes between the question and the append takes the permission away: `guard`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pyralog._speedups import batch as headers
from pyralog.api.transactions import may_write
from pyralog.coordinator.transaction.requests import AddPartitions, VerifyPartitions
from pyralog.coordinator.transaction.state import TV2, ProducerIdentity
from pyralog.errors import ErrorCode, KafkaError
from pyralog.model import TopicPartition
from pyralog.records.batch import CONTROL, TRANSACTIONAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyralog.api.context import Context
    from pyralog.wire.messages import PartitionProduceData

ADDS_FROM = 12  # KIP-890 part 2
ABORTABLE_FROM = 11  # KIP-890: TRANSACTION_ABORTABLE
# What older producers take for fatal, or refresh their metadata for, in vain; this error only makes them try again.
RETRY = ErrorCode.NOT_ENOUGH_REPLICAS
COORDINATOR_ERRORS = frozenset(
    {
        ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
        ErrorCode.COORDINATOR_NOT_AVAILABLE,
        ErrorCode.NOT_COORDINATOR,
        ErrorCode.NETWORK_EXCEPTION,
    }
)
NOT_PART = "the partition was not added to the transaction"


class Transactional(NamedTuple):
    """The transactional batches of a request: one producer, its partitions."""

    identity: ProducerIdentity
    batches: Mapping[TopicPartition, PartitionProduceData]


def transactional(parts: Iterable[tuple[TopicPartition, PartitionProduceData]]) -> Transactional | None:
    """What has to be verified; INVALID_PRODUCER_ID_MAPPING when it is of more than one producer."""
    batches: dict[TopicPartition, PartitionProduceData] = {}
    identities: set[ProducerIdentity] = set()
    for tp, data in parts:
        if not data.records:
            continue
        header = headers.parse(data.records)
        # What is damaged or a control batch is left to the plane, which says so.
        if not header["error"] and header["attributes"] & (TRANSACTIONAL | CONTROL) == TRANSACTIONAL:
            batches[tp] = data
            identities.add(ProducerIdentity(header["producer_id"], header["producer_epoch"]))
    if not batches:
        return None
    if len({identity.producer_id for identity in identities}) > 1:
        raise KafkaError(ErrorCode.INVALID_PRODUCER_ID_MAPPING, "batches of more than one transactional producer")
    # Batches of several epochs: the newest is the one that may be open; the plane refuses the others.
    return Transactional(max(identities), batches)


def demand(transactional_id: str | None, context: Context) -> None:
    """KafkaError(53) unless the asker may write in transactions of this id."""
    if transactional_id is None or not may_write(transactional_id, context):
        raise KafkaError(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)


async def verify(
    transactional_id: str, sent: Transactional, context: Context
) -> dict[TopicPartition, tuple[ErrorCode, str | None]]:
    """Ask the coordinator and tell the plane; the partitions that are refused."""
    plane = context.services.plane
    hosted = {tp for tp in sent.batches if plane.snapshot(tp) is not None}
    if not hosted:
        return {}
    producer_id, epoch = sent.identity
    guard = plane.verification()
    refused: dict[TopicPartition, tuple[ErrorCode, str | None]] = {}
    for tp, code in (await _ask(transactional_id, sent.identity, frozenset(hosted), context)).items():
        told, why = _told(code, context.version)
        if told is not ErrorCode.NONE:
            refused[tp] = told, why
        elif plane.snapshot(tp) is not None:
            # False = a marker came meanwhile; the plane then refuses the batch as one of no transaction.
            plane.verify_transaction(tp, producer_id, epoch, guard, principal=context.principal)
    return refused


async def _ask(
    transactional_id: str, identity: ProducerIdentity, partitions: frozenset[TopicPartition], context: Context
) -> Mapping[TopicPartition, ErrorCode]:
    coordinator = context.services.transactions
    try:
        if context.version >= ADDS_FROM:
            await coordinator.add(AddPartitions(transactional_id, identity, partitions, TV2))
            return dict.fromkeys(partitions, ErrorCode.NONE)
        verdicts: Any = await coordinator.submit(
            transactional_id, VerifyPartitions(transactional_id, identity, partitions)
        )
    except KafkaError as error:
        return dict.fromkeys(partitions, error.code)
    found: Mapping[TopicPartition, ErrorCode] = verdicts
    return found


def _told(code: ErrorCode, version: int) -> tuple[ErrorCode, str | None]:
    """What a producer of this version hears for the coordinator's word."""
    if code is ErrorCode.PRODUCER_FENCED:
        return ErrorCode.INVALID_PRODUCER_EPOCH, None
    if code in COORDINATOR_ERRORS or (code is ErrorCode.CONCURRENT_TRANSACTIONS and version < ADDS_FROM):
        return RETRY, f"the partition could not be verified to be part of the transaction: {code.name}"
    if code is ErrorCode.TRANSACTION_ABORTABLE:
        return (code if version >= ABORTABLE_FROM else ErrorCode.INVALID_TXN_STATE), NOT_PART
    return code, None
