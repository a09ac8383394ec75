"""The node as a process: its ready line, its stop, what refuses its start, and what it keeps."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka.admin import KafkaAdminClient, NewTopic

from pyralog.app import ready_line
from pyralog.config.endpoints import Address, Listener
from pyralog.net.listeners import bind_listeners
from pyralog.version import __version__

READY = re.compile(rf"^Pyralog {re.escape(__version__)} ready: Kafka on localhost:(\d+)$", re.MULTILINE)


class Process:
    """A running node on a port of its own."""

    def __init__(self, data_dir: Path, *settings: str, port: int = 0) -> None:
        chosen = (
            f"node.data_dir={data_dir}",
            f"network.listen_address=127.0.0.1:{port}",
            "network.internal_address=127.0.0.1:1",
            *settings,
        )
        arguments = [word for setting in chosen for word in ("--set", setting)]
        self.child = subprocess.Popen(
            [sys.executable, "-m", "pyralog.cli.daemon", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.output = ""
        self.port = 0

    def wait_ready(self) -> Process:
        assert self.child.stdout is not None
        for line in self.child.stdout:
            self.output += line
            if found := READY.search(line):
                self.port = int(found[1])
                return self
        raise AssertionError(f"ended with {self.child.wait()} before it was ready:\n{self.output}")

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; the exit code. The rest of the output is then in `output`."""
        self.child.send_signal(number)
        return self.rest()

    def rest(self) -> int:
        out, _ = self.child.communicate(timeout=30)
        self.output += out
        return self.child.returncode


@contextlib.contextmanager
def process(data_dir: Path, *settings: str, port: int = 0) -> Iterator[Process]:
    found = Process(data_dir, *settings, port=port)
    try:
        yield found
    finally:
        if found.child.poll() is None:
            found.child.kill()
        found.child.communicate()


def refused(data_dir: Path, *settings: str, port: int = 0) -> tuple[int, str]:
    """The exit code and output of a node that is to refuse its start."""
    with process(data_dir, *settings, port=port) as node:
        code = node.rest()
        return code, node.output


def admin(node: Process) -> KafkaAdminClient:
    return KafkaAdminClient(bootstrap_servers=f"127.0.0.1:{node.port}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_one_ready_line_and_a_clean_stop(tmp_path: Path, number: int) -> None:
    with process(tmp_path) as node:
        node.wait_ready()
        assert node.end(number) == 0
        assert len(READY.findall(node.output)) == 1
        assert "Traceback" not in node.output
        assert (tmp_path / ".clean_shutdown").exists()


def test_topics_outlive_stops_and_kills(tmp_path: Path) -> None:
    ids = set()
    for run, number in enumerate((signal.SIGTERM, signal.SIGKILL, signal.SIGTERM)):
        with process(tmp_path) as node:
            client = admin(node.wait_ready())
            if run == 0:
                client.create_topics([NewTopic("a", 2, 1)])
            (topic,) = client.describe_topics(["a"])
            ids.add(topic["topic_id"])
            assert [p["leader_epoch"] for p in topic["partitions"]] == [run, run]
            client.close()
            node.end(number)
    assert len(ids) == 1


def test_health_on_the_client_port(tmp_path: Path) -> None:
    with process(tmp_path) as node:
        node.wait_ready()
        with urllib.request.urlopen(f"http://127.0.0.1:{node.port}/health", timeout=10) as answer:
            found = json.load(answer)
        assert found["status"] == "ok"
        assert found["node_id"] == 1
        assert found["cluster_id"] in (tmp_path / "meta.properties").read_text()
        assert node.end() == 0


def test_a_port_in_use_is_refused_with_its_owner(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, output = refused(tmp_path, port=port)
    assert code == 1
    assert "Address already in use" in output
    assert f"127.0.0.1:{port} is taken" in output
    assert "Traceback" not in output


def test_a_second_process_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    with process(tmp_path) as node:
        node.wait_ready()
        code, output = refused(tmp_path)
        assert code == 1
        assert f"in use by another process (pid {node.child.pid})" in output
        assert "Traceback" not in output
        assert node.end() == 0


def test_another_nodes_folder_is_refused(tmp_path: Path) -> None:
    with process(tmp_path) as node:
        node.wait_ready()
        node.end()
    code, output = refused(tmp_path, "node.node_id=2", "node.cluster_nodes=2")
    assert code == 1
    assert "belongs to node 1, but this node has the id 2" in output


def test_lost_or_damaged_metadata_is_refused_and_kept(tmp_path: Path) -> None:
    with process(tmp_path) as node:
        client = admin(node.wait_ready())
        client.create_topics([NewTopic("a", 1, 1)])
        client.close()
        node.end()
    log = tmp_path / "__cluster_metadata-0" / f"{0:020d}.log"
    whole = log.read_bytes()
    log.write_bytes(whole[:70] + b"X" + whole[71:])
    code, output = refused(tmp_path)
    assert code == 1
    assert "is damaged at byte" in output
    assert "Traceback" not in output
    assert (tmp_path / "a-0").exists()
    log.parent.rename(tmp_path / "aside")
    code, output = refused(tmp_path)
    assert code == 1
    assert "its metadata log is missing" in output
    assert (tmp_path / "a-0").exists()
    shutil.rmtree(tmp_path / "__cluster_metadata-0")
    (tmp_path / "aside" / log.name).write_bytes(whole)
    (tmp_path / "aside").rename(log.parent)
    with process(tmp_path) as node:
        client = admin(node.wait_ready())
        assert client.list_topics() == ["a"]
        client.close()
        assert node.end() == 0


def test_the_ready_line_says_where() -> None:
    plain = Listener("PLAINTEXT", Address("127.0.0.1", 9092))
    assert ready_line([plain]) == f"Pyralog {__version__} ready: Kafka on localhost:9092"
    others = [
        Listener("A", Address("0.0.0.0", 9092)),
        Listener("B", Address("10.0.0.1", 9093)),
        Listener("C", Address("::", 9094), Address("kafka.example.com", 443)),
    ]
    assert ready_line(others).endswith("Kafka on localhost:9092, 10.0.0.1:9093, kafka.example.com:443")


def test_listeners_are_bound_together_or_not_at_all() -> None:
    (first, listener), *_ = bound = bind_listeners((Listener("A", Address("127.0.0.1", 0)),))
    assert len(bound) == 1
    assert listener.listen.port == first.getsockname()[1]
    first.listen()
    with pytest.raises(OSError, match="in use"):
        bind_listeners((Listener("B", Address("127.0.0.1", 0)), listener))
    first.close()


def test_an_address_that_cannot_be_bound_is_named() -> None:
    with pytest.raises(OSError, match="Cannot assign") as caught:
        bind_listeners((Listener("A", Address("192.0.2.1", 19092)),))
    assert caught.value.filename == "192.0.2.1:19092"
