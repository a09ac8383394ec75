"""The 37 topic configs of Kafka 4.4: types, checks with Kafka's texts, and the settings a topic ends up with."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from pyralog.config.units import INT_MAX, LONG_MAX
from pyralog.errors import ErrorCode, KafkaError

COMPRESSION_CODES: Mapping[str, int] = {
    "producer": -1,
    "uncompressed": 0,
    "gzip": 1,
    "snappy": 2,
    "lz4": 3,
    "zstd": 4,
}
MAX_SHOWN = 500  # characters of a wrong value in an error
THROTTLED = re.compile(r"\*|(?:[0-9]+:[0-9]+(?:,[0-9]+:[0-9]+)*)?", re.ASCII)


class ConfigType(IntEnum):
    """Types as DescribeConfigs numbers them."""

    UNKNOWN = 0
    BOOLEAN = 1
    STRING = 2
    INT = 3
    SHORT = 4
    LONG = 5
    DOUBLE = 6
    LIST = 7
    CLASS = 8
    PASSWORD = 9


@dataclass(frozen=True, slots=True)
class TopicConfig:
    """One topic config.

    path: the key of our configuration that holds the broker-wide default; where there is none, `default` is it.
    refusal: why a value other than the default is refused, where nothing stands behind it yet.
    effect: now, or the later release (compaction, cluster, tiering) that reads it.
    """

    name: str
    type: ConfigType
    path: str | None = None
    default: str | None = None
    lowest: float | None = None
    highest: float | None = None
    choices: tuple[str, ...] = ()
    also: int | None = None  # one value outside the range that is allowed
    effect: str = "now"
    refusal: str | None = None
    doc: str = ""
    internal: bool = False  # listed only where it is set

    @property
    def synonym(self) -> str | None:
        """Kafka's broker config of a tiering config that has one; we have no key for it."""
        return f"log.{self.name}" if self.name.startswith(("local.retention.", "remote.copy.lag.")) else None


_INT, _LONG, _BOOL, _STR, _LIST = (
    ConfigType.INT,
    ConfigType.LONG,
    ConfigType.BOOLEAN,
    ConfigType.STRING,
    ConfigType.LIST,
)
_D = "topics.defaults."
_TIERED = "Read only where remote.storage.enable is true, which is not available yet."
_THROTTLE = "Replicas that replication throttles apply to: partition:broker pairs, or * for all."

