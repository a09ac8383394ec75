"""LeaveGroup (key 13, versions 0-5): members leave a classic group, or an administrator takes them out.

Contract
- Up to version 2 one member, whose error is the answer's. From version 3 on several, each with its own error; static
  members also by instance id alone (KIP-345). Version 5: the client's reason (KIP-800).
- The others rebalance at once. UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID; in an unknown group nobody is a member.
- INVALID_GROUP_ID for an empty id. READ on the group, else GROUP_AUTHORIZATION_FAILED.
"""

from __future__ import annotations

from collections.abc import Awaitable

from pyralog.api.authorizer import Operation
from pyralog.api.context import Context
from pyralog.api.coordinators import ask_group, demand_group
from pyralog.api.handler import Api
from pyralog.errors import ErrorCode, KafkaError
from pyralog.wire.messages import LeaveGroupRequest, LeaveGroupResponse, MemberIdentity

MEMBERS_FROM = 3


def handle(request: LeaveGroupRequest, context: Context) -> Awaitable[LeaveGroupResponse]:
    """Let the group's coordinator take them out."""
    demand_group(Operation.READ, request.group_id, context)
    if not request.group_id:
        raise KafkaError(ErrorCode.INVALID_GROUP_ID)
    if context.version >= MEMBERS_FROM:
        return ask_group(request.group_id, request, context)
    request.members = [MemberIdentity(member_id=request.member_id)]
    return ask_group(request.group_id, request, context).map(_of_one)


def _of_one(response: LeaveGroupResponse) -> LeaveGroupResponse:
    """The only member's error is the answer's where there is no room for more."""
    code = response.error_code or response.members[0].error_code
    return LeaveGroupResponse(error_code=code)


def fail(request: LeaveGroupRequest, code: ErrorCode, why: str | None) -> LeaveGroupResponse:
    """The error alone."""
    return LeaveGroupResponse(error_code=code)


API = Api(13, "LeaveGroup", 0, 5, handle, fail)
