"""Rules about topic names and partitions that several APIs share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyralog.cluster.controller_topics import name_error
from pyralog.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from pyralog.api.context import Context
    from pyralog.model import PartitionRegistration, TopicPartition

INTERNAL_TOPICS = frozenset({"__consumer_offsets", "__transaction_state", "__share_group_state"})


def is_internal(name: str) -> bool:
    """True for the topics that brokers keep for themselves."""
    return name in INTERNAL_TOPICS


def is_legal(name: str) -> bool:
    """True when a topic may have this name."""
    return name_error(name) is None


def unknown_topic(name: str) -> KafkaError:
    """Why there is no topic of this name, with the rule that the name breaks."""
    return KafkaError(absent_topic(name), name_error(name))


def absent_topic(name: str) -> ErrorCode:
    """Why there is no topic of this name: it may not exist (17), or it does not (3)."""
    return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION if is_legal(name) else ErrorCode.INVALID_TOPIC_EXCEPTION


def led_partition(tp: TopicPartition, context: Context) -> PartitionRegistration | ErrorCode:
    """The registration of a partition that this node leads, or the error for a request that needs its leader."""
    topic = context.image.topics.get(tp.topic)
    if topic is None or not 0 <= tp.partition < len(topic.partitions):
        return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    registration = topic.partitions[tp.partition]
    if registration.leader != context.services.settings.node_id:
        return ErrorCode.NOT_LEADER_OR_FOLLOWER
    return registration


def epoch_error(current: int, claimed: int) -> ErrorCode:
    """Compares the leader epoch that a client believes in with the true one; -1 claims nothing (KIP-320)."""
    if claimed < 0 or claimed == current:
        return ErrorCode.NONE
    return ErrorCode.FENCED_LEADER_EPOCH if claimed < current else ErrorCode.UNKNOWN_LEADER_EPOCH
