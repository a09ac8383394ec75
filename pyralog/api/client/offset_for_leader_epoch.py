"""OffsetForLeaderEpoch (key 23, versions 2-4): where a leader epoch ended: clients notice lost records (KIP-320).

Contract
- The answer is the largest epoch not above the one asked for, and the offset at which the next epoch began; for the
  current epoch that is the log end. An epoch above every known one, and -1: epoch -1, offset -1, no error.
  An epoch before the first known one: that epoch, and the first offset the partition has.
- CurrentLeaderEpoch, when given, must be ours: FENCED_LEADER_EPOCH or UNKNOWN_LEADER_EPOCH otherwise.
- DESCRIBE on the topic, else TOPIC_AUTHORIZATION_FAILED. Only the leader answers.
"""

from __future__ import annotations

from pyralog.api.authorizer import Operation
from pyralog.api.context import Context
from pyralog.api.handler import Api
from pyralog.api.topics import epoch_error, led_partition
from pyralog.errors import ErrorCode, KafkaError
from pyralog.model import TopicPartition
from pyralog.wire.messages import (
    OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
    OffsetForLeaderEpochResponseEpochEndOffset,
    OffsetForLeaderPartition,
    OffsetForLeaderTopicResult,
)


def handle(request: OffsetForLeaderEpochRequest, context: Context) -> OffsetForLeaderEpochResponse:
    """Each partition by itself."""
    return OffsetForLeaderEpochResponse(
        topics=[
            OffsetForLeaderTopicResult(
                topic=topic.topic, partitions=[_partition(topic.topic, one, context) for one in topic.partitions]
            )
            for topic in request.topics
        ]
    )


def _partition(
    topic: str, asked: OffsetForLeaderPartition, context: Context
) -> OffsetForLeaderEpochResponseEpochEndOffset:
    tp = TopicPartition(topic, asked.partition)
    if not context.allows(Operation.DESCRIBE, topic):
        return _failed(asked.partition, ErrorCode.TOPIC_AUTHORIZATION_FAILED)
    registration = led_partition(tp, context)
    if isinstance(registration, ErrorCode):
        return _failed(asked.partition, registration)
    try:
        snapshot = context.snapshot(tp)
    except KafkaError as error:
        return _failed(asked.partition, error.code)
    wrong = epoch_error(snapshot.leader_epoch, asked.current_leader_epoch)
    if wrong is not ErrorCode.NONE:
        return _failed(asked.partition, wrong)
    if asked.leader_epoch == snapshot.leader_epoch:
        return OffsetForLeaderEpochResponseEpochEndOffset(
            partition=asked.partition, leader_epoch=asked.leader_epoch, end_offset=snapshot.log_end
        )
    end = context.services.logs.epoch_end(tp, asked.leader_epoch, snapshot.log_end)
    return OffsetForLeaderEpochResponseEpochEndOffset(
        partition=asked.partition, leader_epoch=end.epoch, end_offset=end.offset
    )


def _failed(partition: int, code: ErrorCode) -> OffsetForLeaderEpochResponseEpochEndOffset:
    return OffsetForLeaderEpochResponseEpochEndOffset(partition=partition, error_code=code)


def fail(request: OffsetForLeaderEpochRequest, code: ErrorCode, why: str | None) -> OffsetForLeaderEpochResponse:
    """The error on every partition."""
    return OffsetForLeaderEpochResponse(
        topics=[
            OffsetForLeaderTopicResult(
                topic=topic.topic, partitions=[_failed(one.partition, code) for one in topic.partitions]
            )
            for topic in request.topics
        ]
    )


API = Api(23, "OffsetForLeaderEpoch", 2, 4, handle, fail)
