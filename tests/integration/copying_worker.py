"""An application that reads, processes and writes in transactions, by a real client; it dies of every trouble.

It is meant to be started again whenever it has ended.

python -m tests.integration.copying_worker CLIENT BOOTSTRAP SOURCE SINK
Its group and its transactional id are SINK. It copies for ever: SIGTERM ends it.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any

BATCH = 10  # records of a transaction
# kafka-python 3.0.12 may find its coordinator again and never send what waits for it, and has no time-out there.
STALL_S = 15
TIMEOUT_S = 30
CLIENTS = ("kafka-python", "confluent-kafka")


class Watchdog:
    """Ends the process when nothing has come about for a while."""

    def __init__(self) -> None:
        self._fed = time.monotonic()
        threading.Thread(target=self._watch, daemon=True).start()

    def feed(self) -> None:
        self._fed = time.monotonic()

    def _watch(self) -> None:
        while time.monotonic() < self._fed + STALL_S:
            time.sleep(0.2)
        print(f"nothing for {STALL_S} s", file=sys.stderr, flush=True)
        os._exit(3)


def kafka_python(bootstrap: str, source: str, sink: str, dog: Watchdog) -> None:
    from kafka import KafkaConsumer, KafkaProducer
    from kafka.structs import OffsetAndMetadata

    consumer = KafkaConsumer(
        source,
        bootstrap_servers=bootstrap,
        group_id=sink,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
        session_timeout_ms=6000,
        heartbeat_interval_ms=500,
    )
    producer = KafkaProducer(bootstrap_servers=bootstrap, transactional_id=sink, reconnect_backoff_max_ms=300)
    producer.init_transactions()
    while True:
        found = consumer.poll(500, max_records=BATCH)
        dog.feed()
        if not found:
            continue
        producer.begin_transaction()
        for records in found.values():
            for record in records:
                producer.send(sink, record.value)
        offsets = {tp: OffsetAndMetadata(records[-1].offset + 1, "", -1) for tp, records in found.items()}
        producer.send_offsets_to_transaction(offsets, consumer.group_metadata())
        producer.commit_transaction()


def confluent(bootstrap: str, source: str, sink: str, dog: Watchdog) -> None:
    from confluent_kafka import Consumer, Producer

    common: dict[str, Any] = {"bootstrap.servers": bootstrap, "reconnect.backoff.max.ms": 300, "log_level": 2}
    consumer = Consumer(
        {
            **common,
            "group.id": sink,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "session.timeout.ms": 6000,
            "heartbeat.interval.ms": 500,
        }
    )
    consumer.subscribe([source])
    producer = Producer({**common, "transactional.id": sink})
    producer.init_transactions(TIMEOUT_S)
    while True:
        messages = [one for one in consumer.consume(BATCH, 0.5) if one.error() is None]
        dog.feed()
        if not messages:
            continue
        producer.begin_transaction()
        for message in messages:
            producer.produce(sink, message.value())
        positions = consumer.position(consumer.assignment())
        producer.send_offsets_to_transaction(positions, consumer.consumer_group_metadata(), TIMEOUT_S)
        producer.commit_transaction(TIMEOUT_S)


def main() -> int:
    client, bootstrap, source, sink = sys.argv[1:]
    {"kafka-python": kafka_python, "confluent-kafka": confluent}[client](bootstrap, source, sink, Watchdog())
    return 0


if __name__ == "__main__":
    sys.exit(main())
