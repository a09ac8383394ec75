"""aiokafka 0.14: old request versions only (ApiVersions 0, Metadata <= 5, Fetch <= 11), asyncio throughout."""

from __future__ import annotations

import asyncio
import sys

from aiokafka import TopicPartition
from aiokafka.admin import NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from compat.aiokafka.client import (
    Admin,
    Reader,
    error_name,
    first_code,
    make_topic,
    producer,
    read,
    suite,
    until,
    write,
)
from compat.cases import CODECS, LARGE_BYTES, Context, equal


@suite.case("produce.default")
async def produce_default(ctx: Context) -> object:
    topic = ctx.topic()
    async with producer(ctx) as client:
        waits = [await client.send(topic, key=b"k%d" % i, value=b"v%d" % i) for i in range(500)]
        spread = {(await wait).partition for wait in waits}
    records = await read(ctx, topic, 500)
    equal({(record.key, record.value) for record in records}, {(b"k%d" % i, b"v%d" % i) for i in range(500)})
    return {"partitions": sorted(spread)}


@suite.case("produce.idempotent")
async def produce_idempotent(ctx: Context) -> object:
    topic = ctx.topic()
    values = [b"%d" % i for i in range(500)]
    sent = await write(ctx, topic, values, enable_idempotence=True)
    equal([record.value for record in await read(ctx, topic, 500)], values)
    return [sent[0].offset, sent[-1].offset]


@suite.case("produce.acks")
async def produce_acks(ctx: Context) -> object:
    result = {}
    for acks in (0, 1, "all"):
        async with Admin(ctx) as client:
            topic = await make_topic(client, ctx)
        sent = await write(ctx, topic, [b"a", b"b", b"c"], acks=acks)
        equal([record.value for record in await read(ctx, topic, 3)], [b"a", b"b", b"c"])
        result[str(acks)] = sent[-1].offset if sent[-1] else None
    return result


for codec in CODECS:

    @suite.case(f"compression.{codec}")
    async def compression(ctx: Context, codec: str = codec) -> object:
        topic = ctx.topic()
        values = [b"%d " % i * 50 for i in range(300)]
        await write(ctx, topic, values, compression_type=None if codec == "none" else codec, linger_ms=50)
        equal([record.value for record in await read(ctx, topic, 300)], values)
        return None


@suite.case("headers")
async def headers(ctx: Context) -> object:
    topic = ctx.topic()
    sent = [("a", b"1"), ("a", b"2"), ("empty", b""), ("umlaut-ü", "é".encode())]
    async with producer(ctx) as client:
        await client.send_and_wait(topic, value=b"v", headers=sent)
    record = (await read(ctx, topic, 1))[0]
    equal(list(record.headers), sent)
    return len(record.headers)


@suite.case("null_and_empty")
async def null_and_empty(ctx: Context) -> object:
    topic = ctx.topic()
    pairs = [(b"k", None), (None, b"v"), (b"", b"")]
    async with producer(ctx) as client:
        for key, value in pairs:
            await client.send_and_wait(topic, key=key, value=value, partition=0)
    equal([(record.key, record.value) for record in await read(ctx, topic, 3)], pairs)
    return None


@suite.case("large")
async def large(ctx: Context) -> object:
    topic = ctx.topic()
    values = [bytes([i]) * LARGE_BYTES for i in range(5)]
    await write(ctx, topic, values)
    equal([record.value for record in await read(ctx, topic, 5)], values)
    return None


@suite.case("timestamps.create_time")
async def create_time(ctx: Context) -> object:
    topic = ctx.topic()
    async with producer(ctx) as client:
        sent = await client.send_and_wait(topic, value=b"v", timestamp_ms=1_600_000_000_123)
    record = (await read(ctx, topic, 1))[0]
    return {"acked": sent.timestamp, "read": record.timestamp, "type": record.timestamp_type}


@suite.case("consume.seek")
async def consume_seek(ctx: Context) -> object:
    topic = ctx.topic()
    await write(ctx, topic, [b"%d" % i for i in range(50)])
    tp = TopicPartition(topic, 0)
    async with Reader(ctx, topic) as client:
        client.assign([tp])
        client.seek(tp, 40)
        record = await asyncio.wait_for(client.getone(tp), 20)
        equal((record.offset, record.value), (40, b"40"))
        await client.seek_to_beginning(tp)
        equal((await asyncio.wait_for(client.getone(tp), 20)).offset, 0)
        await client.seek_to_end(tp)
        begin, ends = await client.beginning_offsets([tp]), await client.end_offsets([tp])
        return {"end": await client.position(tp), "begin": begin[tp], "ends": ends[tp]}


