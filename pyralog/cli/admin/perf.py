"""`pyralog-admin perf`: measure producing, consuming, and the way from end to end, with live figures on stderr."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from pyralog.cli.admin.ask import Ask, asks, fail, note, quiet
from pyralog.cli.admin.metadata import places_of
from pyralog.cli.admin.offsets import ends_of
from pyralog.cli.admin.output import size_text
from pyralog.cli.admin.telling import said
from pyralog.cli.admin.tree import command, group

EVERY_S = 1.0
PLAIN_EVERY_S = 5.0
IN_FLIGHT = 100_000
QUANTILES = {"p50_ms": 0.50, "p99_ms": 0.99, "p999_ms": 0.999}
CODECS = click.Choice(["gzip", "snappy", "lz4", "zstd"])


@group("perf")
def perf() -> None:
    """Measure producing, consuming, and the way from end to end."""


class Meter:
    """Records, bytes and latencies of a run, and a line about them now and then."""

    def __init__(self, what: str, *, wanted: bool) -> None:
        self.records = self.size_bytes = 0
        self.latencies: list[float] = []
        self._what, self._wanted = what, wanted
        self._live = wanted and sys.stderr.isatty()
        self._began = self._told = time.monotonic()
        self._told_records = self._told_bytes = 0

    def add(self, size_bytes: int, latency_s: float | None = None) -> None:
        """One more record."""
        self.records += 1
        self.size_bytes += size_bytes
        if latency_s is not None:
            self.latencies.append(latency_s)
        if self.records % 1000 == 0:
            self.look()

    def look(self) -> None:
        """Tell how it goes, when it is time to."""
        now = time.monotonic()
        span = now - self._told
        if not self._wanted or span < (EVERY_S if self._live else PLAIN_EVERY_S):
            return
        rate, size = (self.records - self._told_records) / span, (self.size_bytes - self._told_bytes) / span
        line = f"{self._what}: {self.records} records, {rate:.0f}/s, {size_text(size)}/s"
        click.echo(f"\r{line:<70}" if self._live else line, err=True, nl=not self._live)
        self._told, self._told_records, self._told_bytes = now, self.records, self.size_bytes

    def result(self) -> dict[str, Any]:
        """The figures of the whole run."""
        if self._live:
            click.echo("", err=True)
        span = max(time.monotonic() - self._began, 1e-9)
        ordered = sorted(self.latencies)
        found = {
            "records": self.records,
            "seconds": round(span, 3),
            "records_per_s": round(self.records / span),
            "mib_per_s": round(self.size_bytes / span / (1 << 20), 2),
        }
        for name, quantile in QUANTILES.items() if ordered else ():
            found[name] = round(1000 * ordered[min(int(len(ordered) * quantile), len(ordered) - 1)], 3)
        if ordered:
            found["max_ms"] = round(1000 * ordered[-1], 3)
        return found


@contextmanager
def _topic(ask: Ask, name: str | None, partitions: int) -> Iterator[str]:
    """The named topic, or one of our own that is deleted afterwards."""
    if name is not None:
        yield name
        return
    made = f"pyralog-perf-{os.urandom(4).hex()}"
    with ask.connected() as client:
        client.create_topics({made: {"num_partitions": partitions}}, wait_for_metadata=True)
    try:
        yield made
    finally:
        with ask.connected() as client:
            client.delete_topics([made])


@command("produce")
@click.option("--topic", "name", help="An existing topic; otherwise one is made and deleted.")
@click.option("--partitions", type=click.IntRange(1), default=1, show_default=True, help="Of the topic that is made.")
@click.option("--records", type=click.IntRange(1), default=100_000, show_default=True)
@click.option("--size", type=click.IntRange(1), default=100, show_default=True, help="Bytes of a value.")
@click.option("--rate", type=click.IntRange(1), help="Records a second; as fast as it goes otherwise.")
@click.option("--acks", type=click.Choice(["0", "1", "all"]), default="all", show_default=True)
@click.option("--compression", type=CODECS)
@click.option("--linger-ms", type=click.IntRange(0), default=5, show_default=True)
@asks
def perf_produce(
    ask: Ask,
    name: str | None,
    partitions: int,
    records: int,
    size: int,
    rate: int | None,
    acks: str,
    compression: str | None,
    linger_ms: int,
) -> None:
    """Throughput and latency of producing, with this machine's Python client, which may be the slower side."""
    from kafka import KafkaProducer

    quiet()
    options: dict[str, Any] = {"acks": "all" if acks == "all" else int(acks), "enable_idempotence": acks == "all"}
    failed: list[BaseException] = []
    options |= {"compression_type": compression, "linger_ms": linger_ms}
    with (
        _topic(ask, name, partitions) as topic,
        ask.told(),
        KafkaProducer(**ask.options(), **options) as producer,
    ):
        _warm(producer, topic)
        meter = Meter("produce", wanted=ask.progress)
        began, value = time.monotonic(), os.urandom(size)
        for number in range(records):
            if rate is not None:
                time.sleep(max(0.0, began + number / rate - time.monotonic()))
            sent = time.monotonic()
            future = producer.send(topic, value)
            future.add_callback(lambda _, sent=sent: meter.add(size, time.monotonic() - sent))
            future.add_errback(failed.append)
        producer.flush()
        result = meter.result()
    if failed:
        fail(f"{len(failed)} of {records} records failed, the first: {said(failed[0])}")
    ask.document(result)


