"""DescribeTransactions (key 65, version 0): the state of transactional ids, from their coordinator (KIP-664).

Contract
- Per id: producer, state, timeout, start time (-1 without a transaction), and the partitions of the open or ending
  transaction; topics without DESCRIBE are left out.
- TRANSACTIONAL_ID_NOT_FOUND for one that is not known (or has expired); DESCRIBE on the id, else 53; an empty id 42.
- COORDINATOR_LOAD_IN_PROGRESS and NOT_COORDINATOR as for every request to a coordinator.
"""

from __future__ import annotations

from collections.abc import Awaitable

from pyralog.api.authorizer import Operation, ResourceType
from pyralog.api.context import Context
from pyralog.api.handler import Api
from pyralog.coordinator.transaction.requests import DescribeTransaction
from pyralog.coordinator.transaction.state import STATE_NAMES, Entry
from pyralog.errors import ErrorCode, KafkaError
from pyralog.wire.messages import (
    DescribeTransactionsRequest,
    DescribeTransactionsResponse,
    DescribeTransactionsResponseTopicData,
)
from pyralog.wire.messages import DescribeTransactionsResponseTransactionState as Described


def handle(request: DescribeTransactionsRequest, context: Context) -> Awaitable[DescribeTransactionsResponse]:
    """Ask for each id; all are asked before the first answer is waited for."""
    return _answer([(name, _ask(name, context)) for name in request.transactional_ids], context)


def _ask(transactional_id: str, context: Context) -> Awaitable[Entry] | ErrorCode:
    if not context.allows(Operation.DESCRIBE, transactional_id, ResourceType.TRANSACTIONAL_ID):
        return ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    if not transactional_id:
        return ErrorCode.INVALID_REQUEST
    coordinator = context.services.transactions
    if not coordinator.topic.partitions:
        return ErrorCode.TRANSACTIONAL_ID_NOT_FOUND  # nobody has had one yet; asking makes no topic
    return coordinator.submit(transactional_id, DescribeTransaction(transactional_id))


async def _answer(
    asked: list[tuple[str, Awaitable[Entry] | ErrorCode]], context: Context
) -> DescribeTransactionsResponse:
    return DescribeTransactionsResponse(
        transaction_states=[await _described(name, answer, context) for name, answer in asked]
    )


async def _described(name: str, answer: Awaitable[Entry] | ErrorCode, context: Context) -> Described:
    if isinstance(answer, ErrorCode):
        return _failed(name, answer)
    try:
        entry = await answer
    except KafkaError as error:
        return _failed(name, error.code)
    topics: dict[str, list[int]] = {}
    for topic, partition in sorted(entry.partitions):
        if topic in topics or context.allows(Operation.DESCRIBE, topic):
            topics.setdefault(topic, []).append(partition)
    return Described(
        transactional_id=name,
        transaction_state=STATE_NAMES[entry.state],
        transaction_timeout_ms=entry.timeout_ms,
        transaction_start_time_ms=entry.start_ms,
        producer_id=entry.producer_id,
        producer_epoch=entry.epoch,
        topics=[DescribeTransactionsResponseTopicData(topic=topic, partitions=ids) for topic, ids in topics.items()],
    )


def _failed(name: str, code: ErrorCode) -> Described:
    return Described(error_code=code, transactional_id=name)


def fail(request: DescribeTransactionsRequest, code: ErrorCode, why: str | None) -> DescribeTransactionsResponse:
    """The error on every id."""
    return DescribeTransactionsResponse(transaction_states=[_failed(name, code) for name in request.transactional_ids])


API = Api(65, "DescribeTransactions", 0, 0, handle, fail)
