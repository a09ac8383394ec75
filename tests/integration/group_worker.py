"""A member of a consumer group as a process: reads, commits after each batch, and writes what it saw for the checker.

python -m tests.integration.group_worker --client aiokafka --bootstrap H:P --topic T --group G --name N --history F

Each line of the file is a time in nanoseconds and an event, so that the histories of several processes can be merged.
SIGTERM: leave the group in order.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.checker.history import Assign, Commit, Committed, Event, Poll, decode, encode
from tests.reference.process import TIED_TO_US

STOP = threading.Event()
SESSION_MS, BEAT_MS, REBALANCE_MS = 6_000, 500, 20_000
CLIENTS = ("kafka-python", "confluent-kafka", "aiokafka", "kcat", "console")
Records = list[tuple[int, str]]


class Notes:
    """What a member saw, in the order in which it saw it."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.name, self.topic, self.group = options.name, options.topic, options.group
        self._file = options.history.open("w")
        self._begun: set[int] = set()
        self._at: dict[int, int] = {}

    def add(self, event: Event) -> None:
        self._file.write(f"{time.time_ns()} {encode(event)}\n")
        self._file.flush()

    def of(self, partition: int) -> str:
        return f"{self.topic}-{partition}"

    def assigned(self, partitions: Iterable[int]) -> None:
        """Where it begins is where the group has come to: that is told by the first record of each partition."""
        partitions = list(partitions)
        self.add(Assign(self.name))
        for partition in partitions:
            self._begun.add(partition)
            self.add(Committed(f"{self.name}-{partition}", "invoke", self.group, self.of(partition)))

    def polled(self, partition: int, records: Records) -> None:
        first = records[0][0]
        if partition in self._begun:
            self._begun.discard(partition)
            told = first if first > 0 else -1
            self.add(Committed(f"{self.name}-{partition}", "ok", self.group, self.of(partition), told))
        self.add(Poll(self.name, self.of(partition), records))
        self._at[partition] = records[-1][0] + 1

    def committing(self, offsets: dict[int, int], kind: str) -> None:
        for partition, offset in offsets.items():
            self.add(Commit(self.name, kind, self.group, self.of(partition), offset))


def kafka_python(options: argparse.Namespace, notes: Notes) -> None:
    from kafka import ConsumerRebalanceListener, KafkaConsumer, OffsetAndMetadata, TopicPartition
    from kafka.errors import KafkaError

    class Listener(ConsumerRebalanceListener):
        def on_partitions_revoked(self, revoked: Any) -> None:
            pass

        def on_partitions_assigned(self, assigned: Any) -> None:
            notes.assigned(one.partition for one in assigned)

    consumer = KafkaConsumer(
        bootstrap_servers=options.bootstrap,
        group_id=options.group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=SESSION_MS,
        heartbeat_interval_ms=BEAT_MS,
        max_poll_interval_ms=REBALANCE_MS,
        retry_backoff_ms=50,
        reconnect_backoff_max_ms=200,
    )
    consumer.subscribe([options.topic], listener=Listener())
    while not STOP.is_set():
        offsets = {}
        for tp, records in consumer.poll(timeout_ms=200, max_records=200).items():
            notes.polled(tp.partition, [(one.offset, one.value.decode()) for one in records])
            offsets[tp.partition] = records[-1].offset + 1
        if offsets:
            notes.committing(offsets, "invoke")
            wanted = {TopicPartition(options.topic, p): OffsetAndMetadata(o, "", -1) for p, o in offsets.items()}
            try:
                consumer.commit(wanted)
            except KafkaError:
                notes.committing(offsets, "info")
            else:
                notes.committing(offsets, "ok")
    consumer.close(autocommit=False)


def confluent(options: argparse.Namespace, notes: Notes) -> None:
    from confluent_kafka import Consumer, KafkaException, TopicPartition

    consumer = Consumer(
        {
            "bootstrap.servers": options.bootstrap,
            "group.id": options.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": SESSION_MS,
            "heartbeat.interval.ms": BEAT_MS,
            "max.poll.interval.ms": REBALANCE_MS,
            "reconnect.backoff.max.ms": 200,
            "log_level": 2,
        }
    )
    consumer.subscribe([options.topic], on_assign=lambda _, given: notes.assigned(one.partition for one in given))
    while not STOP.is_set():
        found: dict[int, Records] = {}
        for one in consumer.consume(200, 0.2):
            if one.error() is None:
                found.setdefault(one.partition(), []).append((one.offset(), one.value().decode()))
        for partition, records in found.items():
            notes.polled(partition, records)
        if found:
            offsets = {partition: records[-1][0] + 1 for partition, records in found.items()}
            notes.committing(offsets, "invoke")
            wanted = [TopicPartition(options.topic, p, o) for p, o in offsets.items()]
            try:
                results = consumer.commit(offsets=wanted, asynchronous=False)
                good = all(one.error is None for one in results)
            except KafkaException:
                good = False
            notes.committing(offsets, "ok" if good else "info")
    consumer.close()