def _warm(producer: Any, topic: str) -> None:
    """Connect and learn the metadata before the clock starts."""
    producer.partitions_for(topic)


@command("consume")
@click.argument("name")
@click.option("--records", type=click.IntRange(1), help="End after so many; otherwise at the present end.")
@asks
def perf_consume(ask: Ask, name: str, records: int | None) -> None:
    """Throughput of reading a topic from its start."""
    from kafka import KafkaConsumer, TopicPartition

    with ask.connected() as client:
        ends = ends_of(client, places_of(client, (name,)))
    left = {TopicPartition(*place): end for place, (start, end) in ends.items() if end > start}
    with ask.told(), KafkaConsumer(**ask.options()) as consumer:
        consumer.assign([TopicPartition(*place) for place in ends])
        consumer.seek_to_beginning()
        meter = Meter("consume", wanted=ask.progress)
        while left and (records is None or meter.records < records):
            for found in consumer.poll(200, max_records=5000).values():
                for record in found:
                    meter.add(max(record.serialized_key_size, 0) + max(record.serialized_value_size, 0))
            meter.look()
            left = {tp: end for tp, end in left.items() if consumer.position(tp) < end}
        result = meter.result()
    ask.document(result)


@command("e2e")
@click.option("--topic", "name", help="An existing topic; otherwise one is made and deleted.")
@click.option("--records", type=click.IntRange(1), default=1000, show_default=True)
@click.option("--size", type=click.IntRange(16), default=100, show_default=True, help="Bytes of a value.")
@asks
def perf_e2e(ask: Ask, name: str | None, records: int, size: int) -> None:
    """Time from send to receipt, one record at a time."""
    from kafka import KafkaConsumer, KafkaProducer, TopicPartition

    quiet()
    with _topic(ask, name, 1) as topic, ask.told():
        place = TopicPartition(topic, 0)
        with (
            KafkaConsumer(**ask.options(), fetch_max_wait_ms=1000) as consumer,
            KafkaProducer(**ask.options(), linger_ms=0) as producer,
        ):
            consumer.assign([place])
            consumer.seek_to_end()
            consumer.position(place)
            meter, rest = Meter("e2e", wanted=ask.progress), os.urandom(size - 16)
            for number in range(records):
                mark = os.urandom(16)
                sent = time.monotonic()
                producer.send(topic, mark + rest, partition=0)
                while not any(r.value[:16] == mark for rs in consumer.poll(1000).values() for r in rs):
                    if time.monotonic() - sent > 30:
                        fail(f"record {number} did not arrive within 30 s")
                meter.add(size, time.monotonic() - sent)
            result = meter.result()
    ask.document(result)
    note("One record at a time through this machine's Python client: mostly the client's time.")


for each in (perf_produce, perf_consume, perf_e2e):
    perf.add_command(each)
