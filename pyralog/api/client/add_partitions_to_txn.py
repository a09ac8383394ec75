"""AddPartitionsToTxn (key 24, versions 0-5): which partitions a transaction is about to write to.

Contract
- Versions 0-3 come from producers (TV1): one transaction, WRITE on its id (53) and on each topic (29). A topic that
  brokers keep for themselves is refused with 29, one that does not exist with 3; one bad partition leaves the others
  with OPERATION_NOT_ATTEMPTED, and nothing is added.
- Versions 4+ come from brokers: many transactions, CLUSTER_ACTION (31), no check of topics' rights. `verify_only` asks
  without adding: TRANSACTION_ABORTABLE for a partition that is not part of the transaction.
- INVALID_PRODUCER_ID_MAPPING for another producer id, PRODUCER_FENCED (v0-1: INVALID_PRODUCER_EPOCH) for another epoch.
- While the last transaction of the id is ending the request waits a little, then CONCURRENT_TRANSACTIONS.
- No transaction at all (v4+) is INVALID_REQUEST; Kafka never answers that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pyralog._speedups.txnlane import TxnLane
from pyralog.api.authorizer import Operation, ResourceType
from pyralog.api.context import Context, Services
from pyralog.api.handler import Api
from pyralog.api.topics import is_internal
from pyralog.api.transactions import may_write, older_code
from pyralog.coordinator.transaction.requests import AddPartitions, VerifyPartitions
from pyralog.coordinator.transaction.state import TV2, ProducerIdentity
from pyralog.errors import ErrorCode, KafkaError
from pyralog.model import TopicPartition
from pyralog.runtime import Pending
from pyralog.wire.messages import (
    AddPartitionsToTxnPartitionResult,
    AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse,
    AddPartitionsToTxnResult,
    AddPartitionsToTxnTopic,
    AddPartitionsToTxnTopicResult,
    AddPartitionsToTxnTransaction,
)

if TYPE_CHECKING:
    from pyralog._speedups.desk import Desk
    from pyralog._speedups.journal import Entry as JournalEntry
    from pyralog._speedups.txnrequests import TxnRequest
    from pyralog.coordinator.active import ActiveShard
    from pyralog.coordinator.transaction.state import Entry

KEY = 24
# An enum's member is looked up slowly.
WRITE, TRANSACTIONAL_ID, TOPIC = Operation.WRITE, ResourceType.TRANSACTIONAL_ID, ResourceType.TOPIC
BATCHED_FROM = 4  # KIP-890
FENCED_FROM = 2  # KIP-588


def handle(
    request: AddPartitionsToTxnRequest, context: Context
) -> AddPartitionsToTxnResponse | Awaitable[AddPartitionsToTxnResponse]:
    """Ask the coordinator for each transaction; all are asked before the first answer is waited for."""
    if context.version < BATCHED_FROM:
        return _one(request, context)
    context.demand_on_cluster(Operation.CLUSTER_ACTION)
    if not request.transactions:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "no transaction")
    return _many([(one, _outcome(one, context)) for one in request.transactions])


def _one(request: AddPartitionsToTxnRequest, context: Context) -> Pending[AddPartitionsToTxnResponse]:
    transaction = AddPartitionsToTxnTransaction(
        transactional_id=request.v3_and_below_transactional_id,
        producer_id=request.v3_and_below_producer_id,
        producer_epoch=request.v3_and_below_producer_epoch,
        topics=request.v3_and_below_topics,
    )

    def answer(codes: Mapping[TopicPartition, ErrorCode]) -> AddPartitionsToTxnResponse:
        return AddPartitionsToTxnResponse(results_by_topic_v3_and_below=_topics(transaction.topics, codes))

    return _outcome(transaction, context).map(answer)


async def _many(
    asked: Sequence[tuple[AddPartitionsToTxnTransaction, Awaitable[Mapping[TopicPartition, ErrorCode]]]],
) -> AddPartitionsToTxnResponse:
    return AddPartitionsToTxnResponse(
        results_by_transaction=[
            AddPartitionsToTxnResult(
                transactional_id=one.transactional_id, topic_results=_topics(one.topics, await codes)
            )
            for one, codes in asked
        ]
    )


def _outcome(
    transaction: AddPartitionsToTxnTransaction, context: Context
) -> Pending[Mapping[TopicPartition, ErrorCode]]:
    """The error of each partition. The coordinator is asked before this returns."""
    partitions = [TopicPartition(topic.name, index) for topic in transaction.topics for index in topic.partitions]
    by_client = context.version < BATCHED_FROM
    if by_client and not may_write(transaction.transactional_id, context):
        return _all(partitions, ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
    if not transaction.transactional_id:
        return _all(partitions, ErrorCode.INVALID_REQUEST)
    refused = {tp: code for tp in partitions if (code := _refusal(tp, by_client, context)) is not ErrorCode.NONE}
    if refused:
        return Pending.of({tp: refused.get(tp, ErrorCode.OPERATION_NOT_ATTEMPTED) for tp in partitions})
    return _ask(transaction, partitions, context)


def _refusal(tp: TopicPartition, by_client: bool, context: Context) -> ErrorCode:
    if by_client and (is_internal(tp.topic) or not context.allows(Operation.WRITE, tp.topic)):
        return ErrorCode.TOPIC_AUTHORIZATION_FAILED
    known = context.image.partition(tp.topic, tp.partition) is not None
    return ErrorCode.NONE if known else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION


def _ask(
    transaction: AddPartitionsToTxnTransaction, partitions: Sequence[TopicPartition], context: Context
) -> Pending[Mapping[TopicPartition, ErrorCode]]:
    name = transaction.transactional_id
    identity = ProducerIdentity(transaction.producer_id, transaction.producer_epoch)
    coordinator, wanted = context.services.transactions, frozenset(partitions)
    if transaction.verify_only:
        verdicts: Pending[Mapping[TopicPartition, ErrorCode]] = coordinator.submit(
            name, VerifyPartitions(name, identity, wanted)
        )
        return _or_code(verdicts, partitions, context)
    version = 0 if context.version < BATCHED_FROM else TV2
    guard = context.services.plane.verification()

    def added(_: None) -> Mapping[TopicPartition, ErrorCode]:
        if context.version < BATCHED_FROM:
            _tell_plane(identity, partitions, guard, context)
        return dict.fromkeys(partitions, ErrorCode.NONE)

    return _or_code(coordinator.add(AddPartitions(name, identity, wanted, version)).map(added), partitions, context)


def _tell_plane(identity: ProducerIdentity, partitions: Sequence[TopicPartition], guard: int, context: Context) -> None:
    """Of what is served here: the producer itself asks, and its first batch need not be asked about again (KIP-890)."""
    plane = context.services.plane
    for tp in partitions:
        if plane.snapshot(tp) is not None:
            plane.verify_transaction(tp, *identity, guard, principal=context.principal)


def _or_code(
    pending: Pending[Mapping[TopicPartition, ErrorCode]], partitions: Sequence[TopicPartition], context: Context
) -> Pending[Mapping[TopicPartition, ErrorCode]]:
    """The error on every partition when the coordinator refuses."""

    def refused(error: Any) -> Mapping[TopicPartition, ErrorCode]:
        if not isinstance(error, KafkaError):
            raise error
        return dict.fromkeys(partitions, older_code(error.code, older=context.version < FENCED_FROM))

    return pending.recover(refused)


def _all(partitions: Sequence[TopicPartition], code: ErrorCode) -> Pending[Mapping[TopicPartition, ErrorCode]]:
    return Pending.of(dict.fromkeys(partitions, code))


def _topics(
    topics: Sequence[AddPartitionsToTxnTopic], codes: Mapping[TopicPartition, ErrorCode]
) -> list[AddPartitionsToTxnTopicResult]:
    return [
        AddPartitionsToTxnTopicResult(
            name=topic.name,
            results_by_partition=[
                AddPartitionsToTxnPartitionResult(
                    partition_index=index, partition_error_code=codes[TopicPartition(topic.name, index)]
                )
                for index in topic.partitions
            ],
        )
        for topic in topics
    ]


def lane(services: Services, desk: Desk) -> TxnLane:
    """The way of producers' requests in which nothing is refused."""
    plane, transactions, allows = services.plane, services.transactions, services.authorizer.allows

    def decide(request: TxnRequest, connection: int) -> tuple[ActiveShard, Entry] | None:
        asker = plane.connection(connection)
        if asker is None or not allows(asker.principal, WRITE, TRANSACTIONAL_ID, request.transactional_id):
            return None
        topics, partitions = services.quorum.image.topics, []
        for name, indices in request.topics:
            topic = topics.get(name)
            if topic is None or is_internal(name) or not allows(asker.principal, WRITE, TOPIC, name):
                return None
            if not 0 <= min(indices) <= max(indices) < len(topic.partitions):
                return None
            partitions += [TopicPartition(name, index) for index in indices]
        identity = ProducerIdentity(request.producer_id, request.epoch)
        return transactions.decide(AddPartitions(request.transactional_id, identity, frozenset(partitions), 0))

    def keep(request: TxnRequest, connection: int, shard: ActiveShard, entry: JournalEntry, after: Entry) -> None:
        transactions.keep(shard, request.transactional_id, entry, after)
        asker = plane.connection(connection)
        if asker is None:
            return
        principal, guard = plane.principal_id(asker.principal), plane.verification()
        for name, indices in request.topics:
            for index in indices:
                entry.promise(TopicPartition(name, index), request.producer_id, request.epoch, principal, guard)

    return TxnLane(KEY, decide, keep, transactions.runtime.clock, desk)


def fail(request: AddPartitionsToTxnRequest, code: ErrorCode, why: str | None) -> AddPartitionsToTxnResponse:
    """The error as a whole (v4+), and on every partition for versions without that field."""
    topics = request.v3_and_below_topics
    codes = {TopicPartition(topic.name, index): code for topic in topics for index in topic.partitions}
    return AddPartitionsToTxnResponse(error_code=code, results_by_topic_v3_and_below=_topics(topics, codes))


API = Api(KEY, "AddPartitionsToTxn", 0, 5, handle, fail, lane=lane)
