"""`pyralog-admin` as a user types it, against a running node."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import make_broker
from tests.reference.process import Broker


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with make_broker(Path(tmp_path_factory.mktemp("admin"))) as broker:
        yield broker


def admin(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pyralog.cli.admin", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)


def test_topics_from_creation_to_deletion(node: Broker) -> None:
    made = admin(
        "--cluster", node.address, "topic", "create", "orders", "--partitions", "3", "--config", "retention.ms=60000"
    )
    assert (made.returncode, made.stdout) == (0, ""), made.stderr
    listed = admin("topic", "list", "--format", "json", "--cluster", node.address)
    assert json.loads(listed.stdout) == [{"topic": "orders", "partitions": 3, "replicas": 1}]
    described = admin("--cluster", node.address, "--format", "json", "topic", "describe", "orders")
    assert [row["partition"] for row in json.loads(described.stdout)] == [0, 1, 2]
    assert {row["leader"] for row in json.loads(described.stdout)} == {1}
    table = admin("--cluster", node.address, "topic", "describe", "orders").stdout.splitlines()
    assert table[0].split() == ["PARTITION", "LEADER", "EPOCH", "REPLICAS", "ISR"]
    assert len(table) == 4
    assert admin("--cluster", node.address, "topic", "delete", "orders").returncode == 1  # nobody said yes
    assert admin("--cluster", node.address, "topic", "delete", "orders", "--yes").returncode == 0
    assert json.loads(admin("topic", "list", "--format", "json", "--cluster", node.address).stdout) == []


def test_refusals_say_what_and_why(node: Broker) -> None:
    unknown = admin("--cluster", node.address, "topic", "describe", "nowhere")
    assert (unknown.returncode, unknown.stderr) == (1, "pyralog-admin: there is no topic nowhere\n")
    bad = admin("--cluster", node.address, "topic", "create", "t", "--config", "retention.mss=1")
    assert bad.returncode == 1
    assert "retention.mss" in bad.stderr
    assert admin("--cluster", node.address, "topic", "create", "t", "--config", "retention.ms").returncode == 2
    gone = admin("--cluster", "127.0.0.1:9", "topic", "list")
    assert gone.returncode == 3
    assert "127.0.0.1:9 cannot be reached" in gone.stderr


@pytest.mark.pyralog_only
def test_health(node: Broker) -> None:
    well = admin("health", "--cluster", node.address, "--format", "json")
    assert well.returncode == 0, well.stderr
    assert json.loads(well.stdout)["status"] == "ok"
    assert admin("health", "--cluster", "127.0.0.1:9").returncode == 3
