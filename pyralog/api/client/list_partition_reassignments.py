"""ListPartitionReassignments (key 46, version 0): which partitions are being moved (KIP-455).

Contract
- Null topics mean all. A partition that is not being moved, or is not known, is left out.
- DESCRIBE on the cluster, else CLUSTER_AUTHORIZATION_FAILED.
- A move begins when there is a second node to move to (see AlterPartitionReassignments): on one node no registration
  ever has replicas that come or go, so the list is empty because nothing moves.
"""

from __future__ import annotations

from pyralog.api.authorizer import Operation
from pyralog.api.context import Context
from pyralog.api.handler import Api
from pyralog.errors import ErrorCode
from pyralog.wire.messages import ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse


def handle(request: ListPartitionReassignmentsRequest, context: Context) -> ListPartitionReassignmentsResponse:
    """What is being moved."""
    context.demand_on_cluster(Operation.DESCRIBE)
    return ListPartitionReassignmentsResponse(error_message=None, topics=[])


def fail(
    request: ListPartitionReassignmentsRequest, code: ErrorCode, why: str | None
) -> ListPartitionReassignmentsResponse:
    """The error on the whole."""
    return ListPartitionReassignmentsResponse(error_code=code, error_message=why or code.message)


API = Api(46, "ListPartitionReassignments", 0, 0, handle, fail)
