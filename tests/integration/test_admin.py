"""`pyralog-admin` as a user types it, against a running node; PYRALOG_TEST_BROKER=kafka has it ask Apache Kafka."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import make_broker
from tests.reference.process import Broker


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with make_broker(Path(tmp_path_factory.mktemp("admin"))) as broker:
        yield broker


def admin(*words: str, stdin: str | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pyralog.cli.admin", *words]
    given: dict[str, Any] = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=90, check=False, env={**os.environ, **env}, **given
    )


class Admin:
    """The command with the node's address; `rows` gives its JSON."""

    def __init__(self, address: str) -> None:
        self.address = address

    def __call__(self, *words: str, code: int = 0, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        done = admin("--cluster", self.address, *words, stdin=stdin)
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    def rows(self, *words: str, code: int = 0) -> Any:
        return json.loads(self(*words, "--format", "json", code=code).stdout)


@pytest.fixture
def ask(node: Broker) -> Admin:
    return Admin(node.address)


@pytest.fixture
def topic(ask: Admin, request: pytest.FixtureRequest) -> Iterator[str]:
    name = re.sub(r"\W", "-", request.node.name)
    ask("topic", "create", name, "-p", "2")
    yield name
    ask("topic", "delete", name, "--yes")


def test_topics_from_creation_to_deletion(node: Broker, ask: Admin) -> None:
    made = ask("topic", "create", "orders", "--partitions", "3", "--config", "retention.ms=60000")
    assert (made.stdout, made.stderr) == ("", "Created topic orders.\n")
    ask("topic", "create", "orders", "--if-not-exists")
    assert "TOPIC_ALREADY_EXISTS" in ask("topic", "create", "orders", code=1).stderr
    ask("topic", "create", "dry", "--dry-run")
    listed = admin("topic", "list", "--format", "json", "--cluster", node.address)
    (row,) = [row for row in json.loads(listed.stdout) if row["topic"] in ("orders", "dry")]
    assert (row["partitions"], row["replicas"], row["not_ok"]) == (3, 1, 0)
    assert re.fullmatch(r"[\w-]{22}", row["id"])  # as Kafka's tools and the console have it
    described = ask.rows("topic", "describe", "orders")
    assert [(r["partition"], r["leader"], r["state"], r["end"]) for r in described] == [
        (n, 1, "ok", 0) for n in range(3)
    ]
    table = ask("topic", "describe", "orders").stdout.splitlines()
    assert table[0].split() == ["TOPIC", "PARTITION", "LEADER", "EPOCH", "REPLICAS", "ISR", "STATE", "START", "END"]
    assert ask("topic", "describe", "orders", "--format", "yaml").stdout.startswith("- topic: orders\n  partition: 0\n")
    ask("topic", "alter", "orders", "--set", "retention.ms=5000", "--unset", "segment.bytes")
    (setting,) = [r for r in ask.rows("topic", "describe", "orders", "--configs") if r["name"] == "retention.ms"]
    assert (setting["value"], setting["source"]) == ("5000", "dynamic_topic")
    ask("topic", "add-partitions", "orders", "--by", "2")
    assert len(ask.rows("topic", "describe", "orders")) == 5
    assert "INVALID_PARTITIONS" in ask("topic", "add-partitions", "orders", "--to", "2", code=1).stderr
    unasked = ask("topic", "delete", "orders", code=1)
    assert unasked.stdout == ""
    assert unasked.stderr.endswith("pyralog-admin: nothing was changed, as nobody answered; --yes does not ask\n")
    assert ask("topic", "delete", "orders", stdin="n\n", code=1).stderr.endswith("pyralog-admin: nothing was changed\n")
    assert ask("topic", "delete", "nowhere", code=1).stderr == "pyralog-admin: there is no topic nowhere\n"
    ask("topic", "delete", "orders", "--yes")
    partly = ask("topic", "create", "good", "b:ad", code=4)
    assert "INVALID_TOPIC_EXCEPTION" in partly.stdout
    ask("topic", "delete", "good", "--yes")


def test_records_there_and_back(ask: Admin, topic: str) -> None:
    ask("topic", "produce", topic, "one", "two", "--key", "k", "--header", "a=b", "-p", "0")
    ask("topic", "produce", topic, "-p", "1", "--compression", "zstd", "--key-separator", ":", stdin="x:1\ny:2\nz\n")
    lines = ask("topic", "consume", topic, "--format", "json").stdout.splitlines()
    found = [json.loads(line) for line in lines]
    assert [(r["key"], r["value"]) for r in found if r["partition"] == 0] == [("k", "one"), ("k", "two")]
    assert [(r["key"], r["value"]) for r in found if r["partition"] == 1] == [("x", "1"), ("y", "2"), (None, "z")]
    assert found[0]["headers"] in ({"a": "b"}, {})
    assert ask("topic", "consume", topic, "-p", "1", "--last", "2", "--values").stdout == "2\nz\n"
    assert ask("topic", "consume", topic, "-p", "1", "--from", "1", "--values").stdout == "2\nz\n"
    assert ask("topic", "consume", topic, "--from", "end").stdout == ""
    assert len(ask("topic", "tail", topic, "-n", "3").stdout.splitlines()) == 3
    offsets = ask.rows("topic", "offsets", topic)
    assert [(r["start"], r["end"]) for r in offsets] == [(0, 2), (0, 3)]
    assert [r["offset"] for r in ask.rows("topic", "offsets", topic, "--at", "2001-01-01T00:00:00Z")] == [0, 0]
    assert ask.rows("topic", "offsets", topic, "--at", "max-timestamp")[0]["offset"] in (0, 1)
    checked = ask.rows("verify", topic, "--deep")
    assert [(r["records"], r["problems"]) for r in checked] == [(2, []), (3, [])]
    assert "delete 1 record." in ask("topic", "trim", topic, "--before", "1", "-p", "0", "--dry-run").stderr
    # An offset behind a partition's end means all of it, as with a group.
    trimmed = ask.rows("topic", "trim", topic, "--before", "99", "-p", "1", "--dry-run")
    assert [row["new_start"] for row in trimmed] == [r["end"] for r in ask.rows("topic", "offsets", topic)][1:]
    ask("topic", "trim", topic, "--before", "end", "--yes", "-p", "1")
    assert [(r["start"], r["end"]) for r in ask.rows("topic", "offsets", topic)] == [(0, 2), (3, 3)]
    assert "no partition 9" in ask("topic", "consume", topic, "-p", "9", code=1).stderr


def test_the_cluster_and_its_nodes(ask: Admin) -> None:
    status = ask.rows("cluster", "status")
    assert (status["controller"], status["offline_partitions"]) == (1, 0)
    assert ask.rows("cluster", "health")["healthy"] is True
    watched = ask("cluster", "health", "--watch", "--interval", "0.1", "--timeout", "2", "--format", "json").stdout
    assert all(json.loads(line)["healthy"] for line in watched.splitlines())
    assert len(watched.splitlines()) >= 2
    assert ask("cluster", "health", "--exit-when-healthy").stdout == "healthy\n"
    assert "metadata.version" in {r["feature"] for r in ask.rows("cluster", "features")}
    assert ask.rows("cluster", "quorum")["leader_id"] == 1
    versions = {r["api"]: (r["min"], r["max"]) for r in ask.rows("cluster", "versions")}
    assert versions["Fetch"][1] >= 12
    (node,) = ask.rows("node", "list")
    assert (node["node"], node["controller"], node["state"]) == (1, True, "up")
    (folder,) = ask.rows("node", "logdirs")
    assert (folder["node"], folder["error"]) == (1, "")
    assert folder["total_bytes"] > folder["free_bytes"] > 0
    assert "there is no node 7" in ask("node", "describe", "7", code=1).stderr
    assert {r["name"] for r in ask.rows("node", "describe", "1")} & {"log.dirs", "node.id", "broker.id", "listeners"}


def test_configuration_at_run_time(ask: Admin) -> None:
    assert "log.retention.ms" in ask("cluster", "config", "set", "log.retention.ms=123456789").stderr
    values = {r["name"]: r["value"] for r in ask.rows("cluster", "config", "get")}
    assert values["log.retention.ms"] == "123456789"
    (one,) = ask.rows("cluster", "config", "get", "log.retention.ms", "--node", "1")
    assert (one["value"], one["source"]) == ("123456789", "dynamic_default_broker")
    assert "log.retention.ms" in {r["name"] for r in ask.rows("cluster", "config", "diff")}
    ask("cluster", "config", "unset", "log.retention.ms")
    assert "log.retention.ms" not in {r["name"] for r in ask.rows("cluster", "config", "get")}
    assert ask("cluster", "config", "set", "log.retention.ms=abc", code=1).stderr.startswith("pyralog-admin: ")
    # Whoever asks for a key by its name wants to know what is in force, wherever it was set.
    (named,) = ask.rows("cluster", "config", "get", "log.segment.bytes")
    assert int(named["value"]) > 0
    assert len(ask.rows("cluster", "config", "get", "--all")) > 100
    assert "there is no node 9" in ask("cluster", "config", "get", "--node", "9", code=1).stderr
    assert "no configuration nonsense" in ask("cluster", "config", "get", "nonsense", code=1).stderr


def test_nothing_is_said_in_words(ask: Admin, topic: str) -> None:
    for words, text in (
        (("group", "list", "--state", "Dead"), "There are no groups."),
        (("txn", "list", "--state", "Ongoing"), "There are no transactional ids."),
        (("txn", "producers", topic), "The partitions remember no producers."),
        (("partition", "status", topic, "--not-ok"), "2 partitions, each with its leader and replicas."),
    ):
        told = ask(*words)
        assert (told.stdout, told.stderr) == ("", f"{text}\n"), words
        assert ask.rows(*words) == []


def test_internal_topics_stand_behind_those_of_users(node: Broker, ask: Admin, topic: str) -> None:
    ask("topic", "produce", topic, "1", "2", "3")
    commit(node.address, "watchers", topic)
    internal = "__consumer_offsets"
    for words in (("partition", "status"), ("verify",)):
        told = ask(*words, "--format", "json")
        names = [row["topic"] for row in json.loads(told.stdout)]
        assert topic in names
        assert not any(name.startswith("__") for name in names)
        assert "partitions of internal topics; --internal shows them.\n" in told.stderr
        names = [row["topic"] for row in ask.rows(*words, "--internal")]
        assert internal in names
        assert names == sorted(names, key=lambda name: (name.startswith("__"), name))
        assert {row["topic"] for row in ask.rows(*words, internal)} == {internal}


def test_partitions_and_elections(ask: Admin, topic: str) -> None:
    assert [r["state"] for r in ask.rows("partition", "status", topic)] == ["ok", "ok"]
    (row,) = ask.rows("partition", "elect", f"{topic}:0")
    assert (row["result"], row["error"]) == ("not needed", "")
    assert "UNKNOWN_TOPIC" in ask("partition", "elect", "nowhere:0", code=1).stdout
    unneeded = ask("partition", "elect", "--topic", topic)
    assert (unneeded.stdout, unneeded.stderr) == ("", "2 partitions are led by their preferred replica already.\n")


def commit(address: str, group: str, topic: str) -> None:
    """A group that has read everything and gone."""
    from kafka import KafkaConsumer

    with KafkaConsumer(topic, bootstrap_servers=address, group_id=group, auto_offset_reset="earliest") as consumer:
        deadline, found = time.monotonic() + 30, 0
        while found < 3 and time.monotonic() < deadline:
            found += sum(map(len, consumer.poll(200).values()))
        consumer.commit()
        assert found == 3


def offers(ask: Admin, api: str) -> bool:
    return api in {r["api"] for r in ask.rows("cluster", "versions")}


def test_groups(node: Broker, ask: Admin, topic: str) -> None:
    if not offers(ask, "OffsetDelete"):
        pytest.skip("the broker has no groups yet")
    ask("topic", "produce", topic, "1", "2", "3", "-p", "0")
    commit(node.address, "readers", topic)
    assert "readers" in {r["group"] for r in ask.rows("group", "list")}
    rows = {r["partition"]: r for r in ask.rows("group", "describe", "readers")}
    assert (rows[0]["committed"], rows[0]["end"], rows[0]["lag"]) == (3, 3, 0)
    (moved, _) = ask.rows("group", "seek", "readers", "--to", "start", "--dry-run")
    assert (moved["from"], moved["to"], moved["lag"]) == (3, 0, 3)
    assert {r["committed"] for r in ask.rows("group", "describe", "readers") if r["partition"] == 0} == {3}
    ask("group", "seek", "readers", "--to", "2", "--yes")
    assert {r["lag"] for r in ask.rows("group", "describe", "readers") if r["partition"] == 0} == {1}
    ask("group", "seek", "readers", "--to", "99", "--partition", f"{topic}:0", "--yes")
    assert {r["committed"] for r in ask.rows("group", "describe", "readers") if r["partition"] == 0} == {3}
    ask("group", "seek", "readers", "--to", "2001-01-01T00:00:00Z", "--yes")
    assert {r["committed"] for r in ask.rows("group", "describe", "readers")} == {0}
    ask("group", "delete-offsets", "readers", f"{topic}:1", "--yes")
    assert {r["partition"] for r in ask.rows("group", "describe", "readers")} == {0}
    ask("group", "delete", "readers", "--yes")
    assert "there is no group readers" in ask("group", "describe", "readers", code=1).stderr


def test_groups_of_the_newer_protocol(node: Broker, ask: Admin, topic: str) -> None:
    from confluent_kafka import Consumer

    consumer = Consumer({"bootstrap.servers": node.address, "group.id": "newer", "group.protocol": "consumer"})
    consumer.subscribe([topic])
    deadline = time.monotonic() + 30
    while len(consumer.assignment()) < 2:
        assert time.monotonic() < deadline
        consumer.poll(0.1)
    assert {(r["state"], r["partition"]) for r in ask.rows("group", "describe", "newer")} == {
        ("Stable", 0),
        ("Stable", 1),
    }
    (member,) = ask.rows("group", "describe", "newer", "--members")
    assert member["partitions"] == [f"{topic}:0", f"{topic}:1"]
    assert {r["member"] for r in ask.rows("group", "describe", "newer")} == {member["member"]}
    partly = ask("group", "describe", "nobody", "newer", "older", "--format", "json", code=4)
    assert {r["group"] for r in json.loads(partly.stdout)} == {"newer"}
    assert partly.stderr == "Total lag: 0\npyralog-admin: there is no group nobody, older\n"
    consumer.close()
    assert "There are no members." in ask("group", "describe", "newer", "--members").stderr
    none = ask("group", "describe", "older", "nobody", code=1)
    assert (none.stdout, none.stderr) == ("", "pyralog-admin: there is no group older, nobody\n")


def test_transactions(node: Broker, ask: Admin, topic: str) -> None:
    if not offers(ask, "WriteTxnMarkers"):
        pytest.skip("the broker has no transactions yet")
    from kafka import KafkaProducer

    with KafkaProducer(bootstrap_servers=node.address, transactional_id="payments") as producer:
        producer.init_transactions()
        producer.begin_transaction()
        producer.send(topic, b"1", partition=0).get(20)
        (listed,) = ask.rows("txn", "list")
        assert (listed["transactional_id"], listed["state"]) == ("payments", "Ongoing")
        (told,) = ask.rows("txn", "describe", "payments")
        partly = ask("txn", "describe", "nobody", "payments", "--format", "json", code=4)
        assert json.loads(partly.stdout) == [told]
        assert partly.stderr == "pyralog-admin: there is no transactional id nobody\n"
        assert told["partitions"] == [f"{topic}:0"]
        (row,) = ask.rows("txn", "producers", topic)
        assert row["open_from"] == 0
        assert ask.rows("txn", "find-hanging") == []
        assert "no such open" in ask("txn", "abort", f"{topic}:0", "--start-offset", "7", code=1).stderr
        assert "Aborted" in ask("txn", "abort", f"{topic}:0", "--start-offset", "0", "--yes").stderr
        (row,) = ask.rows("txn", "producers", topic)
        assert row["open_from"] is None
        producer.abort_transaction()


def test_perf(ask: Admin) -> None:
    produced = ask.rows("perf", "produce", "--records", "2000", "--size", "50")
    assert produced["records"] == 2000
    assert 0 < produced["p50_ms"] <= produced["p99_ms"] <= produced["max_ms"]
    assert ask.rows("perf", "e2e", "--records", "20")["records"] == 20
    ask("topic", "create", "perf")
    ask("topic", "produce", "perf", "a", "b")
    assert ask.rows("perf", "consume", "perf")["records"] == 2
    ask("topic", "delete", "perf", "--yes")
    assert not [r for r in ask.rows("topic", "list") if r["topic"].startswith("pyralog-perf")]


def test_doctor_and_bundle(ask: Admin, tmp_path: Path) -> None:
    done = admin("--cluster", ask.address, "doctor", "--format", "json")
    assert done.returncode in (0, 4), done.stderr
    checks = {row["check"]: row for row in json.loads(done.stdout)}
    assert checks["cluster"]["status"] == "ok"
    assert {"vm.swappiness", "limit nofile", "transparent_hugepage/enabled"} <= set(checks)
    host = admin("check", "host")
    assert host.returncode in (0, 4)
    # Commands stand on lines of their own, to be copied; the table has what was found.
    advice = host.stdout.partition("\nWhat to do:\n")[2].splitlines()
    assert len(advice) == sum(line.split("  ")[0] in checks and " warn " in line for line in host.stdout.splitlines())
    (tmp_path / "config.yaml").write_text("node: {node_id: 1}\ntls: {key_password: hunter2}\n")
    (tmp_path / "pyralog.log").write_text("sasl.jaas.config=x password='hunter2'\n")
    target = tmp_path / "b.zip"
    ask("bundle", "--to", str(target), "--config", str(tmp_path / "config.yaml"), "--logs", str(tmp_path))
    with zipfile.ZipFile(target) as made:
        names = set(made.namelist())
        everything = b"".join(made.read(name) for name in names)
    wanted = {
        "version.json",
        "cluster.json",
        "partitions.json",
        "config/config.yaml",
        "logs/pyralog.log",
        "problems.txt",
    }
    assert wanted <= names
    assert b"hunter2" not in everything
    assert f"{target}: File exists" in ask("bundle", "--to", str(target), code=1).stderr


def test_refusals_say_what_and_why(ask: Admin, topic: str) -> None:
    unknown = ask("topic", "describe", "nowhere", code=1)
    assert unknown.stderr == "pyralog-admin: there is no topic nowhere\n"
    partly = ask("topic", "describe", "nowhere", topic, "never", "--format", "json", code=4)
    assert {r["topic"] for r in json.loads(partly.stdout)} == {topic}
    assert partly.stderr == "pyralog-admin: there is no topic nowhere, never\n"
    gone = "pyralog-admin: UNKNOWN_TOPIC_OR_PARTITION: there is no topic nowhere\n"
    assert ask("topic", "delete", "nowhere", "--yes", code=1).stderr == gone
    for words in (("produce", topic, "x"), ("consume", topic), ("trim", topic, "--before", "1")):
        assert ask("topic", *words, "-p", "9", code=1).stderr == f"pyralog-admin: {topic} has no partition 9\n"
    assert ask("topic", "describe", "a b", code=1).stderr == "pyralog-admin: no topic can be called 'a b'\n"
    assert ask("topic", "consume", "", code=1).stderr == "pyralog-admin: no topic can be called ''\n"
    for kind in ("group", "txn"):
        assert "'Dozing' is not one of " in ask(kind, "list", "--state", "Dozing", code=2).stderr
        ask(kind, "list", "--state", "empty")
    # What is too large is for the topic to say, and named by its number.
    partly = ask("topic", "produce", topic, "-p", "0", stdin="small\n" + "x" * 2_000_000, code=1)
    assert partly.stdout == f"{topic}:0 offset 0\n"
    assert partly.stderr == "record 1: MESSAGE_TOO_LARGE\n"
    ask("topic", "alter", topic, "--set", "max.message.bytes=3000000")
    ask("topic", "produce", topic, "-p", "0", stdin="x" * 2_000_000)
    assert "retention.mss" in ask("topic", "create", "t", "--config", "retention.mss=1", code=1).stderr
    ask("topic", "create", "t", "--config", "retention.ms", code=2)
    assert "is no place in a log" in ask("topic", "trim", "t", "--before", "yesterday", code=2).stderr
    assert "Did you mean 'topic'?" in ask("topc", "list", code=2).stderr
    # One way to name an error, whichever part of the client library brought it.
    refused = ask("cluster", "config", "set", "log.retention.ms=abc", code=1).stderr
    assert refused.startswith("pyralog-admin: INVALID_"), refused
    assert [r["error"] for r in ask.rows("group", "delete", "nobody", "--yes", code=1)] == ["GROUP_ID_NOT_FOUND"]
    unknown = ask("txn", "describe", "nobody", code=1)  # Kafka's coordinator may not be there yet
    assert re.match("pyralog-admin: (there is no transactional id nobody|COORDINATOR_NOT_AVAILABLE: )", unknown.stderr)


@pytest.mark.parametrize(
    "words", [("topic", "list"), ("cluster", "status"), ("group", "list"), ("verify",), ("doctor",)]
)
def test_an_unreachable_cluster_is_exit_code_3(words: tuple[str, ...]) -> None:
    gone = admin(*words, PYRALOG_CLUSTER="127.0.0.1:9")
    assert gone.returncode == 3
    assert gone.stderr == "pyralog-admin: 127.0.0.1:9 cannot be reached: Connection refused\n"
    assert gone.stdout == ""


@pytest.mark.pyralog_only
def test_health(ask: Admin) -> None:
    assert ask.rows("health")["status"] == "ok"
    port = ask.address.rpartition(":")[2]
    assert admin("health", "--local", PYRALOG_LISTEN_ADDRESS=f"0.0.0.0:{port}").returncode == 0
    assert admin("health", "--cluster", "127.0.0.1:9").returncode == 3


def test_a_stream_is_told_while_it_goes_on(ask: Admin, topic: str) -> None:
    command = [
        sys.executable,
        "-m",
        "pyralog.cli.admin",
        "--cluster",
        ask.address,
        "topic",
        "produce",
        topic,
        "-p",
        "0",
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as stream:
        assert stream.stdin is not None
        assert stream.stdout is not None
        for number in range(3):
            stream.stdin.write(f"{number}\n")
            stream.stdin.flush()
            time.sleep(1)
        assert stream.stdout.readline() == f"{topic}:0 offset 0\n"
        assert stream.communicate(timeout=30)[0].splitlines()[-1] == f"{topic}:0 offset 2"
    assert stream.returncode == 0


def test_ctrl_c_ends_without_a_traceback(ask: Admin, topic: str) -> None:
    ask("topic", "produce", topic, "one", "-p", "0")
    command = [sys.executable, "-m", "pyralog.cli.admin", "--cluster", ask.address, "topic", "tail", topic]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Whoever starts the tests in the background may have it ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as tail:
        assert tail.stdout is not None
        assert tail.stdout.readline().endswith(" one\n")
        tail.send_signal(signal.SIGINT)
        assert tail.communicate(timeout=30) == ("", "\n")
    assert tail.returncode == 130


def test_where_the_cluster_is_named(node: Broker) -> None:
    for words in (
        ("--cluster", node.address, "topic", "list"),
        ("topic", "--cluster", node.address, "list"),
        ("topic", "list", "--cluster", node.address),
        ("topic", "list", "--bootstrap-server", node.address),
        ("--cluster", "127.0.0.1:9", "topic", "list", "--cluster", node.address),
    ):
        assert admin(*words).returncode == 0
    assert admin("topic", "list", PYRALOG_CLUSTER=node.address).returncode == 0
