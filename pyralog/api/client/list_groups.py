"""ListGroups (key 16, versions 0-5): the groups that this node coordinates, of every kind.

Contract
- Version 4: only those in one of the named states (KIP-518), version 5: of one of the named types (KIP-848); letter
  case does not matter, and unknown names match nothing.
- Groups that only store offsets are Empty classic groups without protocol type.
- DESCRIBE on the cluster shows all groups, else only those that the asker may describe.
- COORDINATOR_LOAD_IN_PROGRESS while a shard is being loaded, rather than a list with holes.
"""

from __future__ import annotations

from collections.abc import Iterator

from pyralog.api.authorizer import Operation, ResourceType
from pyralog.api.context import Context
from pyralog.api.handler import Api
from pyralog.coordinator.group.classic import ClassicGroup, ClassicState
from pyralog.coordinator.group.shard import GroupShard
from pyralog.coordinator.runtime import State
from pyralog.errors import ErrorCode, KafkaError
from pyralog.wire.messages import ListedGroup, ListGroupsRequest, ListGroupsResponse


def handle(request: ListGroupsRequest, context: Context) -> ListGroupsResponse:
    """Go over the shards of this node."""
    groups = context.services.groups
    if State.LOADING in groups.runtime.states().values():
        raise KafkaError(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
    states = {name.lower() for name in request.states_filter}
    kinds = {name.lower() for name in request.types_filter}
    everything = context.allows_on_cluster(Operation.DESCRIBE)
    listed = [
        group
        for shard in groups.shards()
        for group in _groups(shard)
        if (not states or group.group_state.lower() in states)
        and (not kinds or group.group_type in kinds)
        and (everything or context.allows(Operation.DESCRIBE, group.group_id, ResourceType.GROUP))
    ]
    return ListGroupsResponse(groups=listed)


def _groups(shard: GroupShard) -> Iterator[ListedGroup]:
    for group_id, group in shard.groups.items():
        yield _listed(group_id, group.protocol_type or "", group.state_name(), group.kind)
    for group_id in shard.simple_groups():
        yield _listed(group_id, "", ClassicState.EMPTY.value, ClassicGroup.kind)


def _listed(group_id: str, protocol_type: str, state: str, kind: str) -> ListedGroup:
    return ListedGroup(group_id=group_id, protocol_type=protocol_type, group_state=state, group_type=kind)


def fail(request: ListGroupsRequest, code: ErrorCode, why: str | None) -> ListGroupsResponse:
    """The error alone."""
    return ListGroupsResponse(error_code=code)


API = Api(16, "ListGroups", 0, 5, handle, fail)
