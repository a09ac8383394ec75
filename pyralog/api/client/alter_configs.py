"""AlterConfigs (key 33, versions 0-2): the whole configuration of a topic, broker or group; replaced by key 44.

Contract
- What a resource's list does not name goes back to its default (trap 19). Null values: INVALID_REQUEST.
- Each resource succeeds or fails by itself: INVALID_CONFIG for an unknown key or a value that it does not take,
  UNKNOWN_TOPIC_OR_PARTITION, BROKER_ID_NOT_REGISTERED; a resource named twice: INVALID_REQUEST.
- Topics (2), brokers (4; the empty name means all of them) and groups (32, which need not exist). Broker loggers only
  by key 44, as in Kafka; client metrics are not there yet: INVALID_REQUEST. Configs of a group that belong to share or
  streams groups: INVALID_CONFIG.
- The answer leaves when the change is committed; it takes effect on this node within the same turn of its loop and
  survives restarts. ValidateOnly changes nothing.
- ALTER_CONFIGS on the topic, group or cluster, else TOPIC_, GROUP_ or CLUSTER_AUTHORIZATION_FAILED.
"""

from __future__ import annotations

from pyralog.api.configs import denied, submit
from pyralog.api.context import Context
from pyralog.api.handler import Api
from pyralog.cluster.requests import AlterConfigs, ResourceConfig, ResourceResult
from pyralog.errors import ErrorCode
from pyralog.wire.messages import (
    AlterConfigsRequest,
    AlterConfigsResponse,
    AlterConfigsResponseAlterConfigsResourceResponse,
)


async def handle(request: AlterConfigsRequest, context: Context) -> AlterConfigsResponse:
    """Ask the controller for the changes that the client may make."""
    outcomes, wanted = [], []
    for resource in request.resources:
        refusal = denied(resource.resource_type, resource.resource_name, context)
        if refusal is not None:
            outcomes.append(refusal)
            continue
        configs = tuple((one.name, one.value) for one in resource.configs)
        wanted.append(ResourceConfig(resource.resource_type, resource.resource_name, configs))
    if wanted:
        outcomes.extend(await submit(AlterConfigs(tuple(wanted), request.validate_only), context))
    return AlterConfigsResponse(responses=[_result(outcome) for outcome in outcomes])


def _result(outcome: ResourceResult) -> AlterConfigsResponseAlterConfigsResourceResponse:
    return AlterConfigsResponseAlterConfigsResourceResponse(
        error_code=outcome.error,
        error_message=None if outcome.error is ErrorCode.NONE else outcome.message or outcome.error.message,
        resource_type=outcome.resource_type,
        resource_name=outcome.resource_name,
    )


def fail(request: AlterConfigsRequest, code: ErrorCode, why: str | None) -> AlterConfigsResponse:
    """The error on every resource."""
    return AlterConfigsResponse(
        responses=[
            _result(ResourceResult(one.resource_type, one.resource_name, code, why)) for one in request.resources
        ]
    )


API = Api(33, "AlterConfigs", 0, 2, handle, fail)
