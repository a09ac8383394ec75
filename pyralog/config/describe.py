"""DescribeConfigs: every config with its value, type, source and synonyms, for topics, this broker and all brokers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from pyralog.config.dynamic import config_type, dynamic_by_path, dynamic_configs
from pyralog.config.effective import BrokerDefaults, config_value, key_of
from pyralog.config.keys import KafkaName, Key, all_keys
from pyralog.config.schema import Config
from pyralog.config.topics import TOPIC_CONFIGS, ConfigType, TopicConfig, parse, to_text
from pyralog.config.units import INT_MAX


class Source(IntEnum):
    """Where a value comes from, by Kafka's numbers."""

    TOPIC = 1
    DYNAMIC_BROKER = 2
    DYNAMIC_DEFAULT_BROKER = 3
    STATIC_BROKER = 4
    DEFAULT = 5
    GROUP = 8


Synonym = tuple[str, str | None, Source]


@dataclass(frozen=True, slots=True)
class ConfigEntry:
    """One config: the value in force, where it comes from, and what would hold in its stead (strongest first)."""

    name: str
    value: str | None
    source: Source
    synonyms: tuple[Synonym, ...] = ()
    read_only: bool = False
    sensitive: bool = False
    kind: int = ConfigType.STRING
    documentation: str | None = None


def describe_topic(overrides: Mapping[str, str], broker: BrokerDefaults) -> list[ConfigEntry]:
    """Every topic config of a topic with these overrides, by name."""
    entries = []
    for name in sorted(TOPIC_CONFIGS):
        topic = TOPIC_CONFIGS[name]
        if name in overrides or not topic.internal:
            entries.append(_topic_entry(topic, overrides, broker))
    return entries


def topic_value(name: str, overrides: Mapping[str, str], broker: BrokerDefaults) -> str:
    """One topic config, as text."""
    if name in overrides:
        return _canonical(TOPIC_CONFIGS[name], overrides[name])
    return broker.inherited(name).text


def _canonical(topic: TopicConfig, text: str) -> str:
    return to_text(topic.type, parse(topic, text))


def _topic_entry(topic: TopicConfig, overrides: Mapping[str, str], broker: BrokerDefaults) -> ConfigEntry:
    synonyms: list[Synonym] = []
    if topic.name in overrides:
        synonyms.append((topic.name, _canonical(topic, overrides[topic.name]), Source.TOPIC))
    key = key_of(topic)
    if key is not None:
        synonyms += _broker_synonyms(key, topic, broker)
    elif topic.synonym is not None:
        synonyms.append((topic.synonym, topic.default, Source.DEFAULT))
    return ConfigEntry(
        name=topic.name,
        value=topic_value(topic.name, overrides, broker),
        source=synonyms[0][2] if synonyms else Source.DEFAULT,
        synonyms=tuple(synonyms),
        kind=topic.type,
        documentation=topic.doc or (key.doc if key else None),
    )


def _broker_synonyms(key: Key, topic: TopicConfig, broker: BrokerDefaults) -> Iterator[Synonym]:
    """Dynamic values, the file's value, and the default, each by the name Kafka's users know it by."""
    first = key.kafka[0]
    yield from dynamic_synonyms(key, first, broker)
    static = _is_static(broker.config, key)
    if static:
        yield first.name, _clipped(topic, config_value(broker.config, key.name)), Source.STATIC_BROKER
    # Kafka has no default under the strongest name where its default is given in hours; then it lists none.
    if first.name not in _WITHOUT_DEFAULT and key.opt.default is None:
        yield first.name, _clipped(topic, key.default), Source.DEFAULT
    elif key.opt.default is not None and not static:
        yield first.name, _clipped(topic, config_value(broker.config, key.name)), Source.DEFAULT


def dynamic_synonyms(key: Key, name: KafkaName, broker: BrokerDefaults) -> Iterator[Synonym]:
    """The values of a key that were set while running and hold here, as texts in the unit of this name."""
    for mine, value in broker.layers.get(key.name, ()):
        source = Source.DYNAMIC_BROKER if mine else Source.DYNAMIC_DEFAULT_BROKER
        yield name.name, _text(key, name, value, broker.config), source


_WITHOUT_DEFAULT = frozenset({"log.retention.ms", "log.roll.ms", "log.roll.jitter.ms", "log.flush.interval.ms"})


