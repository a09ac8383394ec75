"""Heartbeat (key 12, versions 0-4): a member of a classic group lives, and hears whether it must join again.

Contract
- REBALANCE_IN_PROGRESS while the next generation is formed, ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID (also for ids that
  have not joined yet), FENCED_INSTANCE_ID (v3+), INVALID_GROUP_ID for an empty id.
- While the coordinator loads the group it answers that all is well, as Kafka does: sessions begin anew afterwards.
- READ on the group, else GROUP_AUTHORIZATION_FAILED.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from pyralog.api.authorizer import Operation
from pyralog.api.context import Context
from pyralog.api.coordinators import ask_group, demand_group
from pyralog.api.handler import Api
from pyralog.errors import ErrorCode, KafkaError
from pyralog.runtime import Pending
from pyralog.wire.messages import HeartbeatRequest, HeartbeatResponse


def handle(request: HeartbeatRequest, context: Context) -> Awaitable[HeartbeatResponse]:
    """Let the group's coordinator decide."""
    demand_group(Operation.READ, request.group_id, context)
    if not request.group_id:
        raise KafkaError(ErrorCode.INVALID_GROUP_ID)
    heard: Pending[HeartbeatResponse] = Pending()

    def tell(value: Any) -> None:
        loading = isinstance(value, KafkaError) and value.code is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
        heard.resolve(HeartbeatResponse() if loading else value)

    ask_group(request.group_id, request, context).then(tell)
    return heard


def fail(request: HeartbeatRequest, code: ErrorCode, why: str | None) -> HeartbeatResponse:
    """The error alone."""
    return HeartbeatResponse(error_code=code)


API = Api(12, "Heartbeat", 0, 4, handle, fail)
