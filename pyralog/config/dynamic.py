"""Values set while running: which keys take them, how their texts are read, and the configuration they come to."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from pydantic import ValidationError

from pyralog.config.checks import cross_checks, raised_read_quorum
from pyralog.config.environment import as_value
from pyralog.config.kafka_names import to_ours
from pyralog.config.keys import KafkaName, Key, all_keys
from pyralog.config.marks import Path
from pyralog.config.options import Section
from pyralog.config.schema import Config
from pyralog.config.topics import TOPIC_CONFIGS, ConfigType, TopicConfig, invalid, parse
from pyralog.config.translate import refusal
from pyralog.config.units import INT_MAX, LONG_MAX, shown
from pyralog.errors import KafkaError

# Values are kept in the metadata of the cluster, by every node.
MAX_VALUE = 16_384
_SHORT = frozenset({"offsets.topic.replication.factor", "transaction.state.log.replication.factor"})
_LISTS = frozenset({"listeners", "advertised.listeners", "log.dir", "log.dirs"})
_KINDS: Mapping[str, ConfigType] = {
    "bool": ConfigType.BOOLEAN,
    "float": ConfigType.DOUBLE,
    "list": ConfigType.LIST,
    "map": ConfigType.LIST,
}


@dataclass(frozen=True, slots=True)
class DynamicConfig:
    """A config of brokers that may be set while running.

    name: the strongest Kafka synonym, else the path of our key; of several synonyms only this one is dynamic, as in
    Kafka (log.retention.ms is, log.retention.hours is not). typed: its checks by Kafka's rules, under that name; None
    for a key that Kafka does not have, whose texts are read as the environment's are ("64MiB", "30s").
    """

    name: str
    key: Key
    kafka: KafkaName | None
    typed: TopicConfig | None

    @property
    def whole(self) -> bool:
        """Whether it can only be set for all nodes at once."""
        return self.key.opt.scope == "controller"


class Overlay(NamedTuple):
    """A configuration with dynamic values over it.

    layers: the dynamic values of a key by its dotted path, strongest first, each with whether it is of this node alone.
    ignored: sentences about values that do not hold here, though they were taken once.
    """

    config: Config
    layers: Mapping[str, tuple[tuple[bool, Any], ...]]
    ignored: tuple[str, ...] = ()


def config_type(key: Key, name: str, factor: int = 1) -> ConfigType:
    """The type that DescribeConfigs shows for a key under a name."""
    if name in _SHORT:
        return ConfigType.SHORT
    if name in _LISTS:
        return ConfigType.LIST
    if key.kind == "int":
        small = factor > 1 or (key.highest is not None and key.highest <= INT_MAX)
        return ConfigType.INT if small else ConfigType.LONG
    return _KINDS.get(key.kind, ConfigType.STRING)


@functools.cache
def dynamic_configs() -> Mapping[str, DynamicConfig]:
    """Everything that may be set while running, by its name."""
    of_topics = {topic.path: topic for topic in TOPIC_CONFIGS.values() if topic.path is not None}
    found: dict[str, DynamicConfig] = {}
    for key in all_keys().values():
        if key.opt.scope == "static":
            continue
        kafka = key.kafka[0] if key.kafka else None
        topic = of_topics.get(key.name)
        if kafka is None:
            typed = None
        elif topic is not None:
            typed = replace(topic, name=kafka.name)
        else:
            typed = _typed(key, kafka)
        name = key.name if kafka is None else kafka.name
        found[name] = DynamicConfig(name, key, kafka, typed)
    return found


@functools.cache
def dynamic_by_path() -> Mapping[str, DynamicConfig]:
    """The same by the dotted path of our key."""
    return {dynamic.key.name: dynamic for dynamic in dynamic_configs().values()}


def _typed(key: Key, kafka: KafkaName) -> TopicConfig:
    """Kafka's checks of a broker config that no topic inherits: type and range in Kafka's unit."""
    kind = config_type(key, kafka.name, kafka.factor)
    limit = INT_MAX if kind is ConfigType.INT else LONG_MAX
    lowest = None if key.lowest is None else -(-key.lowest // kafka.factor)
    highest = None if key.highest is None else key.highest // kafka.factor
    return TopicConfig(
        kafka.name,
        kind,
        path=key.name,
        lowest=None if lowest is None or lowest <= -limit - 1 else lowest,
        highest=None if highest is None or highest >= limit else highest,
        # A single choice is left to the model, which does not look at the case where Kafka does not.
        choices=key.choices if kind is ConfigType.LIST else (),
    )


def read(dynamic: DynamicConfig, text: str, base: Config) -> Any:
    """The value of a text in our unit; KafkaError INVALID_CONFIG with Kafka's text when it is not one."""
    if len(text) > MAX_VALUE:
        raise invalid(dynamic.name, text, f"longer than {MAX_VALUE} characters")
    if dynamic.typed is not None and dynamic.kafka is not None:
        value = to_ours(parse(dynamic.typed, text), dynamic.kafka)
    else:
        value = as_value(dynamic.key, text)
    try:
        changed = with_values(base, {dynamic.key.path: value})
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        raise invalid(dynamic.name, text, refusal(detail, dynamic.key, shown(detail["input"]))) from error
    return value_at(changed, dynamic.key.path)


