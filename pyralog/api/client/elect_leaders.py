"""ElectLeaders (key 43, versions 0-2): preferred elections, and unclean ones where a partition has no leader (KIP-460).

Contract
- Version 0 knows only preferred elections, and has no error of its own: it stands at every partition.
- Null partitions mean all: the answer then names what was elected, or could not be, and not what needed no election.
- ELECTION_NOT_NEEDED where the preferred replica leads (unclean: where a live node leads),
  PREFERRED_LEADER_NOT_AVAILABLE, ELIGIBLE_LEADERS_NOT_AVAILABLE; an unknown election type is INVALID_REQUEST.
- ALTER on the cluster, else CLUSTER_AUTHORIZATION_FAILED.
- The answer leaves when the new leaders serve. On one node every partition has its preferred leader.
"""

from __future__ import annotations

from pyralog.api.authorizer import Operation
from pyralog.api.context import Context
from pyralog.api.handler import Api
from pyralog.cluster.requests import ElectLeaders, PartitionsReply
from pyralog.errors import ErrorCode, KafkaError
from pyralog.wire.messages import (
    ElectLeadersRequest,
    ElectLeadersResponse,
    ElectLeadersResponsePartitionResult,
    ReplicaElectionResult,
)

PREFERRED, UNCLEAN = 0, 1


async def handle(request: ElectLeadersRequest, context: Context) -> ElectLeadersResponse:
    """Ask the controller for the elections."""
    context.demand_on_cluster(Operation.ALTER)
    if request.election_type not in (PREFERRED, UNCLEAN):
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"there is no election type {request.election_type}")
    partitions = request.topic_partitions
    asked = None if partitions is None else tuple((one.topic, tuple(one.partitions)) for one in partitions)
    work = context.services.quorum.submit(ElectLeaders(request.election_type == UNCLEAN, asked))
    reply = await context.within(context.bounded(request.timeout_ms), work)
    assert isinstance(reply, PartitionsReply)
    return ElectLeadersResponse(
        replica_election_results=[
            ReplicaElectionResult(
                topic=topic,
                partition_result=[
                    ElectLeadersResponsePartitionResult(
                        partition_id=result.partition, error_code=result.error, error_message=result.message
                    )
                    for result in results
                ],
            )
            for topic, results in reply.topics
        ]
    )


def fail(request: ElectLeadersRequest, code: ErrorCode, why: str | None) -> ElectLeadersResponse:
    """The error on the whole, and on every partition that was named."""
    return ElectLeadersResponse(
        error_code=code,
        replica_election_results=[
            ReplicaElectionResult(
                topic=one.topic,
                partition_result=[
                    ElectLeadersResponsePartitionResult(
                        partition_id=index, error_code=code, error_message=why or code.message
                    )
                    for index in one.partitions
                ],
            )
            for one in request.topic_partitions or ()
        ],
    )


API = Api(43, "ElectLeaders", 0, 2, handle, fail)
