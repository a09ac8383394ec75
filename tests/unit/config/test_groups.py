"""Configs of single groups: what Apache Kafka 4.4 says to each, within this node's limits."""

from __future__ import annotations

import pytest

from pyralog.config.describe import Source
from pyralog.config.effective import BrokerDefaults
from pyralog.config.groups import ASSIGNMENT, HEARTBEAT, SESSION, describe_group, validate_group
from pyralog.config.loader import load
from pyralog.errors import ErrorCode, KafkaError

CONFIG = load().config


@pytest.mark.parametrize(
    "values",
    [
        {},
        {SESSION.name: " 50000 "},
        {SESSION.name: "45000", HEARTBEAT.name: "15000"},
        {ASSIGNMENT.name: "0"},
    ],
)
def test_what_a_group_may_set(values: dict[str, str]) -> None:
    validate_group(values, CONFIG)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({SESSION.name: "44999"}, f"{SESSION.name} must be in the range 45000 to 60000 inclusive."),
        ({SESSION.name: "60001"}, f"{SESSION.name} must be in the range 45000 to 60000 inclusive."),
        ({SESSION.name: "x"}, f"Invalid value x for configuration {SESSION.name}: Not a number of type INT"),
        ({SESSION.name: "0"}, f"Invalid value 0 for configuration {SESSION.name}: Value must be at least 1"),
        ({SESSION.name: ""}, f"Invalid value  for configuration {SESSION.name}: Not a number of type INT"),
        ({HEARTBEAT.name: "4999"}, f"{HEARTBEAT.name} must be in the range 5000 to 15000 inclusive."),
        ({ASSIGNMENT.name: "-1"}, f"Invalid value -1 for configuration {ASSIGNMENT.name}: Value must be at least 0"),
        ({ASSIGNMENT.name: "15001"}, f"{ASSIGNMENT.name} must be in the range 0 to 15000 inclusive."),
        ({"nope": "1"}, "Unknown group config name: nope"),
    ],
)
def test_kafkas_refusals(values: dict[str, str], why: str) -> None:
    with pytest.raises(KafkaError) as caught:
        validate_group(values, CONFIG)
    assert (caught.value.code, caught.value.why) == (ErrorCode.INVALID_CONFIG, why)


@pytest.mark.parametrize(
    "name",
    [
        "share.session.timeout.ms",
        "streams.num.standby.replicas",
        "errors.deadletterqueue.topic.name",
        "consumer.assignor.offload.enable",
    ],
)
def test_what_nothing_stands_behind_is_refused(name: str) -> None:
    with pytest.raises(KafkaError, match=f"for configuration {name}: .") as caught:
        validate_group({name: "1"}, CONFIG)
    assert caught.value.code is ErrorCode.INVALID_CONFIG


def test_a_session_must_outlast_a_heartbeat() -> None:
    wide = load(settings=["groups.consumer_min_session_timeout_ms=1000"]).config
    validate_group({SESSION.name: "5001"}, wide)
    for values in ({SESSION.name: "5000"}, {SESSION.name: "10000", HEARTBEAT.name: "10000"}):
        with pytest.raises(KafkaError) as caught:
            validate_group(values, wide)
        assert caught.value.why == f"{SESSION.name} must be greater than {HEARTBEAT.name}"


def test_described_with_where_it_comes_from() -> None:
    static = load(settings=["groups.consumer_heartbeat_interval_ms=6000"]).config
    entries = {one.name: one for one in describe_group({SESSION.name: " 050000"}, BrokerDefaults(static))}
    assert list(entries) == [ASSIGNMENT.name, HEARTBEAT.name, SESSION.name]
    own, broker, default = (entries[one.name] for one in (SESSION, HEARTBEAT, ASSIGNMENT))
    assert (own.value, own.source) == ("50000", Source.GROUP)
    assert own.synonyms == (
        (SESSION.name, "50000", Source.GROUP),
        ("group.consumer.session.timeout.ms", "45000", Source.DEFAULT),
    )
    assert (broker.value, broker.source) == ("6000", Source.STATIC_BROKER)
    assert broker.synonyms[1] == ("group.consumer.heartbeat.interval.ms", "5000", Source.DEFAULT)
    assert (default.value, default.source, default.read_only) == ("1000", Source.DEFAULT, False)
