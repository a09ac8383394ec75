"""What the cases of this client share: clients with their default settings, topics, reading and writing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError

from compat.cases import Context, Suite, equal, eventually

suite = Suite("kafka_python")


def producer(ctx: Context, **options: Any) -> KafkaProducer:
    return KafkaProducer(bootstrap_servers=ctx.bootstrap, **options)


def consumer(ctx: Context, **options: Any) -> KafkaConsumer:
    return KafkaConsumer(bootstrap_servers=ctx.bootstrap, consumer_timeout_ms=10_000, **options)


def admin(ctx: Context) -> KafkaAdminClient:
    return KafkaAdminClient(bootstrap_servers=ctx.bootstrap)


def partitions_of(client: KafkaConsumer, topic: str) -> list[TopicPartition]:
    found = eventually(lambda: client.partitions_for_topic(topic), f"partitions of {topic}")
    return [TopicPartition(topic, index) for index in sorted(found)]


def read(ctx: Context, topic: str, count: int, **options: Any) -> list[Any]:
    """`count` records of all partitions from the beginning, by assignment."""
    with consumer(ctx, auto_offset_reset="earliest", **options) as client:
        client.assign(partitions_of(client, topic))
        records: list[Any] = []
        for record in client:
            records.append(record)
            if len(records) == count:
                break
        equal(len(records), count)
        return records


def write(ctx: Context, topic: str, values: Iterable[bytes | None], **options: Any) -> list[Any]:
    """Send values to partition 0 and return their metadata."""
    with producer(ctx, **options) as client:
        futures = [client.send(topic, value=value, partition=0) for value in values]
        client.flush()
        return [future.get(timeout=20) for future in futures]


def make_topic(
    client: KafkaAdminClient, ctx: Context, partitions: int = 1, configs: dict[str, str] | None = None
) -> str:
    name = ctx.topic()
    spec = {"num_partitions": partitions, "replication_factor": 1, "configs": configs or {}}
    client.create_topics({name: spec}, wait_for_metadata=True)
    return name


def error_name(call: Any) -> str:
    """The class of the Kafka error that a call raises."""
    try:
        result = call()
    except (KafkaError, ValueError) as error:
        return type(error).__name__
    raise AssertionError(f"no error but {str(result)[:200]}")
