"""What Kafka refuses of a ConsumerGroupHeartbeat before any group is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyralog.coordinator.consumer_group.member import JOIN_EPOCH, LEAVE_EPOCH, STATIC_LEAVE_EPOCH
from pyralog.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from pyralog.wire.messages import ConsumerGroupHeartbeatRequest

CLIENT_MADE_IDS = 1  # from this version on clients make up their member ids (KIP-1082)


def check_heartbeat(message: ConsumerGroupHeartbeatRequest, version: int, assignors: Sequence[str]) -> None:
    """KafkaError INVALID_REQUEST or UNSUPPORTED_ASSIGNOR, with Kafka's text."""
    if version >= CLIENT_MADE_IDS or message.member_epoch > JOIN_EPOCH or message.member_epoch == LEAVE_EPOCH:
        _not_empty(message.member_id, "MemberId can't be empty.")
    _not_empty(message.group_id, "GroupId can't be empty.")
    _not_empty(message.instance_id, "InstanceId can't be empty.")
    _not_empty(message.rack_id, "RackId can't be empty.")
    if message.member_epoch == JOIN_EPOCH:
        _check_join(message)
    elif message.member_epoch == STATIC_LEAVE_EPOCH:
        if message.instance_id is None:
            raise _invalid("InstanceId can't be null.")
    elif message.member_epoch < LEAVE_EPOCH:
        raise _invalid("MemberEpoch is invalid.")
    if message.server_assignor is not None and message.server_assignor not in assignors:
        raise KafkaError(
            ErrorCode.UNSUPPORTED_ASSIGNOR,
            f"ServerAssignor {message.server_assignor} is not supported. Supported assignors: {', '.join(assignors)}.",
        )


def _check_join(message: ConsumerGroupHeartbeatRequest) -> None:
    if message.rebalance_timeout_ms == -1:
        raise _invalid("RebalanceTimeoutMs must be provided in first request.")
    if message.topic_partitions is None or message.topic_partitions:
        raise _invalid("TopicPartitions must be empty when (re-)joining.")
    if message.subscribed_topic_names is None and message.subscribed_topic_regex is None:
        raise _invalid("Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.")


def _not_empty(text: str | None, why: str) -> None:
    """Empty, or of blanks alone."""
    if text is not None and not text.strip():
        raise _invalid(why)


def _invalid(why: str) -> KafkaError:
    return KafkaError(ErrorCode.INVALID_REQUEST, why)
