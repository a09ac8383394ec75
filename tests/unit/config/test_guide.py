"""The operations guide's own configuration loads as typed (acceptance 1 of ecosystem.md)."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from pyralog.config.checks import not_in_this_release
from pyralog.config.endpoints import Address
from pyralog.config.loader import Loaded, load

_spec = importlib.util.spec_from_file_location("pyralog_guide_blocks", Path(__file__).parent / "guide.py")
assert _spec is not None
assert _spec.loader is not None
guide = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(guide)

Load = Callable[..., Loaded]
MIB = 1024**2


def test_full_example(load_text: Load) -> None:
    loaded = load_text(guide.FULL, "config.json")
    config = loaded.config
    assert loaded.warnings == ()
    assert (config.node.node_id, config.node.data_dir) == (1, "/var/lib/pyralog")
    assert [member.node_id for member in config.node.cluster_nodes] == [1, 2, 3]
    assert config.network.listen_address == Address("0.0.0.0", 9092)
    assert config.network.internal_address == Address("node1.example.com", 9093)
    assert (config.network.max_connections, config.network.request_timeout_ms) == (10000, 30000)
    segment, cache, quorum = config.storage.segment_config, config.storage.cache_config, config.replication.quorum
    assert (segment.max_size, segment.use_mmap, segment.sync_on_write) == (1024 * MIB, True, False)
    assert (cache.max_size, cache.max_buffer_time_ms, cache.enabled) == (64 * MIB, 10, True)
    assert (quorum.replication_factor, quorum.write_quorum, quorum.read_quorum) == (3, 2, 2)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_three_node_files(number: int, load_text: Load) -> None:
    config = load_text(guide.NODES[number - 1], "config.json").config
    assert config.node.node_id == number
    assert config.network.internal_address == Address(f"node{number}.example.com", 9093)
    quorum = config.replication.quorum
    assert (quorum.replication_factor, quorum.write_quorum, quorum.read_quorum) == (3, 2, 2)


def test_this_release_says_that_it_does_not_run_the_three_nodes(load_text: Load) -> None:
    config = load_text(guide.NODES[0], "config.json").config
    assert [finding.path for finding in not_in_this_release(config)] == ["node.cluster_nodes"]


def test_json_is_recognised_by_its_brace_too(load_text: Load) -> None:
    by_brace, by_name = (load_text(guide.FULL, name).config for name in ("pyralog.conf", "config.json"))
    assert by_brace.model_dump() == by_name.model_dump()


def test_fragment_with_a_comment_in_its_place(load_text: Load) -> None:
    inside = guide.ADD_NODE.strip().removeprefix("{").removesuffix("}")
    config = load_text('{"node": {"node_id": 4,' + inside + "}}", "config.json").config
    assert [member.node_id for member in config.node.cluster_nodes] == [1, 2, 3, 4]


def test_election_timeout_fragment_loads_bare_and_under_replication(load_text: Load) -> None:
    bare = load_text(guide.ELECTION, "config.json").config
    assert (bare.election_timeout.min_ms, bare.election_timeout.max_ms) == (300, 600)
    under = load_text('{"replication": {\n' + guide.ELECTION + "}}", "config.json").config
    assert under.election_timeout == bare.election_timeout


def test_troubleshooting_fragments_in_their_place(load_text: Load) -> None:
    fragments = [line for line in guide.WRITE_CACHE.splitlines() if line.startswith('"')]
    assert len(fragments) == 2
    config = load_text('{"storage": {' + ",\n".join(fragments) + "}}", "config.json").config
    assert config.storage.segment_config.max_size == 2048 * MIB
    assert config.storage.cache_config.enabled


@pytest.mark.parametrize("name", ["low-latency", "high-throughput", "durable"])
def test_profile_is_the_guides_tuning_chapter(name: str, load_text: Load) -> None:
    prefix = '"node": {"cluster_nodes": [1, 2, 3]},'
    chapter = load_text(guide.PROFILES[name].replace("{", "{" + prefix, 1), "config.json").config
    profile = load_text("{" + prefix + f'"profile": "{name}"}}', "config.json").config
    assert profile.storage == chapter.storage
    assert profile.replication == chapter.replication


def test_environment_block() -> None:
    loaded = load(environ=guide.ENVIRONMENT)
    config = loaded.config
    assert loaded.warnings == ()
    assert (config.node.node_id, config.node.data_dir) == (1, "/var/lib/pyralog")
    assert config.network.listen_address == Address("0.0.0.0", 9092)
    assert [member.node_id for member in config.node.cluster_nodes] == [1, 2, 3]


def test_docker_run_line() -> None:
    environment = {"NODE_ID": "1", "PYRALOG_DATA_DIR": "/data", "PYRALOG_LISTEN_ADDRESS": "0.0.0.0:9092"}
    config = load(environ=environment).config
    assert (config.node.node_id, config.node.data_dir, config.replication.quorum.replication_factor) == (1, "/data", 1)
