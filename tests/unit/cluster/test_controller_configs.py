"""The controller's rules for configurations (trap 19 and section 7 of the compatibility notes)."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest

from pyralog.cluster.controller import Controller, ControllerSettings
from pyralog.cluster.image import EMPTY, replay_batch
from pyralog.cluster.records import BrokerRecord, PartitionRecord, TopicRecord
from pyralog.cluster.requests import (
    AlterConfigs,
    AlterConfigsReply,
    ConfigChange,
    ConfigOp,
    IncrementalAlterConfigs,
    ResourceChange,
    ResourceConfig,
    ResourceResult,
)
from pyralog.errors import ErrorCode, KafkaError

TOPIC, BROKER = 2, 4
KNOWN = {"retention.ms", "segment.bytes", "cleanup.policy", "throttled"}


class Rules:
    """Some configurations; segment.bytes must be a number."""

    def validate(self, image: object, resource_type: int, resource_name: str, values: Mapping[str, str]) -> None:
        for name, value in values.items():
            if name not in KNOWN:
                raise KafkaError(ErrorCode.INVALID_CONFIG, f"Unknown topic config name: {name}")
            if name == "segment.bytes" and not value.isdigit():
                raise KafkaError(ErrorCode.INVALID_CONFIG, f"Invalid value {value} for configuration {name}")

    def list_default(self, image: object, resource_type: int, name: str) -> str | None:
        return {"cleanup.policy": "delete", "throttled": ""}.get(name)


class Cluster:
    """A topic `t` on broker 1."""

    def __init__(self) -> None:
        records = [
            BrokerRecord(1, 0, bytes(16), bytes(16), "h", 9092),
            TopicRecord("t", b"t" * 16),
            PartitionRecord(b"t" * 16, 0, (1,), (1,), 1, 0),
        ]
        self.image, _ = replay_batch(EMPTY, records, offset=2, epoch=1, controller_id=1)
        self.controller = Controller(ControllerSettings(), Rules(), random.Random(1).randbytes)

    def submit(self, request: AlterConfigs | IncrementalAlterConfigs) -> tuple[ResourceResult, ...]:
        outcome = self.controller.handle(self.image, request)
        assert isinstance(outcome.reply, AlterConfigsReply)
        if outcome.records:
            self.image, _ = replay_batch(self.image, outcome.records, offset=9, epoch=1, controller_id=1)
        self.records = outcome.records
        return outcome.reply.resources

    def change(self, *changes: ConfigChange, kind: int = TOPIC, name: str = "t") -> ResourceResult:
        (result,) = self.submit(IncrementalAlterConfigs((ResourceChange(kind, name, changes),)))
        return result

    def replace(self, *configs: tuple[str, str | None], kind: int = TOPIC, name: str = "t") -> ResourceResult:
        (result,) = self.submit(AlterConfigs((ResourceConfig(kind, name, configs),)))
        return result

    @property
    def topic(self) -> Mapping[str, str]:
        return self.image.config(TOPIC, "t")


def put(name: str, value: str | None) -> ConfigChange:
    return ConfigChange(name, ConfigOp.SET, value)


def test_set_and_delete() -> None:
    cluster = Cluster()
    assert cluster.change(put("retention.ms", "1"), put("segment.bytes", "2")).error == ErrorCode.NONE
    assert cluster.topic == {"retention.ms": "1", "segment.bytes": "2"}
    assert cluster.change(ConfigChange("retention.ms", ConfigOp.DELETE, None)).error == ErrorCode.NONE
    assert cluster.topic == {"segment.bytes": "2"}


def test_setting_the_same_value_writes_nothing() -> None:
    cluster = Cluster()
    cluster.change(put("retention.ms", "1"))
    cluster.change(put("retention.ms", "1"))
    assert cluster.records == ()


def test_deleting_an_unknown_key_is_no_error() -> None:
    cluster = Cluster()
    assert cluster.change(ConfigChange("nonsense", ConfigOp.DELETE, None)).error == ErrorCode.NONE
    assert cluster.records == ()


def test_append_and_subtract_begin_with_the_default() -> None:
    cluster = Cluster()
    cluster.change(ConfigChange("cleanup.policy", ConfigOp.APPEND, "compact"))
    assert cluster.topic == {"cleanup.policy": "delete,compact"}
    cluster.change(ConfigChange("cleanup.policy", ConfigOp.APPEND, "compact"))
    assert cluster.records == ()
    cluster.change(ConfigChange("cleanup.policy", ConfigOp.SUBTRACT, "delete, nothing"))
    assert cluster.topic == {"cleanup.policy": "compact"}
    cluster.change(ConfigChange("throttled", ConfigOp.APPEND, "0:1, 1:2"))
    assert cluster.topic["throttled"] == "0:1,1:2"


def test_append_to_a_value_that_is_no_list() -> None:
    result = Cluster().change(ConfigChange("retention.ms", ConfigOp.APPEND, "1"))
    assert result.error == ErrorCode.INVALID_CONFIG
    assert result.message == "Can't APPEND to key retention.ms because its type is not LIST."


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ((put("nonsense", "1"),), 40),
        ((put("segment.bytes", "x"),), 40),
        ((put("segment.bytes", None),), 42),
        ((ConfigChange("cleanup.policy", ConfigOp.APPEND, None),), 42),
        ((put("retention.ms", "1"), put("retention.ms", "2")), 42),
        ((put("retention.ms", "1"), ConfigChange("retention.ms", ConfigOp.DELETE, None)), 42),
        ((ConfigChange("retention.ms", 9, "1"),), 42),
        ((put("retention.ms", "1"), put("nonsense", "1")), 40),
    ],
)
def test_a_resource_changes_as_a_whole_or_not(changes: tuple[ConfigChange, ...], code: int) -> None:
    cluster = Cluster()
    assert cluster.change(*changes).error == code
    assert not cluster.topic


def test_trap_19_the_older_api_resets_what_it_does_not_name() -> None:
    cluster = Cluster()
    cluster.replace(("retention.ms", "1"), ("segment.bytes", "2"))
    assert cluster.topic == {"retention.ms": "1", "segment.bytes": "2"}
    cluster.replace(("segment.bytes", "3"))
    assert cluster.topic == {"segment.bytes": "3"}
    cluster.replace()
    assert not cluster.topic


@pytest.mark.parametrize(
    ("configs", "code"),
    [
        ((("nonsense", "1"),), 40),
        ((("retention.ms", None),), 42),
        ((("retention.ms", "1"), ("retention.ms", "2")), 42),
    ],
)
def test_what_the_older_api_refuses(configs: tuple[tuple[str, str | None], ...], code: int) -> None:
    cluster = Cluster()
    cluster.change(put("segment.bytes", "7"))
    assert cluster.replace(*configs).error == code
    assert cluster.topic == {"segment.bytes": "7"}


@pytest.mark.parametrize(
    ("kind", "name", "code"),
    [
        (TOPIC, "zz", 3),
        (TOPIC, "", 42),
        (BROKER, "", 0),
        (BROKER, "1", 0),
        (BROKER, "2", 102),
        (BROKER, "one", 42),
        (BROKER, "-1", 42),
        (16, "x", 42),
        (99, "x", 42),
    ],
)
def test_resources(kind: int, name: str, code: int) -> None:
    cluster = Cluster()
    assert cluster.change(put("retention.ms", "1"), kind=kind, name=name).error == code
    assert cluster.replace(("retention.ms", "1"), kind=kind, name=name).error == code
    if code == 0:
        assert cluster.image.config(kind, name) == {"retention.ms": "1"}


def test_one_bad_resource_does_not_hold_up_the_others_and_none_may_come_twice() -> None:
    cluster = Cluster()
    one = ResourceChange(TOPIC, "t", (put("retention.ms", "1"),))
    bad = ResourceChange(TOPIC, "zz", (put("retention.ms", "1"),))
    results = cluster.submit(IncrementalAlterConfigs((bad, one)))
    assert [int(r.error) for r in results] == [3, 0]
    results = cluster.submit(IncrementalAlterConfigs((one, one, ResourceChange(BROKER, "1", ()))))
    assert [int(r.error) for r in results] == [42, 0]


def test_validate_only() -> None:
    cluster = Cluster()
    request = IncrementalAlterConfigs((ResourceChange(TOPIC, "t", (put("retention.ms", "1"),)),), validate_only=True)
    assert [int(r.error) for r in cluster.submit(request)] == [0]
    assert not cluster.topic
