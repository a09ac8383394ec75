"""FindCoordinator (key 10, versions 0-6): which node holds a group or a transactional id.

Contract
- Key types 0 (group) and 1 (transactional id); type 2 (share, "group:topic-id:partition", v6) is answered as by Kafka
  without that coordinator; a malformed key or any other type is INVALID_REQUEST.
- v4+: many keys, each with its own outcome (KIP-699). Before that one key, and no key at all is INVALID_REQUEST.
- The first question makes the coordinator's topic; the answer waits until it is led here. Kafka answers
  COORDINATOR_NOT_AVAILABLE first, which costs its clients a retry.
- The empty group id has a coordinator, as in Kafka.
- DESCRIBE on the group (30) or transactional id (53), else no node is told.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from pyralog.api.authorizer import Operation, ResourceType
from pyralog.api.brokers import endpoint_of
from pyralog.api.context import Context
from pyralog.api.handler import Api
from pyralog.coordinator.partitioner import partition_for
from pyralog.errors import ErrorCode, KafkaError
from pyralog.wire.messages import Coordinator, FindCoordinatorRequest, FindCoordinatorResponse

if TYPE_CHECKING:
    from pyralog.coordinator.internal_topics import InternalTopic

GROUP, TRANSACTION, SHARE = 0, 1, 2
BATCHED_FROM = 4  # KIP-699
SHARE_FROM = 6  # KIP-932
NO_NODE = -1


def handle(
    request: FindCoordinatorRequest, context: Context
) -> FindCoordinatorResponse | Awaitable[FindCoordinatorResponse]:
    """Answer from the image; wait only while the topic is being made."""
    known = (GROUP, TRANSACTION, SHARE) if context.version >= SHARE_FROM else (GROUP, TRANSACTION)
    if request.key_type not in known:
        return _shaped([_nobody(key, ErrorCode.INVALID_REQUEST) for key in _keys(request, context)], context)
    topic = _topic(request.key_type, context)
    if topic is None or topic.partitions:
        return _response(request, context)
    return (
        topic.make().map(lambda _: _response(request, context)).recover(lambda error: _failed(request, error, context))
    )


def _failed(request: FindCoordinatorRequest, error: BaseException, context: Context) -> FindCoordinatorResponse:
    code = error.code if isinstance(error, KafkaError) else ErrorCode.UNKNOWN_SERVER_ERROR
    return _shaped([_nobody(key, code) for key in _keys(request, context)], context)


def _topic(key_type: int, context: Context) -> InternalTopic | None:
    if key_type == GROUP:
        return context.services.groups.topic
    return context.services.transactions.topic if key_type == TRANSACTION else None


def _keys(request: FindCoordinatorRequest, context: Context) -> list[str]:
    return request.coordinator_keys if context.version >= BATCHED_FROM else [request.key]


def _response(request: FindCoordinatorRequest, context: Context) -> FindCoordinatorResponse:
    return _shaped([_find(request.key_type, key, context) for key in _keys(request, context)], context)


def _shaped(found: list[Coordinator], context: Context) -> FindCoordinatorResponse:
    if context.version >= BATCHED_FROM:
        return FindCoordinatorResponse(coordinators=found)
    return _single(found[0])


def _single(one: Coordinator) -> FindCoordinatorResponse:
    return FindCoordinatorResponse(
        error_code=one.error_code,
        error_message=one.error_message,
        node_id=one.node_id,
        host=one.host,
        port=one.port,
    )


def _find(key_type: int, key: str, context: Context) -> Coordinator:
    if key_type == GROUP and not context.allows(Operation.DESCRIBE, key, ResourceType.GROUP):
        return _nobody(key, ErrorCode.GROUP_AUTHORIZATION_FAILED)
    if key_type == TRANSACTION and not context.allows(Operation.DESCRIBE, key, ResourceType.TRANSACTIONAL_ID):
        return _nobody(key, ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
    topic = _topic(key_type, context)
    if topic is None:
        return _share(key)
    node_id = topic.leader(partition_for(key, topic.partitions))
    broker = context.image.brokers.get(node_id)
    if broker is None or broker.fenced:
        return _nobody(key, ErrorCode.COORDINATOR_NOT_AVAILABLE)
    host, port = endpoint_of(broker, context)
    return Coordinator(key=key, node_id=node_id, host=host, port=port, error_message="")


def _share(key: str) -> Coordinator:
    """Keys of the share coordinator end in a topic id and a partition."""
    parts = key.rsplit(":", 2)
    try:
        well_formed = len(parts) == 3 and len(base64.urlsafe_b64decode(parts[1] + "==")) == 16 and int(parts[2]) >= 0
    except (ValueError, binascii.Error):
        well_formed = False
    return _nobody(key, ErrorCode.COORDINATOR_NOT_AVAILABLE if well_formed else ErrorCode.INVALID_REQUEST)


def _nobody(key: str, code: ErrorCode) -> Coordinator:
    return Coordinator(key=key, node_id=NO_NODE, host="", port=-1, error_code=code, error_message=code.message)


def fail(request: FindCoordinatorRequest, code: ErrorCode, why: str | None) -> FindCoordinatorResponse:
    """The error on every key, or in the fields of the single one."""
    if request.coordinator_keys:
        return FindCoordinatorResponse(coordinators=[_nobody(key, code) for key in request.coordinator_keys])
    return _single(_nobody(request.key, code))


API = Api(10, "FindCoordinator", 0, 6, handle, fail)
