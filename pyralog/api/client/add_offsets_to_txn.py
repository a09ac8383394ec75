"""AddOffsetsToTxn (key 25, versions 0-4): a transaction (TV1) is about to commit offsets of a group.

Contract
- The partition of __consumer_offsets that holds the group becomes part of the transaction; TxnOffsetCommit follows.
  Under TV2 that request does both (KIP-890).
- Errors as in AddPartitionsToTxn: INVALID_PRODUCER_ID_MAPPING, PRODUCER_FENCED (v0-1: INVALID_PRODUCER_EPOCH),
  CONCURRENT_TRANSACTIONS.
- WRITE on the transactional id (53), READ on the group (30).
"""

from __future__ import annotations

from collections.abc import Awaitable

from pyralog.api.authorizer import Operation
from pyralog.api.context import Context
from pyralog.api.coordinators import demand_group
from pyralog.api.handler import Api
from pyralog.api.transactions import demand_transactional_id, fenced_as, offsets_partition
from pyralog.coordinator.transaction.requests import AddPartitions
from pyralog.coordinator.transaction.state import ProducerIdentity
from pyralog.errors import ErrorCode
from pyralog.wire.messages import AddOffsetsToTxnRequest, AddOffsetsToTxnResponse

FENCED_FROM = 2  # KIP-588


def handle(request: AddOffsetsToTxnRequest, context: Context) -> Awaitable[AddOffsetsToTxnResponse]:
    """Add the group's partition."""
    demand_transactional_id(request.transactional_id, context)
    demand_group(Operation.READ, request.group_id, context)
    return _add(request, context)


async def _add(request: AddOffsetsToTxnRequest, context: Context) -> AddOffsetsToTxnResponse:
    tp = await offsets_partition(request.group_id, context)
    identity = ProducerIdentity(request.producer_id, request.producer_epoch)
    asked = AddPartitions(request.transactional_id, identity, frozenset({tp}), 0)
    await fenced_as(context.services.transactions.add(asked), older=context.version < FENCED_FROM)
    return AddOffsetsToTxnResponse()


def fail(request: AddOffsetsToTxnRequest, code: ErrorCode, why: str | None) -> AddOffsetsToTxnResponse:
    """The error."""
    return AddOffsetsToTxnResponse(error_code=code)


API = Api(25, "AddOffsetsToTxn", 0, 4, handle, fail)
