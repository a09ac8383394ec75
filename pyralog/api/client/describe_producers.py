"""DescribeProducers (key 61, version 0): who has written to a partition lately, from its leader (KIP-664).

Contract
- Each partition: its idempotent producers with epoch, last sequence and last timestamp, as the log's producer table has
  them; the partition's leader answers, others say NOT_LEADER_OR_FOLLOWER.
- CoordinatorEpoch is that of the producer's last marker, CurrentTxnStartOffset where its open transaction begins; -1 =
  none.
- READ on the topic, else TOPIC_AUTHORIZATION_FAILED. A name that no topic may have: INVALID_TOPIC_EXCEPTION.
"""

from __future__ import annotations

from pyralog.api.authorizer import Operation
from pyralog.api.context import Context
from pyralog.api.handler import Api
from pyralog.api.topics import absent_topic, led_partition
from pyralog.errors import ErrorCode, KafkaError
from pyralog.model import TopicPartition
from pyralog.wire.messages import (
    DescribeProducersRequest,
    DescribeProducersResponse,
    PartitionResponse,
    ProducerState,
    TopicResponse,
)


async def handle(request: DescribeProducersRequest, context: Context) -> DescribeProducersResponse:
    """Ask the plane for each partition's producer table."""
    response = DescribeProducersResponse()
    for topic in request.topics:
        response.topics.append(
            TopicResponse(
                name=topic.name,
                partitions=[await _partition(topic.name, index, context) for index in topic.partition_indexes],
            )
        )
    return response


async def _partition(topic: str, index: int, context: Context) -> PartitionResponse:
    if not context.allows(Operation.READ, topic):
        return _failed(index, ErrorCode.TOPIC_AUTHORIZATION_FAILED, None)
    if topic not in context.image.topics:
        return _failed(index, absent_topic(topic), None)
    tp = TopicPartition(topic, index)
    registration = led_partition(tp, context)
    if isinstance(registration, ErrorCode):
        return _failed(index, registration, None)
    try:
        producers = await context.services.plane.producers(tp)
    except KafkaError as error:
        return _failed(index, error.code, error.why)
    return PartitionResponse(
        partition_index=index,
        active_producers=[
            ProducerState(
                producer_id=producer.producer_id,
                producer_epoch=producer.epoch,
                last_sequence=producer.last_sequence,
                last_timestamp=producer.last_timestamp,
                coordinator_epoch=producer.coordinator_epoch,
                current_txn_start_offset=producer.txn_start_offset,
            )
            for producer in producers
        ],
    )


def _failed(index: int, code: ErrorCode, why: str | None) -> PartitionResponse:
    return PartitionResponse(partition_index=index, error_code=code, error_message=why or code.message)


def fail(request: DescribeProducersRequest, code: ErrorCode, why: str | None) -> DescribeProducersResponse:
    """The error on every partition."""
    return DescribeProducersResponse(
        topics=[
            TopicResponse(name=topic.name, partitions=[_failed(index, code, why) for index in topic.partition_indexes])
            for topic in request.topics
        ]
    )


API = Api(61, "DescribeProducers", 0, 0, handle, fail)
