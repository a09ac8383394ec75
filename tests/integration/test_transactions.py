"""Transactions of real clients over kill -9 of the broker: every one is there as a whole, or not at all."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.checker.history import Assign, Event, Poll, Txn, load
from tests.checker.judge import check
from tests.integration.conftest import LONG, create_topic, until
from tests.integration.transactional_worker import CLIENTS
from tests.reference.kafka import install_tools, java
from tests.reference.process import TIED_TO_US, Broker

PARTITIONS = 3
TOPIC = "ledger"
TRANSACTIONS = 30  # of each client between two kills
KILLS = 2 * LONG


class Application:
    """A worker process and its history."""

    def __init__(self, client: str, name: str, broker: Broker, folder: Path) -> None:
        self.path = folder / f"{name}.jsonl"
        self.errors = folder / f"{name}.err"
        self.name = name
        command = [sys.executable, "-m", "tests.integration.transactional_worker", client, broker.address, TOPIC]
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen([*command, str(PARTITIONS), name, str(self.path)], stderr=errors)

    def history(self) -> list[Event]:
        return load(self.path) if self.path.exists() else []

    def committed(self) -> int:
        return sum(isinstance(event, Txn) and event.kind == "ok" for event in self.history())

    def finish(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(120) == 0, self.errors.read_text()[-2000:]

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def applications(tmp_path: Path) -> Iterator[Callable[[str, str, Broker], Application]]:
    started: list[Application] = []

    def start(client: str, name: str, broker: Broker) -> Application:
        started.append(Application(client, name, broker, tmp_path))
        return started[-1]

    yield start
    for application in started:
        application.kill()


def read_committed(broker: Broker) -> list[Event]:
    """What a reader of committed records sees, to the end of what is stable."""
    from confluent_kafka import Consumer, KafkaError, TopicPartition

    consumer = Consumer(
        {
            "bootstrap.servers": broker.address,
            "group.id": "reader",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    consumer.assign([TopicPartition(TOPIC, index, 0) for index in range(PARTITIONS)])
    seen: list[Event] = [Assign("reader")]
    left = set(range(PARTITIONS))
    deadline = time.monotonic() + 60
    while left:
        assert time.monotonic() < deadline, f"partitions {left} have no end"
        message = consumer.poll(0.5)
        if message is None:
            continue
        if message.error() is not None:
            assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
            left.discard(message.partition())
            continue
        value = message.value()
        assert value is not None
        seen.append(Poll("reader", f"{TOPIC}-{message.partition()}", [(message.offset(), value.decode())]))
    consumer.close()
    return seen


def stable(broker: Broker) -> bool:
    """No transaction is open any more."""
    from confluent_kafka import IsolationLevel, TopicPartition
    from confluent_kafka.admin import AdminClient, OffsetSpec

    admin = AdminClient({"bootstrap.servers": broker.address})
    ends = []
    for level in (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED):
        asked = {TopicPartition(TOPIC, index): OffsetSpec.latest() for index in range(PARTITIONS)}
        found = admin.list_offsets(asked, isolation_level=level)
        ends.append([future.result().offset for future in found.values()])
    return ends[0] == ends[1]


def judge(apps: list[Application], broker: Broker) -> None:
    until(lambda: stable(broker), "every transaction to end", timeout_s=60)
    history = [event for app in apps for event in app.history()]
    assert check([*history, *read_committed(broker)], dense=False) == []


@pytest.mark.timeout(120 + 60 * LONG)
@pytest.mark.parametrize("sync", [False, True], ids=["sync_on_write=off", "sync_on_write=on"])
def test_transactions_survive_kill_9(
    brokers: Callable[..., Broker], applications: Callable[[str, str, Broker], Application], sync: bool
) -> None:
    broker = brokers({"storage.segment_config.sync_on_write": sync})
    create_topic(broker.address, TOPIC, PARTITIONS)
    apps = [applications(client, client, broker) for client in CLIENTS]

    def progress() -> None:
        goals = {app.name: app.committed() + TRANSACTIONS for app in apps}
        until(lambda: all(app.committed() >= goals[app.name] for app in apps), "more transactions", timeout_s=60)

    progress()
    for _ in range(KILLS):
        broker.kill()
        broker.start()
        progress()
    for app in apps:
        app.finish()
    judge(apps, broker)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_killed_application_leaves_nothing_behind(
    brokers: Callable[..., Broker], applications: Callable[[str, str, Broker], Application], client: str
) -> None:
    """Its successor aborts what it left open, at once and not only when that has timed out."""
    broker = brokers()
    create_topic(broker.address, TOPIC, PARTITIONS)
    apps = []
    for generation in range(3):
        app = applications(client, f"{client}:{generation}", broker)
        apps.append(app)
        until(lambda app=app: app.committed() >= 5, "transactions", timeout_s=60)
        app.kill()
    judge(apps, broker)


COPIES = 1200  # records that each application copies, ten in a transaction
COPIERS = ("kafka-python", "confluent-kafka", *(["java"] if shutil.which("java") else []))
COPIER_CLASS = "org.apache.kafka.tools.TransactionalMessageCopier"


class Copier:
    """A read-process-write application, started again whenever it ends; Java's is that of Kafka's system tests."""

    def __init__(self, client: str, broker: Broker, folder: Path) -> None:
        self.source, self.sink = f"{client}-in", f"{client}-out"
        self.errors = folder / f"{client}.copier"
        self.lives = 0
        python = [sys.executable, "-m", "tests.integration.copying_worker", client, broker.address]
        self.command = [*TIED_TO_US, *python, self.source, self.sink]
        if client == "java":
            args = ["--broker-list", broker.address, "--input-topic", self.source, "--input-partition", "0"]
            args += ["--output-topic", self.sink, "--consumer-group", self.sink, "--transactional-id", self.sink]
            args += ["--transaction-size", "10", "--group-mode", "--enable-random-aborts"]
            self.command = [*TIED_TO_US, *java(install_tools(), COPIER_CLASS, *args, options=("-Xmx128m",))]
        self.process: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """See to it that it runs."""
        if self.process is None or self.process.poll() is not None:
            self.lives += 1
            with self.errors.open("a") as errors:
                self.process = subprocess.Popen(self.command, stdout=errors, stderr=errors)

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def values(broker: Broker, topic: str) -> list[int]:
    """The committed values of a topic of one partition, to the end of what is stable."""
    from confluent_kafka import Consumer, KafkaError, TopicPartition

    settings = {"bootstrap.servers": broker.address, "group.id": "reader", "isolation.level": "read_committed"}
    consumer = Consumer({**settings, "enable.auto.commit": False, "enable.partition.eof": True, "log_level": 2})
    consumer.assign([TopicPartition(topic, 0, 0)])
    found, deadline = [], time.monotonic() + 30
    while time.monotonic() < deadline:
        message = consumer.poll(0.5)
        if message is None:
            continue
        if (error := message.error()) is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                break
            continue
        found.append(int(message.value() or b"-1"))
    consumer.close()
    return found


def fill(broker: Broker, topic: str, numbers: range) -> None:
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": broker.address})
    for number in numbers:
        producer.produce(topic, b"%d" % number, partition=0)
    assert producer.flush(30) == 0


@pytest.mark.timeout(200 + 100 * LONG)
def test_what_is_copied_under_kill_9_is_there_once(brokers: Callable[..., Broker], tmp_path: Path) -> None:
    """Read, process, write: offsets and records of a transaction come about together, and once, in each client."""
    broker = brokers()
    copiers = [Copier(client, broker, tmp_path) for client in COPIERS]
    for copier in copiers:
        create_topic(broker.address, copier.source)
        create_topic(broker.address, copier.sink)

    def copied() -> int:
        for copier in copiers:
            copier.run()
        return sum(len(values(broker, copier.sink)) for copier in copiers)

    with contextlib.ExitStack() as stack:
        for copier in copiers:
            stack.callback(copier.kill)
        done, share = copied(), COPIES // 4
        for first in range(0, COPIES * LONG, share):  # else they may be done before the first kill
            for copier in copiers:
                fill(broker, copier.source, range(first, first + share))
            until(lambda done=done: copied() > done, f"more copies than {done}", timeout_s=60)
            broker.kill()
            broker.start()
            done = copied()
        total = COPIES * LONG * len(copiers)
        until(lambda: copied() >= total, f"{total} copies", timeout_s=60 * LONG)
    for copier in copiers:
        assert values(broker, copier.sink) == list(range(COPIES * LONG)), (copier.sink, copier.lives)
