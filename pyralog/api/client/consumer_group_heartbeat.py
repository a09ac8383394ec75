"""ConsumerGroupHeartbeat (key 68, versions 0-1): members of KIP-848 groups join, live, are assigned, and leave.

Contract
- Version 1 has subscriptions by regular expression and member ids that clients make up (KIP-1082); in version 0 the
  coordinator gives the id.
- Checks and texts are Kafka's: INVALID_REQUEST, UNSUPPORTED_ASSIGNOR, INVALID_REGULAR_EXPRESSION,
  GROUP_MAX_SIZE_REACHED, UNKNOWN_MEMBER_ID, FENCED_MEMBER_EPOCH, UNRELEASED_INSTANCE_ID, FENCED_INSTANCE_ID,
  GROUP_ID_NOT_FOUND.
- Beside Kafka: members that wait for partitions are given a shorter heartbeat interval, and small groups are assigned
  at once and not once a second (KIP-1263).
- A classic group becomes one of this protocol when somebody joins it so, if its members are consumers whose assignors
  keep nothing to themselves (group.consumer.migration.policy); otherwise GROUP_ID_NOT_FOUND.
- UNSUPPORTED_VERSION while group.version is 0, as in Kafka.
- READ on the group, else GROUP_AUTHORIZATION_FAILED; DESCRIBE on every topic that is named, else
  TOPIC_AUTHORIZATION_FAILED. A regular expression matches only topics that the asker may describe.
"""

from __future__ import annotations

from collections.abc import Awaitable

from pyralog.api.authorizer import Operation
from pyralog.api.context import Context
from pyralog.api.coordinators import ask_group, demand_group, newer_groups
from pyralog.api.handler import Api
from pyralog.coordinator.consumer_group.validation import check_heartbeat
from pyralog.errors import ErrorCode, KafkaError
from pyralog.wire.messages import ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse


def handle(
    request: ConsumerGroupHeartbeatRequest, context: Context
) -> ConsumerGroupHeartbeatResponse | Awaitable[ConsumerGroupHeartbeatResponse]:
    """Let the group's coordinator decide."""
    if not newer_groups(context):
        return ConsumerGroupHeartbeatResponse(error_code=ErrorCode.UNSUPPORTED_VERSION)
    demand_group(Operation.READ, request.group_id, context)
    for name in request.subscribed_topic_names or ():
        if not context.allows(Operation.DESCRIBE, name):
            raise KafkaError(ErrorCode.TOPIC_AUTHORIZATION_FAILED)
    check_heartbeat(request, context.version, context.services.groups.settings.consumer_assignors)
    return ask_group(request.group_id, request, context)


def fail(request: ConsumerGroupHeartbeatRequest, code: ErrorCode, why: str | None) -> ConsumerGroupHeartbeatResponse:
    """The error, with its text."""
    return ConsumerGroupHeartbeatResponse(error_code=code, error_message=why or code.message)


API = Api(68, "ConsumerGroupHeartbeat", 0, 1, handle, fail)
