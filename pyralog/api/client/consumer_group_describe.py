"""ConsumerGroupDescribe (key 69, versions 0-1): state, epochs, members and assignments of KIP-848 groups.

Contract
- GROUP_ID_NOT_FOUND for a group that is not there or not of this protocol, INVALID_GROUP_ID for an empty id; errors
  stand at each group. Version 1 says of each member whether it speaks the classic protocol.
- UNSUPPORTED_VERSION while group.version is 0, as in Kafka.
- DESCRIBE on the group, else GROUP_AUTHORIZATION_FAILED; a group that shows a topic which the asker may not describe is
  not shown at all: TOPIC_AUTHORIZATION_FAILED.
"""

from __future__ import annotations

from typing import Any

from pyralog.api.authorizer import Operation, ResourceType
from pyralog.api.context import Context
from pyralog.api.coordinators import client_request, newer_groups
from pyralog.api.handler import Api
from pyralog.errors import ErrorCode, KafkaError
from pyralog.runtime import Pending
from pyralog.wire.messages import ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse
from pyralog.wire.messages import ConsumerGroupDescribeResponseDescribedGroup as Described

HIDDEN_TOPICS = "The group has described topic(s) that the client is not authorized to describe."


async def handle(request: ConsumerGroupDescribeRequest, context: Context) -> ConsumerGroupDescribeResponse:
    """Ask the coordinator of each group."""
    asked: list[tuple[str, Pending[Any] | None, ErrorCode]] = []
    for group_id in dict.fromkeys(request.group_ids):
        refusal = _refusal(group_id, context)
        if refusal is None:
            message = ConsumerGroupDescribeRequest(group_ids=[group_id])
            pending = context.services.groups.submit(group_id, client_request(message, context))
            asked.append((group_id, pending, ErrorCode.NONE))
        else:
            asked.append((group_id, None, refusal))
    described = []
    for group_id, answers, code in asked:
        if answers is None:
            described.append(_failed(group_id, code, None))
            continue
        try:
            answer: ConsumerGroupDescribeResponse = await answers
        except KafkaError as error:
            described.append(_failed(group_id, error.code, error.why))
            continue
        described += [_shown(group, request, context) for group in answer.groups]
    return ConsumerGroupDescribeResponse(groups=described)


def _refusal(group_id: str, context: Context) -> ErrorCode | None:
    if not newer_groups(context):
        return ErrorCode.UNSUPPORTED_VERSION
    if not context.allows(Operation.DESCRIBE, group_id, ResourceType.GROUP):
        return ErrorCode.GROUP_AUTHORIZATION_FAILED
    return None if group_id else ErrorCode.INVALID_GROUP_ID


def _shown(group: Described, request: ConsumerGroupDescribeRequest, context: Context) -> Described:
    names = {name for member in group.members for name in member.subscribed_topic_names}
    for member in group.members:
        for assignment in (member.assignment, member.target_assignment):
            names.update(topic.topic_name for topic in assignment.topic_partitions)
    if not all(context.allows(Operation.DESCRIBE, name) for name in names):
        return _failed(group.group_id, ErrorCode.TOPIC_AUTHORIZATION_FAILED, HIDDEN_TOPICS)
    if request.include_authorized_operations and not group.error_code:
        group.authorized_operations = context.operations(ResourceType.GROUP, group.group_id)
    return group


def _failed(group_id: str, code: ErrorCode, why: str | None) -> Described:
    return Described(group_id=group_id, error_code=code, error_message=why)


def fail(request: ConsumerGroupDescribeRequest, code: ErrorCode, why: str | None) -> ConsumerGroupDescribeResponse:
    """The error at every group."""
    return ConsumerGroupDescribeResponse(groups=[_failed(group_id, code, why) for group_id in request.group_ids])


API = Api(69, "ConsumerGroupDescribe", 0, 1, handle, fail)