TOPIC_CONFIGS: Mapping[str, TopicConfig] = {
    config.name: config
    for config in (
        TopicConfig("cleanup.policy", _LIST, _D + "cleanup_policy", choices=("compact", "delete")),
        TopicConfig("compression.gzip.level", _INT, _D + "compression_gzip_level", lowest=1, highest=9, also=-1),
        TopicConfig("compression.lz4.level", _INT, _D + "compression_lz4_level", lowest=1, highest=17),
        TopicConfig(
            "compression.type",
            _STR,
            _D + "compression_type",
            choices=("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"),
        ),
        TopicConfig("compression.zstd.level", _INT, _D + "compression_zstd_level", lowest=-131072, highest=22),
        TopicConfig("delete.retention.ms", _LONG, _D + "delete_retention_ms", lowest=0),
        TopicConfig(
            "errors.deadletterqueue.group.enable",
            _BOOL,
            default="false",
            refusal="dead-letter queues belong to share groups, which this release does not have",
            doc="Whether share groups may write undeliverable records here. Not available yet.",
        ),
        TopicConfig("file.delete.delay.ms", _LONG, _D + "file_delete_delay_ms", lowest=0),
        TopicConfig("flush.messages", _LONG, _D + "flush_messages", lowest=1),
        TopicConfig("flush.ms", _LONG, _D + "flush_ms", lowest=0),
        TopicConfig(
            "follower.replication.throttled.replicas",
            _LIST,
            default="",
            effect="cluster",
            doc="Follower side: " + _THROTTLE,
        ),
        TopicConfig("index.interval.bytes", _INT, _D + "index_interval_bytes", lowest=0),
        TopicConfig(
            "leader.replication.throttled.replicas",
            _LIST,
            default="",
            effect="cluster",
            doc="Leader side: " + _THROTTLE,
        ),
        TopicConfig(
            "local.retention.bytes",
            _LONG,
            default="-2",
            lowest=-2,
            effect="tiering",
            doc=_TIERED,
        ),
        TopicConfig(
            "local.retention.ms",
            _LONG,
            default="-2",
            lowest=-2,
            effect="tiering",
            doc=_TIERED,
        ),
        TopicConfig("max.compaction.lag.ms", _LONG, _D + "max_compaction_lag_ms", lowest=1),
        TopicConfig(
            "max.decompressed.message.bytes",
            _INT,
            _D + "max_decompressed_message_bytes",
            lowest=1,
            highest=2147483639,
        ),
        TopicConfig("max.message.bytes", _INT, _D + "max_message_bytes", lowest=0),
        TopicConfig("message.timestamp.after.max.ms", _LONG, _D + "message_timestamp_after_max_ms", lowest=0),
        TopicConfig("message.timestamp.before.max.ms", _LONG, _D + "message_timestamp_before_max_ms", lowest=0),
        TopicConfig(
            "message.timestamp.type", _STR, _D + "message_timestamp_type", choices=("CreateTime", "LogAppendTime")
        ),
        TopicConfig(
            "min.cleanable.dirty.ratio",
            ConfigType.DOUBLE,
            _D + "min_cleanable_dirty_ratio",
            lowest=0,
            highest=1,
        ),
        TopicConfig("min.compaction.lag.ms", _LONG, _D + "min_compaction_lag_ms", lowest=0),
        TopicConfig("min.insync.replicas", _INT, "replication.quorum.write_quorum", lowest=1),
        TopicConfig("preallocate", _BOOL, _D + "preallocate"),
        TopicConfig(
            "remote.copy.lag.bytes",
            _LONG,
            default="-1",
            lowest=-1,
            effect="tiering",
            doc=_TIERED,
        ),
        TopicConfig(
            "remote.copy.lag.ms",
            _LONG,
            default="0",
            lowest=-1,
            effect="tiering",
            doc=_TIERED,
        ),
        TopicConfig("remote.log.copy.disable", _BOOL, default="false", effect="tiering", doc=_TIERED),
        TopicConfig("remote.log.delete.on.disable", _BOOL, default="false", effect="tiering", doc=_TIERED),
        TopicConfig(
            "remote.storage.enable",
            _BOOL,
            default="false",
            refusal="tiered storage is not available in this release",
            doc="Whether closed segments move to an object store. Not available yet.",
        ),
        TopicConfig("retention.bytes", _LONG, _D + "retention_bytes"),
        TopicConfig("retention.ms", _LONG, _D + "retention_ms", lowest=-1),
        TopicConfig("segment.bytes", _INT, "storage.segment_config.max_size", lowest=1024**2),
        TopicConfig("segment.index.bytes", _INT, _D + "segment_index_bytes", lowest=4),
        TopicConfig("segment.jitter.ms", _LONG, _D + "segment_jitter_ms", lowest=0),
        TopicConfig("segment.ms", _LONG, _D + "segment_ms", lowest=1),
        TopicConfig("unclean.leader.election.enable", _BOOL, _D + "unclean_leader_election", effect="cluster"),
        # Kafka's own, for tests that cannot wait for a mebibyte: wins over segment.bytes, and is not listed.
        TopicConfig(
            "internal.segment.bytes", _INT, lowest=1, internal=True, doc="Segment size for tests, below a mebibyte too."
        ),
    )
}


@dataclass(frozen=True, slots=True)
class TopicSettings:
    """What a topic's configuration comes to: the plane's part (named as its PartitionSettings), then the rest."""

    max_message_bytes: int
    append_time: bool
    timestamp_before_max_ms: int
    timestamp_after_max_ms: int
    compression: int  # -1 = as the producer sent it, else the codec's number
    compacted: bool
    min_insync_replicas: int
    flush_messages: int
    flush_ms: int
    segment_bytes: int
    segment_ms: int  # for compacted topics already the smaller of segment.ms and max.compaction.lag.ms
    segment_jitter_ms: int
    index_interval_bytes: int
    segment_index_bytes: int
    preallocate: bool
    use_mmap: bool
    # lifecycle, retention, records
    deletes: bool  # cleanup.policy holds delete
    retention_ms: int
    retention_bytes: int
    file_delete_delay_ms: int
    compression_level: int | None  # of the codec in `compression`; None where it has none, or the library's own
    max_decompressed_message_bytes: int
    unclean_leader_election: bool
    # the cleaner
    delete_retention_ms: int
    min_cleanable_dirty_ratio: float
    min_compaction_lag_ms: int
    max_compaction_lag_ms: int


def invalid(name: str, value: object, why: str) -> KafkaError:
    """INVALID_CONFIG with Kafka's text; a value too long for anybody to read is cut."""
    text = str(value)
    value = text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}... ({len(text)} characters)"
    return KafkaError(ErrorCode.INVALID_CONFIG, f"Invalid value {value} for configuration {name}: {why}")


def known(name: str) -> TopicConfig:
    """The config of this name; INVALID_CONFIG when Kafka has none."""
    config = TOPIC_CONFIGS.get(name)
    if config is None:
        import difflib  # seldom needed

        close = difflib.get_close_matches(name, TOPIC_CONFIGS, n=1, cutoff=0.75)
        hint = f". Did you mean {close[0]}?" if close else ""
        raise KafkaError(ErrorCode.INVALID_CONFIG, f"Unknown topic config name: {name}{hint}")
    return config


