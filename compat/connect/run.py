"""Kafka Connect 4.3.1 with its file connectors: one worker standalone, two in distributed mode, each a Java process."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import confluent_kafka
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from compat.cases import Context, Suite, equal, eventually
from tests.reference.kafka import CACHE, java
from tests.reference.process import HOST, free_port

HERE = Path(__file__).parent
JARS = CACHE / "kafka-connect-4.3.1"
LINES = 200
PATIENCE_S = 100
CONVERTER = "org.apache.kafka.connect.storage.StringConverter"

suite = Suite("connect", timeout_s=200)


def install() -> None:
    """The jars, fetched once."""
    if not (JARS / "complete").exists():
        command = [
            "mvn",
            "-q",
            "-B",
            "dependency:copy-dependencies",
            f"-DoutputDirectory={JARS}",
            "-DincludeScope=runtime",
        ]
        subprocess.run(command, cwd=HERE, check=True, timeout=540, stdout=sys.stderr)
        (JARS / "log4j2.properties").write_text("rootLogger.level = ERROR\n")
        (JARS / "complete").touch()


class Worker:
    """A worker process; its REST interface is on a port of its own."""

    def __init__(
        self, kind: str, folder: Path, settings: Mapping[str, object], *connectors: Mapping[str, object]
    ) -> None:
        self.port = free_port()
        self.settings: dict[str, object] = {
            "key.converter": CONVERTER,
            "value.converter": CONVERTER,
            "offset.flush.interval.ms": 500,
            "listeners": f"http://{HOST}:{self.port}",
            "plugin.discovery": "service_load",
            **settings,
        }
        files = [write_properties(folder / f"worker-{self.port}.properties", self.settings)]
        files += [write_properties(folder / f"{each['name']}.properties", each) for each in connectors]
        options = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
        command = java(JARS, f"org.apache.kafka.connect.cli.Connect{kind}", *files, options=options)
        self._log = (folder / f"worker-{self.port}.log").open("w")
        self.process = subprocess.Popen(command, stdout=self._log, stderr=self._log, cwd=folder)

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The answer of the REST interface; None while it does not answer, or answers with an error."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"http://{HOST}:{self.port}{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                text = answer.read()
                return json.loads(text) if text else {}
        except (urllib.error.URLError, OSError):
            assert self.process.poll() is None, f"the worker ended with {self.process.returncode}"
            return None

    def stop(self) -> None:
        """Close it in order."""
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()
        self._log.close()

    def kill(self) -> None:
        """End it without a goodbye."""
        self.process.kill()
        self.process.wait()


@contextlib.contextmanager
def running(*arguments: Any) -> Iterator[Worker]:
    """A worker that is started, and stopped at the end."""
    worker = Worker(*arguments)
    try:
        yield worker
    finally:
        worker.stop()


def write_properties(path: Path, settings: Mapping[str, object]) -> str:
    path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    return str(path)


def source(name: str, topic: str, path: Path) -> dict[str, object]:
    kind = "org.apache.kafka.connect.file.FileStreamSourceConnector"
    return {"name": name, "connector.class": kind, "tasks.max": 1, "topic": topic, "file": path}


def sink(name: str, topic: str, path: Path) -> dict[str, object]:
    kind = "org.apache.kafka.connect.file.FileStreamSinkConnector"
    return {"name": name, "connector.class": kind, "tasks.max": 1, "topics": topic, "file": path}


def append(path: Path, first: int) -> None:
    with path.open("a") as file:
        file.writelines(f"line {number}\n" for number in range(first, first + LINES))


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def numbered(count: int) -> list[str]:
    return [f"line {number}" for number in range(count)]


def reach(path: Path, count: int) -> None:
    """Wait until so many lines have come out."""
    eventually(lambda: len(lines(path)) >= count, f"{count} lines", timeout_s=PATIENCE_S)


def read_committed(bootstrap: str, topic: str) -> list[str]:
    """The committed values of a topic with one partition."""
    settings = {"bootstrap.servers": bootstrap, "group.id": "unused", "isolation.level": "read_committed"}
    consumer = confluent_kafka.Consumer({**settings, "enable.partition.eof": True, "enable.auto.commit": False})
    consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
    found: list[str] = []
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        message = consumer.poll(1)
        if message is not None and message.error() is None:
            found.append(message.value().decode())
        elif message is not None and message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF:
            break
    consumer.close()
    return found


def create(bootstrap: str, topic: str) -> None:
    """A topic with one partition, so that lines keep their order."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([confluent_kafka.admin.NewTopic(topic, 1, 1)])[topic].result(20)