def value_at(config: Config, path: Path) -> Any:
    """The value at a path of a configuration."""
    value: Any = config
    for name in path:
        value = getattr(value, name)
    return value


def with_values(config: Config, values: Mapping[Path, Any]) -> Config:
    """This configuration with other values for some keys, checked by the models; pydantic's error when one is wrong."""
    if not values:
        return config
    tree: dict[str, Any] = dict(config)
    for path, value in values.items():
        inner = tree
        for name in path[:-1]:
            if isinstance(inner[name], Section):
                inner[name] = dict(inner[name])
            inner = inner[name]
        inner[path[-1]] = value
    return Config.model_validate(tree).with_origins(config.origins)


def overlay(config: Config, cluster: Mapping[str, str], node: Mapping[str, str]) -> Overlay:
    """The values set for all nodes and those for this node over a configuration.

    What is wrong was refused when it was set; it can still turn up where a node's own file contradicts it, or after an
    upgrade. Then the value is left out, and the node runs with what its file says.
    """
    if not cluster and not node:
        return Overlay(config, {})
    ignored: list[str] = []
    of_all = dict(_readable(config, cluster, ignored))
    of_node = dict(_readable(config, node, ignored))
    while True:
        result = with_values(config, {**of_all, **of_node})
        finding = next(iter(cross_checks(result)), None)
        if finding is None:
            break
        guilty = [path for path in {**of_all, **of_node} if ".".join(path) in (finding.path, *finding.others)]
        if not guilty:  # the contradiction is the file's, which was checked
            break
        ignored.append(f"{finding.path}: {finding.message}")
        for path in guilty:
            of_all.pop(path, None)
            of_node.pop(path, None)
    layers = {
        ".".join(path): tuple(
            (mine, values[path]) for mine, values in ((True, of_node), (False, of_all)) if path in values
        )
        for path in {**of_all, **of_node}
    }
    return Overlay(_with_read_quorum(result), layers, tuple(ignored))


def _with_read_quorum(config: Config) -> Config:
    """A write quorum that was lowered while running raises the read quorum, as it does at the start."""
    raised = raised_read_quorum(config)
    return config if raised is None else with_values(config, {("replication", "quorum", "read_quorum"): raised[0]})


def _readable(config: Config, texts: Mapping[str, str], ignored: list[str]) -> Iterator[tuple[Path, Any]]:
    for name, text in texts.items():
        dynamic = dynamic_configs().get(name)
        if dynamic is None:
            ignored.append(f"{name}: this release has no such configuration that can be set while running")
            continue
        try:
            yield dynamic.key.path, read(dynamic, text, config)
        except KafkaError as error:
            ignored.append(error.why or str(error))


def changed_paths(before: Config, after: Config) -> Iterator[str]:
    """Dotted paths of the keys that differ."""
    if before is after:
        return
    for key in all_keys().values():
        if value_at(before, key.path) != value_at(after, key.path):
            yield key.name


def concerns(paths: Iterable[str], prefixes: Iterable[str]) -> bool:
    """Whether one of the keys is, or lies below, one of the prefixes."""
    return any(path == prefix or path.startswith(prefix + ".") for path in paths for prefix in prefixes)
