"""confluent-kafka (librdkafka): producer, assigned consumer and admin client."""

from __future__ import annotations

import sys
import time
from typing import Any

from confluent_kafka import (
    OFFSET_END,
    IsolationLevel,
    KafkaError,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from compat.cases import CODECS, LARGE_BYTES, Context, equal, eventually
from compat.confluent_kafka.client import (
    TIMEOUT_S,
    Reader,
    admin,
    error_name,
    make_topic,
    next_record,
    outcome,
    partitions_of,
    producer,
    read,
    suite,
    values,
    write,
)


@suite.case("produce.default")
def produce_default(ctx: Context) -> object:
    topic = ctx.topic()
    sent = [{"key": b"k%d" % i, "value": b"v%d" % i} for i in range(500)]
    spread = {message.partition() for message in write(ctx, topic, sent)}
    seen = {(record.key(), record.value()) for record in read(ctx, topic, 500)}
    equal(seen, {(record["key"], record["value"]) for record in sent})
    return {"partitions": sorted(spread)}


@suite.case("produce.idempotent")
def produce_idempotent(ctx: Context) -> object:
    topic = ctx.topic()
    sent = write(ctx, topic, values(2000), enable_idempotence=True, linger_ms=1, batch_num_messages=50)
    equal([record.value() for record in read(ctx, topic, 2000)], [b"%d" % i for i in range(2000)])
    return [sent[0].offset(), sent[-1].offset()]


@suite.case("produce.acks")
def produce_acks(ctx: Context) -> object:
    result = {}
    for acks in ("0", "1", "all"):
        topic = make_topic(admin(ctx), ctx)
        write(ctx, topic, values(3), acks=acks)
        records = read(ctx, topic, 3)
        equal([record.value() for record in records], [b"0", b"1", b"2"])
        result[acks] = records[-1].offset()
    return result


for codec in CODECS:

    @suite.case(f"compression.{codec}")
    def compression(ctx: Context, codec: str = codec) -> object:
        topic = ctx.topic()
        texts = [b"%d " % i * 50 for i in range(300)]
        write(ctx, topic, [{"value": text, "partition": 0} for text in texts], compression_type=codec, linger_ms=50)
        equal([record.value() for record in read(ctx, topic, 300)], texts)
        return None


@suite.case("headers")
def headers(ctx: Context) -> object:
    topic = ctx.topic()
    sent = [("a", b"1"), ("a", b"2"), ("null", None), ("empty", b""), ("umlaut-ü", "é".encode())]
    write(ctx, topic, [{"value": b"v", "headers": sent}])
    equal(read(ctx, topic, 1)[0].headers(), sent)
    return len(sent)


@suite.case("null_and_empty")
def null_and_empty(ctx: Context) -> object:
    topic = ctx.topic()
    pairs = [(b"k", None), (None, b"v"), (None, None), (b"", b"")]
    write(ctx, topic, [{"key": key, "value": value, "partition": 0} for key, value in pairs])
    equal([(record.key(), record.value()) for record in read(ctx, topic, 4)], pairs)
    return None


@suite.case("large")
def large(ctx: Context) -> object:
    topic = ctx.topic()
    texts = [bytes([i]) * LARGE_BYTES for i in range(5)]
    write(ctx, topic, [{"value": text, "partition": 0} for text in texts])
    equal([record.value() for record in read(ctx, topic, 5)], texts)
    return None


@suite.case("timestamps.create_time")
def create_time(ctx: Context) -> object:
    topic = ctx.topic()
    sent = write(ctx, topic, [{"value": b"v", "timestamp": 1_600_000_000_123}])[0]
    return {"acked": sent.timestamp(), "read": read(ctx, topic, 1)[0].timestamp()}


@suite.case("timestamps.append_time")
def append_time(ctx: Context) -> object:
    topic = make_topic(admin(ctx), ctx, config={"message.timestamp.type": "LogAppendTime"})
    write(ctx, topic, [{"value": b"v", "timestamp": 1_600_000_000_123}])
    kind, moment = read(ctx, topic, 1)[0].timestamp()
    assert abs(moment - time.time() * 1000) < 30_000, moment
    return {"type": kind}


@suite.case("consume.seek")
def consume_seek(ctx: Context) -> object:
    topic = ctx.topic()
    write(ctx, topic, values(50))
    with Reader(ctx) as client:
        client.assign([TopicPartition(topic, 0, 40)])
        equal(next_record(client).offset(), 40)
        client.seek(TopicPartition(topic, 0, 10))
        equal(next_record(client).value(), b"10")
        low, high = client.get_watermark_offsets(TopicPartition(topic, 0), timeout=TIMEOUT_S)
        return {"low": low, "high": high}


@suite.case("consume.end")
def consume_end(ctx: Context) -> object:
    topic = ctx.topic()
    write(ctx, topic, values(5))
    with Reader(ctx, enable_partition_eof=True, auto_offset_reset="latest") as client:
        client.assign([TopicPartition(topic, 0, OFFSET_END)])
        record = client.poll(TIMEOUT_S)
        equal(record.error().code(), KafkaError._PARTITION_EOF)
        write(ctx, topic, [{"value": b"tail", "partition": 0}])
        record = next_record(client)
        return [record.offset(), record.value().decode()]


@suite.case("consume.timestamp")
def consume_timestamp(ctx: Context) -> object:
    topic = ctx.topic()
    stamps = [{"value": b"%d" % i, "partition": 0, "timestamp": 1_700_000_000_000 + 1000 * i} for i in range(20)]
    write(ctx, topic, stamps)
    with Reader(ctx) as client:

        def look(moment: int) -> int:
            return client.offsets_for_times([TopicPartition(topic, 0, moment)], timeout=TIMEOUT_S)[0].offset

        inside, beyond = look(1_700_000_000_000 + 7_500), look(1_800_000_000_000)
        client.assign([TopicPartition(topic, 0, inside)])
        equal(next_record(client).value(), b"8")
        return {"offset": inside, "beyond": beyond}


@suite.case("consume.out_of_range")
def consume_out_of_range(ctx: Context) -> object:
    topic = ctx.topic()
    write(ctx, topic, values(1))
    with Reader(ctx) as client:
        client.assign([TopicPartition(topic, 0, 1000)])
        return error_name(lambda: next_record(client))


@suite.case("consume.small_fetches")
def consume_small_fetches(ctx: Context) -> object:
    topic = ctx.topic()
    for _ in range(10):
        write(ctx, topic, values(3))
    records = read(ctx, topic, 30, fetch_message_max_bytes=1, fetch_max_bytes=1_100_000, message_max_bytes=1_000_000)
    return [records[0].offset(), records[-1].offset()]


@suite.case("consume.read_committed")
def consume_read_committed(ctx: Context) -> object:
    topic = ctx.topic()
    write(ctx, topic, values(10))
    return len(read(ctx, topic, 10, isolation_level="read_committed"))


@suite.case("consume.subscribe")
def consume_subscribe(ctx: Context) -> object:
    topic = ctx.topic()
    write(ctx, topic, values(3))
    with Reader(ctx, group_id=ctx.topic("group"), auto_offset_reset="earliest") as client:
        client.subscribe([topic])
        return len([next_record(client) for _ in range(3)])


@suite.case("admin.create")
def admin_create(ctx: Context) -> object:
    client = admin(ctx)
    topic = make_topic(client, ctx, 3, {"retention.ms": "60000"})
    found = outcome(client.describe_topics(TopicCollection([topic])))
    return {
        "leaders": [partition.leader.id for partition in found.partitions],
        "internal": found.is_internal,
        "id": len(str(found.topic_id)) > 10,
    }


@suite.case("admin.create.validate_only")
def admin_validate_only(ctx: Context) -> object:
    client = admin(ctx)
    topic = ctx.topic()
    outcome(client.create_topics([NewTopic(topic, 5, 1)], validate_only=True))
    assert topic not in client.list_topics(timeout=TIMEOUT_S).topics
    return None


@suite.case("admin.create.assignment")
def admin_create_assignment(ctx: Context) -> object:
    client = admin(ctx)
    node = next(iter(client.list_topics(timeout=TIMEOUT_S).brokers))
    topic = ctx.topic()
    outcome(client.create_topics([NewTopic(topic, replica_assignment=[[node], [node]], num_partitions=2)]))
    return eventually(lambda: partitions_of(client, topic), "the topic to show")


@suite.case("error.create")
def error_create(ctx: Context) -> object:
    client = admin(ctx)

    def code(name: str, partitions: int = 1, replicas: int = 1, **config: str) -> str:
        keys = {key.replace("_", "."): value for key, value in config.items()}
        topic = NewTopic(name, partitions, replicas, config=keys)
        return error_name(lambda: outcome(client.create_topics([topic])))

    return {
        "exists": code(make_topic(client, ctx)),
        "dots": code(".."),
        "slash": code("a/b"),
        "long": code("x" * 250),
        "partitions": code(ctx.topic(), 0),
        "replicas": code(ctx.topic(), 1, 3),
        "unknown_config": code(ctx.topic(), no_such_config="1"),
        "bad_config": code(ctx.topic(), retention_ms="soon"),
    }


@suite.case("admin.delete")
def admin_delete(ctx: Context) -> object:
    client = admin(ctx)
    topic = make_topic(client, ctx)
    outcome(client.delete_topics([topic]))
    eventually(lambda: topic not in client.list_topics(timeout=TIMEOUT_S).topics, "the topic to be gone")
    return error_name(lambda: outcome(client.delete_topics([topic])))


@suite.case("admin.recreate")
def admin_recreate(ctx: Context) -> object:
    """The producer and the consumer that knew the old topic must see the new one (trap 5)."""
    client, sender = admin(ctx), producer(ctx)
    topic = make_topic(client, ctx)
    write(ctx, topic, values(3))
    sender.list_topics(topic, timeout=TIMEOUT_S)
    outcome(client.delete_topics([topic]))
    eventually(lambda: topic not in client.list_topics(timeout=TIMEOUT_S).topics, "the topic to be gone")
    outcome(client.create_topics([NewTopic(topic, 1, 1)]))
    eventually(lambda: partitions_of(client, topic), "the topic to show")
    done: list[Any] = []
    sender.produce(topic, value=b"new", partition=0, on_delivery=lambda error, message: done.append((error, message)))
    equal(sender.flush(TIMEOUT_S), 0)
    equal(done[0][0], None)
    records = read(ctx, topic, 1)
    return [records[0].offset(), records[0].value().decode()]


@suite.case("admin.create_partitions")
def admin_create_partitions(ctx: Context) -> object:
    client = admin(ctx)
    topic = make_topic(client, ctx)
    outcome(client.create_partitions([NewPartitions(topic, 4)]))
    eventually(lambda: len(partitions_of(client, topic)) == 4, "four partitions")
    return error_name(lambda: outcome(client.create_partitions([NewPartitions(topic, 2)])))


@suite.case("admin.delete_records")
def admin_delete_records(ctx: Context) -> object:
    client = admin(ctx)
    topic = ctx.topic()
    write(ctx, topic, values(10))
    low = outcome(client.delete_records([TopicPartition(topic, 0, 4)])).low_watermark
    beyond = error_name(lambda: outcome(client.delete_records([TopicPartition(topic, 0, 100)])))
    return {"low": low, "first": read(ctx, topic, 6)[0].offset(), "beyond": beyond}


@suite.case("admin.configs")
def admin_configs(ctx: Context) -> object:
    client = admin(ctx)
    topic = make_topic(client, ctx, config={"segment.bytes": "1048576"})

    def entries() -> dict[str, Any]:
        return outcome(client.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]))

    def change(name: str, value: str | None, kind: AlterConfigOpType) -> None:
        entry = ConfigEntry(name, value, incremental_operation=kind)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        outcome(client.incremental_alter_configs([resource]))

    first = entries()["segment.bytes"]
    change("retention.ms", "700000", AlterConfigOpType.SET)
    eventually(lambda: entries()["retention.ms"].value == "700000", "the change to show")
    change("retention.ms", None, AlterConfigOpType.DELETE)
    eventually(lambda: entries()["retention.ms"].value != "700000", "the deletion to show")
    change("cleanup.policy", "compact", AlterConfigOpType.APPEND)
    eventually(lambda: "compact" in entries()["cleanup.policy"].value, "the addition to show")
    return {
        "segment": [first.value, first.source, first.is_default, first.is_sensitive, first.is_read_only],
        "policy": entries()["cleanup.policy"].value,
        "bad": error_name(lambda: change("retention.ms", "soon", AlterConfigOpType.SET)),
        "unknown": error_name(lambda: change("no.such.config", "1", AlterConfigOpType.SET)),
    }


