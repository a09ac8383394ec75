"""DeleteRecords (key 21, versions 0-2): move the log start forward; what lies before it is gone for every reader.

Contract
- Offset -1 means the high watermark. Less than -1, or above the high watermark: OFFSET_OUT_OF_RANGE. An offset that
  already lies before the log start changes nothing and succeeds.
- LowWatermark is the log start afterwards (-1 with an error). It survives a restart; segments wholly below it are
  deleted, batches that straddle it stay in the file but are not returned below it.
- A topic whose cleanup.policy is compact alone: POLICY_VIOLATION; an internal topic: INVALID_TOPIC_EXCEPTION.
- DELETE on the topic, else TOPIC_AUTHORIZATION_FAILED.
"""

from __future__ import annotations

from pyralog.api.authorizer import Operation
from pyralog.api.configs import topic_settings
from pyralog.api.context import Context
from pyralog.api.handler import Api
from pyralog.api.topics import is_internal, led_partition, unknown_topic
from pyralog.errors import ErrorCode, KafkaError
from pyralog.model import TopicPartition
from pyralog.wire.messages import (
    DeleteRecordsPartitionResult,
    DeleteRecordsRequest,
    DeleteRecordsResponse,
    DeleteRecordsTopicResult,
)

HIGH_WATERMARK = -1
NO_OFFSET = -1


async def handle(request: DeleteRecordsRequest, context: Context) -> DeleteRecordsResponse:
    """Each partition by itself; a failure of one does not keep the others."""
    timeout_ms = context.bounded(request.timeout_ms)
    response = DeleteRecordsResponse()
    for topic in request.topics:
        results = []
        for partition in topic.partitions:
            index = partition.partition_index
            try:
                tp = TopicPartition(topic.name, index)
                start = await context.within(timeout_ms, _delete(tp, partition.offset, context))
                results.append(DeleteRecordsPartitionResult(partition_index=index, low_watermark=start))
            except KafkaError as error:
                results.append(_failed(index, error.code))
        response.topics.append(DeleteRecordsTopicResult(name=topic.name, partitions=results))
    return response


async def _delete(tp: TopicPartition, offset: int, context: Context) -> int:
    if not context.allows(Operation.DELETE, tp.topic):
        raise KafkaError(ErrorCode.TOPIC_AUTHORIZATION_FAILED)
    if tp.topic not in context.image.topics:
        raise unknown_topic(tp.topic)
    if is_internal(tp.topic):
        raise KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION, "records of internal topics are not deleted")
    registration = led_partition(tp, context)
    if isinstance(registration, ErrorCode):
        raise KafkaError(registration)
    settings = topic_settings(tp.topic, context)
    if settings.compacted and not settings.deletes:
        raise KafkaError(ErrorCode.POLICY_VIOLATION, "the topic is compacted: its records are not deleted by offset")
    snapshot = context.snapshot(tp)
    target = snapshot.high_watermark if offset == HIGH_WATERMARK else offset
    if not 0 <= target <= snapshot.high_watermark:
        raise KafkaError(ErrorCode.OFFSET_OUT_OF_RANGE, f"{target} is not in 0..{snapshot.high_watermark}")
    if target <= snapshot.log_start:
        return snapshot.log_start
    return await context.services.logs.delete_records(tp, target)


def _failed(index: int, code: ErrorCode) -> DeleteRecordsPartitionResult:
    return DeleteRecordsPartitionResult(partition_index=index, low_watermark=NO_OFFSET, error_code=code)


def fail(request: DeleteRecordsRequest, code: ErrorCode, why: str | None) -> DeleteRecordsResponse:
    """The error on every partition."""
    return DeleteRecordsResponse(
        topics=[
            DeleteRecordsTopicResult(
                name=topic.name, partitions=[_failed(one.partition_index, code) for one in topic.partitions]
            )
            for topic in request.topics
        ]
    )


API = Api(21, "DeleteRecords", 0, 2, handle, fail)
