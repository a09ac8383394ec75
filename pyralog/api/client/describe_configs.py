"""DescribeConfigs (key 32, versions 1-4): what is configured on a resource, and where it comes from.

Contract (trap 19)
- Topic (2): every topic configuration, also those at their default, with source and synonyms: the topic's own value,
  the broker's dynamic and static ones, the default. Unknown: UNKNOWN_TOPIC_OR_PARTITION; a name that no topic may
  have: INVALID_TOPIC_EXCEPTION.
- Broker (4): the name is this node's id: every broker configuration under Kafka's names; what may change at run time
  is not read-only. The empty name: what was set for all brokers. Another id: INVALID_REQUEST, ask that broker.
- Broker logger (8): the name is this node's id: the level of each of its loggers.
- ConfigurationKeys null or empty: all of them; names that do not exist are left out, as in Kafka.
- Synonyms and documentation (v3+) only when asked. Values of sensitive configurations are null.
- DESCRIBE_CONFIGS on the topic, group or cluster, else TOPIC_, GROUP_ or CLUSTER_AUTHORIZATION_FAILED for the resource.
- Group (32): what a group may set for its members of the newer protocol, whether there is such a group or not; the
  value is the group's, the broker's, or the default.
- Deliberate gaps: client metrics (16) come with their protocol and are INVALID_REQUEST until then; of groups those
  configs are left out that belong to share and streams groups.
"""

from __future__ import annotations

from collections.abc import Iterable

from pyralog.api.authorizer import Operation
from pyralog.api.configs import refuse
from pyralog.api.context import Context
from pyralog.api.handler import Api
from pyralog.api.loggers import check_node, logger_levels
from pyralog.api.topics import unknown_topic
from pyralog.cluster.image import ResourceType
from pyralog.config.describe import ConfigEntry
from pyralog.errors import ErrorCode, KafkaError
from pyralog.wire.messages import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResourceResult,
    DescribeConfigsResponse,
    DescribeConfigsResult,
    DescribeConfigsSynonym,
)

DYNAMIC_BROKER_LOGGER = 6  # Kafka's number of that source


def handle(request: DescribeConfigsRequest, context: Context) -> DescribeConfigsResponse:
    """Each resource by itself."""
    return DescribeConfigsResponse(results=[_resource(one, request, context) for one in request.resources])


def _resource(
    resource: DescribeConfigsResource, request: DescribeConfigsRequest, context: Context
) -> DescribeConfigsResult:
    try:
        refuse(Operation.DESCRIBE_CONFIGS, resource.resource_type, resource.resource_name, context)
        if resource.resource_type == ResourceType.BROKER_LOGGER:
            configs = _loggers(resource.resource_name, context)
        else:
            entries = _entries(resource.resource_type, resource.resource_name, context)
            configs = [_result(entry, request) for entry in entries]
    except KafkaError as error:
        return _failed(resource, error.code, error.why)
    wanted = set(resource.configuration_keys or ())
    return DescribeConfigsResult(
        resource_type=resource.resource_type,
        resource_name=resource.resource_name,
        configs=[config for config in configs if not wanted or config.name in wanted],
    )


def _loggers(name: str, context: Context) -> list[DescribeConfigsResourceResult]:
    check_node(name, context.services.settings.node_id)
    return [
        DescribeConfigsResourceResult(name=logger, value=level, config_source=DYNAMIC_BROKER_LOGGER)
        for logger, level in logger_levels().items()
    ]


def _entries(resource_type: int, name: str, context: Context) -> Iterable[ConfigEntry]:
    configs, node_id = context.services.configs, context.services.settings.node_id
    if resource_type == ResourceType.TOPIC:
        if name not in context.image.topics:
            raise unknown_topic(name)
        return configs.topic(context.image.config(ResourceType.TOPIC, name), context.image)
    if resource_type == ResourceType.BROKER:
        if name == "":
            return configs.cluster(context.image)
        if name != str(node_id):
            why = f"Unexpected broker id, expected {node_id} or empty string, but received {name}"
            raise KafkaError(ErrorCode.INVALID_REQUEST, why)
        return configs.broker(context.image)
    if resource_type == ResourceType.GROUP:
        if name == "":
            raise KafkaError(ErrorCode.INVALID_REQUEST, "Group name must not be empty")
        return configs.group(context.image.config(ResourceType.GROUP, name), context.image)
    raise KafkaError(ErrorCode.INVALID_REQUEST, f"Unsupported resource type: {resource_type}")


def _result(entry: ConfigEntry, request: DescribeConfigsRequest) -> DescribeConfigsResourceResult:
    result = DescribeConfigsResourceResult(
        name=entry.name,
        value=None if entry.sensitive else entry.value,
        read_only=entry.read_only,
        config_source=entry.source,
        is_sensitive=entry.sensitive,
        config_type=entry.kind,
        documentation=entry.documentation if request.include_documentation else None,
    )
    if request.include_synonyms:
        result.synonyms = [
            DescribeConfigsSynonym(name=name, value=None if entry.sensitive else value, source=source)
            for name, value, source in entry.synonyms
        ]
    return result


def _failed(resource: DescribeConfigsResource, code: ErrorCode, why: str | None) -> DescribeConfigsResult:
    return DescribeConfigsResult(
        error_code=code,
        error_message=why or code.message,
        resource_type=resource.resource_type,
        resource_name=resource.resource_name,
    )


def fail(request: DescribeConfigsRequest, code: ErrorCode, why: str | None) -> DescribeConfigsResponse:
    """The error on every resource."""
    return DescribeConfigsResponse(results=[_failed(one, code, why) for one in request.resources])


API = Api(32, "DescribeConfigs", 1, 4, handle, fail)