@suite.case("admin.configs.alter_legacy")
def configs_alter_legacy(ctx: Context) -> object:
    client = admin(ctx)
    topic = make_topic(client, ctx, config={"segment.bytes": "1048576"})
    resource = ConfigResource(ResourceType.TOPIC, topic, set_config={"retention.ms": "700000"})
    outcome(client.alter_configs([resource]))

    def entries() -> dict[str, Any]:
        return outcome(client.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]))

    eventually(lambda: entries()["retention.ms"].value == "700000", "the change to show")
    return entries()["segment.bytes"].value  # not named, so reset


@suite.case("admin.configs.broker")
def configs_broker(ctx: Context) -> object:
    client = admin(ctx)
    node = next(iter(client.list_topics(timeout=TIMEOUT_S).brokers))
    found = outcome(client.describe_configs([ConfigResource(ResourceType.BROKER, str(node))]))
    wanted = ("num.partitions", "default.replication.factor", "min.insync.replicas", "auto.create.topics.enable")
    return {key: found[key].value for key in wanted}


@suite.case("admin.cluster")
def admin_cluster(ctx: Context) -> object:
    client = admin(ctx)  # kept: a client that is collected ends its own requests
    found = client.describe_cluster().result(timeout=TIMEOUT_S)
    return {
        "nodes": len(found.nodes),
        "address": [found.nodes[0].host, found.nodes[0].port == ctx.port],
        "controller": found.controller.id == found.nodes[0].id,
        "cluster_id": len(found.cluster_id),
    }


