"""Which configs a topic, the brokers or a group may have set while running: the controller's ConfigRules."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from pyralog.config.effective import BrokerDefaults, check_together
from pyralog.config.keys import by_kafka_name, by_name
from pyralog.config.topics import TOPIC_CONFIGS, ConfigType, TopicConfig, parse, validate
from pyralog.errors import ErrorCode, KafkaError

TOPIC_RESOURCE = 2
BROKER_RESOURCE = 4
GROUP_RESOURCE = 32


@functools.cache
def dynamic_broker_configs() -> Mapping[str, TopicConfig]:
    """Broker configs that may change while running, by Kafka's name: the broker-wide defaults of topic configs.

    Of several synonyms only the strongest is dynamic, as in Kafka (log.retention.ms is, log.retention.hours is not).
    """
    found: dict[str, TopicConfig] = {}
    for topic in TOPIC_CONFIGS.values():
        key = by_name().get(topic.path or "")
        if key is not None and key.opt.scope == "cluster":
            found[key.kafka[0].name] = topic
    return found


class Rules:
    """Checks configs as CreateTopics, AlterConfigs and IncrementalAlterConfigs set them."""

    def __init__(self, broker: BrokerDefaults) -> None:
        self._broker = broker

    def validate(self, resource_type: int, values: Mapping[str, str]) -> None:
        """KafkaError when a resource may not have exactly these configs set."""
        if resource_type == TOPIC_RESOURCE:
            for name, value in values.items():
                validate(name, value)
            check_together(values, self._broker)
        elif resource_type == BROKER_RESOURCE:
            for name, value in values.items():
                _validate_broker(name, value)
        elif resource_type == GROUP_RESOURCE:
            from pyralog.config.groups import validate_group  # rarely asked for

            validate_group(values, self._broker.config)
        elif values:
            raise KafkaError(ErrorCode.INVALID_CONFIG, f"Resources of type {resource_type} have no configs here.")

    def list_default(self, resource_type: int, name: str) -> str | None:
        """The default of a config that is a list, as text; None when it is not a list or not known."""
        if resource_type == GROUP_RESOURCE:
            return None  # groups have numbers only
        configs = TOPIC_CONFIGS if resource_type == TOPIC_RESOURCE else dynamic_broker_configs()
        topic = configs.get(name)
        if topic is None or topic.type is not ConfigType.LIST:
            return None
        return self._broker.inherited(topic.name).text


def _validate_broker(name: str, value: str) -> None:
    topic = dynamic_broker_configs().get(name)
    if topic is None:
        if name in by_kafka_name() or name in by_name():
            raise KafkaError(ErrorCode.INVALID_REQUEST, f"Cannot update these configs dynamically: [{name}]")
        raise KafkaError(ErrorCode.INVALID_CONFIG, f"Unknown broker config name: {name}")
    try:
        parse(topic, value)
    except KafkaError as error:
        # Kafka names the broker config and answers INVALID_REQUEST here, not INVALID_CONFIG as for topics.
        raise KafkaError(ErrorCode.INVALID_REQUEST, (error.why or "").replace(topic.name, name)) from error
