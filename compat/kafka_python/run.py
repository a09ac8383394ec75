"""kafka-python 3.x: producer, assigned consumer and admin client, each with its default settings."""

from __future__ import annotations

import sys
import time
import uuid
from typing import Any

from kafka import TopicPartition
from kafka.admin import AlterConfigOp, ConfigResource, ConfigResourceType, OffsetSpec
from kafka.errors import KafkaError, for_code

import compat.kafka_python.admin_cli
import compat.kafka_python.groups  # noqa: F401 - registers its cases
from compat.cases import CODECS, LARGE_BYTES, Context, equal, eventually
from compat.kafka_python.client import admin, consumer, error_name, make_topic, producer, read, suite, write


@suite.case("produce.default")
def produce_default(ctx: Context) -> object:
    topic = ctx.topic()
    with producer(ctx) as client:
        futures = [client.send(topic, key=b"k%d" % i, value=b"v%d" % i) for i in range(500)]
        client.flush()
        spread = {future.get(timeout=20).partition for future in futures}
    seen = {(record.key, record.value) for record in read(ctx, topic, 500)}
    equal(seen, {(b"k%d" % i, b"v%d" % i) for i in range(500)})
    return {"partitions": sorted(spread)}


@suite.case("produce.acks")
def produce_acks(ctx: Context) -> object:
    result = {}
    for acks in (0, 1, "all"):
        topic = ctx.topic()
        with admin(ctx) as client:
            client.create_topics({topic: {"num_partitions": 1}}, wait_for_metadata=True)
        last = write(ctx, topic, [b"a", b"b", b"c"], acks=acks, enable_idempotence=False)[-1]
        equal([record.value for record in read(ctx, topic, 3)], [b"a", b"b", b"c"])
        result[str(acks)] = last.offset if acks else None  # without an answer the client makes one up
    return result


for codec in CODECS:

    @suite.case(f"compression.{codec}")
    def compression(ctx: Context, codec: str = codec) -> object:
        topic = ctx.topic()
        values = [b"%d " % i * 50 for i in range(300)]
        write(ctx, topic, values, compression_type=None if codec == "none" else codec, linger_ms=50)
        equal([record.value for record in read(ctx, topic, 300)], values)
        return None


@suite.case("headers")
def headers(ctx: Context) -> object:
    topic = ctx.topic()
    sent = [("a", b"1"), ("a", b"2"), ("empty", b""), ("umlaut-ü", "é".encode())]
    with producer(ctx) as client:
        client.send(topic, value=b"v", headers=sent).get(timeout=20)
    record = read(ctx, topic, 1)[0]
    equal(list(record.headers), sent)
    return len(record.headers)


@suite.case("null_and_empty")
def null_and_empty(ctx: Context) -> object:
    topic = ctx.topic()
    pairs = [(b"k", None), (None, b"v"), (b"", b"")]  # the client refuses a record with neither
    with producer(ctx) as client:
        futures = [client.send(topic, key=key, value=value, partition=0) for key, value in pairs]
        client.flush()
        for future in futures:
            future.get(timeout=20)
    equal([(record.key, record.value) for record in read(ctx, topic, 3)], pairs)
    return None


@suite.case("large")
def large(ctx: Context) -> object:
    topic = ctx.topic()
    values = [bytes([i]) * LARGE_BYTES for i in range(5)]
    write(ctx, topic, values)
    equal([record.value for record in read(ctx, topic, 5)], values)
    return None


@suite.case("timestamps.create_time")
def create_time(ctx: Context) -> object:
    topic = ctx.topic()
    with producer(ctx) as client:
        sent = client.send(topic, value=b"v", timestamp_ms=1_600_000_000_123).get(timeout=20)
    record = read(ctx, topic, 1)[0]
    return {"acked": sent.timestamp, "read": record.timestamp, "type": record.timestamp_type}


