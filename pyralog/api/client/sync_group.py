"""SyncGroup (key 14, versions 0-5): a member asks for its assignment; the leader of the group brings everybody's.

Contract
- The answer leaves when the leader has assigned and the generation is stored. REBALANCE_IN_PROGRESS when the members
  change before that, ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID (also for ids that have not joined yet), and
  FENCED_INSTANCE_ID (v3+).
- Whoever gets no part from the leader has an empty assignment.
- Version 5 must name protocol type and protocol: INCONSISTENT_GROUP_PROTOCOL when one is missing or not the group's
  (KIP-559).
- INVALID_GROUP_ID for an empty id. READ on the group, else GROUP_AUTHORIZATION_FAILED.
- An assignment that is too large for the log is UNKNOWN_SERVER_ERROR to everybody, and the group begins anew.
"""

from __future__ import annotations

from collections.abc import Awaitable

from pyralog.api.authorizer import Operation
from pyralog.api.context import Context
from pyralog.api.coordinators import ask_group, demand_group
from pyralog.api.handler import Api
from pyralog.errors import ErrorCode, KafkaError
from pyralog.wire.messages import SyncGroupRequest, SyncGroupResponse

PROTOCOL_FROM = 5


def handle(request: SyncGroupRequest, context: Context) -> Awaitable[SyncGroupResponse]:
    """Let the group's coordinator decide."""
    if context.version >= PROTOCOL_FROM and (request.protocol_type is None or request.protocol_name is None):
        raise KafkaError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL, "the request names no protocol")
    demand_group(Operation.READ, request.group_id, context)
    if not request.group_id:
        raise KafkaError(ErrorCode.INVALID_GROUP_ID)
    return ask_group(request.group_id, request, context)


def fail(request: SyncGroupRequest, code: ErrorCode, why: str | None) -> SyncGroupResponse:
    """The error alone. What the log cannot take is no fault that clients know of."""
    if code is ErrorCode.RECORD_LIST_TOO_LARGE:
        code = ErrorCode.UNKNOWN_SERVER_ERROR
    return SyncGroupResponse(error_code=code)


API = Api(14, "SyncGroup", 0, 5, handle, fail)
