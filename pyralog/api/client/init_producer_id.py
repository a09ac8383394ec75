"""InitProducerId (key 22, versions 0-5): a producer id and epoch for an idempotent or transactional producer.

Contract
- Without a transactional id: always a new producer id with epoch 0, also when the request names its old ones (v3+,
  KIP-360); only one of the two named is INVALID_REQUEST. Ids come from the metadata log in blocks of a thousand and
  are never given out twice, also not after a crash.
- With a transactional id: the same producer id with the next epoch, which fences who had it before. A producer that
  names its id and epoch (v3+) gets the next one, or the same answer again when it repeats the request; with others it
  is fenced: PRODUCER_FENCED, INVALID_PRODUCER_EPOCH before v4. When the epochs are used up, another producer id.
- An open transaction is aborted first; CONCURRENT_TRANSACTIONS (retriable) until its markers are written.
- Stricter than Kafka: a producer that names an old epoch is fenced at once, and does not first abort the transaction
  of the one that fenced it.
- The timeout lies between 1 and transaction.max.timeout.ms, else INVALID_TRANSACTION_TIMEOUT. An empty transactional
  id is INVALID_REQUEST.
- WRITE on the transactional id (53); without one IDEMPOTENT_WRITE on the cluster or WRITE on any topic (KIP-679).
- Deliberate gap: two-phase commit (v6, KIP-939) is unstable in Kafka too.
"""

from __future__ import annotations

from collections.abc import Awaitable

from pyralog.api.authorizer import Operation
from pyralog.api.context import Context
from pyralog.api.handler import Api
from pyralog.api.transactions import demand_transactional_id, fenced_as
from pyralog.coordinator.transaction.requests import InitProducerId
from pyralog.coordinator.transaction.state import ProducerIdentity
from pyralog.errors import ErrorCode, KafkaError
from pyralog.wire.messages import InitProducerIdRequest, InitProducerIdResponse

NONE = -1
FENCED_FROM = 4  # KIP-588


def handle(
    request: InitProducerIdRequest, context: Context
) -> InitProducerIdResponse | Awaitable[InitProducerIdResponse]:
    """Answer at once while the node has ids left, else after the next block is committed."""
    if request.transactional_id is not None:
        return _transactional(request, request.transactional_id, context)
    if not context.allows_on_cluster(Operation.IDEMPOTENT_WRITE) and not _may_write_somewhere(context):
        raise KafkaError(ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
    _expected(request)
    producer_id = context.services.producer_ids.take()
    if producer_id is not None:
        return InitProducerIdResponse(producer_id=producer_id, producer_epoch=0)
    return _wait(context)


def _transactional(
    request: InitProducerIdRequest, transactional_id: str, context: Context
) -> Awaitable[InitProducerIdResponse]:
    demand_transactional_id(transactional_id, context)
    asked = InitProducerId(transactional_id, request.transaction_timeout_ms, _expected(request))
    pending = context.services.transactions.init_producer_id(asked)
    return fenced_as(pending, older=context.version < FENCED_FROM).map(_response)


def _response(identity: ProducerIdentity) -> InitProducerIdResponse:
    return InitProducerIdResponse(producer_id=identity.producer_id, producer_epoch=identity.epoch)


def _expected(request: InitProducerIdRequest) -> ProducerIdentity | None:
    """What the producer says it has; None when it begins."""
    if (request.producer_id == NONE) != (request.producer_epoch == NONE):
        raise KafkaError(ErrorCode.INVALID_REQUEST, "producer id and epoch come together or not at all")
    return None if request.producer_id == NONE else ProducerIdentity(request.producer_id, request.producer_epoch)


async def _wait(context: Context) -> InitProducerIdResponse:
    producer_id = await context.within(
        context.services.settings.request_timeout_ms, context.services.producer_ids.next()
    )
    return InitProducerIdResponse(producer_id=producer_id, producer_epoch=0)


def _may_write_somewhere(context: Context) -> bool:
    """Who may write to any topic may do so idempotently (KIP-679)."""
    return any(context.allows(Operation.WRITE, name, audited=False) for name in context.image.topics)


def fail(request: InitProducerIdRequest, code: ErrorCode, why: str | None) -> InitProducerIdResponse:
    """The error, with no producer id; the epoch field has no default on the wire and says -1 as in Kafka."""
    return InitProducerIdResponse(error_code=code, producer_id=NONE, producer_epoch=NONE)


API = Api(22, "InitProducerId", 0, 5, handle, fail)