@suite.case("timestamps.append_time")
def append_time(ctx: Context) -> object:
    with admin(ctx) as client:
        topic = make_topic(client, ctx, configs={"message.timestamp.type": "LogAppendTime"})
    before = int(time.time() * 1000)
    with producer(ctx) as client:
        sent = client.send(topic, value=b"v", timestamp_ms=1_600_000_000_123).get(timeout=20)
    record = read(ctx, topic, 1)[0]
    assert before - 1000 <= record.timestamp <= time.time() * 1000 + 1000, record.timestamp
    equal(sent.timestamp, record.timestamp)
    return {"type": record.timestamp_type}


@suite.case("consume.seek")
def consume_seek(ctx: Context) -> object:
    topic = ctx.topic()
    write(ctx, topic, [b"%d" % i for i in range(50)])
    tp = TopicPartition(topic, 0)
    with consumer(ctx) as client:
        client.assign([tp])
        client.seek(tp, 40)
        first = next(client)
        equal((first.offset, first.value), (40, b"40"))
        client.seek_to_beginning(tp)
        equal(next(client).offset, 0)
        client.seek_to_end(tp)
        return {
            "end": client.position(tp),
            "begin": client.beginning_offsets([tp])[tp],
            "ends": client.end_offsets([tp])[tp],
        }


@suite.case("consume.timestamp")
def consume_timestamp(ctx: Context) -> object:
    topic = ctx.topic()
    with producer(ctx) as client:
        for i in range(20):
            client.send(topic, value=b"%d" % i, partition=0, timestamp_ms=1_700_000_000_000 + 1000 * i)
        client.flush()
    tp = TopicPartition(topic, 0)
    with consumer(ctx) as client:
        client.assign([tp])
        inside = client.offsets_for_times({tp: 1_700_000_000_000 + 7_500})[tp]
        beyond = client.offsets_for_times({tp: 1_800_000_000_000})[tp]
        client.seek(tp, inside.offset)
        equal(next(client).value, b"8")
    return {"offset": inside.offset, "timestamp": inside.timestamp, "epoch": inside.leader_epoch, "beyond": beyond}


@suite.case("consume.out_of_range")
def consume_out_of_range(ctx: Context) -> object:
    topic = ctx.topic()
    write(ctx, topic, [b"x"])
    tp = TopicPartition(topic, 0)
    with consumer(ctx, auto_offset_reset="none") as client:
        client.assign([tp])
        client.seek(tp, 1000)
        return error_name(lambda: [client.poll(timeout_ms=500) for _ in range(10)])


@suite.case("consume.small_fetches")
def consume_small_fetches(ctx: Context) -> object:
    topic = ctx.topic()
    with producer(ctx, linger_ms=0) as client:
        for i in range(30):
            client.send(topic, value=b"%d" % i * 100, partition=i % 3).get(timeout=20)
    records = read(ctx, topic, 30, fetch_max_bytes=1, max_partition_fetch_bytes=1)
    return len({(record.partition, record.offset) for record in records})


@suite.case("admin.create")
def admin_create(ctx: Context) -> object:
    with admin(ctx) as client:
        topic = ctx.topic()
        reply = client.create_topics(
            {topic: {"num_partitions": 3, "replication_factor": 1, "configs": {"retention.ms": "60000"}}}
        )
        entry = reply["topics"][0]
        client.wait_for_topics([topic])
        described = client.describe_topics([topic])[0]
        assert topic in client.list_topics()
        return {
            "partitions": entry["num_partitions"],
            "replication": entry["replication_factor"],
            "retention": entry["configs"]["retention.ms"]["value"],
            "leaders": [partition["leader_id"] for partition in described["partitions"]],
            "internal": described["is_internal"],
        }


@suite.case("admin.create.defaults")
def admin_create_defaults(ctx: Context) -> object:
    with admin(ctx) as client:
        entry = client.create_topics([ctx.topic()])["topics"][0]
        return {"partitions": entry["num_partitions"], "replication": entry["replication_factor"]}


@suite.case("admin.create.assignment")
def admin_create_assignment(ctx: Context) -> object:
    with admin(ctx) as client:
        node = client.describe_cluster()["brokers"][0]["broker_id"]
        topic = ctx.topic()
        client.create_topics({topic: {"assignments": {0: [node], 1: [node]}}}, wait_for_metadata=True)
        return [p["replica_nodes"] == [node] for p in client.describe_topics([topic])[0]["partitions"]]


