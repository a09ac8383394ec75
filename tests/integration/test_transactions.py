"""Transactions of real clients over kill -9 of the broker: every one is there as a whole, or not at all."""

from __future__ import annotations

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
from tests.reference.process import Broker

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