@suite.case("admin.list_offsets")
def admin_list_offsets(ctx: Context) -> object:
    topic = ctx.topic()
    for i, moment in enumerate((1000, 5000, 3000, 9000, 2000)):
        write(ctx, topic, [{"value": b"%d" % i, "partition": 0, "timestamp": 1_700_000_000_000 + moment}])
    client = admin(ctx)

    def look(spec: OffsetSpec) -> list[int]:
        found = outcome(
            client.list_offsets({TopicPartition(topic, 0): spec}, isolation_level=IsolationLevel.READ_UNCOMMITTED)
        )
        return [found.offset, found.timestamp]

    return {
        "earliest": look(OffsetSpec.earliest()),
        "latest": look(OffsetSpec.latest()),
        "max_timestamp": look(OffsetSpec.max_timestamp()),
        "timestamp": look(OffsetSpec.for_timestamp(1_700_000_004_000)),
        "beyond": look(OffsetSpec.for_timestamp(1_800_000_000_000)),
    }


@suite.case("error.too_large")
def error_too_large(ctx: Context) -> object:
    topic = ctx.topic()
    sent = [{"value": b"x" * 1_500_000, "partition": 0}]
    return error_name(lambda: write(ctx, topic, sent, message_max_bytes=3_000_000))


@suite.case("error.unknown_topic")
def error_unknown_topic(ctx: Context) -> object:
    topic = ctx.topic()
    with Reader(ctx, allow_auto_create_topics=False) as client:
        seen = client.list_topics(topic, timeout=TIMEOUT_S).topics[topic].error.name()
        offsets = error_name(lambda: client.get_watermark_offsets(TopicPartition(topic, 0), timeout=TIMEOUT_S))
        return {"metadata": seen, "offsets": offsets}


@suite.case("error.invalid_topic")
def error_invalid_topic(ctx: Context) -> object:
    return error_name(lambda: write(ctx, "not a topic!", [{"value": b"v"}], message_timeout_ms=10_000))


if __name__ == "__main__":
    import compat.confluent_kafka.groups  # noqa: F401 - registers its cases behind these

    sys.exit(suite.main())