@suite.case("admin.create.validate_only")
def admin_validate_only(ctx: Context) -> object:
    with admin(ctx) as client:
        topic = ctx.topic()
        reply = client.create_topics({topic: {"num_partitions": 5}}, validate_only=True)
        assert topic not in client.list_topics()
        return {"code": reply["topics"][0]["error_code"], "partitions": reply["topics"][0]["num_partitions"]}


def create_code(ctx: Context, name: str, **spec: Any) -> str:
    with admin(ctx) as client:
        reply = client.create_topics({name: spec}, raise_errors=False)
        return for_code(reply["topics"][0]["error_code"]).__name__


@suite.case("error.create")
def error_create(ctx: Context) -> object:
    with admin(ctx) as client:
        exists = make_topic(client, ctx)
    return {
        "exists": create_code(ctx, exists),
        "dots": create_code(ctx, ".."),
        "long": create_code(ctx, "x" * 250),
        "slash": create_code(ctx, "a/b"),
        "empty": create_code(ctx, ""),
        "partitions": create_code(ctx, ctx.topic(), num_partitions=0),
        "replicas": create_code(ctx, ctx.topic(), num_partitions=1, replication_factor=3),
        "unknown_config": create_code(ctx, ctx.topic(), configs={"no.such.config": "1"}),
        "bad_config": create_code(ctx, ctx.topic(), configs={"retention.ms": "soon"}),
        "bad_range": create_code(ctx, ctx.topic(), configs={"max.message.bytes": "-1"}),
        "bad_assignment": create_code(ctx, ctx.topic(), assignments={0: [99]}),
        "both": create_code(ctx, ctx.topic(), num_partitions=2, assignments={0: [1]}),
    }


@suite.case("admin.delete")
def admin_delete(ctx: Context) -> object:
    with admin(ctx) as client:
        topic = make_topic(client, ctx)
        client.delete_topics([topic])
        eventually(lambda: topic not in client.list_topics(), "the topic to be gone")
        again = client.delete_topics([topic], raise_errors=False)["topics"][0]["error_code"]
        first = client.describe_topics([make_topic(client, ctx)])[0]
        client.delete_topics([uuid.UUID(str(first["topic_id"]))])
        eventually(lambda: first["name"] not in client.list_topics(), "the topic to be gone by id")
        return for_code(again).__name__


@suite.case("admin.recreate")
def admin_recreate(ctx: Context) -> object:
    with admin(ctx) as client:
        topic = make_topic(client, ctx)
        first = client.describe_topics([topic])[0]
        write(ctx, topic, [b"old"])
        client.delete_topics([topic])
        eventually(lambda: topic not in client.list_topics(), "the topic to be gone")
        client.create_topics({topic: {"num_partitions": 1}}, wait_for_metadata=True)
        second = client.describe_topics([topic])[0]
        assert first["topic_id"] != second["topic_id"]
        offset = write(ctx, topic, [b"new"])[0].offset
        equal([record.value for record in read(ctx, topic, 1)], [b"new"])
        return offset


@suite.case("admin.create_partitions")
def admin_create_partitions(ctx: Context) -> object:
    with admin(ctx) as client:
        topic = make_topic(client, ctx)
        client.create_partitions({topic: 4})
        eventually(lambda: len(client.describe_topics([topic])[0]["partitions"]) == 4, "four partitions")

        def code(count: int) -> str:
            reply = client.create_partitions({topic: count}, raise_errors=False)
            return for_code(reply.results[0].error_code).__name__

        unknown = client.create_partitions({ctx.topic(): 2}, raise_errors=False).results[0].error_code
        return {"fewer": code(2), "same": code(4), "unknown": for_code(unknown).__name__}


@suite.case("admin.delete_records")
def admin_delete_records(ctx: Context) -> object:
    topic = ctx.topic()
    write(ctx, topic, [b"%d" % i for i in range(10)])
    tp = TopicPartition(topic, 0)
    with admin(ctx) as client:
        low = client.delete_records({tp: 4})[tp]["low_watermark"]
        beyond = error_name(lambda: client.delete_records({tp: 100}))
        records = read(ctx, topic, 6)
        return {"low": low, "first": records[0].offset, "beyond": beyond}


