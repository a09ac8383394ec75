"""WriteTxnMarkers (key 27, versions 1-2): end transactions in partitions of this node, as coordinators and admins do.

Contract
- Each partition of each marker gets a control batch; partitions of __consumer_offsets through their group coordinator,
  so that pending offsets are committed or dropped with it, once it is known that the partition will take the marker.
  A marker of a producer without open transaction is written all the same.
- Per partition: UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER, INVALID_PRODUCER_EPOCH for an epoch below the
  producer's, TRANSACTION_COORDINATOR_FENCED for a coordinator epoch below that of its last marker.
- CLUSTER_ACTION on the cluster, or ALTER, which `kafka-transactions abort` has (KIP-664), else 31.
"""

from __future__ import annotations

from collections.abc import Awaitable

from pyralog.api.authorizer import Operation
from pyralog.api.context import Context
from pyralog.api.handler import Api
from pyralog.api.topics import is_internal, led_partition
from pyralog.coordinator.transaction.asked import Asked
from pyralog.errors import ErrorCode, KafkaError
from pyralog.model import TopicPartition
from pyralog.runtime import Pending
from pyralog.wire.messages import (
    WritableTxnMarker,
    WritableTxnMarkerPartitionResult,
    WritableTxnMarkerResult,
    WritableTxnMarkerTopicResult,
    WriteTxnMarkersRequest,
    WriteTxnMarkersResponse,
)

_Given = list[tuple[str, list[tuple[int, Pending[None]]]]]
# Markers of coordinators' partitions, in the order of the request.
_Held = dict[TopicPartition, list[tuple[Asked, Pending[None]]]]


def handle(request: WriteTxnMarkersRequest, context: Context) -> Awaitable[WriteTxnMarkersResponse]:
    """Give every marker to its partition, in the order of the request; then wait."""
    if not context.allows_on_cluster(Operation.CLUSTER_ACTION):
        context.demand_on_cluster(Operation.ALTER)
    held: _Held = {}
    return _answer([(marker, _give(marker, context, held)) for marker in request.markers], held, context)


def _give(marker: WritableTxnMarker, context: Context, held: _Held) -> _Given:
    return [
        (topic.name, [(index, _write(marker, topic.name, index, context, held)) for index in topic.partition_indexes])
        for topic in marker.topics
    ]


def _write(marker: WritableTxnMarker, topic: str, index: int, context: Context, held: _Held) -> Pending[None]:
    tp = TopicPartition(topic, index)
    registration = led_partition(tp, context)
    if isinstance(registration, ErrorCode):
        return Pending.of(KafkaError(registration))
    asked = Asked(marker.producer_id, marker.producer_epoch, marker.coordinator_epoch, commit=marker.transaction_result)
    if is_internal(topic):
        pending: Pending[None] = Pending()
        held.setdefault(tp, []).append((asked, pending))
        return pending
    return context.services.transactions.markers.write(tp, *asked[:3], commit=asked.commit)


async def _answer(
    asked: list[tuple[WritableTxnMarker, _Given]], held: _Held, context: Context
) -> WriteTxnMarkersResponse:
    for tp, markers in held.items():
        await context.services.transactions.asked_markers.write(tp, markers)
    return WriteTxnMarkersResponse(
        markers=[
            WritableTxnMarkerResult(
                producer_id=marker.producer_id,
                topics=[
                    WritableTxnMarkerTopicResult(
                        name=name, partitions=[_result(index, await _code(pending)) for index, pending in partitions]
                    )
                    for name, partitions in topics
                ],
            )
            for marker, topics in asked
        ]
    )


async def _code(pending: Pending[None]) -> ErrorCode:
    try:
        await pending
    except KafkaError as error:
        return error.code
    return ErrorCode.NONE


def _result(index: int, code: ErrorCode) -> WritableTxnMarkerPartitionResult:
    return WritableTxnMarkerPartitionResult(partition_index=index, error_code=code)


def fail(request: WriteTxnMarkersRequest, code: ErrorCode, why: str | None) -> WriteTxnMarkersResponse:
    """The error on every partition."""
    return WriteTxnMarkersResponse(
        markers=[
            WritableTxnMarkerResult(
                producer_id=marker.producer_id,
                topics=[
                    WritableTxnMarkerTopicResult(
                        name=topic.name, partitions=[_result(index, code) for index in topic.partition_indexes]
                    )
                    for topic in marker.topics
                ],
            )
            for marker in request.markers
        ]
    )


API = Api(27, "WriteTxnMarkers", 1, 2, handle, fail)
