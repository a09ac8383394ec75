"""Which configs a topic, the brokers or a group may have set while running: the controller's ConfigRules."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pyralog.config.dynamic import DynamicConfig, config_type, dynamic_by_path, dynamic_configs, overlay, read
from pyralog.config.effective import check_together, config_value
from pyralog.config.keys import by_kafka_name, by_name
from pyralog.config.topics import TOPIC_CONFIGS, ConfigType, validate
from pyralog.config.view import BROKER_RESOURCE
from pyralog.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from pyralog.config.view import ConfigurationView, Image

TOPIC_RESOURCE = 2
GROUP_RESOURCE = 32


class Rules:
    """Checks configs as CreateTopics, AlterConfigs and IncrementalAlterConfigs set them."""

    def __init__(self, view: ConfigurationView) -> None:
        self._view = view

    def validate(self, image: Image, resource_type: int, resource_name: str, values: Mapping[str, str]) -> None:
        """KafkaError when a resource may not have exactly these configs set."""
        if resource_type == TOPIC_RESOURCE:
            for name, value in values.items():
                validate(name, value)
            check_together(values, self._view.broker_defaults(image))
        elif resource_type == BROKER_RESOURCE:
            self._validate_brokers(image, resource_name, values)
        elif resource_type == GROUP_RESOURCE:
            from pyralog.config.groups import validate_group  # rarely asked for

            validate_group(values, self._view.broker_defaults(image).current)
        elif values:
            raise KafkaError(ErrorCode.INVALID_CONFIG, f"Resources of type {resource_type} have no configs here.")

    def list_default(self, image: Image, resource_type: int, name: str) -> str | None:
        """What a config that is a list comes to where it is not set, as text; None when it is no list, or not known."""
        if resource_type == GROUP_RESOURCE:
            return None  # groups have numbers only
        broker = self._view.broker_defaults(image)
        if resource_type == TOPIC_RESOURCE:
            topic = TOPIC_CONFIGS.get(name)
            return None if topic is None or topic.type is not ConfigType.LIST else broker.inherited(name).text
        dynamic = dynamic_configs().get(name)
        if dynamic is None or config_type(dynamic.key, name) is not ConfigType.LIST:
            return None
        return ",".join(config_value(broker.config, dynamic.key.name))

    def _validate_brokers(self, image: Image, resource_name: str, values: Mapping[str, str]) -> None:
        """What is set for all nodes must do beside what each has set for itself, and the other way round."""
        config = self._view.config
        for name, value in values.items():
            dynamic = _settable(name)
            if dynamic.whole and resource_name != "":
                why = f"Cannot update these configs at broker level, only for all brokers at once: [{name}]"
                raise KafkaError(ErrorCode.INVALID_REQUEST, why)
            try:
                read(dynamic, value, config)
            except KafkaError as error:
                # Kafka answers INVALID_REQUEST here, not INVALID_CONFIG as for topics.
                raise KafkaError(ErrorCode.INVALID_REQUEST, error.why) from error
        cluster = values if resource_name == "" else image.config(BROKER_RESOURCE, "")
        names = image.configured(BROKER_RESOURCE) if resource_name == "" else (resource_name,)
        for name in {"", *names}:
            node = image.config(BROKER_RESOURCE, name) if resource_name == "" and name else {}
            node = values if name == resource_name and name else node
            known = set(overlay(config, image.config(BROKER_RESOURCE, ""), image.config(BROKER_RESOURCE, name)).ignored)
            for why in overlay(config, cluster, node).ignored:
                if why not in known:
                    raise KafkaError(ErrorCode.INVALID_REQUEST, why)


def _settable(name: str) -> DynamicConfig:
    """The config of this name; KafkaError when there is none, or it cannot be set while running."""
    dynamic = dynamic_configs().get(name)
    if dynamic is not None:
        return dynamic
    if name in by_name() and (meant := dynamic_by_path().get(name)) is not None:
        raise KafkaError(
            ErrorCode.INVALID_REQUEST, f"Cannot update these configs dynamically: [{name}]. Set {meant.name}."
        )
    if name in by_kafka_name() or name in by_name():
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"Cannot update these configs dynamically: [{name}]")
    close = difflib.get_close_matches(name, sorted({*by_kafka_name(), *dynamic_configs()}), n=1, cutoff=0.75)
    hint = f". Did you mean {close[0]}?" if close else ""
    raise KafkaError(ErrorCode.INVALID_CONFIG, f"Unknown broker config name: {name}{hint}")
