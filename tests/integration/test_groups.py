"""Members of five client kinds in one group: rebalances, rolling restarts, kill -9 of the broker and of members."""

from __future__ import annotations

import collections
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.checker.groups import check_groups
from tests.checker.history import Event, Poll, Send, load
from tests.checker.records import check_records
from tests.integration.conftest import LONG, ROOT, Worker, create_topic, until
from tests.integration.group_worker import CLIENTS, SESSION_MS, merged
from tests.reference.process import Broker

PARTITIONS = 4
SETTINGS = {"groups.initial_rebalance_delay_ms": 500}
# A member that is gone is missed after its session; the others join again, fetch offsets and read.
STUCK_S = SESSION_MS / 1000 + 6
NEEDS = {"kcat": "kcat", "console": "java"}
HERE = tuple(client for client in CLIENTS if client not in NEEDS or shutil.which(NEEDS[client]))


class Member:
    """A consumer process and its history."""

    def __init__(self, client: str, number: int, broker: Broker, topic: str, group: str, folder: Path) -> None:
        self.client = client
        self.name = f"{client}-{number}"
        self.history = folder / f"{self.name}.member"
        self.log = folder / f"{self.name}.log"
        command = [sys.executable, "-m", "tests.integration.group_worker", "--client", client, "--topic", topic]
        command += [
            "--bootstrap",
            broker.address,
            "--group",
            group,
            "--name",
            self.name,
            "--history",
            str(self.history),
        ]
        with self.log.open("w") as output:
            env = {**os.environ, "PYTHONPATH": str(ROOT)}
            self.process = subprocess.Popen(command, stdout=output, stderr=output, env=env, cwd=ROOT)

    def stop(self) -> None:
        """Leave the group in order."""
        self.process.terminate()
        code = self.process.wait(30)
        assert code == 0, f"{self.name} exited with {code}: {self.log.read_text()[-2000:]}"


