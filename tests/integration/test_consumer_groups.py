"""KIP-848 groups with a real client of that protocol: join, rebalance, leave, commit."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tests.reference.pyralog import Pyralog

PARTITIONS, RECORDS = 6, 600


@pytest.mark.pyralog_only
def test_two_consumers_share_a_topic(tmp_path: Path) -> None:
    with Pyralog(data_dir=tmp_path / "data") as broker:
        address = f"127.0.0.1:{broker.port}"
        admin = AdminClient({"bootstrap.servers": address})
        admin.create_topics([NewTopic("t", PARTITIONS, 1)])["t"].result()
        producer = Producer({"bootstrap.servers": address})
        for i in range(RECORDS):
            producer.produce("t", str(i).encode(), partition=i % PARTITIONS)
        assert producer.flush(20) == 0
        first, second = _consumer(address), _consumer(address)
        first.subscribe(["t"])
        values = []
        _poll_until(lambda: len(values) == RECORDS, [first], values)
        first.commit(asynchronous=False)
        second.subscribe(["^t$"])
        _poll_until(lambda: [len(c.assignment()) for c in (first, second)] == [3, 3], [first, second], values)
        second.close()
        _poll_until(lambda: len(first.assignment()) == PARTITIONS, [first], values)
        assert sorted(values, key=int) == [str(i).encode() for i in range(RECORDS)]
        committed = first.committed([TopicPartition("t", i) for i in range(PARTITIONS)])
        assert sum(one.offset for one in committed) == RECORDS
        first.close()


def _consumer(address: str) -> Consumer:
    return Consumer(
        {
            "bootstrap.servers": address,
            "group.id": "g",
            "group.protocol": "consumer",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )


def _poll_until(done, consumers: list[Consumer], values: list[bytes]) -> None:
    deadline = time.monotonic() + 40
    while not done():
        assert time.monotonic() < deadline
        for consumer in consumers:
            message = consumer.poll(0.05)
            if message is not None and message.error() is None:
                values.append(message.value())
