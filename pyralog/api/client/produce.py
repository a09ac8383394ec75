"""Produce (key 0, versions 3-13): appended by the plane; here come the requests that need a decision or a look inside.

Contract
- ApiVersions shows minimum 0 (trap 1); versions 0-2 close the connection. Version 12 comes with transaction.version=2,
  without which it breaks franz-go (trap 3); version 13 names topics by id.
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
- A null batch is INVALID_REQUEST, by the plane.
- The topics of the coordinators are theirs alone: INVALID_TOPIC_EXCEPTION.
- Transactional batches need WRITE on the transactional id (53 for the whole request), and one producer id (49). The
  first of a transaction in a partition is forwarded: from v12 on the partition becomes part of the transaction by it;
  before, one that was not added is refused with TRANSACTION_ABORTABLE (v11) or INVALID_TXN_STATE. An older epoch is
  INVALID_PRODUCER_EPOCH. While the last transaction is ending v12+ waits a little, then CONCURRENT_TRANSACTIONS; older
  versions get NOT_ENOUGH_REPLICAS, as for a coordinator that is not available: they only retry that.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Sequence
from typing import NamedTuple

from pyralog.api.authorizer import Operation
from pyralog.api.configs import topic_settings
from pyralog.api.context import Context
from pyralog.api.forwarding import install_permits
from pyralog.api.handler import Api, Done
from pyralog.api.record_rules import Examined, RecordRules, examine, is_zstd, record_rules
from pyralog.api.topics import is_internal
from pyralog.api.verification import Transactional, demand, transactional, verify
from pyralog.errors import ErrorCode
from pyralog.model import TopicPartition
from pyralog.runtime import now_ms
from pyralog.wire.messages import (
    BatchIndexAndErrorMessage,
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
    TopicProduceResponse,
)
from pyralog.wire.protocol import encode_request

KEY = 0
INLINE_BYTES = 16 * 1024  # smaller looks inside are cheaper than a hop to another thread
NO_OFFSET = -1
REFUSAL_BYTES = 2
ZSTD_FROM = 7  # KIP-110
MESSAGES_FROM = 8
BY_ID_FROM = 13  # KIP-516
SHOWN_RECORDS = 3  # offending records that an answer names, as in Kafka


Written = tuple[TopicPartition, PartitionProduceData]


class Look(NamedTuple):
    """A batch to look into, where it stands in the request, and the rules; None when it is in a codec that came later
    than the request's version."""

    data: PartitionProduceData
    batch: bytes
    rules: RecordRules | None


def handle(request: ProduceRequest, context: Context) -> Done | ProduceResponse | Awaitable[Done | ProduceResponse]:
    """Teach the plane; look into what needs it; let the plane append."""
    names = _names(request, context)
    install_permits(names.values(), context)
    written = [
        (TopicPartition(name, data.index), data)
        for topic in request.topic_data
        if (name := names.get(_key(topic, context))) is not None and context.allows(Operation.WRITE, name)
        for data in topic.partition_data
    ]
    verdicts = {
        id(data): Examined(data.records or b"", ErrorCode.INVALID_TOPIC_EXCEPTION, "only coordinators write here")
        for tp, data in written
        if is_internal(tp.topic)
    }
    written = [(tp, data) for tp, data in written if id(data) not in verdicts]
    sent = transactional(written)
    if sent is None:
        return _look(request, written, verdicts, context)
    demand(request.transactional_id, context)
    return _verify(request, written, sent, verdicts, context)


def _key(topic: TopicProduceData, context: Context) -> str | bytes:
    return topic.topic_id if context.version >= BY_ID_FROM else topic.name


def _names(request: ProduceRequest, context: Context) -> dict[str | bytes, str]:
    """The names of the topics that exist, by what the request calls them."""
    if context.version < BY_ID_FROM:
        return {topic.name: topic.name for topic in request.topic_data if topic.name in context.image.topics}
    found = {topic.topic_id: context.image.topic_by_id(topic.topic_id) for topic in request.topic_data}
    return {topic_id: topic.name for topic_id, topic in found.items() if topic is not None}


