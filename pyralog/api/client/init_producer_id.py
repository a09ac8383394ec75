"""InitProducerId (key 22, versions 0-5): a producer id and epoch for an idempotent producer.

Contract
- Without a transactional id: always a new producer id with epoch 0, also when the request names its old ones (v3+,
  KIP-360); only one of the two named is INVALID_REQUEST. Ids come from the metadata log in blocks of a thousand and
  are never given out twice, also not after a crash.
- An empty transactional id is INVALID_REQUEST.
- With a transactional id: UNSUPPORTED_VERSION (35). This release has no transactions; FindCoordinator, which every
  transactional client asks first, is not advertised, so that only hand-made requests get here. The error is fatal to
  clients, where COORDINATOR_NOT_AVAILABLE would make them retry for ever.
- Deliberate gap: two-phase commit (v6, KIP-939) is unstable in Kafka too.
"""

from __future__ import annotations

from collections.abc import Awaitable

from pyralog.api.authorizer import Operation
from pyralog.api.context import Context
from pyralog.api.handler import Api
from pyralog.errors import ErrorCode, KafkaError
from pyralog.wire.messages import InitProducerIdRequest, InitProducerIdResponse

NONE = -1


def handle(
    request: InitProducerIdRequest, context: Context
) -> InitProducerIdResponse | Awaitable[InitProducerIdResponse]:
    """Answer at once while the node has ids left, else after the next block is committed."""
    if request.transactional_id == "":
        raise KafkaError(ErrorCode.INVALID_REQUEST, "the transactional id is empty")
    if request.transactional_id is not None:
        raise KafkaError(ErrorCode.UNSUPPORTED_VERSION, "transactions are not served by this release")
    if (request.producer_id == NONE) != (request.producer_epoch == NONE):
        raise KafkaError(ErrorCode.INVALID_REQUEST, "producer id and epoch come together or not at all")
    if not context.allows_on_cluster(Operation.IDEMPOTENT_WRITE) and not _may_write_somewhere(context):
        raise KafkaError(ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
    producer_id = context.services.producer_ids.take()
    if producer_id is not None:
        return InitProducerIdResponse(producer_id=producer_id, producer_epoch=0)
    return _wait(context)


async def _wait(context: Context) -> InitProducerIdResponse:
    producer_id = await context.within(
        context.services.settings.request_timeout_ms, context.services.producer_ids.next()
    )
    return InitProducerIdResponse(producer_id=producer_id, producer_epoch=0)


def _may_write_somewhere(context: Context) -> bool:
    """Who may write to any topic may do so idempotently (KIP-679)."""
    return any(context.allows(Operation.WRITE, name) for name in context.image.topics)


def fail(request: InitProducerIdRequest, code: ErrorCode, why: str | None) -> InitProducerIdResponse:
    """The error, with no producer id; the epoch field has no default on the wire and says -1 as in Kafka."""
    return InitProducerIdResponse(error_code=code, producer_id=NONE, producer_epoch=NONE)


API = Api(22, "InitProducerId", 0, 5, handle, fail)
