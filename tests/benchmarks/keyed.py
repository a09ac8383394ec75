"""Keyed records for compaction: a topic filled by raw Produce requests of batches that are made beforehand."""

from __future__ import annotations

import random
import socket
import struct
import time
from pathlib import Path

from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from pyralog.records.batch import Record, build
from pyralog.records.compression import Codec
from tests.reference.process import HOST, Broker

RECORDS = 16  # of a batch
AT_ONCE = 32  # requests in flight


def batches(keys: int, value_bytes: int, codec: Codec, seed: int = 1) -> list[bytes]:
    """Batches in which each of so many keys comes once, in no order; values do not compress well."""
    rng = random.Random(seed)
    order = rng.sample(range(keys), keys)
    now = int(time.time() * 1000)
    words = [rng.randbytes(8) for _ in range(512)]
    value = lambda: b"".join(rng.choices(words, k=value_bytes // 8))  # noqa: E731
    return [
        build(
            [Record(i, now, b"key-%08d" % key, value()) for i, key in enumerate(order[at : at + RECORDS])], codec=codec
        )
        for at in range(0, keys, RECORDS)
    ]


def fill(broker: Broker, topic: str, made: list[bytes], total_bytes: int) -> int:
    """Appends the batches, again and again in another order, until so much is written; the bytes. An error raises."""
    rng = random.Random(2)
    name = struct.pack(">h", len(topic)) + topic.encode()
    written = waiting = 0
    with socket.create_connection((HOST, broker.port), timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answers = connection.makefile("rb")

        def answered() -> None:
            (size,) = struct.unpack(">i", answers.read(4))
            body = answers.read(size)
            (error,) = struct.unpack_from(">h", body, 4 + 4 + len(name) + 4 + 4)
            assert error == 0, f"produce to {topic}: error {error}"

        while written < total_bytes:
            rng.shuffle(made)
            for data in made:
                body = struct.pack(">hhii", -1, 1, 30_000, 1) + name + struct.pack(">iii", 1, 0, len(data)) + data
                head = struct.pack(">hhih", 0, 7, 1, -1)
                connection.sendall(struct.pack(">i", len(head) + len(body)) + head + body)
                written += len(data)
                waiting += 1
                if waiting == AT_ONCE:
                    answered()
                    waiting -= 1
                if written >= total_bytes:
                    break
        for _ in range(waiting):
            answered()
    return written


def configure(broker: Broker, topic: str, **values: object) -> None:
    """Topic settings, with _ for the dots of their names."""
    entries = [
        ConfigEntry(name.replace("_", "."), str(value), incremental_operation=AlterConfigOpType.SET)
        for name, value in values.items()
    ]
    admin = AdminClient({"bootstrap.servers": broker.address, "log_level": 0})
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(30)


def closed_bytes(broker: Broker, topic: str) -> int:
    """Of the log files of partition 0 but its last; those that are to be deleted do not count."""
    total = 0
    for path in sorted(Path(broker.data_dir).glob(f"{topic}-0/*.log"))[:-1]:
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # swapped away meanwhile
            continue
    return total
