"""The configuration of a running node: what was set while it runs, what a file read again changes, who is told."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from pyralog.config.dynamic import dynamic_by_path, dynamic_configs, overlay, read, with_values
from pyralog.config.keys import all_keys
from pyralog.config.live import LiveConfiguration
from pyralog.config.loader import load
from pyralog.config.schema import Config
from pyralog.config.topics import TOPIC_CONFIGS
from pyralog.config.view import ConfigurationView

BROKER = 4


class Image:
    def __init__(self, cluster: dict[str, str] | None = None, node: dict[str, str] | None = None) -> None:
        self._configs = {"": cluster or {}, "1": node or {}}

    def config(self, resource_type: int, name: str) -> dict[str, str]:
        return self._configs.get(name, {}) if resource_type == BROKER else {}

    def configured(self, resource_type: int) -> list[str]:
        return list(self._configs)


CHANGED = SimpleNamespace(configs={(BROKER, "")})


class Heard:
    """A follower that remembers what it was told."""

    def __init__(self) -> None:
        self.configs: list[Config] = []

    def __call__(self, config: Config) -> None:
        self.configs.append(config)


def live(*settings: str, file: Path | None = None) -> LiveConfiguration:
    return LiveConfiguration(ConfigurationView(load(None if file is None else str(file), settings=settings).config))


def test_each_key_can_be_set_under_one_name_or_needs_a_restart() -> None:
    for key in all_keys().values():
        dynamic = dynamic_by_path().get(key.name)
        assert (dynamic is None) == (key.opt.scope == "static")
        if dynamic is not None:
            assert dynamic.name == (key.kafka[0].name if key.kafka else key.name)
            assert dynamic.whole == (key.opt.scope == "controller")
    inherited = {topic.path for topic in TOPIC_CONFIGS.values() if topic.path}
    assert inherited <= dynamic_by_path().keys(), "what topics inherit can always be set"


def test_defaults_are_values_that_could_be_set() -> None:
    config = load().config
    for dynamic in dynamic_configs().values():
        value = dynamic.key.default
        if dynamic.kafka is not None and dynamic.kafka.factor > 1:
            value //= dynamic.kafka.factor
        text = ",".join(value) if isinstance(value, tuple) else str(value)
        if dynamic.name == "log.segment.bytes":
            continue  # Kafka's int32 has no room for more than 2 GiB, ours is 1 GiB; both are tested elsewhere
        assert read(dynamic, text, config) == dynamic.key.default, dynamic.name


def test_values_are_read_in_our_units() -> None:
    config = load().config
    assert read(dynamic_configs()["offsets.retention.minutes"], "3", config) == 180_000
    assert read(dynamic_configs()["storage.cache_config.max_buffer_time_ms"], "2s", config) == 2_000
    assert read(dynamic_configs()["group.consumer.migration.policy"], "UPGRADE", config) == "upgrade"


def test_node_wins_over_cluster_wins_over_the_command_line() -> None:
    static = load(settings=["network.max_connections=5", "groups.max_size=6"]).config
    result = overlay(static, {"max.connections": "7", "group.max.size": "8"}, {"max.connections": "9"})
    assert (result.config.network.max_connections, result.config.groups.max_size) == (9, 8)
    assert result.layers["network.max_connections"] == ((True, 9), (False, 7))
    assert result.config.origins == static.origins
    assert static.network.max_connections == 5


def test_without_dynamic_values_it_is_the_very_same_configuration() -> None:
    config = load().config
    assert overlay(config, {}, {}).config is config
    assert with_values(config, {}) is config


def test_what_does_not_hold_is_left_out_and_said() -> None:
    static = load(settings=["groups.max_session_timeout_ms=9000"]).config
    cluster = {"group.min.session.timeout.ms": "10000", "max.connections": "7", "gone": "1", "group.max.size": "x"}
    result = overlay(static, cluster, {})
    assert result.config.groups == static.groups
    assert result.config.network.max_connections == 7
    assert list(result.layers) == ["network.max_connections"]
    assert result.ignored == (
        "gone: this release has no such configuration that can be set while running",
        "Invalid value x for configuration group.max.size: Not a number of type INT",
        "groups.min_session_timeout_ms: 10000 is more than max_session_timeout_ms (9000).",
    )


def test_a_lower_write_quorum_raises_the_read_quorum() -> None:
    three = load(settings=["node.cluster_nodes=1,2,3"]).config
    assert (three.replication.quorum.write_quorum, three.replication.quorum.read_quorum) == (2, 2)
    assert overlay(three, {"min.insync.replicas": "1"}, {}).config.replication.quorum.read_quorum == 3


def test_followers_hear_of_what_they_follow_alone() -> None:
    node = live()
    network, groups = Heard(), Heard()
    node.follow(("network",), network)
    node.follow(("groups.max_size", "transactions"), groups)
    node.on_image(CHANGED, Image({"max.connections": "7"}))
    assert (len(network.configs), len(groups.configs)) == (1, 0)
    assert network.configs[0].network.max_connections == node.current.network.max_connections == 7
    node.on_image(SimpleNamespace(configs={(2, "t")}), Image({"max.connections": "8"}))
    assert len(network.configs) == 1, "a topic's configs are not the node's"
    node.on_image(CHANGED, Image({"max.connections": "7", "group.max.size": "3"}))
    assert (len(network.configs), groups.configs[0].groups.max_size) == (1, 3)
    node.on_image(CHANGED, Image())
    assert network.configs[-1].network.max_connections == 10_000


def test_a_follower_that_fails_does_not_keep_the_others_from_hearing(caplog: pytest.LogCaptureFixture) -> None:
    def broken(config: Config) -> None:
        raise RuntimeError("full")

    node, heard = live(), Heard()
    node.follow(("network",), broken)
    node.follow(("network",), heard)
    node.on_image(CHANGED, Image({"max.connections": "7"}))
    assert len(heard.configs) == 1
    assert "a changed configuration (network.max_connections) was not taken over" in caplog.text


def test_a_change_is_logged_with_both_values(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    live().on_image(CHANGED, Image({"max.connections": "7"}))
    assert "network.max_connections: 7 (was 10000)" in caplog.messages


def test_begin_takes_over_what_was_set_before_and_complains_once(caplog: pytest.LogCaptureFixture) -> None:
    node = live()
    image = Image({"group.max.size": "3", "gone": "1"})
    assert node.begin(image).groups.max_size == 3
    node.on_image(CHANGED, image)
    assert caplog.text.count("gone: this release has no such configuration") == 1


def test_reload_sorts_keys_by_what_becomes_of_them(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("network:\n  max_connections: 5\n", encoding="utf-8")
    node, heard = live(file=file), Heard()
    node.begin(Image({"group.max.size": "3"}))
    node.follow(("network",), heard)
    file.write_text(
        "node: {rack: r1}\nnetwork: {max_connections: 6, fetch_sessions: 7}\ngroups: {max_size: 9}\n", encoding="utf-8"
    )
    result = node.reload(load(str(file)).config, Image({"group.max.size": "3"}))
    assert result.applied == ("network.max_connections", "network.fetch_sessions")
    assert result.shadowed == ("groups.max_size",)
    assert result.restart == ("node.rack",)
    assert len(heard.configs) == 1
    assert (node.current.network.max_connections, node.current.groups.max_size, node.current.node.rack) == (6, 3, None)
    assert "node.rack" not in node.current.origins
    assert node.current.origins["network.max_connections"].where == f"{file}:2:28"
    again = node.reload(load(str(file)).config, Image({"group.max.size": "3"}))
    assert again == ((), (), ("node.rack",)), "what waits for a restart is said again, the rest is in force"
    assert len(heard.configs) == 1


def test_reload_keeps_back_what_contradicts_a_key_that_waits() -> None:
    node = live()
    more = load(settings=["node.cluster_nodes=1,2,3", "network.max_connections=4"]).config
    result = node.reload(more, Image())
    assert result.applied == ("network.max_connections",)
    assert "node.cluster_nodes" in result.restart
    assert "replication.quorum.replication_factor" in result.restart
    assert node.current.replication.quorum.replication_factor == 1
