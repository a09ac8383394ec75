"""aiokafka in groups of the classic protocol, with offsets, and in transactions at version 0."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, OffsetAndMetadata, TopicPartition
from aiokafka.errors import KafkaError

from compat.aiokafka.client import Admin, make_topic, read, suite, until, write
from compat.cases import Context, equal

PARTITIONS = 4


@asynccontextmanager
async def member(ctx: Context, group: str, topic: str, **options: Any) -> AsyncIterator[AIOKafkaConsumer]:
    """A started member of a group."""
    client = AIOKafkaConsumer(
        topic,
        bootstrap_servers=ctx.bootstrap,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        heartbeat_interval_ms=500,
        **options,
    )
    await client.start()
    try:
        yield client
    finally:
        await client.stop()


async def topic_of(ctx: Context, partitions: int = PARTITIONS) -> str:
    async with Admin(ctx) as client:
        return await make_topic(client, ctx, partitions)


async def fill(ctx: Context, topic: str, first: int, count: int) -> None:
    async with AIOKafkaProducer(bootstrap_servers=ctx.bootstrap) as client:
        waits = [await client.send(topic, b"%d" % i, partition=i % PARTITIONS) for i in range(first, first + count)]
        await asyncio.gather(*waits)


async def collect(clients: list[AIOKafkaConsumer], seen: list[int], count: int) -> None:
    """Poll members until they have so many records in all."""

    async def step() -> bool:
        for client in clients:
            for records in (await client.getmany(timeout_ms=50)).values():
                seen.extend(int(record.value) for record in records)
        return len(seen) >= count

    await until(step, f"{count} records", timeout_s=40)


@suite.case("group.share")
async def group_share(ctx: Context) -> object:
    """Two members share, one leaves, the other goes on where both had committed."""
    topic, group = await topic_of(ctx), ctx.topic("group")
    await fill(ctx, topic, 0, 100)
    seen: list[int] = []
    async with member(ctx, group, topic) as first:
        await collect([first], seen, 100)
        await first.commit()
        async with member(ctx, group, topic) as second:

            async def both() -> bool:
                await first.getmany(timeout_ms=50)
                return [len(first.assignment()), len(second.assignment())] == [2, 2]

            await until(both, "an assignment of both", timeout_s=30)
            await fill(ctx, topic, 100, 100)
            await collect([first, second], seen, 200)
            await first.commit()
            await second.commit()

        async def alone() -> bool:
            await first.getmany(timeout_ms=50)
            return len(first.assignment()) == PARTITIONS

        await until(alone, "all partitions for one", timeout_s=30)
        await fill(ctx, topic, 200, 50)
        await collect([first], seen, 250)
        await first.commit()
        equal(sorted(seen), list(range(250)))
        offsets = [await first.committed(TopicPartition(topic, index)) for index in range(PARTITIONS)]
        return sum(offset or 0 for offset in offsets)


@suite.case("group.listener")
async def group_listener(ctx: Context) -> object:
    """The callbacks of a rebalance come in order, with what was had and what is had."""
    topic, group = await topic_of(ctx, 2), ctx.topic("group")
    calls: list[list[object]] = []

    class Listener(ConsumerRebalanceListener):
        def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
            calls.append(["revoked", len(revoked)])

        def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
            calls.append(["assigned", len(assigned)])

    client = AIOKafkaConsumer(bootstrap_servers=ctx.bootstrap, group_id=group, heartbeat_interval_ms=300)
    client.subscribe([topic], listener=Listener())
    await client.start()
    try:

        async def assigned() -> bool:
            await client.getmany(timeout_ms=50)
            return ["assigned", 2] in calls

        await until(assigned, "the first assignment")
        async with member(ctx, group, topic):

            async def shared() -> bool:
                await client.getmany(timeout_ms=50)
                return calls[-1] == ["assigned", 1]

            await until(shared, "the second assignment", timeout_s=30)
    finally:
        await client.stop()
    return calls[:4]


@suite.case("group.static", smoke=False)
async def group_static(ctx: Context) -> object:
    """A static member that comes back has its partitions; the other is not disturbed."""
    topic, group = await topic_of(ctx), ctx.topic("group")
    async with member(ctx, group, topic, group_instance_id="other") as other:

        async def both() -> bool:
            await other.getmany(timeout_ms=50)
            return [len(one.assignment()), len(other.assignment())] == [2, 2]

        async with member(ctx, group, topic, group_instance_id="one") as one:
            await until(both, "an assignment of both", timeout_s=30)
            before = one.assignment(), other.assignment()
        async with member(ctx, group, topic, group_instance_id="one") as one:
            await until(both, "the assignment again", timeout_s=30)
            equal((one.assignment(), other.assignment()), before)
    return None


@suite.case("group.simple")
async def group_simple(ctx: Context) -> object:
    """Offsets of a consumer that assigns its partitions itself; where nothing was committed, there is nothing."""
    topic, group = await topic_of(ctx, 2), ctx.topic("group")
    await write(ctx, topic, [b"v"] * 5)
    seen = []
    for _ in range(2):
        client = AIOKafkaConsumer(bootstrap_servers=ctx.bootstrap, group_id=group, enable_auto_commit=False)
        client.assign([TopicPartition(topic, 0), TopicPartition(topic, 1)])
        await client.start()
        seen.append([await client.committed(TopicPartition(topic, index)) for index in (0, 1)])
        await client.commit({TopicPartition(topic, 0): 3})
        await client.stop()
    return seen


@suite.case("group.metadata")
async def group_metadata(ctx: Context) -> object:
    """What is committed with an offset comes back."""
    topic, group = await topic_of(ctx, 1), ctx.topic("group")
    await write(ctx, topic, [b"v"] * 5)
    tp = TopicPartition(topic, 0)
    async with member(ctx, group, topic) as client:
        await client.getone()
        await client.commit({tp: OffsetAndMetadata(3, "a note")})
    async with member(ctx, group, topic) as client:
        record = await client.getone()
        return [await client.committed(tp), record.offset]


@suite.case("group.admin")
async def group_admin(ctx: Context) -> object:
    topic, group = await topic_of(ctx, 2), ctx.topic("group")
    await write(ctx, topic, [b"v"] * 5)
    async with member(ctx, group, topic) as client, Admin(ctx) as admin:
        await client.getone()
        await client.commit()
        listed = await admin.list_consumer_groups()
        described = (await admin.describe_consumer_groups([group]))[0].groups[0]
        offsets = await admin.list_consumer_group_offsets(group)
        return {
            "listed": (group, "consumer") in listed,
            "state": described[2],
            "protocol": described[4],
            "members": len(described[5]),
            "offset": offsets[TopicPartition(topic, 0)].offset,
        }


@suite.case("transaction.ends")
async def transaction_ends(ctx: Context) -> object:
    topic = await topic_of(ctx, 1)
    client = AIOKafkaProducer(bootstrap_servers=ctx.bootstrap, transactional_id=ctx.topic("txn"))
    async with client:
        for round_ in range(4):
            await client.begin_transaction()
            for i in range(5):
                await client.send_and_wait(topic, b"%d" % (10 * round_ + i), partition=0)
            if round_ % 2:
                await client.abort_transaction()
            else:
                await client.commit_transaction()
    committed = [int(one.value) for one in await read(ctx, topic, 10, isolation_level="read_committed")]
    return {"committed": committed, "all": len(await read(ctx, topic, 20))}


@suite.case("transaction.fenced")
async def transaction_fenced(ctx: Context) -> object:
    topic, name = await topic_of(ctx, 1), ctx.topic("txn")
    old = AIOKafkaProducer(bootstrap_servers=ctx.bootstrap, transactional_id=name)
    async with old:
        await old.begin_transaction()
        await old.send_and_wait(topic, b"1", partition=0)
        other = AIOKafkaProducer(bootstrap_servers=ctx.bootstrap, transactional_id=name)
        async with other as young, young.transaction():
            await young.send_and_wait(topic, b"2", partition=0)
        try:
            await old.commit_transaction()
            refused = ""
        except KafkaError as error:
            refused = type(error).__name__
    return [refused, [int(one.value) for one in await read(ctx, topic, 1, isolation_level="read_committed")]]


@suite.case("transaction.exactly_once")
async def exactly_once(ctx: Context) -> object:
    """Copy a topic in transactions that carry the offsets, with a member that is replaced."""
    source, sink, group = await topic_of(ctx), await topic_of(ctx, 1), ctx.topic("group")
    await fill(ctx, source, 0, 100)
    copied = 0
    for life in range(2):
        writer = AIOKafkaProducer(bootstrap_servers=ctx.bootstrap, transactional_id=group)
        async with member(ctx, group, source, isolation_level="read_committed") as client, writer:
            while copied < 50 * (life + 1):
                batches = await client.getmany(timeout_ms=500, max_records=10)
                if not batches:
                    continue
                async with writer.transaction():
                    for records in batches.values():
                        for record in records:
                            await writer.send(sink, record.value)
                    offsets = {tp: records[-1].offset + 1 for tp, records in batches.items()}
                    await writer.send_offsets_to_transaction(offsets, group)
                copied += sum(len(records) for records in batches.values())
    values = [int(one.value) for one in await read(ctx, sink, 100, isolation_level="read_committed")]
    equal(sorted(values), list(range(100)))
    return None