def _clipped(topic: TopicConfig, value: Any) -> str:
    """As text; a segment size beyond Kafka's int32 shows as the largest int32 (SL-8)."""
    return to_text(topic.type, min(value, INT_MAX) if topic.type is ConfigType.INT else value)


def _is_static(config: Config, key: Key) -> bool:
    """Whether the file, the environment or an option gave the value."""
    return any(name == key.name or name.startswith(key.name + ".") for name in config.origins)


def describe_broker(broker: BrokerDefaults) -> list[ConfigEntry]:
    """Every broker config of this node: Kafka's names where there is one, else the path of our own key."""
    entries: list[ConfigEntry] = []
    for key in all_keys().values():
        names = key.kafka or (KafkaName(key.name),)
        entries += [_broker_entry(key, name, broker) for name in names]
    return sorted(entries, key=lambda entry: entry.name)


def describe_cluster(broker: BrokerDefaults) -> list[ConfigEntry]:
    """What is set for all brokers (resource BROKER with an empty name)."""
    entries = []
    for name in sorted(broker.cluster):
        dynamic = dynamic_configs().get(name)
        if dynamic is None:
            continue
        kafka = dynamic.kafka or KafkaName(name)
        held = [(value, source) for _, value, source in dynamic_synonyms(dynamic.key, kafka, broker)]
        # A value that does not hold here, as another node's file may let it, is shown as it was set.
        value = next((text for text, source in held if source is Source.DYNAMIC_DEFAULT_BROKER), broker.cluster[name])
        entries.append(
            ConfigEntry(
                name,
                None if dynamic.key.opt.sensitive else value,
                Source.DYNAMIC_DEFAULT_BROKER,
                ((name, value, Source.DYNAMIC_DEFAULT_BROKER),),
                sensitive=dynamic.key.opt.sensitive,
                kind=_kind(dynamic.key, kafka),
                documentation=dynamic.key.doc,
            )
        )
    return entries


def _broker_entry(key: Key, name: KafkaName, broker: BrokerDefaults) -> ConfigEntry:
    static = _is_static(broker.config, key)
    value = _text(key, name, config_value(broker.config, key.name), broker.config)
    synonyms = list(dynamic_synonyms(key, name, broker))
    if static:
        synonyms.append((name.name, value, Source.STATIC_BROKER))
        default = None if key.opt.default else _text(key, name, key.default, broker.config)
    else:
        default = value
    if default is not None:
        synonyms.append((name.name, default, Source.DEFAULT))
    sensitive = key.opt.sensitive
    return ConfigEntry(
        name=name.name,
        value=None if sensitive else synonyms[0][1] if synonyms else value,
        source=synonyms[0][2] if synonyms else Source.DEFAULT,
        synonyms=() if sensitive else tuple(synonyms),
        read_only=name.name not in dynamic_configs(),
        sensitive=sensitive,
        kind=_kind(key, name),
        documentation=key.doc,
    )


def _kind(key: Key, name: KafkaName) -> ConfigType:
    dynamic = dynamic_by_path().get(key.name)
    if dynamic is not None and dynamic.typed is not None and name == dynamic.kafka:
        return dynamic.typed.type
    return config_type(key, name.name, name.factor)


def _text(key: Key, name: KafkaName, value: Any, config: Config) -> str | None:
    """A value as Kafka prints it under this name; None where it cannot be said in that name's unit."""
    match name.name:
        case "listeners":
            return ",".join(f"{each.name}://{each.listen}" for each in config.network.client_listeners())
        case "advertised.listeners":
            told = [(each.name, each.advertised) for each in config.network.client_listeners() if each.advertised]
            return ",".join(f"{label}://{address}" for label, address in told) or None
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and name.factor > 1 and value >= 0:
        return str(value // name.factor) if value % name.factor == 0 else None
    if key.name == "storage.segment_config.max_size":
        return str(min(value, INT_MAX))
    if isinstance(value, float):
        return to_text(ConfigType.DOUBLE, value)
    if isinstance(value, Mapping):
        return ",".join(f"{node}@{address}" for node, address in value.items())
    if isinstance(value, tuple) and key.kind == "list":
        return ",".join(str(item) for item in value)
    return str(value)
