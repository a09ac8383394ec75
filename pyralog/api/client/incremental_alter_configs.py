"""IncrementalAlterConfigs (key 44, versions 0-1): change single configurations of resources (KIP-339).

Contract
- SET, DELETE (of an unknown key too: nothing to do), APPEND and SUBTRACT on lists, else INVALID_CONFIG; another
  operation, a null value where one is needed, or a key twice in a resource: INVALID_REQUEST.
- Each resource succeeds or fails by itself and as a whole; a resource named twice: INVALID_REQUEST. Errors and rights
  are those of AlterConfigs.
- Broker loggers (type 8, the name is this node's id): SET and DELETE of levels, at once and until the node stops, as in
  Kafka; an unknown logger or level: INVALID_CONFIG. DELETE gives back the level of the start; of the root logger it is
  INVALID_REQUEST. The empty name, which means all brokers, is INVALID_REQUEST here.
- Deliberate gap: client metrics (16) come with their protocol and are INVALID_REQUEST until then.
"""

from __future__ import annotations

from pyralog.api.configs import denied, submit
from pyralog.api.context import Context
from pyralog.api.handler import Api
from pyralog.api.loggers import alter_loggers
from pyralog.cluster.image import ResourceType
from pyralog.cluster.requests import ConfigChange, IncrementalAlterConfigs, ResourceChange, ResourceResult
from pyralog.errors import ErrorCode
from pyralog.wire.messages import (
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
    IncrementalAlterConfigsResponseAlterConfigsResourceResponse,
)


async def handle(request: IncrementalAlterConfigsRequest, context: Context) -> IncrementalAlterConfigsResponse:
    """Loggers are this node's own; everything else the controller decides."""
    outcomes, wanted = [], []
    for resource in request.resources:
        refusal = denied(resource.resource_type, resource.resource_name, context)
        if refusal is not None:
            outcomes.append(refusal)
            continue
        changes = tuple(ConfigChange(one.name, one.config_operation, one.value) for one in resource.configs)
        change = ResourceChange(resource.resource_type, resource.resource_name, changes)
        if resource.resource_type == ResourceType.BROKER_LOGGER:
            outcomes.append(alter_loggers(change, request.validate_only, context.services.settings.node_id))
        else:
            wanted.append(change)
    if wanted:
        outcomes.extend(await submit(IncrementalAlterConfigs(tuple(wanted), request.validate_only), context))
    return IncrementalAlterConfigsResponse(responses=[_result(outcome) for outcome in outcomes])


def _result(outcome: ResourceResult) -> IncrementalAlterConfigsResponseAlterConfigsResourceResponse:
    return IncrementalAlterConfigsResponseAlterConfigsResourceResponse(
        error_code=outcome.error,
        error_message=None if outcome.error is ErrorCode.NONE else outcome.message or outcome.error.message,
        resource_type=outcome.resource_type,
        resource_name=outcome.resource_name,
    )


def fail(request: IncrementalAlterConfigsRequest, code: ErrorCode, why: str | None) -> IncrementalAlterConfigsResponse:
    """The error on every resource."""
    return IncrementalAlterConfigsResponse(
        responses=[
            _result(ResourceResult(one.resource_type, one.resource_name, code, why)) for one in request.resources
        ]
    )


API = Api(44, "IncrementalAlterConfigs", 0, 1, handle, fail)
