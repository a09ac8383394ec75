"""What the cases of this client share: clients with their default settings, topics, reading and writing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, for_code

from compat.cases import Context, Suite

suite = Suite("aiokafka")


def producer(ctx: Context, **options: Any) -> AIOKafkaProducer:
    return AIOKafkaProducer(bootstrap_servers=ctx.bootstrap, **options)


class Admin(AIOKafkaAdminClient):
    """The admin client as an asynchronous context manager, which it is not by itself."""

    def __init__(self, ctx: Context) -> None:
        super().__init__(bootstrap_servers=ctx.bootstrap)

    async def __aenter__(self) -> Admin:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


async def until(check: Callable[[], Awaitable[Any]], what: str, timeout_s: float = 20) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (result := await check()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout_s} s")
        await asyncio.sleep(0.05)
    return result


class Reader:
    """A consumer assigned to all partitions of a topic, without a group."""

    def __init__(self, ctx: Context, topic: str, **options: Any) -> None:
        self.topic = topic
        self.client = AIOKafkaConsumer(
            bootstrap_servers=ctx.bootstrap,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            **options,
        )

    async def __aenter__(self) -> AIOKafkaConsumer:
        await self.client.start()
        client = self.client
        await client._client.force_metadata_update()
        parts = await until(lambda: self.partitions(), f"partitions of {self.topic}")
        client.assign([TopicPartition(self.topic, index) for index in sorted(parts)])
        return client

    async def partitions(self) -> set[int] | None:
        await self.client._client.add_topic(self.topic)
        return self.client.partitions_for_topic(self.topic)

    async def __aexit__(self, *_: object) -> None:
        await self.client.stop()


async def read(ctx: Context, topic: str, count: int, **options: Any) -> list[Any]:
    async with Reader(ctx, topic, **options) as client:
        records = []
        while len(records) < count:
            records.append(await asyncio.wait_for(client.getone(), 20))
        return records


async def write(ctx: Context, topic: str, values: list[bytes | None], **options: Any) -> list[Any]:
    async with producer(ctx, **options) as client:
        waits = [await client.send(topic, value=value, partition=0) for value in values]
        return [await wait for wait in waits]


async def make_topic(client: Admin, ctx: Context, partitions: int = 1, configs: dict[str, str] | None = None) -> str:
    name = ctx.topic()
    await client.create_topics([NewTopic(name, partitions, 1, topic_configs=configs)])

    async def shown() -> bool:
        found = (await client.describe_topics([name]))[0]
        return found["error_code"] == 0 and len(found["partitions"]) == partitions

    await until(shown, "the topic to show")
    return name


async def error_name(call: Awaitable[Any]) -> str:
    try:
        result = await call
    except (KafkaError, ValueError) as error:
        return type(error).__name__
    raise AssertionError(f"no error but {str(result)[:200]}")


def first_code(reply: Any) -> str:
    """The name of the error of the first topic of a reply in old tuple form."""
    entry = (getattr(reply, "topic_errors", None) or getattr(reply, "topic_error_codes", None))[0]
    return for_code(entry[1]).__name__