def validate(name: str, value: str) -> str:
    """The value in its canonical form (" 077" is 77, "TRUE" is true), as DescribeConfigs will show it.

    KafkaError INVALID_CONFIG with Kafka's own text if it is wrong, unknown, or needs what this release lacks.
    """
    config = known(name)
    canonical = to_text(config.type, parse(config, value))
    if config.refusal is not None and canonical != config.default:
        raise invalid(name, canonical, config.refusal)
    return canonical


def parse(config: TopicConfig, value: str) -> Any:
    """The typed, range-checked value of a text."""
    trimmed = value.strip()
    parsed = _PARSERS[config.type](config.name, value, trimmed)
    if config.type is _LIST:
        return _check_list(config, parsed)
    if config.choices and parsed not in config.choices:
        raise invalid(config.name, parsed, "String must be one of: " + ", ".join(config.choices))
    _check_range(config, parsed)
    return parsed


def _check_range(config: TopicConfig, value: Any) -> None:
    low, high = config.lowest, config.highest
    below = low is not None and value < low
    above = high is not None and value > high
    if not (below or above) or (config.also is not None and value == config.also):
        return
    if config.also is not None:
        raise invalid(config.name, value, f"Value must be between {low} and {high} or equal to {config.also}")
    raise invalid(
        config.name, value, f"Value must be at least {low}" if below else f"Value must be no more than {high}"
    )


def _check_list(config: TopicConfig, items: tuple[str, ...]) -> tuple[str, ...]:
    if any(not item for item in items):
        raise KafkaError(ErrorCode.INVALID_CONFIG, f"Configuration '{config.name}' values must not be empty.")
    if config.choices:
        for item in items:
            if item not in config.choices:
                raise invalid(config.name, item, "String must be one of: " + ", ".join(config.choices))
        return tuple(dict.fromkeys(items))
    if config.name.endswith(".throttled.replicas") and not THROTTLED.fullmatch(",".join(items)):
        form = "[partitionId]:[brokerId],[partitionId]:[brokerId],..."
        why = f"{config.name} must be the literal '*' or a list of replicas in the following format: {form}"
        raise invalid(config.name, f"[{', '.join(items)}]", why)
    return items


def _parse_bool(name: str, raw: str, trimmed: str) -> bool:
    if trimmed.lower() not in ("true", "false"):
        raise invalid(name, raw, "Expected value to be either true or false")
    return trimmed.lower() == "true"


def _whole_parser(limit: int, kind: str) -> Callable[[str, str, str], int]:
    def parse_whole(name: str, raw: str, trimmed: str) -> int:
        if re.fullmatch(r"[+-]?\d{1,40}", trimmed):
            number = int(trimmed)
            if -limit - 1 <= number <= limit:
                return number
        raise invalid(name, raw, f"Not a number of type {kind}")

    return parse_whole


def _parse_double(name: str, raw: str, trimmed: str) -> float:
    match = re.fullmatch(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)[fFdD]?", trimmed, re.ASCII)
    if match is None:  # NaN too: Kafka takes it, and then no comparison with it is ever true
        raise invalid(name, raw, "Not a number of type DOUBLE")
    return float(match.group(1))


def _parse_list(name: str, raw: str, trimmed: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in trimmed.split(",")) if trimmed else ()


_PARSERS: Mapping[ConfigType, Callable[[str, str, str], Any]] = {
    ConfigType.BOOLEAN: _parse_bool,
    ConfigType.STRING: lambda name, raw, trimmed: trimmed,
    ConfigType.INT: _whole_parser(INT_MAX, "INT"),
    ConfigType.SHORT: _whole_parser(2**15 - 1, "SHORT"),
    ConfigType.LONG: _whole_parser(LONG_MAX, "LONG"),
    ConfigType.DOUBLE: _parse_double,
    ConfigType.LIST: _parse_list,
}


def to_text(kind: ConfigType, value: Any) -> str:
    """A typed value as Kafka prints it."""
    if kind is ConfigType.BOOLEAN:
        return "true" if value else "false"
    if kind is ConfigType.LIST:
        return ",".join(str(item) for item in value)
    if kind is ConfigType.DOUBLE:
        return _java_double(float(value))
    return str(value)


def _java_double(value: float) -> str:
    """A double as Java's Double.toString prints it: 1.0E-4 where Python says 0.0001."""
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return repr(value)
    mantissa, _, exponent = f"{value:e}".partition("e")
    digits = repr(float(f"{value:.17g}")).partition("e")[0] if "e" in repr(value) else str(float(mantissa))
    return f"{float(digits)}E{int(exponent)}"
