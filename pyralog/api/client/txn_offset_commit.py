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
from pyralog.api.offset_answers import OffsetAnswers, written_code
from pyralog.api.transactions import demand_transactional_id, offsets_partition
from pyralog.coordinator.transaction.requests import AddPartitions, VerifyPartitions
from pyralog.coordinator.transaction.state import TV2, ProducerIdentity
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
ANSWERS = OffsetAnswers(TxnOffsetCommitResponse, TxnOffsetCommitResponseTopic, TxnOffsetCommitResponsePartition)
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
        return ANSWERS.merged((), refused)
    result: Pending[Any] = Pending()

    def commit(verdict: BaseException | None) -> None:
        # Nothing may come between the verdict and the group's decision, or a marker could be overtaken.
        if verdict is not None:
            result.resolve(verdict)
        else:
            ask_group(request.group_id, request, context).then(result.resolve)

    _verdict(request, context).then(commit)
    answered = result.recover(lambda error: fail(request, written_code(error.code), error.why))
    return answered.map(lambda response: ANSWERS.merged(response.topics, refused))


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


def fail(request: TxnOffsetCommitRequest, code: ErrorCode, why: str | None) -> TxnOffsetCommitResponse:
    """The error on every partition."""
    return ANSWERS.failed(request.topics, code)


API = Api(28, "TxnOffsetCommit", 0, 6, handle, fail)
