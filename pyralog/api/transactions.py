"""What handlers of transactions share: rights to a transactional id, and the name of a fence in older versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pyralog.api.authorizer import Operation, ResourceType
from pyralog.coordinator.internal_topics import CONSUMER_OFFSETS
from pyralog.coordinator.partitioner import partition_for
from pyralog.errors import ErrorCode, KafkaError
from pyralog.model import TopicPartition
from pyralog.runtime import Pending

if TYPE_CHECKING:
    from pyralog.api.context import Context

T = TypeVar("T")


def may_write(transactional_id: str, context: Context) -> bool:
    """The asker may produce under this transactional id."""
    return context.allows(Operation.WRITE, transactional_id, ResourceType.TRANSACTIONAL_ID)


def demand_transactional_id(transactional_id: str, context: Context) -> None:
    """KafkaError(TRANSACTIONAL_ID_AUTHORIZATION_FAILED) unless the asker may produce under it; 42 for an empty one."""
    if not may_write(transactional_id, context):
        raise KafkaError(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
    if not transactional_id:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "the transactional id is empty")


def fenced_as(pending: Pending[T], *, older: bool) -> Pending[T]:
    """The same, where `older` versions know no PRODUCER_FENCED and hear INVALID_PRODUCER_EPOCH (KIP-588)."""
    if not older:
        return pending
    made: Pending[T] = Pending()

    def pass_on(value: Any) -> None:
        if isinstance(value, KafkaError):
            value = KafkaError(older_code(value.code, older=True), value.why)
        made.resolve(value)

    pending.then(pass_on)
    return made


def older_code(code: ErrorCode, *, older: bool) -> ErrorCode:
    """INVALID_PRODUCER_EPOCH for PRODUCER_FENCED in older versions."""
    return ErrorCode.INVALID_PRODUCER_EPOCH if older and code is ErrorCode.PRODUCER_FENCED else code


def offsets_partition(group_id: str, context: Context) -> Pending[TopicPartition]:
    """Where the offsets of a group are: that partition becomes part of the transaction that commits them."""
    topic = context.services.groups.topic

    def found(_: None) -> TopicPartition:
        return TopicPartition(CONSUMER_OFFSETS, partition_for(group_id, topic.partitions))

    return topic.make().map(found)
