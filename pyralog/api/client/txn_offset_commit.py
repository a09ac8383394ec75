"""TxnOffsetCommit (key 28, versions 0-6): offsets that count when the transaction commits (KIP-98).

Contract
- WRITE on the transactional id (53), READ on the group (30) and on each topic (29). Unknown partitions:
  UNKNOWN_TOPIC_OR_PARTITION; unknown ids (v6, KIP-1319): UNKNOWN_TOPIC_ID. Group id "" is INVALID_GROUP_ID.
- Group metadata (v3+, KIP-447) is checked when given: UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, ILLEGAL_GENERATION.
- v5+ (KIP-890): the partition of __consumer_offsets becomes part of the transaction by this very request; before that
  AddOffsetsToTxn has made it so. What is not part of the producer's open transaction is refused, so that a late
  request cannot slip into the next one.
- Until the marker comes the offsets are pending: OffsetFetch with require_stable answers UNSTABLE_OFFSET_COMMIT.
- Metadata as in OffsetCommit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any

from pyralog.api.authorizer import Operation
from pyralog.api.context import Context
from pyralog.api.coordinators import ask_group, demand_group, judge_offset_topics
from pyralog.api.handler import Api
from pyralog.api.transactions import demand_transactional_id, offsets_partition
from pyralog.coordinator.transaction.requests import AddPartitions, VerifyPartitions
from pyralog.coordinator.transaction.state import ProducerIdentity
from pyralog.errors import ErrorCode, KafkaError
from pyralog.model import TopicPartition
from pyralog.runtime import Pending
from pyralog.wire.messages import (
    TxnOffsetCommitRequest,
    TxnOffsetCommitResponse,
    TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
)

IDS_FROM = 6
IMPLICIT_FROM = 5  # KIP-890
ABORTABLE_FROM = 4
TV2 = 2
_NAMES = {
    ErrorCode.PRODUCER_FENCED: ErrorCode.INVALID_PRODUCER_EPOCH,
    # Retriable for clients of every version, and without another look for the coordinator.
    ErrorCode.CONCURRENT_TRANSACTIONS: ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
    ErrorCode.COORDINATOR_NOT_AVAILABLE: ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
    ErrorCode.NOT_COORDINATOR: ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
}


def handle(
    request: TxnOffsetCommitRequest, context: Context
) -> TxnOffsetCommitResponse | Awaitable[TxnOffsetCommitResponse]:
    """Set aside what cannot be committed, have the transaction's coordinator agree, then ask the group for the rest."""
    demand_transactional_id(request.transactional_id, context)
    if not request.group_id:
        raise KafkaError(ErrorCode.INVALID_GROUP_ID)
    demand_group(Operation.READ, request.group_id, context)
    refused = judge_offset_topics(request.topics, context, by_id=context.version >= IDS_FROM)
    request.topics = [topic for topic in request.topics if topic.partitions]
    if not request.topics and refused:
        return TxnOffsetCommitResponse(topics=_refusals(refused))
    result: Pending[Any] = Pending()

    def commit(verdict: BaseException | None) -> None:
        # Nothing may come between the verdict and the group's decision, or a marker could be overtaken.
        if verdict is not None:
            result.resolve(verdict)
        else:
            ask_group(request.group_id, request, context).then(result.resolve)

    _verdict(request, context).then(commit)
    return result.recover(lambda error: _failed(request, error)).map(lambda response: _merged(response, refused))


def _verdict(request: TxnOffsetCommitRequest, context: Context) -> Pending[None]:
    """None when the group's partition is part of the producer's open transaction."""
    result: Pending[None] = Pending()
    coordinator = context.services.transactions
    identity = ProducerIdentity(request.producer_id, request.producer_epoch)

    def ask(tp: TopicPartition | BaseException) -> None:
        if isinstance(tp, BaseException):
            result.resolve(tp)
        elif context.version >= IMPLICIT_FROM:
            asked = AddPartitions(request.transactional_id, identity, frozenset({tp}), TV2)
            coordinator.add(asked).then(lambda value: result.resolve(_told(value, context.version)))
        else:
            check = VerifyPartitions(request.transactional_id, identity, frozenset({tp}))
            verified = coordinator.submit(request.transactional_id, check).map(_raise_first)
            verified.then(lambda value: result.resolve(_told(value, context.version)))

    offsets_partition(request.group_id, context).then(ask)
    return result


def _raise_first(codes: Mapping[TopicPartition, ErrorCode]) -> None:
    for code in codes.values():
        if code is not ErrorCode.NONE:
            raise KafkaError(code)


def _told(value: BaseException | None, version: int) -> BaseException | None:
    """What this API calls the errors of the transaction's coordinator, as far as its clients know them."""
    if not isinstance(value, KafkaError):
        return value
    code = value.code
    if code is ErrorCode.TRANSACTION_ABORTABLE and version < ABORTABLE_FROM:
        code = ErrorCode.INVALID_TXN_STATE
    return KafkaError(_NAMES.get(code, code), value.why)


def _refusals(refused: list[tuple[str, bytes, int, ErrorCode]]) -> list[TxnOffsetCommitResponseTopic]:
    topics: dict[tuple[str, bytes], TxnOffsetCommitResponseTopic] = {}
    for name, topic_id, index, code in refused:
        topic = topics.setdefault((name, topic_id), TxnOffsetCommitResponseTopic(name=name, topic_id=topic_id))
        topic.partitions.append(TxnOffsetCommitResponsePartition(partition_index=index, error_code=code))
    return list(topics.values())


def _merged(response: Any, refused: list[tuple[str, bytes, int, ErrorCode]]) -> TxnOffsetCommitResponse:
    topics = {(topic.name, topic.topic_id): topic for topic in response.topics}
    for topic in _refusals(refused):
        known = topics.setdefault((topic.name, topic.topic_id), topic)
        if known is not topic:
            known.partitions.extend(topic.partitions)
    return TxnOffsetCommitResponse(topics=list(topics.values()))


def _failed(request: TxnOffsetCommitRequest, error: KafkaError) -> TxnOffsetCommitResponse:
    code = error.code
    if code is ErrorCode.RECORD_LIST_TOO_LARGE:
        code = ErrorCode.INVALID_COMMIT_OFFSET_SIZE
    return fail(request, code, error.why)


def fail(request: TxnOffsetCommitRequest, code: ErrorCode, why: str | None) -> TxnOffsetCommitResponse:
    """The error on every partition."""
    return TxnOffsetCommitResponse(
        topics=[
            TxnOffsetCommitResponseTopic(
                name=topic.name,
                topic_id=topic.topic_id,
                partitions=[
                    TxnOffsetCommitResponsePartition(partition_index=one.partition_index, error_code=code)
                    for one in topic.partitions
                ],
            )
            for topic in request.topics
        ]
    )


API = Api(28, "TxnOffsetCommit", 0, 6, handle, fail)