async def aio(options: argparse.Namespace, notes: Notes) -> None:
    from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
    from aiokafka.errors import KafkaError

    class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
        async def on_partitions_revoked(self, revoked: Any) -> None:
            pass

        async def on_partitions_assigned(self, assigned: Any) -> None:
            notes.assigned(one.partition for one in assigned)

    consumer = AIOKafkaConsumer(
        bootstrap_servers=options.bootstrap,
        group_id=options.group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=SESSION_MS,
        heartbeat_interval_ms=BEAT_MS,
        max_poll_interval_ms=REBALANCE_MS,
        retry_backoff_ms=50,
        metadata_max_age_ms=2_000,
    )
    consumer.subscribe([options.topic], listener=Listener())
    await consumer.start()
    while not STOP.is_set():
        offsets = {}
        for tp, records in (await consumer.getmany(timeout_ms=200, max_records=200)).items():
            notes.polled(tp.partition, [(one.offset, one.value.decode()) for one in records])
            offsets[tp.partition] = records[-1].offset + 1
        if offsets:
            notes.committing(offsets, "invoke")
            try:
                await consumer.commit({TopicPartition(options.topic, p): o for p, o in offsets.items()})
            except KafkaError:
                notes.committing(offsets, "info")
            else:
                notes.committing(offsets, "ok")
    await consumer.stop()


def kcat(options: argparse.Namespace, notes: Notes) -> None:
    """It commits by itself, every now and then and when it leaves: only what it read is noted."""
    settings = {
        "auto.offset.reset": "earliest",
        "session.timeout.ms": SESSION_MS,
        "heartbeat.interval.ms": BEAT_MS,
        "auto.commit.interval.ms": 200,
        "reconnect.backoff.max.ms": 200,
    }
    sets = [argument for name, value in settings.items() for argument in ("-X", f"{name}={value}")]
    command = [
        "kcat",
        "-b",
        options.bootstrap,
        *sets,
        "-u",
        "-q",
        "-f",
        "%p %o %s\n",
        "-G",
        options.group,
        options.topic,
    ]
    follow(command, re.compile(r"(\d+) (\d+) (.*)"), notes)


def console(options: argparse.Namespace, notes: Notes) -> None:
    """Kafka's console consumer; like kcat it commits by itself."""
    from tests.reference.kafka import install_tools, java, tool_class

    strategies = [f"org.apache.kafka.clients.consumer.{name}Assignor" for name in ("RoundRobin", "Range")]
    settings = {
        "auto.offset.reset": "earliest",
        "session.timeout.ms": SESSION_MS,
        "heartbeat.interval.ms": BEAT_MS,
        "max.poll.interval.ms": REBALANCE_MS,
        "auto.commit.interval.ms": 200,
        "reconnect.backoff.max.ms": 200,
        "partition.assignment.strategy": ",".join(strategies),  # one of them is what aiokafka asks for
    }
    args = ["--bootstrap-server", options.bootstrap, "--topic", options.topic, "--group", options.group]
    args += [argument for name, value in settings.items() for argument in ("--command-property", f"{name}={value}")]
    for name in ("print.partition", "print.offset"):
        args += ["--formatter-property", f"{name}=true"]
    quick = ("-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
    command = java(install_tools(), tool_class("ConsoleConsumer"), *args, options=quick)
    follow(command, re.compile(r"Partition:(\d+)\tOffset:(\d+)\t(.*)"), notes)


def follow(command: Sequence[str], line: re.Pattern[str], notes: Notes) -> None:
    """Note what a program prints: partition, offset and value of each record. SIGTERM ends it in order."""
    process = subprocess.Popen([*TIED_TO_US, *command], stdout=subprocess.PIPE, text=True)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    assert process.stdout is not None
    for text in process.stdout:
        if found := line.fullmatch(text.rstrip("\n")):
            partition, offset, value = found.groups()
            notes.add(Poll(notes.name, notes.of(int(partition)), [(int(offset), value)]))
    process.wait(30)


def merged(paths: Sequence[Path]) -> list[tuple[int, Event]]:
    """The events of several members by time."""
    events = []
    for path in paths:
        for line in path.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                at, _, event = line.partition(" ")
                events.append((int(at), decode(event)))
    events.sort(key=lambda one: one[0])
    return events


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.integration.group_worker", description=__doc__.splitlines()[0])
    parser.add_argument("--client", choices=CLIENTS, required=True)
    for name in ("bootstrap", "topic", "group", "name"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--history", type=Path, required=True)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: STOP.set())
    notes = Notes(options)
    if options.client == "aiokafka":
        asyncio.run(aio(options, notes))
    else:
        run = {"kafka-python": kafka_python, "confluent-kafka": confluent, "kcat": kcat, "console": console}
        run[options.client](options, notes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
