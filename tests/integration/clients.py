"""Producers and readers of three client libraries behind one small interface, for the workers of the integration tests.

A producer calls `done(offset)` for each record: the offset, or -1 when the outcome is unknown. A reader is assigned all
partitions of a topic and yields (partition, [(offset, value), ...]).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

Done = Callable[[int], None]
Batch = tuple[int, list[tuple[int, bytes]]]

# Longer than any outage that a test makes.
PATIENCE_MS = 120_000
CLIENTS = ("kafka-python", "confluent-kafka", "aiokafka")


class Producer(Protocol):
    """Sends values to partitions of one topic."""

    def send(self, partition: int, value: bytes, done: Done) -> None: ...

    def poll(self) -> None: ...

    def close(self) -> None: ...


class Reader(Protocol):
    """Reads a topic's partitions from the beginning."""

    def poll(self) -> Iterator[Batch]: ...

    def ends(self) -> dict[int, int]: ...

    def close(self) -> None: ...


class KafkaPythonProducer:
    """kafka-python: idempotent and acks=all by default; else it is told not to retry."""

    def __init__(self, bootstrap: str, topic: str, *, acks: str, compression: str | None = None) -> None:
        from kafka import KafkaProducer

        options: dict[str, Any] = {"acks": 1, "enable_idempotence": False, "retries": 0} if acks == "1" else {}
        self.topic = topic
        self.client = KafkaProducer(
            bootstrap_servers=bootstrap,
            compression_type=compression,
            max_block_ms=PATIENCE_MS,
            delivery_timeout_ms=PATIENCE_MS,
            reconnect_backoff_max_ms=300,
            linger_ms=5,
            **options,
        )

    def send(self, partition: int, value: bytes, done: Done) -> None:
        future = self.client.send(self.topic, value=value, partition=partition)
        future.add_callback(lambda sent: done(sent.offset))
        future.add_errback(lambda _: done(-1))

    def poll(self) -> None:
        """Its own thread does the work."""

    def close(self) -> None:
        self.client.flush(timeout=PATIENCE_MS / 1000)
        self.client.close()


class ConfluentProducer:
    """confluent-kafka, idempotent with acks=all, else without retries."""

    def __init__(self, bootstrap: str, topic: str, *, acks: str, compression: str | None = None) -> None:
        from confluent_kafka import Producer as RdProducer

        idempotent = {"enable.idempotence": True}
        once = {"acks": "1", "enable.idempotence": False, "retries": 0}
        self.topic = topic
        self.client = RdProducer(
            {
                "bootstrap.servers": bootstrap,
                "compression.type": compression or "none",
                "delivery.timeout.ms": PATIENCE_MS,
                "reconnect.backoff.max.ms": 300,
                "log_level": 2,
                **(once if acks == "1" else idempotent),
            }
        )

    def send(self, partition: int, value: bytes, done: Done) -> None:
        def report(error: object, message: Any) -> None:
            done(-1 if error is not None else message.offset())

        while True:
            try:
                self.client.produce(self.topic, value=value, partition=partition, on_delivery=report)
                return
            except BufferError:
                self.client.poll(0.05)

    def poll(self) -> None:
        self.client.poll(0)

    def close(self) -> None:
        left = self.client.flush(PATIENCE_MS / 1000)
        if left:
            raise TimeoutError(f"{left} records were never answered")


class AioKafkaProducer:
    """aiokafka, its loop turned by `send` and `poll`; without idempotence it retries all the same."""

    def __init__(self, bootstrap: str, topic: str, *, acks: str, compression: str | None = None) -> None:
        from aiokafka import AIOKafkaProducer

        self.topic = topic
        self.loop = asyncio.new_event_loop()
        options: dict[str, Any] = {"acks": 1} if acks == "1" else {"enable_idempotence": True}

        async def start() -> Any:
            client = AIOKafkaProducer(
                bootstrap_servers=bootstrap,
                compression_type=compression,
                request_timeout_ms=PATIENCE_MS,
                retry_backoff_ms=100,
                **options,
            )
            await client.start()
            return client

        self.client = self.loop.run_until_complete(start())

    def send(self, partition: int, value: bytes, done: Done) -> None:
        async def sending() -> None:
            future = await self.client.send(self.topic, value=value, partition=partition)
            future.add_done_callback(lambda sent: done(-1 if sent.exception() else sent.result().offset))

        self.loop.run_until_complete(sending())

    def poll(self) -> None:
        self.loop.run_until_complete(asyncio.sleep(0.002))

    def close(self) -> None:
        async def stop() -> None:
            await self.client.flush()
            await self.client.stop()

        self.loop.run_until_complete(stop())
        self.loop.close()


