"""Log files of a real broker: what is audited, what survives logrotate and a full disk, levels at run time."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import ROOT, create_topic, until
from tests.reference.process import Broker

pytestmark = pytest.mark.pyralog_only
Brokers = Callable[..., Broker]


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    return tmp_path / "logs"


def events(logs: Path, name: str = "") -> list[dict[str, Any]]:
    lines = (logs / "audit.log").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    return [each for each in found if each["event"].startswith(name)]


@pytest.fixture
def admin(brokers: Brokers, logs: Path) -> Iterator[Any]:
    from kafka.admin import KafkaAdminClient

    broker = brokers({"node.log_dir": logs, "groups.initial_rebalance_delay_ms": 0})
    client = KafkaAdminClient(bootstrap_servers=broker.address, client_id="the-admin")
    client.broker = broker
    yield client
    client.close()


def tool(broker: Broker, *words: str) -> str:
    command = [sys.executable, "-m", "pyralog.cli.admin", "--cluster", broker.address, "--yes", *words]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=env, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_changes_are_audited(admin: Any, logs: Path) -> None:
    from confluent_kafka import Consumer, Producer

    broker = admin.broker
    tool(broker, "topic", "create", "orders", "-p", "2", "--config", "retention.ms=1000000")
    tool(broker, "topic", "alter", "orders", "--set", "retention.ms=2000000")
    producer = Producer({"bootstrap.servers": broker.address})
    for number in range(10):
        producer.produce("orders", b"x", partition=number % 2)
    assert producer.flush(20) == 0
    consumer = Consumer({"bootstrap.servers": broker.address, "group.id": "readers", "auto.offset.reset": "earliest"})
    consumer.subscribe(["orders"])
    assert consumer.consume(10, 30)
    consumer.commit(asynchronous=False)
    consumer.close()
    tool(broker, "group", "seek", "readers", "--topic", "orders", "--to", "start")
    tool(broker, "topic", "trim", "orders", "--before", "2", "-p", "0")
    tool(broker, "group", "delete", "readers")
    tool(broker, "node", "loggers", "1", "pyralog.api=DEBUG")
    tool(broker, "topic", "delete", "orders")
    until(lambda: events(logs, "topic.delete"), "the last event")
    broker.stop()
    told = events(logs)
    assert [each["event"] for each in told] == [
        "node.start",
        "topic.create",
        "config.alter",
        "group.set_offsets",
        "topic.delete_records",
        "group.delete",
        "config.alter",
        "topic.delete",
        "node.stop",
    ]
    created, altered, moved, trimmed, _, levels, _ = told[1:-1]
    assert created["resource"] == "orders"
    assert (created["result"], created["principal"], created["node_id"]) == ("ok", "User:ANONYMOUS", 1)
    assert created["from"].startswith("127.0.0.1:")
    assert created["details"] == {"partitions": 2, "replication_factor": -1, "configs": {"retention.ms": "1000000"}}
    assert altered["resource"] == "topic orders"
    assert altered["details"] == {"changes": {"retention.ms": "2000000"}}
    assert (moved["resource"], moved["details"]) == ("readers", {"topic": "orders", "offsets": {"0": 0, "1": 0}})
    assert trimmed["details"] == {"before_offsets": {"0": 2}}
    assert (levels["resource"], levels["details"]) == ("broker_logger 1", {"changes": {"pyralog.api": "DEBUG"}})


def test_what_failed_is_audited_as_such(admin: Any, logs: Path) -> None:
    from kafka.admin import NewTopic

    create_topic(admin.broker.address, "orders")
    with pytest.raises(Exception, match="TopicAlreadyExists"):
        admin.create_topics([NewTopic("orders", 1, 1)])
    forged = 'x", "event": "topic.delete"}\n{"event": "forged'
    with pytest.raises(Exception, match="InvalidTopic"):
        admin.create_topics([NewTopic(forged, 1, 1)])
    until(lambda: len(events(logs)) == 4, "all events")
    told = events(logs, "topic.create")
    assert [(each["resource"], each["result"]) for each in told] == [
        ("orders", "ok"),
        ("orders", "TOPIC_ALREADY_EXISTS"),
        (forged, "INVALID_TOPIC_EXCEPTION"),
    ]
    assert told[2]["client_id"] == "the-admin"


def test_topics_that_are_made_by_being_mentioned(brokers: Brokers, logs: Path) -> None:
    from confluent_kafka import Producer

    broker = brokers({"node.log_dir": logs, "topics.auto_create": "true"})
    producer = Producer({"bootstrap.servers": broker.address})
    producer.produce("mentioned", b"x")
    assert producer.flush(20) == 0
    (told,) = until(lambda: events(logs, "topic.create"), "the event")
    assert (told["resource"], told["details"]) == ("mentioned", {"automatic": True})


def test_logrotate(admin: Any, logs: Path) -> None:
    broker = admin.broker
    create_topic(broker.address, "one")
    until(lambda: events(logs, "topic.create"), "the event")
    (logs / "audit.log").rename(logs / "audit.log.1")
    (logs / "audit.log").touch(0o600)
    create_topic(broker.address, "two")
    assert [each["resource"] for each in until(lambda: events(logs), "the event")] == ["two"]
    os.truncate(logs / "audit.log", 0)
    create_topic(broker.address, "three")
    assert [each["resource"] for each in until(lambda: events(logs), "the event")] == ["three"]


def test_a_full_disk_of_logs_stops_nothing(brokers: Brokers, logs: Path) -> None:
    logs.mkdir()
    for name in ("pyralog.log", "audit.log", "error.log"):
        (logs / name).symlink_to("/dev/full")
    broker = brokers({"node.log_dir": logs})
    for number in range(5):
        create_topic(broker.address, f"topic-{number}")
    broker.stop()
    output = broker.log_file.read_text(encoding="utf-8")
    for name in ("pyralog.log", "audit.log"):
        assert output.count(f"pyralog: cannot write {logs}/{name}: No space left on device") == 1


def test_levels_at_run_time(admin: Any, logs: Path) -> None:
    broker = admin.broker
    listed = json.loads(tool(broker, "node", "loggers", "1", "--format", "json"))
    levels = {each["logger"]: each["level"] for each in listed}
    assert levels["root"] == "INFO"
    assert "pyralog.audit" not in levels
    tool(broker, "node", "loggers", "1", "root=ERROR", "pyralog.api.dispatch=TRACE")
    listed = json.loads(tool(broker, "node", "loggers", "1", "--format", "json"))
    levels = {each["logger"]: each["level"] for each in listed}
    assert (levels["root"], levels["pyralog.app"], levels["pyralog.api.dispatch"]) == ("ERROR", "ERROR", "TRACE")
    tool(broker, "node", "loggers", "1", "pyralog.api.dispatch=")
    listed = json.loads(tool(broker, "node", "loggers", "1", "--format", "json"))
    assert {each["logger"]: each["level"] for each in listed}["pyralog.api.dispatch"] == "ERROR"
    create_topic(broker.address, "audited-all-the-same")
    until(lambda: events(logs, "topic.create"), "the event")


def test_the_start_says_the_limits_of_open_files(brokers: Brokers, logs: Path) -> None:
    brokers({"node.log_dir": logs})
    line = until(lambda: (logs / "pyralog.log").read_text(encoding="utf-8"), "the first line")
    assert "pyralog.cli.daemon: Pyralog " in line
    assert "(soft limit)" in line
    assert "(hard limit)" in line


def test_reading_the_configuration_again_is_audited_and_levels_cannot_silence_that(admin: Any, logs: Path) -> None:
    broker = admin.broker
    tool(broker, "cluster", "config", "set", "logging.level=off,pyralog.audit=off")
    os.kill(broker.pid, signal.SIGHUP)
    until(lambda: events(logs, "config.reload"), "the event")
    altered, reloaded = events(logs, "config.")
    assert altered["details"] == {"changes": {"logging.level": "off,pyralog.audit=off"}}
    assert (reloaded["resource"], reloaded["result"]) == ("node", "ok")
    listed = json.loads(tool(broker, "node", "loggers", "1", "--format", "json"))
    assert {each["logger"]: each["level"] for each in listed}["pyralog.app"] == "OFF"


LOGROTATE = shutil.which("logrotate") or shutil.which("logrotate", path="/usr/sbin")


@pytest.mark.skipif(LOGROTATE is None, reason="logrotate is not here")
@pytest.mark.parametrize("how", ["create", "copytruncate"])
def test_logrotate_itself(admin: Any, logs: Path, how: str) -> None:
    rules = (ROOT / "packaging" / "debian" / "pyralog.logrotate").read_text(encoding="utf-8")
    rules = rules.replace("/var/log/pyralog", str(logs)).replace("    su pyralog pyralog\n", "")
    rules = rules.replace("create 0640 pyralog pyralog", "create 0640" if how == "create" else how)
    file = logs.parent / "rules"
    file.write_text(rules, encoding="utf-8")
    file.chmod(0o644)
    command = [str(LOGROTATE), "--force", "--state", str(logs.parent / "state"), str(file)]
    for number in range(3):
        create_topic(admin.broker.address, f"topic-{number}")
        until(lambda: events(logs, "topic.create"), "the event")
        subprocess.run(command, check=True, timeout=30)
        assert events(logs) == []
    create_topic(admin.broker.address, "last")
    (told,) = until(lambda: events(logs), "the event")
    assert told["resource"] == "last"
    kept = [json.loads(line) for line in (logs / "audit.log.1").read_text(encoding="utf-8").splitlines()]
    assert [each["resource"] for each in kept] == ["topic-2"]
    assert (logs / "audit.log.3.gz").exists()
