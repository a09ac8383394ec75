"""Configs of single groups (resource type GROUP): Kafka's texts, this node's limits, and how they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pyralog.config.describe import ConfigEntry, Source, Synonym, dynamic_synonyms
from pyralog.config.effective import BrokerDefaults
from pyralog.config.keys import by_name
from pyralog.config.schema import Config
from pyralog.config.topics import ConfigType, TopicConfig, invalid, parse
from pyralog.errors import ErrorCode, KafkaError


class GroupConfig(NamedTuple):
    """A number that a group may set within the broker's limits: `groups.consumer_{what}` is the broker's own value,
    `groups.consumer_min_{what}` and `groups.consumer_max_{what}` are the limits."""

    name: str
    what: str
    lowest: int

    @property
    def path(self) -> str:
        """The key of the broker's value."""
        return f"groups.consumer_{self.what}"

    def inherited(self, config: Config) -> int:
        """What groups have that do not set it."""
        value: int = getattr(config.groups, f"consumer_{self.what}")
        return value

    def limits(self, config: Config) -> tuple[int, int]:
        """The least and the most that a group may set."""
        return getattr(config.groups, f"consumer_min_{self.what}"), getattr(config.groups, f"consumer_max_{self.what}")

    def parse(self, value: str) -> int:
        """The number of a text; INVALID_CONFIG with Kafka's text."""
        number: int = parse(TopicConfig(self.name, ConfigType.INT, lowest=self.lowest), value)
        return number


HEARTBEAT = GroupConfig("consumer.heartbeat.interval.ms", "heartbeat_interval_ms", 1)
SESSION = GroupConfig("consumer.session.timeout.ms", "session_timeout_ms", 1)
ASSIGNMENT = GroupConfig("consumer.assignment.interval.ms", "assignment_interval_ms", 0)
GROUP_CONFIGS: Mapping[str, GroupConfig] = {one.name: one for one in (HEARTBEAT, SESSION, ASSIGNMENT)}

# Configs of Kafka's that nothing stands behind here: refused, because a value that does nothing would be a lie.
_ABSENT = {
    "share.": "share groups are not available in this release",
    "errors.deadletterqueue.": "dead-letter queues belong to share groups, which this release does not have",
    "streams.": "streams groups are not available in this release",
    "consumer.assignor.offload.enable": "assignors always run in the group coordinator",
}


def validate_group(values: Mapping[str, str], config: Config) -> None:
    """KafkaError INVALID_CONFIG unless a group may set exactly these."""
    for name, value in values.items():
        if name not in GROUP_CONFIGS:
            why = next((why for prefix, why in _ABSENT.items() if name.startswith(prefix)), None)
            if why is not None:
                raise invalid(name, value, why)
            raise KafkaError(ErrorCode.INVALID_CONFIG, f"Unknown group config name: {name}")
    numbers = {name: GROUP_CONFIGS[name].parse(value) for name, value in values.items()}
    for one in GROUP_CONFIGS.values():
        low, high = one.limits(config)
        if one.name in numbers and not low <= numbers[one.name] <= high:
            raise KafkaError(ErrorCode.INVALID_CONFIG, f"{one.name} must be in the range {low} to {high} inclusive.")
    session, heartbeat = (numbers.get(one.name, one.inherited(config)) for one in (SESSION, HEARTBEAT))
    if (SESSION.name in numbers or HEARTBEAT.name in numbers) and session <= heartbeat:
        raise KafkaError(ErrorCode.INVALID_CONFIG, f"{SESSION.name} must be greater than {HEARTBEAT.name}")


def describe_group(values: Mapping[str, str], broker: BrokerDefaults) -> list[ConfigEntry]:
    """Every config that a group may set, with what it has: its own value, or the broker's."""
    return [_entry(GROUP_CONFIGS[name], values.get(name), broker) for name in sorted(GROUP_CONFIGS)]


def _entry(one: GroupConfig, own: str | None, broker: BrokerDefaults) -> ConfigEntry:
    key = by_name()[one.path]
    synonyms: list[Synonym] = []
    if own is not None:
        synonyms.append((one.name, str(one.parse(own)), Source.GROUP))
    synonyms += dynamic_synonyms(key, key.kafka[0], broker)
    if one.path in broker.config.origins:
        synonyms.append((key.kafka[0].name, str(one.inherited(broker.config)), Source.STATIC_BROKER))
    synonyms.append((key.kafka[0].name, str(key.default), Source.DEFAULT))
    return ConfigEntry(
        name=one.name,
        value=synonyms[0][1],
        source=synonyms[0][2],
        synonyms=tuple(synonyms),
        kind=ConfigType.INT,
        documentation=key.doc,
    )