class KafkaPythonReader:
    """kafka-python, without a group; an offset out of range is an error, not a reset."""

    def __init__(self, bootstrap: str, topic: str, partitions: int) -> None:
        from kafka import KafkaConsumer, TopicPartition

        self.client = KafkaConsumer(
            bootstrap_servers=bootstrap, auto_offset_reset="none", reconnect_backoff_max_ms=300, fetch_max_wait_ms=200
        )
        self.assigned = [TopicPartition(topic, index) for index in range(partitions)]
        self.client.assign(self.assigned)
        for tp in self.assigned:
            self.client.seek(tp, 0)

    def poll(self) -> Iterator[Batch]:
        for tp, records in self.client.poll(timeout_ms=200, max_records=5000).items():
            yield tp.partition, [(record.offset, record.value) for record in records]

    def ends(self) -> dict[int, int]:
        return {tp.partition: offset for tp, offset in self.client.end_offsets(self.assigned).items()}

    def close(self) -> None:
        self.client.close()


class ConfluentReader:
    """confluent-kafka; the group id is never used, for nothing is committed."""

    def __init__(self, bootstrap: str, topic: str, partitions: int) -> None:
        from confluent_kafka import Consumer, TopicPartition

        self.topic, self.partitions = topic, partitions
        self.client = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "assign-only",
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "reconnect.backoff.max.ms": 300,
                "fetch.wait.max.ms": 200,
                "log_level": 2,
            }
        )
        self.client.assign([TopicPartition(topic, index, 0) for index in range(partitions)])

    def poll(self) -> Iterator[Batch]:
        from confluent_kafka import KafkaError, KafkaException

        outage = (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE, KafkaError._TIMED_OUT)
        found: dict[int, list[tuple[int, bytes]]] = {}
        for message in self.client.consume(5000, 0.2):
            error = message.error()
            if error is not None:
                if error.code() not in outage:
                    raise KafkaException(error)
                continue
            found.setdefault(message.partition(), []).append((message.offset(), message.value()))
        yield from found.items()

    def ends(self) -> dict[int, int]:
        from confluent_kafka import TopicPartition

        return {
            index: self.client.get_watermark_offsets(TopicPartition(self.topic, index), timeout=20)[1]
            for index in range(self.partitions)
        }

    def close(self) -> None:
        self.client.close()


class AioKafkaReader:
    """aiokafka, without a group."""

    def __init__(self, bootstrap: str, topic: str, partitions: int) -> None:
        from aiokafka import AIOKafkaConsumer, TopicPartition

        self.loop = asyncio.new_event_loop()
        self.assigned = [TopicPartition(topic, index) for index in range(partitions)]

        async def start() -> Any:
            client = AIOKafkaConsumer(
                bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False, auto_offset_reset="none"
            )
            await client.start()
            client.assign(self.assigned)
            for tp in self.assigned:
                client.seek(tp, 0)
            return client

        self.client = self.loop.run_until_complete(start())

    def poll(self) -> Iterator[Batch]:
        found = self.loop.run_until_complete(self.client.getmany(timeout_ms=200, max_records=5000))
        for tp, records in found.items():
            yield tp.partition, [(record.offset, record.value) for record in records]

    def ends(self) -> dict[int, int]:
        found = self.loop.run_until_complete(self.client.end_offsets(self.assigned))
        return {tp.partition: offset for tp, offset in found.items()}

    def close(self) -> None:
        self.loop.run_until_complete(self.client.stop())
        self.loop.close()


PRODUCERS: dict[str, Callable[..., Producer]] = {
    "kafka-python": KafkaPythonProducer,
    "confluent-kafka": ConfluentProducer,
    "aiokafka": AioKafkaProducer,
}
READERS: dict[str, Callable[..., Reader]] = {
    "kafka-python": KafkaPythonReader,
    "confluent-kafka": ConfluentReader,
    "aiokafka": AioKafkaReader,
}


def retried(action: Callable[[], Any], patience_s: float = 60) -> Any:
    """Repeat what fails while the broker is away."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return action()
        except Exception:  # each library has errors of its own for an absent broker
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
