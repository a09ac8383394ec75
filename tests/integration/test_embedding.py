"""pyralog.testing as its users meet it: the examples of docs/TESTING.md, the pytest plugin, a node as a process."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pyralog.testing import BrokerFailedError, LocalCluster

pytestmark = pytest.mark.pyralog_only

ROOT = Path(__file__).parents[2]
DOC = ROOT / "docs" / "TESTING.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def examples() -> dict[str, str]:
    """Title and code of each example."""
    sections = [section.partition("\n") for section in DOC.read_text(encoding="utf-8").split("\n### ")]
    return {title: code for title, _, text in sections for code in BLOCK.findall(text)}


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A user's test run: their folder, their pytest, no settings of this project."""
    (folder / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\naddopts = -p no:randomly -p no:cacheprovider\n")
    command = [sys.executable, "-m", "pytest", "-q", *arguments]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=100, check=False)


@pytest.mark.parametrize("title", examples())
def test_the_examples_of_the_documentation_work(title: str, tmp_path: Path) -> None:
    code = examples()[title]
    if "PyralogContainer" in code and not docker():
        pytest.skip("no Docker here")
    (tmp_path / "test_example.py").write_text(code, encoding="utf-8")
    found = run_pytest(tmp_path)
    assert found.returncode == 0, found.stdout + found.stderr
    assert " passed" in found.stdout


def docker() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, timeout=30, check=False).returncode == 0


def test_the_clients_have_an_example_each() -> None:
    titles = " ".join(examples())
    assert all(client in titles for client in ("kafka-python", "confluent-kafka", "aiokafka"))


def test_the_plugin(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "import pytest\n\n\n@pytest.fixture(scope='session')\ndef pyralog_config():\n"
        "    return {'topics.num_partitions': 3}\n"
    )
    (tmp_path / "test_it.py").write_text(
        "seen = []\n\n"
        "def test_one(pyralog_broker, pyralog_topic):\n"
        "    seen.append((pyralog_broker, pyralog_topic(partitions=-1)))\n"
        "    assert pyralog_broker.topics() == {seen[0][1]: 3}\n"
        "    assert seen[0][1].startswith('test_one-')\n\n"
        "def test_two(pyralog_broker):\n"
        "    assert pyralog_broker is seen[0][0]\n"
        "    assert pyralog_broker.topics() == {}\n\n"
        "def test_three(pyralog_brokers):\n"
        "    seen.append((pyralog_brokers(node_id=5), ''))\n"
        "    assert seen[-1][0].running\n\n"
        "def test_four():\n"
        "    assert not seen[-1][0].running\n"
    )
    found = run_pytest(tmp_path)
    assert "4 passed" in found.stdout, found.stdout + found.stderr
    assert "pyralog_broker" in run_pytest(tmp_path, "--fixtures").stdout


def test_a_node_that_is_killed_paused_and_restarted(tmp_path: Path) -> None:
    with LocalCluster(folder=tmp_path, config={"topics.num_partitions": 2}) as cluster:
        node = cluster.node(1)
        cluster.create_topic("a", -1)
        first, port = node.pid, node.port
        node.pause()
        with socket.create_connection((node.host, node.port), 10) as client:
            client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            client.settimeout(0.2)
            with pytest.raises(TimeoutError):
                client.recv(1)
            node.resume()
            client.settimeout(10)
            assert client.recv(12) == b"HTTP/1.1 200"
        assert node.kill() == -signal.SIGKILL
        assert not (node.data_dir / ".clean_shutdown").exists()
        with pytest.raises(BrokerFailedError, match="no node"):
            cluster.topics()
        cluster.start()
        assert (node.port, node.pid == first) == (port, False)
        assert cluster.topics() == {"a": 2}
        node.pause()
        assert node.stop() == 0  # also when it is paused
        node.restart()
        assert cluster.bootstrap_servers == f"127.0.0.1:{port}"
        assert "ready" in node.log_tail()
        last = node.pid
    assert not Path(f"/proc/{last}").exists()
    assert (tmp_path / "node-1" / "data" / ".clean_shutdown").exists()


def test_a_cluster_in_a_temporary_folder_leaves_nothing(tmp_path: Path) -> None:
    with LocalCluster() as cluster:
        folder = cluster.folder
        assert folder.is_dir()
    assert not folder.exists()
    forgotten = LocalCluster(folder=tmp_path).start()
    pid = forgotten.node(1).pid
    del forgotten
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{pid}").exists()


def test_what_a_cluster_refuses(tmp_path: Path) -> None:
    with pytest.raises(NotImplementedError, match="runs a single node"):
        LocalCluster(nodes=3)
    with pytest.raises(ValueError, match="at least one"):
        LocalCluster(nodes=0)
    cluster = LocalCluster(folder=tmp_path, config={"topics.num_partitons": 2})
    with pytest.raises(BrokerFailedError, match="num_partitions"):
        cluster.start()
    with pytest.raises(KeyError, match="there is no node 2, only 1"):
        cluster.node(2)
    cluster.close()
