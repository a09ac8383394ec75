"""What may be altered while running, and with which error."""

from __future__ import annotations

import pytest

from pyralog.config.effective import BrokerDefaults
from pyralog.config.keys import by_name
from pyralog.config.loader import load
from pyralog.config.rules import BROKER_RESOURCE, GROUP_RESOURCE, TOPIC_RESOURCE, Rules, dynamic_broker_configs
from pyralog.config.view import ConfigurationView
from pyralog.errors import ErrorCode, KafkaError


@pytest.fixture(scope="module")
def rules() -> Rules:
    return Rules(BrokerDefaults(load().config))


def test_topic_configs(rules: Rules) -> None:
    rules.validate(TOPIC_RESOURCE, {"retention.ms": "1", "cleanup.policy": "compact"})
    with pytest.raises(KafkaError, match="Unknown topic config name: foo"):
        rules.validate(TOPIC_RESOURCE, {"foo": "1"})
    with pytest.raises(KafkaError, match="conflict topic config"):
        rules.validate(TOPIC_RESOURCE, {"min.compaction.lag.ms": "2", "max.compaction.lag.ms": "1"})


@pytest.mark.parametrize(
    ("name", "value", "code", "why"),
    [
        ("num.partitions", "5", 42, "Cannot update these configs dynamically: [num.partitions]"),
        ("log.retention.hours", "5", 42, "Cannot update these configs dynamically: [log.retention.hours]"),
        ("storage.cache_config.enabled", "true", 42, "Cannot update these configs dynamically: "),
        ("message.max.bytes", "x", 42, "Invalid value x for configuration message.max.bytes: Not a number of type INT"),
        ("log.segment.bytes", "5", 42, "configuration log.segment.bytes: Value must be at least 1048576"),
        ("foo", "5", 40, "Unknown broker config name: foo"),
    ],
)
def test_broker_configs(name: str, value: str, code: int, why: str, rules: Rules) -> None:
    with pytest.raises(KafkaError) as caught:
        rules.validate(BROKER_RESOURCE, {name: value})
    assert caught.value.code == code
    assert why in (caught.value.why or "")


def test_dynamic_broker_configs(rules: Rules) -> None:
    rules.validate(BROKER_RESOURCE, {"log.retention.ms": "5000", "compression.type": "zstd"})
    rules.validate(BROKER_RESOURCE, {"log.segment.bytes": "2000000"})
    assert "min.insync.replicas" not in dynamic_broker_configs()
    assert {topic.path for topic in dynamic_broker_configs().values()} == {
        key.name for key in by_name().values() if key.opt.scope == "cluster"
    }


def test_other_resources_have_no_configs(rules: Rules) -> None:
    rules.validate(16, {})
    with pytest.raises(KafkaError) as caught:
        rules.validate(16, {"a": "1"})
    assert caught.value.code is ErrorCode.INVALID_CONFIG


def test_list_defaults(rules: Rules) -> None:
    assert rules.list_default(TOPIC_RESOURCE, "cleanup.policy") == "delete"
    assert rules.list_default(TOPIC_RESOURCE, "leader.replication.throttled.replicas") == ""
    assert rules.list_default(TOPIC_RESOURCE, "retention.ms") is None
    assert rules.list_default(TOPIC_RESOURCE, "foo") is None
    assert rules.list_default(BROKER_RESOURCE, "log.cleanup.policy") == "delete"
    assert rules.list_default(GROUP_RESOURCE, "cleanup.policy") is None


class Image:
    def __init__(self, configs: dict[tuple[int, str], dict[str, str]]) -> None:
        self.configs = configs

    def config(self, resource_type: int, name: str) -> dict[str, str]:
        return self.configs.get((resource_type, name), {})


def test_view_follows_the_image() -> None:
    view = ConfigurationView(load(settings=["node.node_id=7"]).config)
    plain, changed = Image({}), Image({(4, ""): {"log.retention.ms": "5"}, (4, "7"): {"log.retention.bytes": "9"}})
    assert view.settings({}, plain) is view.settings({}, plain)
    assert (view.settings({}, changed).retention_ms, view.settings({}, changed).retention_bytes) == (5, 9)
    assert view.topic_value({}, "retention.ms", plain) == "604800000"
    assert [entry.name for entry in view.cluster(changed)] == ["log.retention.ms"]
    assert len(view.topic({}, plain)) == 37
    assert view.broker_defaults(plain) is view.broker_defaults(Image({}))
    assert any(entry.name == "num.partitions" for entry in view.broker(plain))
