"""A live group moves from the classic protocol to the newer one and back, under load, while its broker is killed.

librdkafka's consumers of both protocols are in one group. What was committed is not delivered again, none is left out.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.reference.pyralog import Pyralog

TOPIC, GROUP, PARTITIONS = "rolling", "rolling-group", 4
SETTINGS = {
    "groups.initial_rebalance_delay_ms": 0,
    "groups.consumer_min_heartbeat_interval_ms": 300,
    "groups.consumer_heartbeat_interval_ms": 300,
}
PATIENCE_S = 120


class Load:
    """Numbers to every partition, about 400 a second, until it is stopped; each is acknowledged or sent again."""

    def __init__(self, address: str) -> None:
        self.producer = Producer({"bootstrap.servers": address, "enable.idempotence": True, "linger.ms": 5})
        self.sent = [0] * PARTITIONS
        self.failed: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(0.01):
            for partition in range(PARTITIONS):
                number = str(self.sent[partition]).encode()
                self.producer.produce(TOPIC, number, partition=partition, on_delivery=self._delivered)
                self.sent[partition] += 1
            self.producer.poll(0)

    def _delivered(self, error: KafkaError | None, _: object) -> None:
        if error is not None:
            self.failed.append(str(error))

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        assert self.producer.flush(60) == 0
        assert self.failed == []


class Rolling:
    """The group's consumers, polled in turn; what they read, and what they have committed."""

    def __init__(self, broker: Pyralog) -> None:
        self.address = broker.address
        self.admin = AdminClient({"bootstrap.servers": self.address})
        self.consumers: dict[str, Consumer] = {}
        self.seen: list[set[int]] = [set() for _ in range(PARTITIONS)]
        self.committed = [0] * PARTITIONS
        self.again = 0

    def start(self, name: str, protocol: str) -> None:
        more: dict[str, object] = {"session.timeout.ms": 6_000, "heartbeat.interval.ms": 300}
        if protocol == "cooperative":
            more["partition.assignment.strategy"] = "cooperative-sticky"
        elif protocol == "consumer":
            more = {"group.protocol": "consumer"}
        consumer = Consumer(
            {
                "bootstrap.servers": self.address,
                "group.id": GROUP,
                "client.id": name,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "reconnect.backoff.max.ms": 200,
                **more,
            }
        )
        consumer.subscribe([TOPIC])
        self.consumers[name] = consumer

    def close(self, name: str) -> None:
        self.consumers.pop(name).close()

    def turn(self) -> None:
        for consumer in self.consumers.values():
            self.read(consumer)

    def read(self, consumer: Consumer) -> None:
        ends: dict[int, int] = {}
        for message in consumer.consume(100, 0.02):
            if message.error() is not None:
                assert not message.error().fatal(), message.error()
                continue
            partition, offset = message.partition(), message.offset()
            assert int(message.value()) == offset
            assert offset >= self.committed[partition], "what was committed is delivered again"
            self.again += offset in self.seen[partition]
            self.seen[partition].add(offset)
            ends[partition] = max(ends.get(partition, 0), offset + 1)
        if ends:
            self.commit(consumer, ends)

    def commit(self, consumer: Consumer, ends: dict[int, int]) -> None:
        """What is refused, since the partition has gone to somebody else or the broker is away, is read again."""
        wanted = [TopicPartition(TOPIC, partition, end) for partition, end in ends.items()]
        with contextlib.suppress(KafkaException):
            for one in consumer.commit(offsets=wanted, asynchronous=False) or ():
                if one.error is None:
                    self.committed[one.partition] = max(self.committed[one.partition], one.offset)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline, f"never: {what}; {self.shares()}"
            self.turn()

    def shares(self) -> list[int]:
        return sorted(len(consumer.assignment()) for consumer in self.consumers.values())

    def settled(self, *shares: int) -> None:
        """Everybody has this many partitions, and records go on coming."""
        self.until(lambda: self.shares() == sorted(shares), f"shares {shares}")
        before = [len(one) for one in self.seen]
        self.until(lambda: all(len(now) > then for now, then in zip(self.seen, before, strict=True)), "more records")

    def type(self) -> str:
        (found,) = [one for one in self.admin.list_consumer_groups().result(30).valid if one.group_id == GROUP]
        return str(found.type.name)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Pyralog]:
    with Pyralog(data_dir=tmp_path / "data", settings=SETTINGS) as node:
        admin = AdminClient({"bootstrap.servers": node.address})
        admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])[TOPIC].result(30)
        yield node


@pytest.mark.timeout(400)
@pytest.mark.pyralog_only
@pytest.mark.parametrize("old", ["eager", "cooperative"])
def test_a_live_group_is_rolled_forth_and_back(old: str, broker: Pyralog) -> None:
    group, load = Rolling(broker), Load(broker.address)
    try:
        group.start("old-1", old)
        group.start("old-2", old)
        group.settled(2, 2)
        assert group.type() == "CLASSIC"
        group.start("new-1", "consumer")
        group.settled(1, 1, 2)
        assert group.type() == "CONSUMER"
        broker.kill()
        broker.start()
        group.settled(1, 1, 2)
        group.close("old-1")
        group.settled(2, 2)
        group.start("new-2", "consumer")
        group.close("old-2")
        group.settled(2, 2)
        assert group.type() == "CONSUMER"
        group.start("old-3", old)
        group.close("new-1")
        group.settled(2, 2)
        broker.kill()
        broker.start()
        group.start("old-4", old)
        group.close("new-2")  # the last of its kind
        group.settled(2, 2)
        assert group.type() == "CLASSIC"
    finally:
        load.stop()
    group.until(lambda: group.committed == load.sent, f"all of {load.sent} are committed, not {group.committed}")
    assert [len(one) for one in group.seen] == load.sent
    for name in list(group.consumers):
        group.close(name)