@suite.case("admin.configs.topic")
def configs_topic(ctx: Context) -> object:
    with admin(ctx) as client:
        topic = make_topic(client, ctx, configs={"retention.ms": "3600000", "segment.bytes": "1048576"})
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        found = client.describe_configs([resource], include_synonyms=True, config_filter="all")["topic"][topic]
        wanted = (
            "retention.ms",
            "segment.bytes",
            "cleanup.policy",
            "compression.type",
            "max.message.bytes",
            "min.insync.replicas",
        )
        return {key: [found[key]["value"], found[key]["config_source"], found[key]["config_type"]] for key in wanted}


@suite.case("admin.configs.topic_keys")
def configs_topic_keys(ctx: Context) -> object:
    with admin(ctx) as client:
        topic = make_topic(client, ctx)
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        found = client.describe_configs([resource], config_filter="all")["topic"][topic]
        return {key: entry["value"] for key, entry in sorted(found.items())}


@suite.case("admin.configs.broker")
def configs_broker(ctx: Context) -> object:
    with admin(ctx) as client:
        node = client.describe_cluster()["brokers"][0]["broker_id"]
        resource = ConfigResource(ConfigResourceType.BROKER, str(node))
        found = client.describe_configs([resource], config_filter="all")["broker"][str(node)]
        wanted = ("num.partitions", "default.replication.factor", "min.insync.replicas", "auto.create.topics.enable")
        return {key: found[key]["value"] for key in wanted}


@suite.case("admin.configs.alter")
def configs_alter(ctx: Context) -> object:
    with admin(ctx) as client:
        topic = make_topic(client, ctx, configs={"retention.bytes": "5000000"})

        def alter(configs: dict[str, Any], **options: Any) -> str:
            resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs=configs)
            return client.alter_configs([resource], raise_on_unknown=False, **options)["topic"][topic]

        def seen() -> dict[str, str]:
            resource = ConfigResource(ConfigResourceType.TOPIC, topic)
            found = client.describe_configs([resource])["topic"].get(topic, {})
            return {
                key: entry["value"] for key, entry in found.items() if entry["config_source"] == "DYNAMIC_TOPIC_CONFIG"
            }

        equal(alter({"retention.ms": "1000000", "cleanup.policy": "compact"}), "OK")
        eventually(lambda: seen().get("retention.ms") == "1000000", "the change to show")
        first = seen()
        equal(
            alter({"cleanup.policy": (AlterConfigOp.APPEND, "delete"), "retention.ms": (AlterConfigOp.DELETE, None)}),
            "OK",
        )
        eventually(lambda: "retention.ms" not in seen(), "the deletion to show")
        second = seen()
        equal(alter({"retention.ms": "5"}, validate_only=True), "OK")
        equal(seen(), second)
        bad = alter({"retention.ms": "never"}).split("]")[0]
        unknown = alter({"no.such.config": "1"}).split("]")[0]
        client.reset_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs={})])
        eventually(lambda: not seen(), "the reset to show")
        return {"first": first, "second": second, "bad": bad, "unknown": unknown}


@suite.case("admin.configs.alter_legacy")
def configs_alter_legacy(ctx: Context) -> object:
    with admin(ctx) as client:
        topic = make_topic(client, ctx)
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs={"retention.ms": "700000"})
        equal(client.alter_configs([resource], incremental=False)["topic"][topic], "OK")
        look = ConfigResource(ConfigResourceType.TOPIC, topic)

        def value() -> str:
            return client.describe_configs([look], config_filter="all")["topic"][topic]["retention.ms"]["value"]

        eventually(lambda: value() == "700000", "the change to show")
        return value()


@suite.case("admin.configs.max_message_bytes")
def configs_max_message_bytes(ctx: Context) -> object:
    with admin(ctx) as client:
        topic = make_topic(client, ctx, configs={"max.message.bytes": "2000"})
        small = error_name(lambda: write(ctx, topic, [b"x" * 3000]))
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs={"max.message.bytes": "10000"})
        client.alter_configs([resource])

        def fits() -> bool:
            try:
                return bool(write(ctx, topic, [b"x" * 3000]))
            except KafkaError:
                return False

        eventually(fits, "the new limit to hold")
        return small


