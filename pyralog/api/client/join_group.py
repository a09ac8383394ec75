"""JoinGroup (key 11, versions 0-9): a member of a classic group joins, and waits until the others have.

Contract
- The answer leaves when the next generation is formed, which may take the group's rebalance timeout; it holds up the
  requests behind it on its connection only. A client that goes away meanwhile is missed when its session ends.
- Version 0 has no rebalance timeout: the session's takes its place (trap 17). From version 4 on a dynamic member
  first gets MEMBER_ID_REQUIRED with its id (KIP-394). Version 5: static members (KIP-345), FENCED_INSTANCE_ID.
  Version 8: the client's reason, for logs. Version 9: SkipAssignment tells a static leader that is back so (KIP-814).
- INVALID_GROUP_ID for an empty id, INVALID_SESSION_TIMEOUT outside group.min/max.session.timeout.ms,
  GROUP_MAX_SIZE_REACHED, INCONSISTENT_GROUP_PROTOCOL when nothing is common, UNKNOWN_MEMBER_ID.
- READ on the group, else GROUP_AUTHORIZATION_FAILED.
- Deliberate difference: a JoinGroup that its own member has sent once more is answered REBALANCE_IN_PROGRESS, where
  Kafka never answers it.
"""

from __future__ import annotations

from collections.abc import Awaitable

from pyralog.api.authorizer import Operation
from pyralog.api.context import Context
from pyralog.api.coordinators import ask_group, demand_group
from pyralog.api.handler import Api
from pyralog.errors import ErrorCode
from pyralog.wire.messages import JoinGroupRequest, JoinGroupResponse

NULLABLE_PROTOCOL_FROM = 7


def handle(request: JoinGroupRequest, context: Context) -> JoinGroupResponse | Awaitable[JoinGroupResponse]:
    """Let the group's coordinator decide."""
    demand_group(Operation.READ, request.group_id, context)
    nullable = context.version >= NULLABLE_PROTOCOL_FROM
    if not request.group_id:
        refused = fail(request, ErrorCode.INVALID_GROUP_ID, None)
        refused.protocol_name = None if nullable else ""
        return refused
    pending = ask_group(request.group_id, request, context)
    return pending if nullable else pending.map(_without_null)


def _without_null(response: JoinGroupResponse) -> JoinGroupResponse:
    if response.protocol_name is None:
        response.protocol_name = ""
    return response


def fail(request: JoinGroupRequest, code: ErrorCode, why: str | None) -> JoinGroupResponse:
    """The error alone, as every version can say it. What the log cannot take is no fault that clients know of."""
    if code is ErrorCode.RECORD_LIST_TOO_LARGE:
        code = ErrorCode.UNKNOWN_SERVER_ERROR
    return JoinGroupResponse(error_code=code, member_id=request.member_id)


API = Api(11, "JoinGroup", 0, 9, handle, fail)