async def _verify(
    request: ProduceRequest,
    written: Sequence[Written],
    sent: Transactional,
    verdicts: dict[int, Examined],
    context: Context,
) -> Done | ProduceResponse:
    assert request.transactional_id is not None
    refused = await verify(request.transactional_id, sent, context)
    verdicts |= {
        id(sent.batches[tp]): Examined(sent.batches[tp].records or b"", code, why)
        for tp, (code, why) in refused.items()
    }
    result = _look(request, written, verdicts, context)
    return await result if inspect.isawaitable(result) else result


def _look(
    request: ProduceRequest, written: Sequence[Written], verdicts: dict[int, Examined], context: Context
) -> Done | ProduceResponse | Awaitable[Done | ProduceResponse]:
    """Examine what nobody has refused yet. Verdicts are kept by the identity of the partition's part of the request."""
    looks = _looks([(tp, data) for tp, data in written if id(data) not in verdicts], context)
    if not looks and not verdicts:
        context.services.plane.resubmit(context.token)
        return Done.HANDED_BACK
    if sum(len(look.batch) for look in looks) > INLINE_BYTES:
        return _examine_elsewhere(request, looks, verdicts, context)
    return _go_on(request, looks, _examine_all(looks, now_ms()), verdicts, context)


def _looks(written: Sequence[Written], context: Context) -> list[Look]:
    """The batches of partitions served here that nobody else looks into."""
    looks = []
    rules: dict[str, RecordRules] = {}
    for tp, data in written:
        if not data.records or context.services.plane.snapshot(tp) is None:
            continue
        if tp.topic not in rules:
            rules[tp.topic] = record_rules(topic_settings(tp.topic, context))
        too_new = context.version < ZSTD_FROM and is_zstd(data.records)
        if too_new or rules[tp.topic].concern(data.records):
            looks.append(Look(data, data.records, None if too_new else rules[tp.topic]))
    return looks


def _examine_all(looks: Sequence[Look], now: int) -> list[Examined]:
    return [
        Examined(look.batch, ErrorCode.UNSUPPORTED_COMPRESSION_TYPE)
        if look.rules is None
        else examine(look.batch, look.rules, now)
        for look in looks
    ]


async def _examine_elsewhere(
    request: ProduceRequest, looks: Sequence[Look], verdicts: dict[int, Examined], context: Context
) -> Done | ProduceResponse:
    examined = await context.services.work.run(_examine_all, looks, now_ms())
    return _go_on(request, looks, examined, verdicts, context)


def _go_on(
    request: ProduceRequest,
    looks: Sequence[Look],
    examined: Sequence[Examined],
    verdicts: dict[int, Examined],
    context: Context,
) -> Done | ProduceResponse:
    """Hand the request back with what was found; answer it when no batch is good."""
    verdicts |= {id(look.data): found for look, found in zip(looks, examined, strict=True)}
    parts = [data for topic in request.topic_data for data in topic.partition_data]
    refused = sum(verdict.error is not ErrorCode.NONE for verdict in verdicts.values())
    if refused == len(parts):
        return _refuse_all(request, verdicts, context)
    for data in parts:
        verdict = verdicts.get(id(data))
        if verdict is not None:
            good = verdict.error is ErrorCode.NONE
            data.records = verdict.data if good else verdict.error.to_bytes(REFUSAL_BYTES, "big")
    frame = context.frame[: context.header.body_offset] + encode_request(KEY, context.version, request)
    context.services.plane.resubmit(context.token, frame)
    return Done.HANDED_BACK


def _refuse_all(request: ProduceRequest, verdicts: dict[int, Examined], context: Context) -> Done | ProduceResponse:
    """The answer to a request of which no batch is good."""
    if request.acks == 0:
        return Done.CLOSE
    names = _names(request, context)
    return ProduceResponse(
        responses=[
            TopicProduceResponse(
                name=topic.name,
                topic_id=topic.topic_id,
                partition_responses=[
                    _refused(
                        TopicPartition(names.get(_key(topic, context), ""), data.index), verdicts[id(data)], context
                    )
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
                topic_id=topic.topic_id,
                partition_responses=[
                    PartitionProduceResponse(index=data.index, error_code=code, base_offset=NO_OFFSET)
                    for data in topic.partition_data
                ],
            )
            for topic in request.topic_data
        ]
    )


API = Api(KEY, "Produce", 3, 13, handle, fail, advertised_min=0)
