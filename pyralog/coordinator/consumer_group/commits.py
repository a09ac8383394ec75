"""Whether a member of a KIP-848 group may commit these offsets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pyralog.errors import ErrorCode
from pyralog.model import ZERO_UUID, Uuid
from pyralog.wire.messages import TxnOffsetCommitRequest

if TYPE_CHECKING:
    from pyralog.coordinator.consumer_group.group import ConsumerGroup

# From this version on the generation of an OffsetCommit is a member epoch.
EPOCH_VERSION = 9


def validate_commit(group: ConsumerGroup, message: Any, version: int) -> ErrorCode:
    """Kafka's rules: admin clients into an empty group, transactional producers without a member, and members."""
    transactional = type(message) is TxnOffsetCommitRequest
    epoch = message.generation_id_or_member_epoch
    if epoch < 0 and not group.members:
        return ErrorCode.NONE
    if transactional and epoch == -1 and message.member_id == "" and message.group_instance_id is None:
        return ErrorCode.NONE
    member = group.members.get(message.member_id)
    if member is None:
        return ErrorCode.UNKNOWN_MEMBER_ID
    if not transactional and member.classic is None and version < EPOCH_VERSION:
        return ErrorCode.UNSUPPORTED_VERSION
    if epoch == member.epoch:
        return ErrorCode.NONE
    stale = ErrorCode.STALE_MEMBER_EPOCH if member.classic is None else ErrorCode.ILLEGAL_GENERATION
    if epoch > member.epoch:
        return stale
    for topic_id, partition in _partitions(message):
        assigned = None if topic_id is None else member.assigned_in(topic_id, partition)
        if assigned is None or epoch < assigned:
            return stale
    return ErrorCode.NONE


def _partitions(message: Any) -> Iterator[tuple[Uuid | None, int]]:
    for topic in message.topics:
        topic_id = getattr(topic, "topic_id", None)
        for partition in topic.partitions:
            yield (None if topic_id == ZERO_UUID else topic_id), partition.partition_index
