"""`pyralog config`: files are checked, made of Kafka's, keys explained; the schema allows what the loader reads."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pyralog.cli.config_tools import config
from pyralog.config.convert import convert
from pyralog.config.document import read_document
from pyralog.config.json_schema import json_schema
from pyralog.config.keys import all_keys
from pyralog.config.loader import load, load_bytes
from pyralog.config.printing import config_text
from pyralog.config.properties import read_properties
from pyralog.config.topics import TOPIC_CONFIGS

ROOT = Path(__file__).parents[3]
PROPERTIES = Path(__file__).parent / "testdata" / "server.properties"

_spec = importlib.util.spec_from_file_location("pyralog_guide", ROOT / "tests/unit/config/guide.py")
assert _spec is not None
assert _spec.loader is not None
guide = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(guide)


def run(*words: object) -> Result:
    return CliRunner().invoke(config, [str(word) for word in words])


# --- explain ---


def test_explain_a_key_under_each_of_its_names() -> None:
    told = run("explain", "storage.segment_config.max_size").output
    for name in ("log.segment.bytes", "PYRALOG_STORAGE_SEGMENT_CONFIG_MAX_SIZE"):
        assert run("explain", name).output == told
    lines = {line.split(":")[0].strip(): line for line in told.splitlines()}
    assert lines["Default"].endswith("1073741824 (1 GiB)")
    assert '1048576 to 1099511627776, or a text such as "64MiB"' in lines["Allowed"]
    assert "while running, for all nodes or one, as log.segment.bytes" in lines["Changes"]
    assert "KAFKA_LOG_SEGMENT_BYTES" in lines["Variables"]
    assert lines["Topics"].endswith("segment.bytes")


def test_explain_lists_sections_and_their_keys() -> None:
    everything = run("explain").output
    for key in all_keys().values():
        section = key.path[0]
        assert len(key.path) == 1 or f"\n{section}" in "\n" + everything
        assert key.doc in run("explain", section).output
        assert key.doc in run("explain", key.name).output
    assert "(of a topic)" in run("explain", "retention.ms").output
    both = run("explain", "compression.type").output
    assert both.startswith("topics.defaults.compression_type\n")
    assert "compression.type (of a topic)" in both
    assert all(run("explain", topic).exit_code == 0 for topic in TOPIC_CONFIGS)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("max.conections", "max.connections"),
        ("storage.segment_config.max_sise", "storage.segment_config.max_size"),
        ("PYRALOG_NODE_IDS", "PYRALOG_NODE_ID"),
        ("retention.sm", "retention.ms"),
    ],
)
def test_explain_knows_what_was_meant(name: str, meant: str) -> None:
    told = run("explain", name)
    assert told.exit_code == 1
    assert f'{name}: unknown. Did you mean "{meant}"?' in told.output


# --- lint ---


@pytest.mark.parametrize("text", [guide.FULL, *guide.NODES], ids=["full", "node1", "node2", "node3"])
def test_lint_the_guides_files(text: str, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(text, encoding="utf-8")
    told = run("lint", file)
    assert told.exit_code == 0, told.output
    assert told.stdout == f"{file}: valid.\n"


def test_lint_reports_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("network:\n  max_conections: 5\nstorage: {cache_config: {max_size: 12XB}}\n", encoding="utf-8")
    told = run("lint", file)
    assert told.exit_code == 78
    assert told.output.splitlines() == [
        f"pyralog: 2 errors in {file}",
        '  2:3  network.max_conections: unknown key. Did you mean "max_connections"?',
        '  3:36 storage.cache_config.max_size: "12XB" has an unknown unit. '
        "The units are B, kB, KiB, MB, MiB, GB, GiB, TB, TiB.",
        "Nothing was written or changed. `pyralog config explain` lists the keys.",
    ]
    assert run("lint", tmp_path / "none.yaml").exit_code == 78
    file.write_text("{}", encoding="utf-8")
    monkeypatch.setenv("PYRALOG_NETWORK_MAX_CONNECTIONS", "many")
    assert run("lint", file).exit_code == 0, "the file alone"
    told = run("lint", "--env", file)
    assert told.exit_code == 78
    assert "PYRALOG_NETWORK_MAX_CONNECTIONS network.max_connections" in told.output
    assert told.output.splitlines()[-1].endswith("`pyralog config explain network` lists the keys.")


def test_the_command_of_the_broker_finds_the_tool(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("network: {max_connections: 0}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pyralog.cli.daemon", "config", "lint", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 78
    assert "1:28 network.max_connections: 0 is out of range (1 to 2147483647)." in done.stderr


# --- convert ---


def test_convert_means_the_same_and_lints_clean(tmp_path: Path) -> None:
    out = tmp_path / "pyralog.yaml"
    told = run("convert", PROPERTIES, "-o", out)
    assert (told.exit_code, told.stdout) == (0, "")
    assert run("lint", out).exit_code == 0
    made = load(str(out)).config
    properties, _ = read_properties(PROPERTIES.read_bytes())
    environ = {"KAFKA_" + name.replace(".", "_").upper(): one.text for name, one in properties.items()}
    wanted = load(environ=environ, settings=["network.internal_address=0.0.0.0:9093", "node.log_dir=/var/log/pyralog"])
    assert made.model_dump() == wanted.config.model_dump()
    assert made.node.data_dir == "/tmp/kraft-combined-logs"
    assert made.node.rack == "café"
    assert str(made.network.advertised_address) == "kafka.example.com:9092"
    assert "max_connections" not in out.read_text(encoding="utf-8"), "defaults stay defaults"


def test_convert_tells_what_it_leaves_out_and_why() -> None:
    told = run("convert", PROPERTIES)
    assert told.stderr.splitlines() == [
        "left out: line 14 num.network.threads: threads are not configured; there is one data plane",
        "left out: line 15 num.io.threads: threads are not configured; there is one data plane",
        "left out: line 16 socket.send.buffer.bytes: the system sizes socket buffers",
        "left out: line 17 socket.receive.buffer.bytes: the system sizes socket buffers",
        "left out: line 23 num.recovery.threads.per.data.dir: threads are not configured; there is one data plane",
        "left out: line 33 log.cleaner.threads: the cleaner has no such knob",
        "left out: line 35 zookeeper.connect: there is no ZooKeeper",
        "left out: line 36 some.plugin.of.ours: no counterpart",
    ]
    lines = told.stdout.splitlines()
    assert lines[0] == f"# Made from {PROPERTIES} by pyralog config convert."
    assert any(line.split() == ["retention_ms:", "604800000", "#", "log.retention.hours=168"] for line in lines)
    assert lines[-1] == "# line 36 some.plugin.of.ours: no counterpart"


def test_convert_refuses_mistakes_at_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "server.properties"
    file.write_text("node.id=many\n\nlog.segment.bytes=5\nnum.partitions=1\nnum.partitions=2\n", encoding="utf-8")
    told = run("convert", file, "-o", tmp_path / "out.yaml")
    assert told.exit_code == 78
    assert told.output.splitlines()[1:4] == [
        '  1:1 node.id: "many" is not a whole number.',
        "  3:1 log.segment.bytes: 5 is out of range (1048576 to 1099511627776).",
        "  5:1 num.partitions: is also given in line 4, and Kafka takes the last one; remove one of them.",
    ]
    assert not (tmp_path / "out.yaml").exists()


def test_convert_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "out.yaml").write_text("mine", encoding="utf-8")
    told = run("convert", PROPERTIES, "-o", tmp_path / "out.yaml")
    assert told.exit_code == 1
    assert (tmp_path / "out.yaml").read_text(encoding="utf-8") == "mine"
    assert run("convert", tmp_path / "none.properties").exit_code == 1


def test_convert_several_listeners_and_disks() -> None:
    data = (
        b"listeners=A://h:19092,SSL://:19093\nlog.dirs=/a,/b\nlistener.security.protocol.map=A:PLAINTEXT\nnode.id=2\n"
    )
    made = load_bytes(convert(data, "x").text.encode(), "x.yaml").config
    assert [(one.name, str(one.listen), one.protocol) for one in made.network.listeners] == [
        ("A", "h:19092", "PLAINTEXT"),
        ("SSL", "0.0.0.0:19093", "SSL"),
    ]
    assert (made.node.node_id, made.node.data_dirs) == (2, ("/a", "/b"))


def test_properties_as_java_reads_them() -> None:
    text = "a = 1\n! no\n  b:2 \nc\\ d\\=e f\\tg\\u0041\n\nlong=x,\\\n   y,\\\r\n\tz\nempty\nback=\\\\\n= nameless\n"
    found, problems = read_properties(text.encode())
    assert {name: one.text for name, one in found.items() if name} == {
        "a": "1",
        "b": "2 ",
        "c d=e": "f\tgA",
        "long": "x,y,z",
        "empty": "",
        "back": "\\",
    }
    assert [(problem.place.line, problem.message) for problem in problems] == [
        (11, "a property without a name: '= nameless'")
    ]
    assert read_properties("é=1".encode("latin-1"))[0]["é"].text == "1"


# --- schema ---


def validator() -> Any:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def tree(text: str) -> Any:
    document = read_document(text.encode(), "x.json" if text.lstrip().startswith("{") else "x.yaml")
    assert document.problems == []
    return document.tree


def test_the_schema_is_json_and_holds_every_key() -> None:
    schema = json.loads(run("schema").stdout)
    for key in all_keys().values():
        found = schema
        for name in key.path:
            found = found["properties"][name]
        assert key.doc in found["description"]


@pytest.mark.parametrize(
    "text",
    [
        guide.FULL,
        *guide.NODES,
        *guide.PROFILES.values(),
        config_text(load().config),
        config_text(load(settings=["node.cluster_nodes=1,2@b:9093", "node.peers=2@b:1"]).config),
        "storage:\n",
        "storage: {segment_config: {max_size: 1GiB}, cache_config: {max_size: 1.5 kib, max_buffer_time_ms: 10 ms}}",
        "storage: {segment_config: {max_size: 1073741824, use_mmap: 'true'}}",
        "replication: {election_timeout: {min_ms: 1s}, quorum: {replication_factor: '1'}}",
        "node: {cluster_nodes: [1, '2@b:9093', {id: 3, internal_address: 'c:1'}]}",
        "node: {cluster_nodes: '1,2'}",
        "network: {listeners: [{listen: ':1', advertised: auto}]}",
        "metrics: {families: [native]}\ntopics: {defaults: {cleanup_policy: compact}}",
    ],
)  # fmt: skip
def test_the_schema_allows_what_the_loader_reads(text: str) -> None:
    errors = [f"{error.json_path}: {error.message}" for error in validator().iter_errors(tree(text))]
    assert errors == []


@pytest.mark.parametrize(
    "text",
    [
        "storag: {}",
        "storage: {segment_config: {max_sise: 5}}",
        "storage: {segment_config: {max_size: 5}}",
        "storage: {segment_config: {max_size: 12XB}}",
        "network: {max_connections: many}",
        "network: {listen_address: '9092'}",
        "groups: {consumer_assignors: [sticky]}",
        "topics: {defaults: {compression_type: brotli}}",
        "storage: {segment_config: {use_mmap: maybe}}",
        "node: {node_id: -1}",
    ],
)
def test_the_schema_refuses_what_the_loader_refuses(text: str) -> None:
    assert list(validator().iter_errors(tree(text)))
