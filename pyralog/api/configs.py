"""What handlers of configurations share: values of a topic, rights, and asking for changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyralog.api.authorizer import Operation
from pyralog.api.authorizer import ResourceType as Subject
from pyralog.cluster.image import ResourceType
from pyralog.cluster.requests import (
    AlterConfigs,
    AlterConfigsReply,
    IncrementalAlterConfigs,
    ResourceResult,
)
from pyralog.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from pyralog.api.context import Context
    from pyralog.config.topics import TopicSettings


def topic_settings(topic: str, context: Context) -> TopicSettings:
    """What the configuration of an existing topic comes to."""
    overrides = context.image.config(ResourceType.TOPIC, topic)
    return context.services.configs.settings(overrides, context.image)


def refuse(operation: Operation, resource_type: int, name: str, context: Context) -> None:
    """KafkaError when the client may not do this with the configuration of this resource."""
    if resource_type == ResourceType.TOPIC:
        if not context.allows(operation, name):
            raise KafkaError(ErrorCode.TOPIC_AUTHORIZATION_FAILED)
    elif resource_type == ResourceType.GROUP:
        if not context.allows(operation, name, Subject.GROUP):
            raise KafkaError(ErrorCode.GROUP_AUTHORIZATION_FAILED)
    elif not context.allows_on_cluster(operation):
        raise KafkaError(ErrorCode.CLUSTER_AUTHORIZATION_FAILED)


def denied(resource_type: int, name: str, context: Context) -> ResourceResult | None:
    """The outcome for a resource whose configuration the client may not alter; None when it may."""
    try:
        refuse(Operation.ALTER_CONFIGS, resource_type, name, context)
    except KafkaError as error:
        return ResourceResult(resource_type, name, error.code, error.why)
    return None


async def submit(request: AlterConfigs | IncrementalAlterConfigs, context: Context) -> Sequence[ResourceResult]:
    """The controller's outcomes, one for each resource."""

    async def ask() -> Sequence[ResourceResult]:
        reply = await context.services.quorum.submit(request)
        assert isinstance(reply, AlterConfigsReply)
        return reply.resources

    return await context.within(context.services.settings.request_timeout_ms, ask())
