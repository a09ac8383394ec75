"""Produce (key 0, versions 3-11): appended by the plane; here come the requests that need a decision or a look inside.

Contract
- ApiVersions shows minimum 0 (trap 1); versions 0-2 close the connection. Versions 12 and 13 come with transactions:
  to advertise 12 without transaction.version=2 breaks franz-go (trap 3).
- A topic without permit: authorise WRITE, install the permit, hand the request back. Produce never makes a topic:
  what the plane does not know then it answers with UNKNOWN_TOPIC_OR_PARTITION.
- zstd needs v7: UNSUPPORTED_COMPRESSION_TYPE (trap 10).
- Batches whose inside the plane does not look at: compressed ones on a compacted topic (a record without key is
  INVALID_RECORD), under a lower bound of timestamps (INVALID_TIMESTAMP), and batches in another codec than the topic's
  compression.type, which are written anew with it (lz4 with independent blocks, as Java's reader needs). The request
  goes back with the new batches; the plane then applies every other rule to them, also the size limit.
- A batch refused here goes back as its error code in place of its bytes, so that the plane appends the others under all
  its rules and answers for all. When every batch is refused the answer comes from here and names the first
  offending records (v8+, KIP-467). acks=0 has no answer: the connection is closed.
- Deliberate gap: uncompressed batches are judged by the plane, which names the error but not the records.
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
from pyralog.api.record_rules import Examined, RecordRules, examine, is_zstd, record_rules
from pyralog.errors import ErrorCode
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
REFUSAL_BYTES = 2
ZSTD_FROM = 7  # KIP-110
MESSAGES_FROM = 8
SHOWN_RECORDS = 3  # offending records that an answer names, as in Kafka


class Look(NamedTuple):
    """A batch to look into, where it stands in the request, and the rules; None when it is in a codec that came later
    than the request's version."""

    data: PartitionProduceData
    batch: bytes
    rules: RecordRules | None


def handle(request: ProduceRequest, context: Context) -> Done | ProduceResponse | Awaitable[Done | ProduceResponse]:
    """Teach the plane; look into what needs it; let the plane append."""
    install_permits((topic.name for topic in request.topic_data), context)
    looks = _looks(request, context)
    if not looks:
        context.services.plane.resubmit(context.token)
        return Done.HANDED_BACK
    if sum(len(look.batch) for look in looks) > INLINE_BYTES:
        return _examine_elsewhere(request, looks, context)
    return _go_on(request, looks, _examine_all(looks, now_ms()), context)


def _looks(request: ProduceRequest, context: Context) -> list[Look]:
    """The batches of partitions served here that nobody else looks into."""
    looks = []
    for topic in request.topic_data:
        if topic.name not in context.image.topics or not context.allows(Operation.WRITE, topic.name):
            continue
        rules = record_rules(topic_settings(topic.name, context))
        for data in topic.partition_data:
            if not data.records or context.services.plane.snapshot(TopicPartition(topic.name, data.index)) is None:
                continue
            too_new = context.version < ZSTD_FROM and is_zstd(data.records)
            if too_new or rules.concern(data.records):
                looks.append(Look(data, data.records, None if too_new else rules))
    return looks


def _examine_all(looks: Sequence[Look], now: int) -> list[Examined]:
    return [
        Examined(look.batch, ErrorCode.UNSUPPORTED_COMPRESSION_TYPE)
        if look.rules is None
        else examine(look.batch, look.rules, now)
        for look in looks
    ]


async def _examine_elsewhere(
    request: ProduceRequest, looks: Sequence[Look], context: Context
) -> Done | ProduceResponse:
    verdicts = await context.services.work.run(_examine_all, looks, now_ms())
    return _go_on(request, looks, verdicts, context)


def _go_on(
    request: ProduceRequest, looks: Sequence[Look], verdicts: Sequence[Examined], context: Context
) -> Done | ProduceResponse:
    """Hand the request back with what was found; answer it when no batch is good."""
    refused = sum(verdict.error is not ErrorCode.NONE for verdict in verdicts)
    if refused == sum(len(topic.partition_data) for topic in request.topic_data):
        return _refuse_all(request, verdicts, context)
    for look, verdict in zip(looks, verdicts, strict=True):
        good = verdict.error is ErrorCode.NONE
        look.data.records = verdict.data if good else verdict.error.to_bytes(REFUSAL_BYTES, "big")
    frame = context.frame[: context.header.body_offset] + encode_request(KEY, context.version, request)
    context.services.plane.resubmit(context.token, frame)
    return Done.HANDED_BACK


def _refuse_all(request: ProduceRequest, verdicts: Sequence[Examined], context: Context) -> Done | ProduceResponse:
    """The answer to a request of which no batch is good; the verdicts are in the order of its partitions."""
    if request.acks == 0:
        return Done.CLOSE
    remaining = iter(verdicts)
    return ProduceResponse(
        responses=[
            TopicProduceResponse(
                name=topic.name,
                partition_responses=[
                    _refused(TopicPartition(topic.name, data.index), next(remaining), context)
                    for data in topic.partition_data
                ],
            )
            for topic in request.topic_data
        ]
    )


def _refused(tp: TopicPartition, verdict: Examined, context: Context) -> PartitionProduceResponse:
    result = PartitionProduceResponse(index=tp.partition, error_code=verdict.error, base_offset=NO_OFFSET)
    snapshot = context.services.plane.snapshot(tp)
    if snapshot is not None:
        result.log_start_offset = snapshot.log_start
    if context.version >= MESSAGES_FROM:
        result.error_message = verdict.why
        result.record_errors = [
            BatchIndexAndErrorMessage(batch_index=record.position, batch_index_error_message=record.why)
            for record in verdict.records[:SHOWN_RECORDS]
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
