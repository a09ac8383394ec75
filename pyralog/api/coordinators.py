"""What handlers of groups share: asking the group's coordinator, and the rights to a group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pyralog.api.authorizer import Operation, ResourceType
from pyralog.coordinator.outcome import ClientRequest
from pyralog.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from pyralog.api.context import Context
    from pyralog.runtime import Pending
    from pyralog.wire.messages import Message


GROUP_VERSION = "group.version"


def demand_group(operation: Operation, group_id: str, context: Context) -> None:
    """KafkaError(GROUP_AUTHORIZATION_FAILED) unless the asker may do this to the group."""
    if not context.allows(operation, group_id, ResourceType.GROUP):
        raise KafkaError(ErrorCode.GROUP_AUTHORIZATION_FAILED)


def newer_groups(context: Context) -> bool:
    """Whether the cluster runs at a level with groups of the newer protocol (KIP-848, feature group.version)."""
    return context.image.features.get(GROUP_VERSION, 0) > 0


def client_request(message: Message, context: Context) -> ClientRequest:
    """A request as machines get it."""
    connection = context.connection
    return ClientRequest(
        message, context.version, context.header.client_id or "", f"/{connection.peer_host}", connection.principal
    )


def ask_group(group_id: str, message: Message, context: Context) -> Pending[Any]:
    """The answer of the group's coordinator to this request; it may come after minutes (a parked JoinGroup)."""
    return context.services.groups.submit(group_id, client_request(message, context), len(context.frame))


def judge_offset_topics(
    topics: Sequence[Any], context: Context, *, by_id: bool
) -> list[tuple[str, bytes, int, ErrorCode]]:
    """Take out of a commit what cannot be committed: (topic, id, partition, why) of each partition.

    Topics given by id get their names, for the group works with those.
    """
    refused: list[tuple[str, bytes, int, ErrorCode]] = []
    image = context.image
    for topic in topics:
        if by_id:
            found = image.topic_by_id(topic.topic_id)
            code = ErrorCode.UNKNOWN_TOPIC_ID if found is None else ErrorCode.NONE
            if found is not None:
                topic.name = found.name
        else:
            found = image.topics.get(topic.name)
            code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION if found is None else ErrorCode.NONE
            if found is not None:
                topic.topic_id = found.topic_id
        if (found is not None or not by_id) and not context.allows(Operation.READ, topic.name):
            code = ErrorCode.TOPIC_AUTHORIZATION_FAILED
        if code is ErrorCode.NONE and found is not None:
            count = len(found.partitions)
            if all(0 <= one.partition_index < count for one in topic.partitions):
                continue
            bad = [one for one in topic.partitions if not 0 <= one.partition_index < count]
            code = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            topic.partitions = [one for one in topic.partitions if 0 <= one.partition_index < count]
        else:
            bad, topic.partitions = topic.partitions, []
        refused += [(topic.name, topic.topic_id, one.partition_index, code) for one in bad]
    return refused
