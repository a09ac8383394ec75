"""Compaction of a running node: kill -9 while it goes on, transactions, consumers; Kafka's tool reads what is left."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from tests.integration.conftest import LONG, create_topic, until
from tests.reference.kafka import tool
from tests.reference.process import Broker

SETTINGS = {"storage.cleaner.check_interval_ms": 50}
CONFIG = {
    "cleanup.policy": "compact",
    "segment.bytes": str(1 << 20),
    "min.cleanable.dirty.ratio": "0.01",
    "delete.retention.ms": "100",
    "file.delete.delay.ms": "0",
}
KEYS = 200


class Writer:
    """Numbers that rise, under a few keys, acknowledged ones remembered; some in transactions of which half abort."""

    def __init__(self, broker: Broker, topic: str, seed: int) -> None:
        self.broker, self.topic = broker, topic
        self.rng = random.Random(seed)
        self.number = 0
        self.acked: dict[bytes, int] = {}
        self.aborted: set[int] = set()
        self.plain = Producer({"bootstrap.servers": broker.address, "enable.idempotence": True, "log_level": 0})
        self.transactional = Producer(
            {"bootstrap.servers": broker.address, "transactional.id": f"t-{topic}", "log_level": 0}
        )
        self.transactional.init_transactions(30)

    def _send(self, producer: Producer, sent: dict[bytes, int]) -> None:
        for _ in range(self.rng.randrange(50, 300)):
            key = b"key-%d" % self.rng.randrange(KEYS)
            self.number += 1
            sent[key] = self.number
            producer.produce(self.topic, b"%d %s" % (self.number, bytes(self.rng.randrange(900))), key)

    def write(self, restart: Callable[[], None] | None = None) -> None:
        """Some plain records, then a transaction; a kill comes between sending and the acknowledgements."""
        sent: dict[bytes, int] = {}
        self._send(self.plain, sent)
        if restart is not None:
            restart()
        assert self.plain.flush(60) == 0
        self.acked.update(sent)
        first = self.number + 1
        in_transaction: dict[bytes, int] = {}
        self.transactional.begin_transaction()
        self._send(self.transactional, in_transaction)
        if self.rng.random() < 0.5:
            self.transactional.abort_transaction(60)
            self.aborted.update(range(first, self.number + 1))
        else:
            self.transactional.commit_transaction(60)
            self.acked.update(in_transaction)


def read(broker: Broker, topic: str) -> dict[bytes, int]:
    """The last number of each key, as a read_committed consumer sees it; numbers of a key never go back."""
    consumer = Consumer(
        {
            "bootstrap.servers": broker.address,
            "group.id": "compaction",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "check.crcs": True,
            "log_level": 0,
        }
    )
    found: dict[bytes, int] = {}
    offset = -1
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            message = consumer.poll(1)
            if message is None:
                continue
            if message.error():
                if message.error().name() == "_PARTITION_EOF":
                    return found
                if not message.error().retriable():
                    raise KafkaException(message.error())
                continue
            assert message.offset() > offset
            offset = message.offset()
            number = int(message.value().split(b" ")[0])
            assert number > found.get(message.key(), 0)
            found[message.key()] = number
    finally:
        consumer.close()
    raise AssertionError("the end was not reached")


def cleaned_to(broker: Broker, topic: str) -> int:
    path = Path(broker.data_dir) / "cleaner-offset-checkpoint"
    found = re.search(rf"^{topic} 0 (\d+)$", path.read_text(), re.M) if path.exists() else None
    return int(found[1]) if found else 0


@pytest.mark.pyralog_only
def test_kill_while_it_compacts(brokers: Callable[..., Broker]) -> None:
    broker = brokers(SETTINGS)
    create_topic(broker.address, "compacted", config=CONFIG)
    writer = Writer(broker, "compacted", 7)
    rng = random.Random(3)

    def restart() -> None:
        time.sleep(rng.random() * 0.2)
        broker.kill()
        broker.start()

    for turn in range(60 * LONG):
        writer.write(restart if turn % 8 == 7 else None)
        if turn % 10 == 9:
            found = read(broker, "compacted")
            assert found == writer.acked
            assert not set(found.values()) & writer.aborted
    until(lambda: cleaned_to(broker, "compacted") > writer.number // 2, "cleaned")
    assert read(broker, "compacted") == writer.acked
    folder = Path(broker.data_dir) / "compacted-0"
    assert broker.stop() == 0
    logs = [path for path in folder.glob("*.log") if path.stat().st_size]
    size = sum(path.stat().st_size for path in logs)
    assert size < writer.number * 450 / 2, "far less than was written"
    assert not [path for path in folder.iterdir() if path.suffix in (".swap", ".cleaned")]
    text = tool("DumpLogSegments", "--deep-iteration", "--files", ",".join(map(str, sorted(logs)))).stdout
    assert "isvalid: true" in text
    assert "isvalid: false" not in text
    indexes = [path for path in folder.glob("*.txnindex") if path.stat().st_size]
    if indexes:
        assert "producerId" in tool("DumpLogSegments", "--files", ",".join(map(str, indexes))).stdout
    broker.start()
    assert read(broker, "compacted") == writer.acked
