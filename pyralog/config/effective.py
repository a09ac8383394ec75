"""What topics inherit from the broker, and what they come to: overrides over dynamic over static over default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pyralog.config.dynamic import overlay, value_at
from pyralog.config.keys import Key, by_name
from pyralog.config.schema import Config
from pyralog.config.topics import (
    COMPRESSION_CODES,
    TOPIC_CONFIGS,
    ConfigType,
    TopicConfig,
    TopicSettings,
    parse,
    to_text,
)
from pyralog.config.units import INT_MAX
from pyralog.errors import ErrorCode, KafkaError


class Inherited(NamedTuple):
    """A broker-wide default: its text as Kafka shows it and its value as the broker uses it."""

    text: str
    value: Any


def key_of(config: TopicConfig) -> Key | None:
    """The key of our configuration behind a topic config."""
    return None if config.path is None else by_name()[config.path]


def config_value(config: Config, path: str) -> Any:
    """The value at a dotted path of a configuration."""
    return value_at(config, tuple(path.split(".")))


class BrokerDefaults:
    """The broker's part in every topic's settings: its configuration and the dynamic broker configs over it.

    cluster and node are the dynamic configs of the resources BROKER "" and BROKER "<node id>", by Kafka's names;
    `current` is what they come to. Immutable; a change of dynamic configs makes a new one.
    """

    def __init__(
        self, config: Config, cluster: Mapping[str, str] | None = None, node: Mapping[str, str] | None = None
    ) -> None:
        self.config = config
        self.cluster = dict(cluster or {})
        self.node = dict(node or {})
        self.current, self.layers, self.ignored = overlay(config, self.cluster, self.node)
        self._inherited = {name: self._inherit(topic) for name, topic in TOPIC_CONFIGS.items() if not topic.internal}
        self._plain: TopicSettings | None = None

    def inherited(self, name: str) -> Inherited:
        """What a topic gets for a config it does not set."""
        return self._inherited[name]

    def settings(self, overrides: Mapping[str, str]) -> TopicSettings:
        """The settings of a topic with these overrides. Topics without any share one object."""
        if not overrides:
            if self._plain is None:
                self._plain = _settings(self._values({}), use_mmap=self.current.storage.segment_config.use_mmap)
            return self._plain
        return _settings(self._values(overrides), use_mmap=self.current.storage.segment_config.use_mmap)

    def _values(self, overrides: Mapping[str, str]) -> dict[str, Any]:
        values = {name: inherited.value for name, inherited in self._inherited.items()}
        for name, text in overrides.items():
            values[name] = parse(TOPIC_CONFIGS[name], text)
        return values

    def _inherit(self, topic: TopicConfig) -> Inherited:
        key = key_of(topic)
        if key is None:
            text = topic.default or ""
            return Inherited(text, parse(topic, text))
        value = config_value(self.current, key.name)
        shown = min(value, INT_MAX) if topic.type is ConfigType.INT else value
        return Inherited(to_text(topic.type, shown), value)


def effective(overrides: Mapping[str, str], broker: BrokerDefaults) -> TopicSettings:
    """The settings of a topic: its own values over what the broker gives."""
    return broker.settings(overrides)


def check_together(overrides: Mapping[str, str], broker: BrokerDefaults) -> None:
    """Rules between configs, over validated overrides; INVALID_CONFIG with Kafka's text."""
    settings = broker.settings(overrides)
    low, high = settings.min_compaction_lag_ms, settings.max_compaction_lag_ms
    if low > high:
        why = f"conflict topic config setting min.compaction.lag.ms ({low}) > max.compaction.lag.ms ({high})"
        raise KafkaError(ErrorCode.INVALID_CONFIG, why)


def _settings(values: Mapping[str, Any], *, use_mmap: bool) -> TopicSettings:
    policies = values["cleanup.policy"]
    codec: str = values["compression.type"]
    level = values.get(f"compression.{codec}.level")
    segment_ms = values["segment.ms"]
    if "compact" in policies:
        # The active segment is never compacted, so it must close in time for its oldest record (KIP-354).
        segment_ms = min(segment_ms, values["max.compaction.lag.ms"])
    return TopicSettings(
        max_message_bytes=values["max.message.bytes"],
        append_time=values["message.timestamp.type"] == "LogAppendTime",
        timestamp_before_max_ms=values["message.timestamp.before.max.ms"],
        timestamp_after_max_ms=values["message.timestamp.after.max.ms"],
        compression=COMPRESSION_CODES[codec],
        compacted="compact" in policies,
        min_insync_replicas=values["min.insync.replicas"],
        flush_messages=values["flush.messages"],
        flush_ms=values["flush.ms"],
        segment_bytes=values.get("internal.segment.bytes") or values["segment.bytes"],
        segment_ms=segment_ms,
        segment_jitter_ms=min(values["segment.jitter.ms"], segment_ms),
        index_interval_bytes=values["index.interval.bytes"],
        segment_index_bytes=values["segment.index.bytes"],
        preallocate=values["preallocate"],
        use_mmap=use_mmap,
        deletes="delete" in policies,
        retention_ms=values["retention.ms"],
        retention_bytes=values["retention.bytes"],
        file_delete_delay_ms=values["file.delete.delay.ms"],
        compression_level=None if codec == "gzip" and level == -1 else level,
        max_decompressed_message_bytes=values["max.decompressed.message.bytes"],
        unclean_leader_election=values["unclean.leader.election.enable"],
        delete_retention_ms=values["delete.retention.ms"],
        min_cleanable_dirty_ratio=values["min.cleanable.dirty.ratio"],
        min_compaction_lag_ms=values["min.compaction.lag.ms"],
        max_compaction_lag_ms=values["max.compaction.lag.ms"],
    )
