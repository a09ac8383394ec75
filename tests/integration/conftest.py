"""Real processes for the integration tests: brokers, client workers, and what is asked of both.

PYRALOG_TEST_BROKER=kafka runs them against Apache Kafka instead, to test the tests.
PYRALOG_LONG=N makes the short fault runs N times longer.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.reference.kafka import Kafka
from tests.reference.process import Broker
from tests.reference.pyralog import Pyralog

KIND = os.environ.get("PYRALOG_TEST_BROKER", "pyralog")
LONG = int(os.environ.get("PYRALOG_LONG", "1"))
ROOT = Path(__file__).parents[2]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "pyralog_only: asks for what only Pyralog has or promises")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if KIND != "pyralog":
        for item in items:
            if item.get_closest_marker("pyralog_only"):
                item.add_marker(pytest.mark.skip(reason="Pyralog only"))


def until(check: Callable[[], Any], what: str, timeout_s: float = 30) -> Any:
    """Poll until `check()` is true and return it."""
    deadline = time.monotonic() + timeout_s
    while not (result := check()):
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout_s} s")
        time.sleep(0.02)
    return result


def make_broker(data_dir: Path, settings: dict[str, object] | None = None, **options: Any) -> Broker:
    """A broker that is not started yet; `settings` are Pyralog's keys."""
    settings = dict(settings or {})
    if KIND == "kafka":
        translated: dict[str, object] = {}
        if settings.pop("storage.segment_config.sync_on_write", False):
            translated["log.flush.interval.messages"] = 1
        if "groups.initial_rebalance_delay_ms" in settings:
            translated["group.initial.rebalance.delay.ms"] = settings.pop("groups.initial_rebalance_delay_ms")
        settings.pop("network.handshake_timeout_ms", None)  # Kafka has none
        assert not settings, f"no Kafka setting is known for {settings}"
        return Kafka(data_dir=data_dir, settings=translated, **options)
    env = {"PYTHONPATH": str(ROOT), "KAFKA_LOG_RETENTION_MS": "-1", **options.pop("env", {})}
    return Pyralog(data_dir=data_dir, settings=settings, env=env, **options)


@pytest.fixture
def brokers(tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    """A factory of running brokers on fresh data directories; all are stopped at the end."""
    made: list[Broker] = []

    def start(settings: dict[str, object] | None = None, **options: Any) -> Broker:
        data_dir = options.pop("data_dir", tmp_path / f"data-{len(made)}")
        broker = make_broker(data_dir, settings, **options)
        made.append(broker)
        return broker.start()

    yield start
    for broker in made:
        broker.close()


@pytest.fixture
def broker(brokers: Callable[..., Broker]) -> Broker:
    """One running broker with default settings."""
    return brokers()


class Worker:
    """A client process with its history."""

    def __init__(self, role: str, client: str, broker: Broker, topic: str, folder: Path, *args: str) -> None:
        self.name = f"{role}-{client}-{topic}"
        self.history = folder / f"{self.name}.history"
        self.log = folder / f"{self.name}.log"
        command = [sys.executable, "-m", "tests.integration.worker", role, "--client", client, "--topic", topic]
        command += ["--bootstrap", broker.address, "--name", self.name, "--history", str(self.history), *args]
        with self.log.open("w") as output:
            env = {**os.environ, "PYTHONPATH": str(ROOT)}
            self.process = subprocess.Popen(command, stdout=output, stderr=output, env=env, cwd=ROOT)

    def acked(self) -> int:
        """How many sends were acknowledged by now."""
        if self.process.poll() not in (None, 0):
            raise AssertionError(f"{self.name} exited with {self.process.returncode}: {self.log.read_text()[-2000:]}")
        return self.history.read_bytes().count(b', "ok", ') if self.history.exists() else 0

    def stop(self) -> None:
        """Ask it to come to an end."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)

    def finish(self, timeout_s: float = 90) -> None:
        """Wait for its end, which must be a good one."""
        code = self.process.wait(timeout_s)
        assert code == 0, f"{self.name} exited with {code}: {self.log.read_text()[-2000:]}"


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """A factory of client processes; what still runs at the end is killed."""
    made: list[Worker] = []

    def start(role: str, client: str, broker: Broker, topic: str, *args: str) -> Worker:
        worker = Worker(role, client, broker, topic, tmp_path, *args)
        made.append(worker)
        return worker

    yield start
    for worker in made:
        if worker.process.poll() is None:
            worker.process.kill()
            worker.process.wait(10)


def create_topic(address: str, topic: str, partitions: int = 1, config: dict[str, str] | None = None) -> None:
    """Create a topic and wait until it has leaders."""
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": address, "log_level": 2})
    admin.create_topics([NewTopic(topic, partitions, 1, config=config or {})])[topic].result(20)

    def shown() -> bool:
        found = admin.list_topics(topic, timeout=10).topics[topic]
        return found.error is None and len(found.partitions) == partitions

    until(shown, f"{topic} in the metadata")
