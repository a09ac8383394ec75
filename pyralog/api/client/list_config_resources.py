"""ListConfigResources (key 74, versions 0-1): the names of what configurations belong to (KIP-1142).

Contract
- v0 (ListClientMetricsResources, KIP-714) asks for client metrics only. v1 names the types; none means all of them.
- Topics: every topic. Brokers and their loggers: every broker that serves. Groups and client metrics: those on which
  something was set; nobody can set client metrics in this release, so that there are none.
- Another type: UNSUPPORTED_VERSION, as in Kafka. DESCRIBE_CONFIGS on the cluster, else CLUSTER_AUTHORIZATION_FAILED.
"""

from __future__ import annotations

from collections.abc import Iterable

from pyralog.api.authorizer import Operation
from pyralog.api.context import Context
from pyralog.api.handler import Api
from pyralog.cluster.image import ResourceType
from pyralog.errors import ErrorCode, KafkaError
from pyralog.wire.messages import ConfigResource, ListConfigResourcesRequest, ListConfigResourcesResponse


def handle(request: ListConfigResourcesRequest, context: Context) -> ListConfigResourcesResponse:
    """The names, by type in the order of the request."""
    context.demand_on_cluster(Operation.DESCRIBE_CONFIGS)
    if context.version == 0:
        types = [ResourceType.CLIENT_METRICS]
    elif not request.resource_types:
        types = list(ResourceType)
    else:
        types = [_known(number) for number in dict.fromkeys(request.resource_types)]
    return ListConfigResourcesResponse(
        config_resources=[
            ConfigResource(resource_name=name, resource_type=resource_type)
            for resource_type in types
            for name in _names(resource_type, context)
        ]
    )


def _known(number: int) -> ResourceType:
    try:
        return ResourceType(number)
    except ValueError:
        raise KafkaError(ErrorCode.UNSUPPORTED_VERSION, f"there is no resource type {number}") from None


def _names(resource_type: ResourceType, context: Context) -> Iterable[str]:
    if resource_type is ResourceType.TOPIC:
        return list(context.image.topics)
    if resource_type in (ResourceType.BROKER, ResourceType.BROKER_LOGGER):
        return [str(node) for node, broker in context.image.brokers.items() if not broker.fenced]
    return [name for kind, name in context.image.configs if kind == resource_type]


def fail(request: ListConfigResourcesRequest, code: ErrorCode, why: str | None) -> ListConfigResourcesResponse:
    """The error alone."""
    return ListConfigResourcesResponse(error_code=code)


API = Api(74, "ListConfigResources", 0, 1, handle, fail)
