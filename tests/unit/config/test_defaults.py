"""Documented defaults, computed ones, presets and the rules between keys."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pyralog.config.checks import not_in_this_release
from pyralog.config.effective import config_value
from pyralog.config.endpoints import Address
from pyralog.config.loader import Loaded, load
from pyralog.config.printing import config_text
from pyralog.config.problems import ConfigError

# requirements.md 3.2 and 3.3
DOCUMENTED = {
    "node.node_id": 1,
    "node.data_dir": "/var/lib/pyralog",
    "network.listen_address": Address("0.0.0.0", 9092),
    "network.internal_address": Address("0.0.0.0", 9093),
    "network.max_connections": 10000,
    "network.request_timeout_ms": 30000,
    "storage.segment_config.max_size": 1073741824,
    "storage.segment_config.use_mmap": True,
    "storage.segment_config.sync_on_write": False,
    "storage.cache_config.max_size": 67108864,
    "storage.cache_config.max_buffer_time_ms": 10,
    "storage.cache_config.enabled": True,
    "replication.quorum.replication_factor": 1,
    "replication.quorum.write_quorum": 1,
    "replication.quorum.read_quorum": 1,
    "election_timeout.min_ms": 150,
    "election_timeout.max_ms": 300,
    "node.log_dir": "/var/log/pyralog",
    "network.advertised_address": None,
    "network.admin_address": None,
    "network.max_request_bytes": 104857600,
    "profile": None,
    # Kafka's own, for the settings that applications and test suites know
    "topics.num_partitions": 1,
    "topics.auto_create": True,
    "topics.allow_delete": True,
    "topics.defaults.max_message_bytes": 1048588,
    "topics.defaults.retention_ms": 604800000,
    "topics.defaults.retention_bytes": -1,
    "topics.defaults.segment_ms": 604800000,
    "topics.defaults.index_interval_bytes": 4096,
    "topics.defaults.file_delete_delay_ms": 60000,
    "topics.defaults.message_timestamp_after_max_ms": 3600000,
    "topics.defaults.compression_type": "producer",
    "groups.initial_rebalance_delay_ms": 3000,
    "groups.offsets_num_partitions": 50,
    "transactions.state_num_partitions": 50,
    "network.connections_max_idle_ms": 600000,
    "network.fetch_max_bytes": 57671680,
    "network.fetch_sessions": 1000,
    "storage.producer_id_expiration_ms": 86400000,
}


@pytest.mark.parametrize("path", DOCUMENTED)
def test_documented_default(path: str, load_text: Callable[..., Loaded]) -> None:
    assert config_value(load_text("").config, path) == DOCUMENTED[path]


def test_zero_config_stays_on_loopback() -> None:
    config = load().config
    assert config.node.data_dir == "./pyralog-data"
    assert (config.network.listen_address, config.network.internal_address) == (
        Address("127.0.0.1", 9092),
        Address("127.0.0.1", 9093),
    )
    assert config.origins == {}


@pytest.mark.parametrize(
    ("nodes", "given", "quorum"),
    [
        (1, "", (1, 1, 1)),
        (2, "", (2, 2, 1)),
        (3, "", (3, 2, 2)),
        (5, "", (3, 2, 2)),
        (5, "replication_factor: 5", (5, 2, 4)),
        (3, "write_quorum: 3", (3, 3, 1)),
        (3, "write_quorum: 1", (3, 1, 3)),
    ],
)
def test_quorums(nodes: int, given: str, quorum: tuple[int, int, int], load_text: Callable[..., Loaded]) -> None:
    members = ", ".join(str(n) for n in range(1, nodes + 1))
    loaded = load_text(f"node: {{cluster_nodes: [{members}]}}\nreplication: {{quorum: {{{given}}}}}\n")
    found = loaded.config.replication.quorum
    assert (found.replication_factor, found.write_quorum, found.read_quorum) == quorum
    assert loaded.warnings == ()


def test_read_quorum_is_raised_and_reported(load_text: Callable[..., Loaded]) -> None:
    """SL-17: W + R <= RF might lose an acknowledged write in an election."""
    text = "node: {cluster_nodes: [1, 2, 3]}\nreplication: {quorum: {write_quorum: 2, read_quorum: 1}}\n"
    loaded = load_text(text)
    assert loaded.config.replication.quorum.read_quorum == 2
    assert "read_quorum: 1 is raised to 2" in loaded.warnings[0]
    assert "replication.quorum.read_quorum" in loaded.config.origins


def test_the_file_wins_over_its_profile(load_text: Callable[..., Loaded]) -> None:
    config = load_text("profile: low-latency\nstorage: {cache_config: {max_size: 1MiB}}\n").config
    assert config.storage.cache_config.max_size == 1024**2
    assert config.storage.cache_config.max_buffer_time_ms == 1
    assert config.storage.segment_config.sync_on_write
    assert config.origins["storage.segment_config.sync_on_write"].kind == "profile"


def test_durable_fits_the_cluster_and_says_so(load_text: Callable[..., Loaded]) -> None:
    def loaded(text: str) -> tuple[tuple[int, int, int], tuple[str, ...]]:
        found = load_text(text)
        quorum = found.config.replication.quorum
        assert found.config.storage.segment_config.sync_on_write
        return (quorum.replication_factor, quorum.write_quorum, quorum.read_quorum), found.warnings

    assert loaded("profile: durable\nnode: {cluster_nodes: [1, 2, 3]}\n") == ((3, 3, 1), ())
    assert loaded("profile: durable\n") == (
        (1, 1, 1),
        ("profile durable: with 1 node there are 1 and not 3 copies of each record",),
    )
    two = "profile: durable\nnode: {cluster_nodes: [1, 2, 3]}\nreplication: {quorum: {replication_factor: 2}}\n"
    assert loaded(two) == ((2, 2, 1), ())


def test_a_profile_under_each_name_and_from_each_source(load_text: Callable[..., Loaded]) -> None:
    for text, environ, settings in (
        ("preset: low-latency\n", {}, []),
        ("profile: low-latency\n", {}, []),
        ("{}", {"PYRALOG_PRESET": "low-latency"}, []),
        ("{}", {"PYRALOG_PROFILE": "low-latency"}, []),
        ("{}", {}, ["preset=low-latency"]),
        ("profile: durable\n", {"PYRALOG_PRESET": "high-throughput"}, ["profile=low-latency"]),
    ):
        loaded = load_text(text, environ=environ, settings=settings)
        assert loaded.config.storage.cache_config.max_size == 8 * 1024**2, (text, environ, settings)
        assert loaded.config.origins["storage.cache_config.max_size"].where == "profile low-latency"


@pytest.mark.parametrize("layer", ["file", "env", "set"])
def test_what_is_set_wins_over_a_profile(layer: str, load_text: Callable[..., Loaded]) -> None:
    text = "storage: {cache_config: {max_size: 1MiB}}\n" if layer == "file" else "{}"
    environ = {"PYRALOG_STORAGE_CACHE_CONFIG_MAX_SIZE": "1MiB"} if layer == "env" else {}
    settings = ["storage.cache_config.max_size=1MiB"] if layer == "set" else []
    loaded = load_text(text, environ=environ, settings=["preset=low-latency", *settings])
    assert loaded.config.storage.cache_config.max_size == 1024**2
    lines = [line.split() for line in config_text(loaded.config).splitlines()]
    assert ["max_buffer_time_ms:", "1", "#", "profile", "low-latency"] in lines


def test_both_names_at_once_are_a_mistake(errors_of: Callable[..., list[str]]) -> None:
    assert errors_of("preset: durable\nprofile: durable\n") == ["1:1 preset: is the same key as profile at 2:1"]


def test_longest_election_timeout_follows_the_shortest(load_text: Callable[..., Loaded]) -> None:
    config = load_text("election_timeout: {min_ms: 1s}\n").config
    assert (config.election_timeout.min_ms, config.election_timeout.max_ms) == (1000, 2000)


def test_election_timeout_in_both_places(errors_of: Callable[..., list[str]]) -> None:
    text = "election_timeout: {min_ms: 100}\nreplication:\n  election_timeout: {min_ms: 200}\n"
    assert errors_of(text) == ["3:3 replication.election_timeout: is the same key as election_timeout at 1:1"]


def test_dev_makes_a_single_node_of_a_cluster_file(load_text: Callable[..., Loaded]) -> None:
    text = "node: {node_id: 2, cluster_nodes: [1, 2, 3]}\nnetwork: {listen_address: '0.0.0.0:9092'}\n"
    config = load_text(text, dev=True).config
    assert [member.node_id for member in config.node.cluster_nodes] == [2]
    assert config.network.listen_address == Address("127.0.0.1", 9092)
    assert config.groups.initial_rebalance_delay_ms == 0
    assert list(not_in_this_release(config)) == []
    other = load_text(text, dev=True, environ={"NODE_ID": "9"}).config
    assert [member.node_id for member in other.node.cluster_nodes] == [9]
    kept = load_text("node: {node_id: 2, rack: r}\n", dev=True).config.node
    assert (kept.node_id, kept.rack) == (2, "r")
    moved = load_text(text, dev=True, settings=["network.listen_address=127.0.0.1:19092"]).config
    assert moved.network.listen_address.port == 19092


@pytest.mark.parametrize(
    ("text", "report"),
    [
        (
            "network: {advertised_address: '0.0.0.0:9092'}",
            "cannot connect to 0.0.0.0; name a host, or write auto.",
        ),
        ("network: {listeners: [{listen: ':9092'}, {listen: '1.2.3.4:9092'}]}", "1.2.3.4:9092 is also listener"),
        ("network: {listeners: [{name: a}]}", "a listener needs listen"),
        ("network: {listeners: [{listen: ':1', port: 1}]}", 'unknown key "port" in a listener'),
        ("network: {admin_address: ':9092'}", "0.0.0.0:9092 is also listener PLAINTEXT"),
        ("election_timeout: {min_ms: 500, max_ms: 400}", "500 is more than max_ms (400)."),
        ("topics: {defaults: {compression_gzip_level: 0}}", "0 is out of range (1 to 9"),
        ("topics: {defaults: {cleanup_policy: [delete, shrink]}}", '"shrink" is not one of compact, delete'),
        ("topics: {defaults: {min_cleanable_dirty_ratio: 1.5}}", "1.5 is out of range (0 to 1)."),
        ("topics: {defaults: {compression_type: none}}", "is not one of uncompressed, zstd"),
        ("groups: {min_session_timeout_ms: 2d}", "172800000 is more than max_session_timeout_ms"),
        ("node: {peers: {9: 'a:1'}}", "node 9 is not in cluster_nodes (1)."),
    ],
)
def test_contradictions(text: str, report: str, errors_of: Callable[..., list[str]]) -> None:
    found = errors_of(text)
    assert any(report in line for line in found), found


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        (["node.cluster_nodes=1,2"], "node.cluster_nodes"),
        (["node.data_dirs=/a,/b"], "node.data_dirs"),
        (['network.listeners=[{listen: ":1", protocol: SASL_SSL}]'], "network.listeners"),
    ],
)
def test_what_this_release_lacks_stops_the_start(settings: list[str], path: str) -> None:
    config = load(settings=settings).config
    assert [finding.path for finding in not_in_this_release(config)] == [path]


def test_an_empty_section_has_its_defaults(load_text: Callable[..., Loaded]) -> None:
    assert load_text("storage:\nnetwork: {}\n").config.model_dump() == load_text("").config.model_dump()


def test_port_zero_never_collides() -> None:
    load(settings=["network.listen_address=127.0.0.1:0", "network.internal_address=127.0.0.1:0"])


def test_sections_are_frozen() -> None:
    config = load().config
    with pytest.raises(ValueError, match="frozen"):
        config.node.node_id = 2  # type: ignore[misc]


def test_unknown_error_is_not_swallowed() -> None:
    with pytest.raises(ConfigError, match="is not KEY=VALUE"):
        load(settings=["x"])
