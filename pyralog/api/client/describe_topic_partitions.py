"""DescribeTopicPartitions (key 75, version 0): topics page by page, for clusters too large for one Metadata answer.

Contract (KIP-966)
- No topics asks for all that may be described; otherwise each topic is answered, unknown ones with their error (3, 17).
- Topics come sorted by name, at most ResponsePartitionLimit partitions in one answer, and no more
  than topics.max_described_partitions (2,000). When more is left,
  NextCursor names the topic and partition to go on from. A cursor whose topic is not asked for, or whose partition is
  negative, is INVALID_REQUEST.
- Eligible leader replicas: this release keeps none, so both lists are empty, as on a cluster without that feature.
- Authorised operations are always filled: the request has no flag to ask for them.
"""

from __future__ import annotations

from pyralog.api.authorizer import Operation, ResourceType
from pyralog.api.brokers import offline_replicas
from pyralog.api.context import Context
from pyralog.api.handler import Api
from pyralog.api.topics import absent_topic, is_internal
from pyralog.cluster.image import TopicImage
from pyralog.errors import ErrorCode, KafkaError
from pyralog.wire.messages import (
    DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponseCursor,
    DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
)


def handle(request: DescribeTopicPartitionsRequest, context: Context) -> DescribeTopicPartitionsResponse:
    """One page."""
    names, first_partition = _from_cursor(request, context)
    left = max(1, min(request.response_partition_limit, context.services.settings.max_described_partitions))
    response = DescribeTopicPartitionsResponse()
    denied = []
    for name in names:
        if not context.allows(Operation.DESCRIBE, name):
            if request.topics:
                denied.append(_no_topic(ErrorCode.TOPIC_AUTHORIZATION_FAILED, name, context))
            continue
        if left == 0:
            response.next_cursor = DescribeTopicPartitionsResponseCursor(topic_name=name, partition_index=0)
            break
        topic = context.image.topics.get(name)
        if topic is None:
            response.topics.append(_no_topic(absent_topic(name), name, context))
            continue
        begin = first_partition if request.cursor is not None and name == request.cursor.topic_name else 0
        end = min(len(topic.partitions), begin + left)
        response.topics.append(_topic(topic, begin, end, context))
        left -= max(end - begin, 0)
        if end < len(topic.partitions):
            response.next_cursor = DescribeTopicPartitionsResponseCursor(topic_name=name, partition_index=end)
            break
    response.topics.extend(denied)
    context.keep = True
    return response


def _from_cursor(request: DescribeTopicPartitionsRequest, context: Context) -> tuple[list[str], int]:
    """The topics still to be answered, sorted, and the partition to begin with in the cursor's topic."""
    names = sorted({topic.name for topic in request.topics} if request.topics else context.image.topics)
    cursor = request.cursor
    if cursor is None:
        return names, 0
    if request.topics and cursor.topic_name not in names:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "the cursor's topic is not among those asked for")
    if cursor.partition_index < 0:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "the cursor's partition is negative")
    return [name for name in names if name >= cursor.topic_name], cursor.partition_index


def _no_topic(code: ErrorCode, name: str, context: Context) -> DescribeTopicPartitionsResponseTopic:
    return DescribeTopicPartitionsResponseTopic(
        error_code=code,
        name=name,
        is_internal=is_internal(name),
        topic_authorized_operations=context.operations(ResourceType.TOPIC, name),
    )


def _topic(topic: TopicImage, begin: int, end: int, context: Context) -> DescribeTopicPartitionsResponseTopic:
    partitions = []
    for index in range(begin, end):
        partition = topic.partitions[index]
        partitions.append(
            DescribeTopicPartitionsResponsePartition(
                error_code=ErrorCode.NONE if partition.leader >= 0 else ErrorCode.LEADER_NOT_AVAILABLE,
                partition_index=index,
                leader_id=partition.leader,
                leader_epoch=partition.leader_epoch,
                replica_nodes=list(partition.replicas),
                isr_nodes=list(partition.isr),
                eligible_leader_replicas=[],
                last_known_elr=[],
                offline_replicas=offline_replicas(partition.replicas, context),
            )
        )
    return DescribeTopicPartitionsResponseTopic(
        name=topic.name,
        topic_id=topic.topic_id,
        is_internal=is_internal(topic.name),
        partitions=partitions,
        topic_authorized_operations=context.operations(ResourceType.TOPIC, topic.name),
    )


def fail(request: DescribeTopicPartitionsRequest, code: ErrorCode, why: str | None) -> DescribeTopicPartitionsResponse:
    """The error on every topic asked for."""
    return DescribeTopicPartitionsResponse(
        topics=[DescribeTopicPartitionsResponseTopic(error_code=code, name=topic.name) for topic in request.topics]
    )


API = Api(75, "DescribeTopicPartitions", 0, 0, handle, fail, cacheable=True)
