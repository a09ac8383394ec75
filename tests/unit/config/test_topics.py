"""Topic configs answer as Apache Kafka 4.4.0 does (trap 19): texts and normal forms were recorded from one."""

from __future__ import annotations

import pytest

from pyralog.config.keys import by_name
from pyralog.config.topics import TOPIC_CONFIGS, validate
from pyralog.errors import ErrorCode, KafkaError

THROTTLED_FORM = (
    "leader.replication.throttled.replicas must be the literal '*' or a list of replicas in the following format: "
    "[partitionId]:[brokerId],[partitionId]:[brokerId],..."
)

ACCEPTED = [
    ("retention.ms", " 77 ", "77"),
    ("retention.ms", "+5", "5"),
    ("retention.ms", "0005", "5"),
    ("retention.ms", "-1", "-1"),
    ("retention.bytes", "-2", "-2"),
    ("cleanup.policy", "", ""),
    ("cleanup.policy", "compact, delete", "compact,delete"),
    ("cleanup.policy", "delete,delete", "delete"),
    ("cleanup.policy", " delete ", "delete"),
    ("compression.type", "gzip ", "gzip"),
    ("compression.gzip.level", "-1", "-1"),
    ("preallocate", "TRUE", "true"),
    ("preallocate", " true ", "true"),
    ("message.timestamp.type", " CreateTime", "CreateTime"),
    ("leader.replication.throttled.replicas", "*", "*"),
    ("leader.replication.throttled.replicas", "0:1,1:2", "0:1,1:2"),
    ("leader.replication.throttled.replicas", "0:1,0:1", "0:1,0:1"),
    ("leader.replication.throttled.replicas", "", ""),
    ("min.cleanable.dirty.ratio", "1e-1", "0.1"),
    ("min.cleanable.dirty.ratio", ".5f", "0.5"),
    ("min.cleanable.dirty.ratio", "1", "1.0"),
    ("min.cleanable.dirty.ratio", "0.0001", "1.0E-4"),
    ("local.retention.ms", "5000", "5000"),
    ("remote.log.copy.disable", "true", "true"),
    ("remote.copy.lag.ms", "5", "5"),
    ("min.insync.replicas", "2", "2"),
    ("segment.bytes", "1048576", "1048576"),
    ("internal.segment.bytes", "5000", "5000"),
    ("errors.deadletterqueue.group.enable", "false", "false"),
    ("remote.storage.enable", "False", "false"),
]

