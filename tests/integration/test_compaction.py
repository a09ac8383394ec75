"""Compaction of a running node: kill -9 while it goes on, transactions, consumers; Kafka's tool reads what is left."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_INVALID, Consumer, KafkaException, Producer, TopicPartition

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


@pytest.mark.pyralog_only
def test_the_offsets_topic_shrinks_and_nothing_of_it_is_lost(brokers: Callable[..., Broker]) -> None:
    """Commits, also in transactions of which some abort; kill -9 after compaction; the transactional id goes on."""
    broker = brokers(
        {
            **SETTINGS,
            "groups.offsets_num_partitions": 1,
            "groups.offsets_segment_bytes": 1 << 20,
            "topics.defaults.file_delete_delay_ms": 0,
        }
    )
    create_topic(broker.address, "input", partitions=100)

    def group(name: str) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": broker.address,
                "group.id": name,
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "log_level": 0,
            }
        )

    def positions(offset: int) -> list[TopicPartition]:
        return [TopicPartition("input", partition, offset + partition) for partition in range(100)]

    def committed(consumer: Consumer) -> list[int]:
        wanted = [TopicPartition("input", partition) for partition in range(100)]
        return [found.offset for found in consumer.committed(wanted, timeout=30)]

    def transaction(producer: Producer, offset: int, *, commit: bool) -> None:
        producer.begin_transaction()
        producer.produce("input", b"%d" % offset, partition=0)
        producer.send_offsets_to_transaction(positions(offset), transactional.consumer_group_metadata(), 30)
        producer.commit_transaction(30) if commit else producer.abort_transaction(30)

    def processor() -> Producer:
        made = Producer({"bootstrap.servers": broker.address, "transactional.id": "copy", "log_level": 0})
        made.init_transactions(30)
        return made

    plain, transactional = group("plain"), group("transactional")
    producer = processor()
    assert committed(plain) == committed(transactional) == [OFFSET_INVALID] * 100  # and finds the coordinator
    rounds = 400 * LONG
    for i in range(rounds):
        plain.commit(offsets=positions(i), asynchronous=False)
        if i % 10 == 0:
            transaction(producer, i, commit=i % 20 == 0)
    last = (rounds - 1) // 20 * 20
    until(lambda: cleaned_to(broker, "__consumer_offsets") > rounds * 100 * 0.6, "cleaned")
    folder = Path(broker.data_dir) / "__consumer_offsets-0"
    size = sum(path.stat().st_size for path in folder.glob("*.log"))
    assert size < rounds * 100 * 80 * 0.6, "an offset takes about eighty bytes"
    for _ in range(2):
        broker.kill()
        broker.start()
        assert committed(plain) == [rounds - 1 + partition for partition in range(100)]
        assert committed(transactional) == [last + partition for partition in range(100)]
    producer = processor()
    transaction(producer, rounds, commit=False)
    assert committed(transactional) == [last + partition for partition in range(100)]
    transaction(producer, rounds + 1, commit=True)
    assert committed(transactional) == [rounds + 1 + partition for partition in range(100)]
    plain.close()
    transactional.close()
