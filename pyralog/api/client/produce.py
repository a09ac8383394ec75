"""Produce (key 0, versions 3-11): appended by the plane; here come the requests that need a decision or a look inside.

Contract
- ApiVersions shows minimum 0 (trap 1); versions 0-2 close the connection. Versions 12 and 13 come with transactions:
  to advertise 12 without transaction.version=2 breaks franz-go (trap 3).
- A topic without permit: authorise WRITE, install the permit, hand the request back. Produce never makes a topic:
  what the plane does not know then it answers with UNKNOWN_TOPIC_OR_PARTITION.
- Batches whose inside the plane does not look at: compressed ones on a compacted topic (a record without key is
  INVALID_RECORD), under a lower bound of timestamps (INVALID_TIMESTAMP), and batches in another codec than the topic's
  compression.type, which are written anew with it (lz4 with independent blocks, as Java's reader needs). The request
  goes back with the new batches; the plane then applies every other rule to them, also the size limit.
- When a batch is refused here, the request is answered from here: the other partitions are appended one by one. v8+
  names the first offending records (KIP-467). acks=0 has no answer: the connection is closed.
- A null batch is INVALID_REQUEST and a transactional one INVALID_TXN_STATE, both by the plane.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import NamedTuple

from pyralog.api.authorizer import Operation
from pyralog.api.configs import topic_settings
from pyralog.api.context import Context
from pyralog.api.forwarding import install_permits
from pyralog.api.handler import Api, Done
from pyralog.api.record_rules import Examined, RecordRules, examine, record_rules
from pyralog.errors import ErrorCode, KafkaError
from pyralog.model import TopicPartition
from pyralog.runtime import now_ms
from pyralog.wire.messages import (
    BatchIndexAndErrorMessage,
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceResponse,
)
from pyralog.wire.protocol import encode_request

KEY = 0
INLINE_BYTES = 16 * 1024  # smaller looks inside are cheaper than a hop to another thread
NO_OFFSET = -1
MESSAGES_FROM = 8


class Look(NamedTuple):
    """A batch to look into, and where it stands in the request."""

    tp: TopicPartition
    data: PartitionProduceData
    rules: RecordRules


def handle(request: ProduceRequest, context: Context) -> Done | ProduceResponse | Awaitable[Done | ProduceResponse]:
    """Teach the plane; look into what needs it; let the plane append."""
    install_permits((topic.name for topic in request.topic_data), context)
    looks = _looks(request, context)
    if not looks:
        context.services.plane.resubmit(context.token)
        return Done.HANDED_BACK
    return _look_and_append(request, looks, context)


def _looks(request: ProduceRequest, context: Context) -> list[Look]:
    looks = []
    for topic in request.topic_data:
        if topic.name not in context.image.topics or not context.allows(Operation.WRITE, topic.name):
            continue
        rules = record_rules(topic_settings(topic.name, context))
        for data in topic.partition_data:
            tp = TopicPartition(topic.name, data.index)
            if data.records and rules.concern(data.records) and context.services.plane.snapshot(tp) is not None:
                looks.append(Look(tp, data, rules))
    return looks


async def _look_and_append(request: ProduceRequest, looks: Sequence[Look], context: Context) -> Done | ProduceResponse:
    refused: dict[TopicPartition, Examined] = {}
    rewritten = False
    if sum(len(look.data.records or b"") for look in looks) <= INLINE_BYTES:
        verdicts = _examine_all(looks, now_ms())
    else:
        verdicts = await context.services.work.run(_examine_all, looks, now_ms())
    for look, verdict in zip(looks, verdicts, strict=True):
        if verdict.error is not ErrorCode.NONE:
            refused[look.tp] = verdict
        elif verdict.data is not look.data.records:
            look.data.records = verdict.data
            rewritten = True
    if refused:
        return await _answer(request, refused, context)
    frame = None
    if rewritten:
        frame = context.frame[: context.header.body_offset] + encode_request(KEY, context.version, request)
    context.services.plane.resubmit(context.token, frame)
    return Done.HANDED_BACK


def _examine_all(looks: Sequence[Look], now: int) -> list[Examined]:
    return [examine(look.data.records or b"", look.rules, now) for look in looks]


async def _answer(
    request: ProduceRequest, refused: dict[TopicPartition, Examined], context: Context
) -> Done | ProduceResponse:
    """The answer to a request of which some batches are refused; the others are appended."""
    response = ProduceResponse()
    for topic in request.topic_data:
        results = []
        for data in topic.partition_data:
            tp = TopicPartition(topic.name, data.index)
            if tp in refused:
                results.append(_refused(data.index, refused[tp], context.version))
            else:
                results.append(await _append(tp, data, context))
        response.responses.append(TopicProduceResponse(name=topic.name, partition_responses=results))
    return Done.CLOSE if request.acks == 0 else response


async def _append(tp: TopicPartition, data: PartitionProduceData, context: Context) -> PartitionProduceResponse:
    result = PartitionProduceResponse(index=tp.partition, base_offset=NO_OFFSET)
    try:
        if not context.allows(Operation.WRITE, tp.topic):
            raise KafkaError(ErrorCode.TOPIC_AUTHORIZATION_FAILED)
        if data.records is None:
            raise KafkaError(ErrorCode.INVALID_REQUEST)
        result.base_offset = await context.services.plane.append(tp, data.records)
        result.log_start_offset = context.snapshot(tp).log_start
    except KafkaError as error:
        result.error_code = error.code
    return result


def _refused(index: int, verdict: Examined, version: int) -> PartitionProduceResponse:
    result = PartitionProduceResponse(index=index, error_code=verdict.error, base_offset=NO_OFFSET)
    if version >= MESSAGES_FROM:
        result.error_message = verdict.message
        result.record_errors = [
            BatchIndexAndErrorMessage(batch_index=at, batch_index_error_message=why) for at, why in verdict.records
        ]
    return result


def fail(request: ProduceRequest, code: ErrorCode, why: str | None) -> ProduceResponse | Done:
    """The error on every partition; a client that wants no answer is told by the end of its connection."""
    if request.acks == 0:
        return Done.CLOSE
    return ProduceResponse(
        responses=[
            TopicProduceResponse(
                name=topic.name,
                partition_responses=[
                    PartitionProduceResponse(index=data.index, error_code=code, base_offset=NO_OFFSET)
                    for data in topic.partition_data
                ],
            )
            for topic in request.topic_data
        ]
    )


API = Api(KEY, "Produce", 3, 11, handle, fail, advertised_min=0)