@suite.case("consume.timestamp")
async def consume_timestamp(ctx: Context) -> object:
    topic = ctx.topic()
    async with producer(ctx) as client:
        for i in range(20):
            await client.send(topic, value=b"%d" % i, partition=0, timestamp_ms=1_700_000_000_000 + 1000 * i)
        await client.flush()
    tp = TopicPartition(topic, 0)
    async with Reader(ctx, topic) as client:
        inside = (await client.offsets_for_times({tp: 1_700_000_000_000 + 7_500}))[tp]
        beyond = (await client.offsets_for_times({tp: 1_800_000_000_000}))[tp]
        client.seek(tp, inside.offset)
        equal((await asyncio.wait_for(client.getone(tp), 20)).value, b"8")
    return {"offset": inside.offset, "timestamp": inside.timestamp, "beyond": beyond}


@suite.case("consume.tail")
async def consume_tail(ctx: Context) -> object:
    topic = ctx.topic()
    await write(ctx, topic, [b"first"])
    async with Reader(ctx, topic) as client:
        equal((await asyncio.wait_for(client.getone(), 20)).value, b"first")
        waiting = asyncio.ensure_future(client.getone())
        await write(ctx, topic, [b"second"])
        return (await asyncio.wait_for(waiting, 20)).value.decode()


@suite.case("admin.create")
async def admin_create(ctx: Context) -> object:
    async with Admin(ctx) as client:
        topic = await make_topic(client, ctx, 3, {"retention.ms": "60000"})
        assert topic in await client.list_topics()
        found = (await client.describe_topics([topic]))[0]
        return {"leaders": [p["leader"] for p in found["partitions"]], "internal": found["is_internal"]}


@suite.case("admin.delete")
async def admin_delete(ctx: Context) -> object:
    async with Admin(ctx) as client:
        topic = await make_topic(client, ctx)
        await client.delete_topics([topic])

        async def gone() -> bool:
            return topic not in await client.list_topics()

        await until(gone, "the topic to be gone")
        return first_code(await client.delete_topics([topic]))


@suite.case("admin.create_partitions")
async def admin_create_partitions(ctx: Context) -> object:
    async with Admin(ctx) as client:
        topic = await make_topic(client, ctx)
        await client.create_partitions({topic: NewPartitions(4)})

        async def grown() -> bool:
            return len((await client.describe_topics([topic]))[0]["partitions"]) == 4

        await until(grown, "four partitions")
        return await error_name(client.create_partitions({topic: NewPartitions(2)}))


@suite.case("admin.delete_records")
async def admin_delete_records(ctx: Context) -> object:
    topic = ctx.topic()
    await write(ctx, topic, [b"%d" % i for i in range(10)])
    tp = TopicPartition(topic, 0)
    async with Admin(ctx) as client:
        low = (await client.delete_records({tp: RecordsToDelete(before_offset=4)}))[tp]
        return {"low": low, "first": (await read(ctx, topic, 6))[0].offset}


@suite.case("admin.configs")
async def admin_configs(ctx: Context) -> object:
    async with Admin(ctx) as client:
        topic = await make_topic(client, ctx, configs={"segment.bytes": "1048576"})

        async def value(name: str) -> str:
            reply = (await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)]))[0]
            return next(entry[1] for entry in reply.resources[0][4] if entry[0] == name)

        first = await value("segment.bytes")
        changed = ConfigResource(ConfigResourceType.TOPIC, topic, {"retention.ms": "700000"})
        reply = (await client.alter_configs([changed]))[0]

        async def shown() -> bool:
            return await value("retention.ms") == "700000"

        await until(shown, "the change to show")
        wrong = ConfigResource(ConfigResourceType.TOPIC, topic, {"retention.ms": "soon"})
        bad = (await client.alter_configs([wrong]))[0].resources[0][0]
        return {"first": first, "reset": await value("segment.bytes"), "code": reply.resources[0][0], "bad": bad}


@suite.case("admin.cluster")
async def admin_cluster(ctx: Context) -> object:
    async with Admin(ctx) as client:
        found = await client.describe_cluster()
        broker = found["brokers"][0]
        return {"brokers": len(found["brokers"]), "address": [broker["host"], broker["port"] == ctx.port]}


@suite.case("error.create")
async def error_create(ctx: Context) -> object:
    async with Admin(ctx) as client:

        async def code(name: str, partitions: int = 1, replicas: int = 1, **configs: str) -> str:
            keys = {key.replace("_", "."): value for key, value in configs.items()}
            return first_code(await client.create_topics([NewTopic(name, partitions, replicas, topic_configs=keys)]))

        return {
            "exists": await code(await make_topic(client, ctx)),
            "slash": await code("a/b"),
            "long": await code("x" * 250),
            "partitions": await code(ctx.topic(), 0),
            "replicas": await code(ctx.topic(), 1, 3),
            "bad_config": await code(ctx.topic(), retention_ms="soon"),
        }


@suite.case("error.too_large")
async def error_too_large(ctx: Context) -> object:
    return await error_name(write(ctx, ctx.topic(), [b"x" * 1_500_000], max_request_size=3_000_000))


if __name__ == "__main__":
    import compat.aiokafka.groups  # noqa: F401 - registers its cases behind these

    sys.exit(suite.main())
