"""Configuration as handlers ask for it: the file and the cluster's dynamic configs together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from pyralog.config.describe import ConfigEntry, describe_broker, describe_cluster, describe_topic, topic_value
from pyralog.config.effective import BrokerDefaults
from pyralog.config.schema import Config
from pyralog.config.topics import TopicSettings

BROKER_RESOURCE = 4  # Kafka's number


class Image(Protocol):
    """The part of the cluster image that holds configs."""

    def config(self, resource_type: int, name: str) -> Mapping[str, str]:
        """What is set for a resource."""
        ...

    def configured(self, resource_type: int) -> Iterable[str]:
        """Names of the resources of a type for which something is set."""
        ...


class ConfigurationView:
    """Answers for any image; what the brokers' dynamic configs come to is worked out once for each change of them."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._node = str(config.node.node_id)
        self._broker = BrokerDefaults(config)

    def replace(self, config: Config) -> None:
        """Go by another configuration from now on: the file was read again."""
        self.config = config
        self._broker = BrokerDefaults(config)

    def broker_defaults(self, image: Image) -> BrokerDefaults:
        """What the brokers' configuration comes to under this image."""
        cluster, node = image.config(BROKER_RESOURCE, ""), image.config(BROKER_RESOURCE, self._node)
        if self._broker.cluster != cluster or self._broker.node != node:
            self._broker = BrokerDefaults(self.config, cluster, node)
        return self._broker

    def settings(self, overrides: Mapping[str, str], image: Image) -> TopicSettings:
        """What a topic with these overrides comes to."""
        return self.broker_defaults(image).settings(overrides)

    def topic(self, overrides: Mapping[str, str], image: Image) -> list[ConfigEntry]:
        """Every topic config of a topic that sets `overrides` itself."""
        return describe_topic(overrides, self.broker_defaults(image))

    def topic_value(self, overrides: Mapping[str, str], name: str, image: Image) -> str:
        """One of them, as text."""
        return topic_value(name, overrides, self.broker_defaults(image))

    def broker(self, image: Image) -> list[ConfigEntry]:
        """Every broker config of this node."""
        return describe_broker(self.broker_defaults(image))

    def group(self, values: Mapping[str, str], image: Image) -> list[ConfigEntry]:
        """Every config of a group that sets `values` itself."""
        from pyralog.config.groups import describe_group  # rarely asked for

        return describe_group(values, self.broker_defaults(image))

    def cluster(self, image: Image) -> list[ConfigEntry]:
        """What is set for all brokers."""
        return describe_cluster(self.broker_defaults(image))
