"""AlterPartitionReassignments (key 45, versions 0-1): move partitions to other nodes, or take a move back (KIP-455).

Contract
- Null replicas take a move back: NO_REASSIGNMENT_IN_PROGRESS where there is none. Replicas that are empty, repeated or
  of unknown nodes are INVALID_REPLICA_ASSIGNMENT; the replicas that a partition has are success at once.
- v1: without AllowReplicationFactorChange another number of replicas is INVALID_REPLICATION_FACTOR (KIP-860).
- ALTER on the cluster, else CLUSTER_AUTHORIZATION_FAILED.
- On one node there is no other place, so that no move is ever under way.
"""

from __future__ import annotations

from pyralog.api.authorizer import Operation
from pyralog.api.context import Context
from pyralog.api.handler import Api
from pyralog.cluster.requests import PartitionsReply, ReassignPartitions
from pyralog.errors import ErrorCode
from pyralog.wire.messages import (
    AlterPartitionReassignmentsRequest,
    AlterPartitionReassignmentsResponse,
    ReassignablePartitionResponse,
    ReassignableTopicResponse,
)


async def handle(request: AlterPartitionReassignmentsRequest, context: Context) -> AlterPartitionReassignmentsResponse:
    """Ask the controller."""
    context.demand_on_cluster(Operation.ALTER)
    wanted = tuple(
        (
            topic.name,
            tuple(
                (one.partition_index, None if one.replicas is None else tuple(one.replicas)) for one in topic.partitions
            ),
        )
        for topic in request.topics
    )
    allowed = request.allow_replication_factor_change
    work = context.services.quorum.submit(ReassignPartitions(wanted, allowed))
    reply = await context.within(context.bounded(request.timeout_ms), work)
    assert isinstance(reply, PartitionsReply)
    return AlterPartitionReassignmentsResponse(
        allow_replication_factor_change=allowed,
        error_message=None,
        responses=[
            ReassignableTopicResponse(
                name=topic,
                partitions=[
                    ReassignablePartitionResponse(
                        partition_index=result.partition, error_code=result.error, error_message=result.message
                    )
                    for result in results
                ],
            )
            for topic, results in reply.topics
        ],
    )


def fail(
    request: AlterPartitionReassignmentsRequest, code: ErrorCode, why: str | None
) -> AlterPartitionReassignmentsResponse:
    """The error on the whole."""
    return AlterPartitionReassignmentsResponse(
        allow_replication_factor_change=request.allow_replication_factor_change,
        error_code=code,
        error_message=why or code.message,
    )


API = Api(45, "AlterPartitionReassignments", 0, 1, handle, fail)
