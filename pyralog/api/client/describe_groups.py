"""DescribeGroups (key 15, versions 0-6): state, protocol and members of classic groups.

Contract
- The metadata of members is shown while the group is stable, their last assignments always.
- A group that is not there, or not a classic one: GROUP_ID_NOT_FOUND with a message from version 6 on (KIP-1043),
  before it just Dead. A group that only stores offsets is Empty, without protocol type.
- Errors stand at each group. DESCRIBE on the group, else GROUP_AUTHORIZATION_FAILED. Authorised operations from
  version 3 on, if asked for.
"""

from __future__ import annotations

from pyralog.api.authorizer import Operation, ResourceType
from pyralog.api.context import Context
from pyralog.api.handler import Api
from pyralog.coordinator.group.classic import ClassicState
from pyralog.coordinator.group.classic_admin import DescribeGroup
from pyralog.errors import ErrorCode, KafkaError
from pyralog.wire.messages import DescribeGroupsRequest, DescribeGroupsResponse
from pyralog.wire.messages import DescribeGroupsResponseDescribedGroup as Described

NOT_FOUND_FROM = 6


async def handle(request: DescribeGroupsRequest, context: Context) -> DescribeGroupsResponse:
    """Ask the coordinator of each group."""
    groups = context.services.groups
    asked = [
        (group_id, groups.submit(group_id, DescribeGroup(group_id)) if _may(group_id, context) else None)
        for group_id in request.groups
    ]
    described = []
    for group_id, pending in asked:
        if pending is None:
            described.append(_failed(group_id, ErrorCode.GROUP_AUTHORIZATION_FAILED, None))
            continue
        try:
            answer: Described = await pending
        except KafkaError as error:
            described.append(_not_described(group_id, error, context.version))
            continue
        if request.include_authorized_operations:
            answer.authorized_operations = context.operations(ResourceType.GROUP, group_id)
        described.append(answer)
    return DescribeGroupsResponse(groups=described)


def _may(group_id: str, context: Context) -> bool:
    return context.allows(Operation.DESCRIBE, group_id, ResourceType.GROUP)


def _not_described(group_id: str, error: KafkaError, version: int) -> Described:
    if error.code is not ErrorCode.GROUP_ID_NOT_FOUND:
        return _failed(group_id, error.code, None)
    if version < NOT_FOUND_FROM:
        return Described(group_id=group_id, group_state=ClassicState.DEAD.value)
    return _failed(group_id, error.code, error.why, ClassicState.DEAD.value)


def _failed(group_id: str, code: ErrorCode, why: str | None, state: str = "") -> Described:
    return Described(group_id=group_id, error_code=code, error_message=why, group_state=state)


def fail(request: DescribeGroupsRequest, code: ErrorCode, why: str | None) -> DescribeGroupsResponse:
    """The error at every group."""
    return DescribeGroupsResponse(groups=[_failed(group_id, code, None) for group_id in request.groups])


API = Api(15, "DescribeGroups", 0, 6, handle, fail)
