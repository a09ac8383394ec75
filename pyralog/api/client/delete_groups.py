"""DeleteGroups (key 42, versions 0-3): remove groups without members, with their offsets.

Contract
- Every kind of group; each succeeds or fails by itself: NON_EMPTY_GROUP while it has members, GROUP_ID_NOT_FOUND.
- A name that comes twice is deleted once. The answer leaves when the tombstones are committed.
- Version 3: messages with the errors.
- DELETE on the group, else GROUP_AUTHORIZATION_FAILED.
"""

from __future__ import annotations

from pyralog.api.authorizer import Operation, ResourceType
from pyralog.api.context import Context
from pyralog.api.handler import Api
from pyralog.coordinator.group.classic_admin import DeleteGroup
from pyralog.errors import ErrorCode, KafkaError
from pyralog.wire.messages import DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse


async def handle(request: DeleteGroupsRequest, context: Context) -> DeleteGroupsResponse:
    """Ask the coordinator of each group."""
    groups = context.services.groups
    asked = [
        (group_id, groups.submit(group_id, DeleteGroup(group_id)) if _may(group_id, context) else None)
        for group_id in dict.fromkeys(request.groups_names)
    ]
    results = []
    for group_id, pending in asked:
        if pending is None:
            results.append(_failed(group_id, ErrorCode.GROUP_AUTHORIZATION_FAILED, None))
            continue
        try:
            await pending
        except KafkaError as error:
            results.append(_failed(group_id, error.code, None))
        else:
            results.append(DeletableGroupResult(group_id=group_id))
    return DeleteGroupsResponse(results=results)


def _may(group_id: str, context: Context) -> bool:
    return context.allows(Operation.DELETE, group_id, ResourceType.GROUP)


def _failed(group_id: str, code: ErrorCode, why: str | None) -> DeletableGroupResult:
    return DeletableGroupResult(group_id=group_id, error_code=code, error_message=why)


def fail(request: DeleteGroupsRequest, code: ErrorCode, why: str | None) -> DeleteGroupsResponse:
    """The error at every group."""
    return DeleteGroupsResponse(results=[_failed(name, code, why) for name in dict.fromkeys(request.groups_names)])


API = Api(42, "DeleteGroups", 0, 3, handle, fail)
