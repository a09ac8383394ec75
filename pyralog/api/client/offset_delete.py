"""OffsetDelete (key 47, version 0, never flexible): remove offsets of a group, topic by topic (KIP-496).

Contract
- DELETE on the group (30), READ on each topic (29). Unknown partitions: UNKNOWN_TOPIC_OR_PARTITION each by itself.
- A group that does not exist: GROUP_ID_NOT_FOUND for the whole. A group with members that is no consumer group:
  NON_EMPTY_GROUP; topics that its members are subscribed to: GROUP_SUBSCRIBED_TO_TOPIC on their partitions.
- Group id "" is INVALID_GROUP_ID.
- A partition without offset is no error.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from pyralog.api.authorizer import Operation
from pyralog.api.context import Context
from pyralog.api.coordinators import ask_group, demand_group
from pyralog.api.handler import Api
from pyralog.errors import ErrorCode, KafkaError
from pyralog.wire.messages import (
    OffsetDeleteRequest,
    OffsetDeleteResponse,
    OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
)


def handle(request: OffsetDeleteRequest, context: Context) -> OffsetDeleteResponse | Awaitable[OffsetDeleteResponse]:
    """Set aside what cannot be deleted, and ask the group for the rest."""
    demand_group(Operation.DELETE, request.group_id, context)
    if not request.group_id:
        raise KafkaError(ErrorCode.INVALID_GROUP_ID)
    refused: dict[str, OffsetDeleteResponseTopic] = {}
    for topic in request.topics:
        known = context.image.topics.get(topic.name)
        denied = not context.allows(Operation.READ, topic.name)
        count = 0 if known is None or denied else len(known.partitions)
        code = ErrorCode.TOPIC_AUTHORIZATION_FAILED if denied else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        bad = [one for one in topic.partitions if not 0 <= one.partition_index < count]
        topic.partitions = [one for one in topic.partitions if 0 <= one.partition_index < count]
        if bad:
            answer = refused.setdefault(topic.name, OffsetDeleteResponseTopic(name=topic.name))
            answer.partitions.extend(
                OffsetDeleteResponsePartition(partition_index=one.partition_index, error_code=code) for one in bad
            )
    asked = [topic for topic in request.topics if topic.partitions]
    if not asked and refused:
        return OffsetDeleteResponse(topics=list(refused.values()))
    request.topics = asked
    return ask_group(request.group_id, request, context).map(lambda response: _merged(response, refused))


def _merged(response: Any, refused: dict[str, OffsetDeleteResponseTopic]) -> OffsetDeleteResponse:
    for topic in response.topics:
        extra = refused.pop(topic.name, None)
        if extra is not None:
            topic.partitions.extend(extra.partitions)
    return OffsetDeleteResponse(topics=[*response.topics, *refused.values()])


def fail(request: OffsetDeleteRequest, code: ErrorCode, why: str | None) -> OffsetDeleteResponse:
    """The error of the whole."""
    return OffsetDeleteResponse(error_code=code)


API = Api(47, "OffsetDelete", 0, 0, handle, fail)