@suite.case("standalone", smoke=False)
def standalone(ctx: Context) -> object:
    """Lines of a file go through a topic into another; a second worker goes on where the first stood."""
    topic = ctx.topic("connect")
    create(ctx.bootstrap, topic)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = {"bootstrap.servers": ctx.bootstrap, "offset.storage.file.filename": folder / "offsets"}
        ends = (source(f"in-{topic}", topic, folder / "in"), sink(f"out-{topic}", topic, folder / "out"))
        for round_ in (1, 2):
            append(folder / "in", (round_ - 1) * LINES)
            with running("Standalone", folder, settings, *ends):
                reach(folder / "out", round_ * LINES)
        equal(lines(folder / "out"), numbered(2 * LINES))
    return {"group": group_of(ctx, f"connect-out-{topic}"), "written": len(read_committed(ctx.bootstrap, topic))}


def group_of(ctx: Context, group: str) -> list[int]:
    """The offsets that a sink's group has committed."""
    admin = AdminClient({"bootstrap.servers": ctx.bootstrap})
    wanted = confluent_kafka.ConsumerGroupTopicPartitions(group)
    found = admin.list_consumer_group_offsets([wanted])[group].result(20)
    return [one.offset for one in found.topic_partitions]


@suite.case("distributed", smoke=False)
def distributed(ctx: Context) -> object:
    """Two workers in a group of type `connect`; one is killed. The source is exactly-once: its lines are there once."""
    topic, cluster = ctx.topic("connect"), ctx.topic("cluster")
    create(ctx.bootstrap, topic)
    stores = {kind: f"{cluster}-{kind}" for kind in ("config", "offset", "status")}
    settings: dict[str, object] = {
        "bootstrap.servers": ctx.bootstrap,
        "group.id": cluster,
        "exactly.once.source.support": "enabled",
        "scheduled.rebalance.max.delay.ms": 1000,
        "session.timeout.ms": 6000,
        "heartbeat.interval.ms": 1000,
        "offset.storage.partitions": 3,
        "status.storage.partitions": 2,
    }
    for kind, store in stores.items():
        settings |= {f"{kind}.storage.topic": store, f"{kind}.storage.replication.factor": 1}
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        append(folder / "in", 0)
        workers = [stack.enter_context(running("Distributed", folder, settings)) for _ in range(2)]
        for connector in (source("in", topic, folder / "in"), sink("out", topic, folder / "out")):
            config = {key: str(value) for key, value in connector.items()}
            path = f"/connectors/{connector['name']}/config"
            eventually(lambda path=path, config=config: workers[0].ask("PUT", path, config), "a connector", PATIENCE_S)
        reach(folder / "out", LINES)
        described = described_group(ctx, cluster, members=2)
        workers[0].kill()
        append(folder / "in", LINES)
        reach(folder / "out", 2 * LINES)
        status = eventually(lambda: healthy(workers[1]), "the tasks at the other worker", PATIENCE_S)
    equal(read_committed(ctx.bootstrap, topic), numbered(2 * LINES))
    return {"group": described, "status": status, "policies": [policy(ctx, store) for store in stores.values()]}


def healthy(worker: Worker) -> Any:
    """The states of the two connectors and their tasks, once all run."""
    found = [worker.ask("GET", f"/connectors/{name}/status") for name in ("in", "out")]
    if None in found:
        return None
    states = [[each["connector"]["state"], *(task["state"] for task in each["tasks"])] for each in found]
    return states if states == [["RUNNING", "RUNNING"]] * 2 else None


def described_group(ctx: Context, group: str, members: int) -> object:
    """The workers' group, by the call that decodes nothing of its members."""
    admin = AdminClient({"bootstrap.servers": ctx.bootstrap})

    def stable() -> Any:
        found = admin.list_groups(group, timeout=10)
        return next((one for one in found if one.state == "Stable" and len(one.members) == members), None)

    found = eventually(stable, "a stable group of the workers", PATIENCE_S)
    return [found.protocol_type, found.protocol, len(found.members)]


def policy(ctx: Context, topic: str) -> str:
    admin = AdminClient({"bootstrap.servers": ctx.bootstrap})
    resource = ConfigResource(ResourceType.TOPIC, topic)
    return str(admin.describe_configs([resource])[resource].result(20)["cleanup.policy"].value)


if __name__ == "__main__":
    if shutil.which("mvn") is None or shutil.which("java") is None:
        sys.exit("Java and Maven are needed for Kafka Connect")
    install()
    sys.exit(suite.main())