@suite.case("admin.cluster")
def admin_cluster(ctx: Context) -> object:
    with admin(ctx) as client:
        found = client.describe_cluster()
        broker = found["brokers"][0]
        return {
            "brokers": len(found["brokers"]),
            "address": [broker["host"], broker["port"] == ctx.port],
            "controller": found["controller_id"] == broker["broker_id"],
            "cluster_id": len(found["cluster_id"]),
        }


@suite.case("admin.list_offsets")
def admin_list_offsets(ctx: Context) -> object:
    topic = ctx.topic()
    with producer(ctx) as client:
        for i, moment in enumerate((1000, 5000, 3000, 9000, 2000)):
            client.send(topic, value=b"%d" % i, partition=0, timestamp_ms=1_700_000_000_000 + moment).get(timeout=20)
    tp = TopicPartition(topic, 0)
    with admin(ctx) as client:

        def look(spec: Any) -> list[int | None]:
            found = client.list_partition_offsets({tp: spec})[tp]
            return [found.offset, found.timestamp, found.leader_epoch] if found else [None]

        return {
            "earliest": look(OffsetSpec.EARLIEST),
            "latest": look(OffsetSpec.LATEST),
            "max_timestamp": look(OffsetSpec.MAX_TIMESTAMP),
            "timestamp": look(1_700_000_004_000),
            "beyond": look(1_800_000_000_000),
            "earliest_local": look(OffsetSpec.EARLIEST_LOCAL),
        }


@suite.case("admin.log_dirs")
def admin_log_dirs(ctx: Context) -> object:
    topic = ctx.topic()
    write(ctx, topic, [b"x" * 1000])
    with admin(ctx) as client:
        found = client.describe_log_dirs({topic: [0]})[0]["log_dirs"][0]
        partition = found["topics"][0]["partitions"][0]
        return {
            "error": found["error_code"],
            "some": partition["partition_size"] > 1000,
            "lag": partition["offset_lag"],
        }


@suite.case("admin.describe_topic_partitions")
def describe_topic_partitions(ctx: Context) -> object:
    with admin(ctx) as client:
        topic = make_topic(client, ctx, partitions=5)
        first = client.describe_topic_partitions([topic], response_partition_limit=2)
        rest = client.describe_topic_partitions([topic], cursor=first["next_cursor"])
        return {
            "first": [p["partition_index"] for p in first["topics"][0]["partitions"]],
            "cursor": first["next_cursor"]["partition_index"],
            "rest": [p["partition_index"] for p in rest["topics"][0]["partitions"]],
        }


@suite.case("admin.list_config_resources")
def list_config_resources(ctx: Context) -> object:
    with admin(ctx) as client:
        topic = make_topic(client, ctx)
        found = client.list_config_resources()
        assert topic in client.list_config_resources(["TOPIC"])["topic"]
        return sorted(kind for kind in found if kind in ("broker", "topic", "broker_logger"))


@suite.case("error.too_large")
def error_too_large(ctx: Context) -> object:
    topic = ctx.topic()
    return error_name(lambda: write(ctx, topic, [b"x" * 1_500_000], max_request_size=3_000_000))


@suite.case("error.invalid_topic")
def error_invalid_topic(ctx: Context) -> object:
    with admin(ctx) as client:
        code = client.describe_topics(["not a topic!"])[0]["error_code"]
        return for_code(code).__name__


@suite.case("error.unknown_topic")
def error_unknown_topic(ctx: Context) -> object:
    with admin(ctx) as client:
        code = client.describe_topics([ctx.topic()])[0]["error_code"]
        offsets = error_name(lambda: client.list_partition_offsets({TopicPartition(ctx.topic(), 0): OffsetSpec.LATEST}))
        return {"metadata": for_code(code).__name__, "offsets": offsets}


if __name__ == "__main__":
    sys.exit(suite.main())
