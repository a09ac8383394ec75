"""What handlers of configurations share: the view of what is configured, rights, and asking for changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

from pyralog.api.authorizer import Operation
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
    from pyralog.api.record_rules import RecordRules
    from pyralog.cluster.image import ClusterImage


class Source(IntEnum):
    """Where a value comes from, by Kafka's numbers."""

    TOPIC = 1
    DYNAMIC_BROKER = 2
    DYNAMIC_DEFAULT_BROKER = 3
    STATIC_BROKER = 4
    DEFAULT = 5
    DYNAMIC_BROKER_LOGGER = 6


@dataclass(frozen=True, slots=True)
class ConfigEntry:
    """One configuration: the value in force, where it comes from, and what would hold in its stead.

    `synonyms` are (name, value, source), strongest first; the first is the one in force. `kind` is Kafka's number of
    the type.
    """

    name: str
    value: str | None
    source: Source
    synonyms: tuple[tuple[str, str | None, Source], ...] = ()
    read_only: bool = False
    sensitive: bool = False
    kind: int = 0
    documentation: str | None = None


class ConfigView(Protocol):
    """What is configured, file and metadata log together."""

    def topic(self, overrides: Mapping[str, str], image: ClusterImage) -> Sequence[ConfigEntry]:
        """Every topic configuration of a topic that sets `overrides` itself."""
        ...

    def topic_value(self, overrides: Mapping[str, str], name: str, image: ClusterImage) -> str:
        """One of them, as text."""
        ...

    def record_rules(self, topic: str, image: ClusterImage) -> RecordRules:
        """What a topic demands of the records in its batches."""
        ...

    def broker(self, image: ClusterImage) -> Sequence[ConfigEntry]:
        """Every broker configuration of this node."""
        ...

    def cluster(self, image: ClusterImage) -> Sequence[ConfigEntry]:
        """What was set for all brokers."""
        ...


def topic_value(topic: str, name: str, context: Context) -> str:
    """One configuration of an existing topic, as text."""
    overrides = context.image.config(ResourceType.TOPIC, topic)
    return context.services.configs.topic_value(overrides, name, context.image)


def refuse(operation: Operation, resource_type: int, name: str, context: Context) -> None:
    """KafkaError when the client may not do this with the configuration of this resource."""
    if resource_type == ResourceType.TOPIC:
        if not context.allows(operation, name):
            raise KafkaError(ErrorCode.TOPIC_AUTHORIZATION_FAILED)
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
