"""Configs of brokers as people set them: kafka-configs, kafka-python's command, pyralog-admin; and kill -9 after it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import LONG, until
from tests.integration.dynamic import Admin
from tests.reference.kafka import tool
from tests.reference.process import Broker

needs_java = pytest.mark.skipif(shutil.which("java") is None, reason="Kafka's tools need Java")
pyralog_only = pytest.mark.pyralog_only


def command(*words: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *words], capture_output=True, text=True, timeout=90, check=False, env=dict(os.environ)
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def kafka_configs(broker: Broker, *words: str) -> str:
    done = tool("ConfigCommand", "--bootstrap-server", broker.address, "--entity-type", "brokers", *words, check=False)
    return done.stdout + done.stderr


@needs_java
def test_kafka_configs(brokers: Callable[..., Broker]) -> None:
    broker = brokers()
    everyone, one = ("--entity-default",), ("--entity-name", "1")
    said = kafka_configs(broker, *everyone, "--alter", "--add-config", "log.retention.ms=5000,max.connections=77")
    assert said.strip() == "Completed updating default config for brokers in the cluster."
    said = kafka_configs(broker, *one, "--alter", "--add-config", "log.retention.ms=6000")
    assert said.strip() == "Completed updating config for broker 1."
    shown = kafka_configs(broker, *one, "--describe")
    line = next(row for row in shown.splitlines() if "log.retention.ms=" in row)
    assert "log.retention.ms=6000 sensitive=false synonyms={DYNAMIC_BROKER_CONFIG:log.retention.ms=6000, " in line
    assert "DYNAMIC_DEFAULT_BROKER_CONFIG:log.retention.ms=5000" in line
    everywhere = kafka_configs(broker, *everyone, "--describe")
    assert "max.connections=77" in everywhere
    assert "log.retention.ms=6000" not in everywhere
    said = kafka_configs(broker, *everyone, "--alter", "--add-config", "message.max.bytes=x")
    assert "Invalid value x for configuration message.max.bytes: Not a number of type INT" in said
    said = kafka_configs(broker, *one, "--alter", "--add-config", "node.id=7")
    assert "Cannot update these configs dynamically: [node.id]" in said
    kafka_configs(broker, *one, "--alter", "--delete-config", "log.retention.ms")
    assert "log.retention.ms=5000" in kafka_configs(broker, *one, "--describe", "--all")


@needs_java
def test_a_throttled_reassignment(brokers: Callable[..., Broker], tmp_path: Path) -> None:
    """kafka-reassign-partitions sets rates on each broker, and takes them back when it is done."""
    broker = brokers()
    with Admin(broker.port) as admin:
        admin.create_topics(["t"], 1, 1, {})
        plan = tmp_path / "plan.json"
        plan.write_text('{"version": 1, "partitions": [{"topic": "t", "partition": 0, "replicas": [1]}]}')
        arguments = ("--bootstrap-server", broker.address, "--reassignment-json-file", str(plan))
        command_class = "org.apache.kafka.tools.reassign.ReassignPartitionsCommand"
        said = tool(command_class, *arguments, "--execute", "--throttle", "1000000").stdout
        assert "The inter-broker throttle limit was set to 1000000 B/s" in said
        assert admin.configs()["leader.replication.throttled.rate"].value == "1000000"
        said = tool(command_class, *arguments, "--verify").stdout
        assert "Reassignment of partition t-0 is completed." in said
        assert admin.configs()["leader.replication.throttled.rate"].config_source == 5


def test_kafka_pythons_command(brokers: Callable[..., Broker]) -> None:
    broker = brokers()

    def configs(*words: str) -> Any:
        words = ("-b", broker.address, "--format", "json", "configs", *words)
        return json.loads(command("kafka.admin", *words).splitlines()[-1])

    configs("alter", "-r", "broker", "-n", "1", "-c", "message.max.bytes=2000000")
    shown = configs("describe", "-r", "broker", "-n", "1", "-c", "message.max.bytes")
    found = shown["broker"]["1"]["message.max.bytes"]
    assert (found["value"], found["config_source"]) == ("2000000", "DYNAMIC_BROKER_CONFIG")
    configs("reset", "-r", "broker", "-n", "1", "-c", "message.max.bytes")
    shown = configs("describe", "-r", "broker", "-n", "1", "-c", "message.max.bytes")
    assert shown["broker"]["1"]["message.max.bytes"]["config_source"] == "DEFAULT_CONFIG"


@pyralog_only
def test_pyralog_admin(brokers: Callable[..., Broker]) -> None:
    broker = brokers({"groups.max_size": 7})

    def config(*words: str, code: int = 0) -> str:
        return command("pyralog.cli.admin", "--cluster", broker.address, "cluster", "config", *words, code=code)

    def get(*words: str) -> dict[str, Any]:
        return {row["name"]: row for row in json.loads(config("get", *words, "--format", "json"))}

    config("set", "max.connections=77", "storage.cache_config.max_size=8MiB", "--dry-run")
    assert get() == {}
    config("set", "max.connections=77", "storage.cache_config.max_size=8MiB")
    config("set", "max.connections=78", "--node", "1")
    assert {name: row["value"] for name, row in get().items()} == {
        "max.connections": "77",
        "storage.cache_config.max_size": "8388608",
    }
    row = get("max.connections", "--node", "1")["max.connections"]
    assert (row["value"], row["source"], row["read_only"]) == ("78", "dynamic_broker", False)
    assert get("node.id", "--node", "1")["node.id"]["read_only"]
    differing = {row["name"]: row["value"] for row in json.loads(config("diff", "--format", "json"))}
    assert differing["max.connections"] == "78"
    assert differing["group.max.size"] == "7"
    assert "Set max.connections." in config("set", "network.max_connections=5", code=1)
    assert "Unknown broker config name: max.conections" in config("set", "max.conections=5", code=1)
    config("unset", "max.connections", "--node", "1")
    config("unset", "max.connections", "storage.cache_config.max_size")
    assert get() == {}


@pyralog_only
def test_kill_after_the_answer(brokers: Callable[..., Broker]) -> None:
    """Whoever was told that a value is set finds it set after kill -9, in force and in the log of the start."""
    broker = brokers({"logging.level": "warn"})
    for count in (50, 60, 70):
        with Admin(broker.port) as admin:
            admin.set(max__connections=count, logging__level="info")
        broker.kill()
        broker.start()
        with Admin(broker.port) as admin:
            assert admin.configs()["max.connections"].value == str(count)
    begun = "network.max_connections: 70 (was 10000)"
    until(lambda: begun in broker.log_tail(), "the log of the start says what is in force")


@pyralog_only
def test_nothing_is_lost_while_values_change(brokers: Callable[..., Broker]) -> None:
    """A producer goes on over changes of limits, syncs, codecs and segments; kill -9, and all it was told is there."""
    from kafka import KafkaConsumer, KafkaProducer

    broker = brokers()
    values = [
        {"storage.segment_config.sync_on_write": "true"},
        {"storage.cache_config.enabled": "false", "compression.type": "zstd"},
        {"storage.cache_config.max_buffer_time_ms": "1s", "storage.segment_config.sync_on_write": "false"},
        {"log.segment.bytes": "1048576", "socket.request.max.bytes": "300000", "max.connections": "50"},
        {"log.message.timestamp.type": "LogAppendTime", "fetch.max.bytes": "2000", "log.roll.ms": "100"},
    ]
    changed = sorted({name for each in values for name in each})
    told: list[int] = []
    with (
        Admin(broker.port) as admin,
        KafkaProducer(bootstrap_servers=broker.address, acks="all", linger_ms=1, request_timeout_ms=5000) as producer,
    ):
        admin.create_topics(["t"], 1, 1, {})
        sent, deadline, rounds = 0, time.monotonic() + 5 * LONG, 0
        while time.monotonic() < deadline or rounds < 2 * len(values):
            assert admin.alter({**dict.fromkeys(changed), **values[rounds % len(values)]}) == (0, None)
            rounds += 1
            futures = [producer.send("t", b"%d" % (sent + i)) for i in range(200)]
            sent += len(futures)
            told += [future.get(20).offset for future in futures]
    assert told == list(range(sent))
    broker.kill()
    broker.start()
    with KafkaConsumer(
        "t", bootstrap_servers=broker.address, auto_offset_reset="earliest", consumer_timeout_ms=3000
    ) as consumer:
        read = []
        for record in consumer:
            read.append(int(record.value))
            if len(read) == sent:
                break
    assert read == list(range(sent))
