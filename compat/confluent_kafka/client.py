"""What the cases of this client share: clients with their default settings, topics, reading and writing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    NewTopic,
)

from compat.cases import Context, Suite, equal, eventually

suite = Suite("confluent_kafka")
TIMEOUT_S = 20


def producer(ctx: Context, **options: Any) -> Producer:
    """Default settings unless told: which is not idempotent in librdkafka."""
    return Producer({"bootstrap.servers": ctx.bootstrap, **{k.replace("_", "."): v for k, v in options.items()}})


class Reader:
    """A consumer that only assigns; librdkafka wants a group id all the same and never joins the group."""

    def __init__(self, ctx: Context, **options: Any) -> None:
        settings = {
            "bootstrap.servers": ctx.bootstrap,
            "group.id": "compat-assign-only",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            **{k.replace("_", "."): v for k, v in options.items()},
        }
        self.client = Consumer(settings)

    def __enter__(self) -> Consumer:
        return self.client

    def __exit__(self, *_: object) -> None:
        self.client.close()


def next_record(client: Consumer, timeout_s: float = TIMEOUT_S) -> Any:
    record = client.poll(timeout_s)
    if record is None:
        raise TimeoutError("no record")
    if record.error():
        raise KafkaException(record.error())
    return record


def partitions_of(client: Any, topic: str) -> list[int]:
    def look() -> list[int]:
        found = client.list_topics(topic, timeout=TIMEOUT_S).topics[topic]
        return [] if found.error else sorted(found.partitions)

    return eventually(look, f"partitions of {topic}")


def read(ctx: Context, topic: str, count: int, **options: Any) -> list[Any]:
    with Reader(ctx, **options) as client:
        client.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions_of(client, topic)])
        return [next_record(client) for _ in range(count)]


def write(ctx: Context, topic: str, records: Iterable[dict[str, Any]], **options: Any) -> list[Any]:
    """Produce and return the delivered messages; raises what a delivery report says."""
    delivered: list[Any] = []
    failed: list[KafkaError] = []

    def report(error: KafkaError | None, message: Any) -> None:
        if error is not None:
            failed.append(error)
        else:
            delivered.append(message)

    client = producer(ctx, **options)
    for record in records:
        client.produce(topic, on_delivery=report, **record)
        client.poll(0)
    equal(client.flush(TIMEOUT_S * 2), 0)
    if failed:
        raise KafkaException(failed[0])
    return delivered


def values(count: int) -> list[dict[str, Any]]:
    return [{"value": b"%d" % i, "partition": 0} for i in range(count)]


def admin(ctx: Context) -> AdminClient:
    return AdminClient({"bootstrap.servers": ctx.bootstrap})


def outcome(futures: dict[Any, Any]) -> Any:
    """The result of the one future of an admin call."""
    return next(iter(futures.values())).result(timeout=TIMEOUT_S)


def error_name(call: Any) -> str:
    try:
        result = call()
    except KafkaException as error:
        return error.args[0].name()
    raise AssertionError(f"no error but {str(result)[:200]}")


def make_topic(client: AdminClient, ctx: Context, partitions: int = 1, config: dict[str, str] | None = None) -> str:
    name = ctx.topic()
    outcome(client.create_topics([NewTopic(name, partitions, 1, config=config or {})]))
    eventually(lambda: len(partitions_of(client, name)) == partitions, "the topic to show")
    return name