class Members:
    """All members of a test's group, also those that are gone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.made: list[Member] = []

    def start(self, client: str, broker: Broker, topic: str, group: str = "readers") -> Member:
        member = Member(client, len(self.made), broker, topic, group, self.folder)
        self.made.append(member)
        return member

    def history(self) -> list[tuple[int, Event]]:
        return merged([one.history for one in self.made if one.history.exists()])

    def read(self) -> set[str]:
        """All values that somebody has read by now."""
        return {value for _, event in self.history() if isinstance(event, Poll) for _, value in event.records}

    def polls_since(self, since_ns: int) -> set[str]:
        """Partitions that somebody has read from since then."""
        return {event.partition for at, event in self.history() if isinstance(event, Poll) and at >= since_ns}


@pytest.fixture
def members(tmp_path: Path) -> Iterator[Members]:
    made = Members(tmp_path)
    yield made
    for one in made.made:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait(10)


def reading(members: Members, topic: str, why: str, timeout_s: float = STUCK_S) -> float:
    """Wait until every partition is read from again; how long it took."""
    began, since_ns = time.monotonic(), time.time_ns()
    wanted = {f"{topic}-{partition}" for partition in range(PARTITIONS)}
    until(lambda: wanted <= members.polls_since(since_ns), f"{why}: all partitions are read", timeout_s)
    return time.monotonic() - began


def judge(members: Members, producer: Worker) -> None:
    """Everything that was acknowledged was read; nobody began anywhere but where the group had come to."""
    producer.stop()
    producer.finish()
    sent = load(producer.history)
    acked = {event.value for event in sent if isinstance(event, Send) and event.kind == "ok"}
    until(lambda: acked <= members.read(), "everything that was acknowledged is read", 60)
    for one in members.made:
        if one.process.poll() is None:
            one.stop()
    read = [event for _, event in members.history()]
    assert check_records([*sent, *read], complete=False) == []
    assert check_groups(read, forward=True) == []


@pytest.mark.timeout(180 + 60 * LONG)
def test_members_of_all_kinds_share_a_topic_through_restarts(
    brokers: Callable[..., Broker], workers: Callable[..., Worker], members: Members
) -> None:
    """kcat commits by itself and names no commits, so it is in the next test."""
    broker = brokers(SETTINGS)
    create_topic(broker.address, "t", PARTITIONS)
    producer = workers("produce", "confluent-kafka", broker, "t", "--partitions", str(PARTITIONS), "--rate", "200")
    group = [members.start(client, broker, "t") for client in ("kafka-python", "confluent-kafka", "aiokafka")]
    reading(members, "t", "the group is formed", 30)
    for _ in range(LONG):
        for at, member in enumerate(group):  # a rolling restart
            member.stop()
            group[at] = members.start(member.client, broker, "t")
            reading(members, "t", f"{member.name} was restarted")
        victim = group[0]  # dies without a word: missed when its session ends
        victim.process.kill()
        victim.process.wait(10)
        reading(members, "t", f"{victim.name} was killed")
        group[0] = members.start(victim.client, broker, "t")
        reading(members, "t", f"{victim.name} is back")
    judge(members, producer)


@pytest.mark.timeout(180 + 60 * LONG)
def test_kill_9_of_the_broker(brokers: Callable[..., Broker], workers: Callable[..., Worker], members: Members) -> None:
    """Two members of each of three kinds; the broker dies every few seconds."""
    broker = brokers(SETTINGS)
    create_topic(broker.address, "t", PARTITIONS)
    producer = workers("produce", "confluent-kafka", broker, "t", "--partitions", str(PARTITIONS), "--rate", "200")
    for client in ("kafka-python", "confluent-kafka", "aiokafka") * 2:
        members.start(client, broker, "t")
    reading(members, "t", "the group is formed", 30)
    for kill in range(4 * LONG):
        broker.kill()
        time.sleep(0.3)
        broker.start()
        reading(members, "t", f"the broker was killed, {kill}")
        time.sleep(1)
    judge(members, producer)


@pytest.mark.skipif("kcat" not in HERE, reason="kcat is not installed")
@pytest.mark.timeout(120)
def test_kcat_joins_others(brokers: Callable[..., Broker], workers: Callable[..., Worker], members: Members) -> None:
    broker = brokers(SETTINGS)
    create_topic(broker.address, "t", PARTITIONS)
    producer = workers("produce", "confluent-kafka", broker, "t", "--partitions", str(PARTITIONS), "--rate", "200")
    kcat = members.start("kcat", broker, "t")
    reading(members, "t", "kcat reads alone", 30)
    members.start("aiokafka", broker, "t")
    members.start("confluent-kafka", broker, "t")
    seen = {"kcat", "aiokafka", "confluent-kafka"}
    until(
        lambda: seen == {event.process.rsplit("-", 1)[0] for _, event in members.history() if isinstance(event, Poll)},
        "all three read",
    )
    kcat.process.terminate()
    kcat.process.wait(30)
    reading(members, "t", "kcat has left")
    producer.stop()
    producer.finish()
    sent = load(producer.history)
    acked = {event.value for event in sent if isinstance(event, Send) and event.kind == "ok"}
    # kcat drops the record that it has in hand when it must stop or give up a partition, on Apache Kafka too.
    until(lambda: len(acked - members.read()) <= 2 * PARTITIONS, "what was acknowledged is read", 60)


@pytest.mark.skipif("kcat" not in HERE or "console" not in HERE, reason="kcat or Java is not installed")
@pytest.mark.timeout(300 + 300 * LONG)
def test_console_clients_join_and_leave_among_others(
    brokers: Callable[..., Broker], workers: Callable[..., Worker], members: Members
) -> None:
    """Two console consumers, kcat and a member of each library; each is replaced in turn."""
    broker = brokers(SETTINGS)
    partitions = 8  # more than there are members, so that each has one
    create_topic(broker.address, "t", partitions)
    producer = workers("produce", "confluent-kafka", broker, "t", "--partitions", str(partitions), "--rate", "200")
    group = [members.start(client, broker, "t") for client in ("console", "console", *CLIENTS[:4])]

    def all_read(why: str) -> None:
        """Every member that runs reads, also one that takes its time to start."""
        since_ns, names = time.time_ns(), {member.name for member in group}

        def readers() -> set[str]:
            history = members.history()
            return {event.process for at, event in history if isinstance(event, Poll) and at >= since_ns}

        until(lambda: names <= readers(), f"{why}: {names} read", 60)

    all_read("the group is formed")
    rebalances = len(group)
    for _ in range(LONG):
        for at, member in enumerate(group):
            leave(member)
            group[at] = members.start(member.client, broker, "t")
            all_read(f"{member.name} was replaced")
            rebalances += 2
    for member in group[2:]:
        leave(member)
    del group[2:]
    all_read("only console consumers are left")
    producer.stop()
    producer.finish()
    sent = load(producer.history)
    acked = {event.value for event in sent if isinstance(event, Send) and event.kind == "ok"}
    # kcat may drop the record that it has in hand when it gives a partition up: see test_kcat_joins_others.
    until(lambda: len(acked - members.read()) <= rebalances, "what was acknowledged is read", 60)
    for member in group:
        leave(member)
    polls = [event for _, event in members.history() if isinstance(event, Poll)]
    values = collections.defaultdict(list)
    for event in polls:
        for offset, value in event.records:
            values[event.partition, offset].append(value)
    assert [place for place, found in values.items() if len(set(found)) > 1] == []
    # Read twice is only what lay beyond the committed offset when its partition moved: no more than was written since.
    again = sum(map(len, values.values())) - len(values)
    assert again <= len(values) // 2, f"{again} of {len(values)} records were read again"


def leave(member: Member) -> None:
    """End a member in order, whatever its exit code: those of Java tell of the signal."""
    member.process.terminate()
    member.process.wait(30)
