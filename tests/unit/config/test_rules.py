"""What may be altered while running, and with which error."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyralog.config.loader import load
from pyralog.config.rules import BROKER_RESOURCE, GROUP_RESOURCE, TOPIC_RESOURCE, Rules
from pyralog.config.view import ConfigurationView
from pyralog.errors import ErrorCode, KafkaError


class Image:
    def __init__(self, configs: dict[tuple[int, str], dict[str, str]] | None = None) -> None:
        self.configs = configs or {}

    def config(self, resource_type: int, name: str) -> dict[str, str]:
        return self.configs.get((resource_type, name), {})

    def configured(self, resource_type: int) -> list[str]:
        return [name for kind, name in self.configs if kind == resource_type]


EMPTY = Image()


def rules_of(*settings: str) -> Rules:
    return Rules(ConfigurationView(load(settings=settings).config))


@pytest.fixture(scope="module")
def rules() -> Rules:
    return rules_of()


def refused(rules: Rules, name: str, values: dict[str, str], image: Image = EMPTY) -> tuple[int, str]:
    with pytest.raises(KafkaError) as caught:
        rules.validate(image, BROKER_RESOURCE, name, values)
    return caught.value.code, caught.value.why or ""


def test_topic_configs(rules: Rules) -> None:
    rules.validate(EMPTY, TOPIC_RESOURCE, "t", {"retention.ms": "1", "cleanup.policy": "compact"})
    with pytest.raises(KafkaError, match="Unknown topic config name: foo"):
        rules.validate(EMPTY, TOPIC_RESOURCE, "t", {"foo": "1"})
    with pytest.raises(KafkaError, match="conflict topic config"):
        rules.validate(EMPTY, TOPIC_RESOURCE, "t", {"min.compaction.lag.ms": "2", "max.compaction.lag.ms": "1"})


def test_topic_configs_beside_what_all_brokers_have_set(rules: Rules) -> None:
    image = Image({(4, ""): {"log.cleaner.max.compaction.lag.ms": "10"}})
    with pytest.raises(KafkaError, match=r"min\.compaction\.lag\.ms \(11\) > max\.compaction\.lag\.ms \(10\)"):
        rules.validate(image, TOPIC_RESOURCE, "t", {"min.compaction.lag.ms": "11"})


def _refusals() -> list[list[str]]:
    text = (Path(__file__).parent / "testdata" / "broker-refusals.txt").read_text(encoding="utf-8")
    return [line.split("|", 3) for line in text.splitlines() if not line.startswith("#")]


@pytest.mark.parametrize(("name", "value", "code", "why"), _refusals(), ids=lambda text: text[:40])
def test_refused_broker_configs(name: str, value: str, code: str, why: str, rules: Rules) -> None:
    assert refused(rules, "", {name: value}) == (int(code), why)


def test_a_value_that_nobody_could_want(rules: Rules) -> None:
    code, why = refused(rules, "", {"log.cleanup.policy": ",".join(["delete"] * 10_000)})
    assert code == 42
    assert why.endswith("... (69999 characters) for configuration log.cleanup.policy: longer than 16384 characters")
    assert len(why) < 700


def test_dynamic_broker_configs(rules: Rules) -> None:
    for name in ("", "1"):
        rules.validate(EMPTY, BROKER_RESOURCE, name, {"log.retention.ms": "5000", "compression.type": "zstd"})
        rules.validate(EMPTY, BROKER_RESOURCE, name, {"log.segment.bytes": "2000000"})
        rules.validate(EMPTY, BROKER_RESOURCE, name, {"storage.cache_config.max_size": "8MiB"})
        rules.validate(EMPTY, BROKER_RESOURCE, name, {"group.consumer.migration.policy": "Upgrade"})


@pytest.mark.parametrize("name", ["num.partitions", "min.insync.replicas", "delete.topic.enable"])
def test_what_the_controller_goes_by_is_set_for_all(name: str, rules: Rules) -> None:
    value = "true" if "topic" in name else "1"
    rules.validate(EMPTY, BROKER_RESOURCE, "", {name: value})
    why = f"Cannot update these configs at broker level, only for all brokers at once: [{name}]"
    assert refused(rules, "1", {name: value}) == (42, why)


def test_a_value_is_checked_beside_those_of_the_other_level(rules: Rules) -> None:
    of_node = Image({(4, "1"): {"group.max.session.timeout.ms": "9000"}})
    why = "groups.min_session_timeout_ms: 10000 is more than max_session_timeout_ms (9000)."
    assert refused(rules, "", {"group.min.session.timeout.ms": "10000"}, of_node) == (42, why)
    of_all = Image({(4, ""): {"group.min.session.timeout.ms": "10000"}})
    assert refused(rules, "1", {"group.max.session.timeout.ms": "9000"}, of_all) == (42, why)
    rules.validate(of_all, BROKER_RESOURCE, "1", {"group.max.session.timeout.ms": "10000"})


def test_what_does_not_hold_already_is_no_reason_to_refuse_something_else(rules: Rules) -> None:
    stale = Image({(4, ""): {"gone.in.this.release": "1", "log.retention.ms": "5"}})
    rules.validate(stale, BROKER_RESOURCE, "1", {"max.connections": "7"})


def test_other_resources_have_no_configs(rules: Rules) -> None:
    rules.validate(EMPTY, 16, "m", {})
    with pytest.raises(KafkaError) as caught:
        rules.validate(EMPTY, 16, "m", {"a": "1"})
    assert caught.value.code is ErrorCode.INVALID_CONFIG


def test_list_defaults(rules: Rules) -> None:
    assert rules.list_default(EMPTY, TOPIC_RESOURCE, "cleanup.policy") == "delete"
    assert rules.list_default(EMPTY, TOPIC_RESOURCE, "leader.replication.throttled.replicas") == ""
    assert rules.list_default(EMPTY, TOPIC_RESOURCE, "retention.ms") is None
    assert rules.list_default(EMPTY, TOPIC_RESOURCE, "foo") is None
    assert rules.list_default(EMPTY, BROKER_RESOURCE, "log.cleanup.policy") == "delete"
    assert rules.list_default(EMPTY, BROKER_RESOURCE, "group.consumer.assignors") == "uniform,range"
    assert rules.list_default(EMPTY, BROKER_RESOURCE, "max.connections") is None
    assert rules.list_default(EMPTY, GROUP_RESOURCE, "cleanup.policy") is None


def test_view_follows_the_image() -> None:
    view = ConfigurationView(load(settings=["node.node_id=7"]).config)
    plain, changed = Image(), Image({(4, ""): {"log.retention.ms": "5"}, (4, "7"): {"log.retention.bytes": "9"}})
    assert view.settings({}, plain) is view.settings({}, plain)
    assert (view.settings({}, changed).retention_ms, view.settings({}, changed).retention_bytes) == (5, 9)
    assert view.topic_value({}, "retention.ms", plain) == "604800000"
    assert [entry.name for entry in view.cluster(changed)] == ["log.retention.ms"]
    assert len(view.topic({}, plain)) == 37
    assert view.broker_defaults(plain) is view.broker_defaults(Image())
    assert any(entry.name == "num.partitions" for entry in view.broker(plain))