REFUSED = [
    ("retention.ms", "abc", "Invalid value abc for configuration retention.ms: Not a number of type LONG"),
    ("retention.ms", "-2", "Invalid value -2 for configuration retention.ms: Value must be at least -1"),
    ("retention.ms", "0x10", "Invalid value 0x10 for configuration retention.ms: Not a number of type LONG"),
    ("retention.ms", "1_0", "Invalid value 1_0 for configuration retention.ms: Not a number of type LONG"),
    (
        "retention.ms",
        "9223372036854775808",
        "Invalid value 9223372036854775808 for configuration retention.ms: Not a number of type LONG",
    ),
    ("retention.bytes", "1.5", "Invalid value 1.5 for configuration retention.bytes: Not a number of type LONG"),
    ("segment.ms", "", "Invalid value  for configuration segment.ms: Not a number of type LONG"),
    ("segment.bytes", "10", "Invalid value 10 for configuration segment.bytes: Value must be at least 1048576"),
    (
        "segment.bytes",
        "99999999999",
        "Invalid value 99999999999 for configuration segment.bytes: Not a number of type INT",
    ),
    (
        "cleanup.policy",
        "foo",
        "Invalid value foo for configuration cleanup.policy: String must be one of: compact, delete",
    ),
    (
        "cleanup.policy",
        "Compact",
        "Invalid value Compact for configuration cleanup.policy: String must be one of: compact, delete",
    ),
    ("cleanup.policy", "delete,,compact", "Configuration 'cleanup.policy' values must not be empty."),
    ("cleanup.policy", ",", "Configuration 'cleanup.policy' values must not be empty."),
    (
        "compression.type",
        "none",
        "Invalid value none for configuration compression.type: "
        "String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer",
    ),
    (
        "compression.gzip.level",
        "0",
        "Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1",
    ),
    (
        "compression.gzip.level",
        "10",
        "Invalid value 10 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1",
    ),
    (
        "compression.zstd.level",
        "-131073",
        "Invalid value -131073 for configuration compression.zstd.level: Value must be at least -131072",
    ),
    (
        "min.cleanable.dirty.ratio",
        "1.5",
        "Invalid value 1.5 for configuration min.cleanable.dirty.ratio: Value must be no more than 1",
    ),
    (
        "min.cleanable.dirty.ratio",
        "x",
        "Invalid value x for configuration min.cleanable.dirty.ratio: Not a number of type DOUBLE",
    ),
    (
        "preallocate",
        "yes",
        "Invalid value yes for configuration preallocate: Expected value to be either true or false",
    ),
    (
        "message.timestamp.type",
        "append",
        "Invalid value append for configuration message.timestamp.type: "
        "String must be one of: CreateTime, LogAppendTime",
    ),
    (
        "leader.replication.throttled.replicas",
        "none",
        f"Invalid value [none] for configuration leader.replication.throttled.replicas: {THROTTLED_FORM}",
    ),
    (
        "leader.replication.throttled.replicas",
        "*,0:1",
        f"Invalid value [*, 0:1] for configuration leader.replication.throttled.replicas: {THROTTLED_FORM}",
    ),
    ("unknown.key", "1", "Unknown topic config name: unknown.key"),
    ("retention.mss", "1", "Unknown topic config name: retention.mss. Did you mean retention.ms?"),
    ("max.message.bytes", "-1", "Invalid value -1 for configuration max.message.bytes: Value must be at least 0"),
    (
        "max.decompressed.message.bytes",
        "0",
        "Invalid value 0 for configuration max.decompressed.message.bytes: Value must be at least 1",
    ),
    ("remote.copy.lag.ms", "-5", "Invalid value -5 for configuration remote.copy.lag.ms: Value must be at least -1"),
]


@pytest.mark.parametrize(("name", "value", "canonical"), ACCEPTED)
def test_accepted_and_normalised_as_kafka_does(name: str, value: str, canonical: str) -> None:
    assert validate(name, value) == canonical
    assert validate(name, canonical) == canonical


@pytest.mark.parametrize(("name", "value", "why"), REFUSED)
def test_refused_with_kafkas_text(name: str, value: str, why: str) -> None:
    with pytest.raises(KafkaError) as caught:
        validate(name, value)
    assert (caught.value.code, caught.value.why) == (ErrorCode.INVALID_CONFIG, why)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("remote.storage.enable", "tiered storage is not available"),
        ("errors.deadletterqueue.group.enable", "belong to share groups"),
    ],
)
def test_what_nothing_stands_behind_is_refused(name: str, why: str) -> None:
    with pytest.raises(KafkaError, match=why) as caught:
        validate(name, "true")
    assert caught.value.code is ErrorCode.INVALID_CONFIG


def test_nan_is_no_ratio() -> None:
    """Kafka accepts it, and then compares everything with it in vain."""
    with pytest.raises(KafkaError, match="Not a number of type DOUBLE"):
        validate("min.cleanable.dirty.ratio", "NaN")


def test_there_are_the_37_of_kafka() -> None:
    listed = [name for name, config in TOPIC_CONFIGS.items() if not config.internal]
    assert len(listed) == 37
    assert listed == sorted(listed)


def test_every_config_inherits_or_has_a_default_and_every_one_is_documented() -> None:
    for config in TOPIC_CONFIGS.values():
        if config.internal:
            continue
        assert (config.path is None) != (config.default is None), config.name
        assert config.doc or by_name()[config.path or ""].doc, config.name


def test_ranges_agree_with_the_schema() -> None:
    for config in TOPIC_CONFIGS.values():
        key = by_name().get(config.path or "")
        if key is None or config.lowest is None or config.also is not None or key.name.startswith("replication."):
            continue
        assert key.lowest == config.lowest, config.name
        if config.highest is not None:
            assert key.highest == config.highest, config.name
