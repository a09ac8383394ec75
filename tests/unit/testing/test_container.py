"""The container's logic against a Docker that only notes what it is asked; docs/TESTING.md has it with a real one."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from testcontainers.core.container import DockerContainer

from pyralog.testing import PyralogContainer
from pyralog.testing.container import READY, START_SCRIPT, start_script
from pyralog.version import __version__


class Wrapped:
    """What docker's library calls a container."""

    status = "running"

    def __init__(self) -> None:
        self.archives: list[tuple[str, bytes]] = []

    def reload(self) -> None:
        """Newer releases of testcontainers ask it for its state."""

    def put_archive(self, folder: str, data: bytes) -> None:
        self.archives.append((folder, data))


class Told:
    """The container as it was asked for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, logs: bytes) -> None:
        self.wrapped = Wrapped()
        self.calls: list[str] = []
        monkeypatch.setattr(
            DockerContainer, "__init__", lambda made, image, **options: self._init(made, image, options)
        )
        monkeypatch.setattr(DockerContainer, "start", lambda _: self.calls.append("start"))
        monkeypatch.setattr(DockerContainer, "stop", lambda *_, **__: self.calls.append("stop"))
        monkeypatch.setattr(DockerContainer, "get_wrapped_container", lambda _: self.wrapped)
        monkeypatch.setattr(DockerContainer, "get_container_host_ip", lambda _: "docker.example.com")
        monkeypatch.setattr(DockerContainer, "get_exposed_port", lambda _, port: 49153 if port == 9092 else 0)
        monkeypatch.setattr(DockerContainer, "get_logs", lambda _: (logs, b""))

    def _init(self, container: Any, image: str, options: dict[str, Any]) -> None:
        container.image, container.options, container.env, container.ports = image, options, {}, {}
        container._command = None


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    return Told(monkeypatch, f"Pyralog {__version__} ready: Kafka on localhost:9092\n".encode())


def test_it_waits_for_a_script_that_knows_the_mapped_port(told: Told) -> None:
    container = PyralogContainer("pyralog/pyralog:0.1.0").with_env("PYRALOG_TOPICS_NUM_PARTITIONS", "3")
    assert container.start() is container
    assert (container.image, container.options) == ("pyralog/pyralog:0.1.0", {"entrypoint": "sh"})
    assert container.env == {"PYRALOG_LISTEN_ADDRESS": "0.0.0.0:9092", "PYRALOG_TOPICS_NUM_PARTITIONS": "3"}
    assert f"[ ! -f {START_SCRIPT} ]" in container._command[1]
    ((folder, data),) = told.wrapped.archives
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        (entry,) = tar.getmembers()
        assert (folder, entry.name, entry.mode) == ("/", START_SCRIPT.lstrip("/"), 0o755)
        script = tar.extractfile(entry)
        assert script is not None
        assert b"PYRALOG_NETWORK_ADVERTISED_ADDRESS=docker.example.com:49153" in script.read()
    assert container.get_bootstrap_server() == "docker.example.com:49153"
    assert container.get_http_url() == container.get_schema_registry_address() == "http://docker.example.com:49153"
    assert told.calls == ["start"]


def test_a_broker_that_does_not_come_up_is_not_left_running(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told(monkeypatch, b"pyralog: 1 error\n")
    monkeypatch.setattr("testcontainers.core.wait_strategies.time.sleep", lambda _: None)
    container = PyralogContainer()
    monkeypatch.setattr(PyralogContainer, "reload", lambda _: None, raising=False)
    monkeypatch.setattr(PyralogContainer, "status", "running", raising=False)
    with pytest.raises(Exception, match=r"(?i)ready|tim"):
        container.start(timeout_s=0)
    assert told.calls == ["start", "stop"]


def test_the_script_runs_the_entrypoint_or_the_broker(tmp_path: Path) -> None:
    broker = tmp_path / "pyralog"
    broker.write_text('#!/bin/sh\necho "broker at $PYRALOG_NETWORK_ADVERTISED_ADDRESS"\n')
    broker.chmod(0o755)
    path = tmp_path / "tc-start.sh"
    path.write_text(start_script("localhost:49153"))
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    found = subprocess.run(["sh", str(path)], env=env, capture_output=True, text=True, timeout=20, check=True)
    assert found.stdout == "broker at localhost:49153\n"


def test_the_ready_line_is_the_brokers() -> None:
    from pyralog.app import ready_line

    assert READY.match(ready_line([]))
