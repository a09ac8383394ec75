"""DescribeCluster (key 60, versions 0-2): the brokers, the cluster id and a controller.

Contract
- The controller id is that of a live broker: admin clients send it what a controller decides (trap 15).
- v1 EndpointType: 1 brokers. 2 (controllers) is another listener, 114; anything else 115 (KIP-919).
- v2 IncludeFencedBrokers adds brokers that do not serve, marked as fenced; without it they are left out (KIP-1073).
- The cluster's authorised operations only when asked (trap 21).
"""

from __future__ import annotations

from pyralog.api.authorizer import CLUSTER_NAME, ResourceType
from pyralog.api.brokers import controller_id, endpoint_of
from pyralog.api.context import Context
from pyralog.api.handler import Api
from pyralog.errors import ErrorCode, KafkaError
from pyralog.wire.messages import DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse

BROKERS, CONTROLLERS = 1, 2


def handle(request: DescribeClusterRequest, context: Context) -> DescribeClusterResponse:
    """The cluster as this node knows it."""
    if request.endpoint_type == CONTROLLERS:
        raise KafkaError(ErrorCode.MISMATCHED_ENDPOINT_TYPE, "This is an endpoint for clients, not for controllers.")
    if request.endpoint_type != BROKERS:
        raise KafkaError(ErrorCode.UNSUPPORTED_ENDPOINT_TYPE, f"There is no endpoint type {request.endpoint_type}.")
    context.keep = True
    brokers = []
    for broker in context.image.brokers.values():
        if broker.fenced and not request.include_fenced_brokers:
            continue
        host, port = endpoint_of(broker, context)
        brokers.append(
            DescribeClusterBroker(
                broker_id=broker.node_id, host=host, port=port, rack=broker.rack, is_fenced=broker.fenced
            )
        )
    return DescribeClusterResponse(
        cluster_id=context.image.cluster_id,
        controller_id=controller_id(context),
        brokers=brokers,
        cluster_authorized_operations=context.operations(
            ResourceType.CLUSTER, CLUSTER_NAME, request.include_cluster_authorized_operations
        ),
    )


def fail(request: DescribeClusterRequest, code: ErrorCode, why: str | None) -> DescribeClusterResponse:
    """The error, with no cluster beside it."""
    return DescribeClusterResponse(error_code=code, error_message=why or code.message, cluster_id="")


API = Api(60, "DescribeCluster", 0, 2, handle, fail, cacheable=True)
