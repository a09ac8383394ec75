"""`pyralog-admin topic produce | consume | tail`: records by hand."""

from __future__ import annotations

import base64
import itertools
import sys
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from pyralog.cli.admin.ask import EXIT_FAILED, Ask, asks, note, pairs_of, quiet
from pyralog.cli.admin.metadata import places_among
from pyralog.cli.admin.offsets import ends_of, resolve, spec_of
from pyralog.cli.admin.output import time_text
from pyralog.cli.admin.telling import said
from pyralog.cli.admin.tree import command

if TYPE_CHECKING:
    from kafka import KafkaConsumer

POLL_MS = 200
# Records on their way, so that a stream without an end takes no more memory than this many.
MOST_WAITING = 10_000
# Of one record: whether it is too large is for the topic's max.message.bytes to say, not for the client library.
MOST_BYTES = 100 << 20


@command("produce")
@click.argument("name")
@click.argument("values", nargs=-1)
@click.option("--key", help="The key of the records given as arguments.")
@click.option("--key-separator", help="Lines are KEY, this, VALUE.")
@click.option("--header", "headers", multiple=True, metavar="NAME=VALUE", help="A header of every record.")
@click.option("--partition", "-p", type=click.IntRange(0), help="To this partition.")
@click.option("--compression", type=click.Choice(["gzip", "snappy", "lz4", "zstd"]), help="Compress the batches.")
@click.option("--acks", type=click.Choice(["0", "1", "all"]), default="all", show_default=True)
@asks
def produce(
    ask: Ask,
    name: str,
    values: tuple[str, ...],
    key: str | None,
    key_separator: str | None,
    headers: tuple[str, ...],
    partition: int | None,
    compression: str | None,
    acks: str,
) -> None:
    """Write records: the arguments, or a line of stdin each."""
    from kafka import KafkaProducer

    quiet()
    fixed = [(header, value.encode()) for header, value in pairs_of(headers, "--header").items()]
    with ask.connected() as client:
        places_among(client, name, () if partition is None else (partition,))
    options = {
        "acks": "all" if acks == "all" else int(acks),
        "enable_idempotence": acks == "all",
        "max_request_size": MOST_BYTES,
    }
    waiting: deque[Any] = deque()
    numbers, failed = itertools.count(), 0
    with ask.told(), KafkaProducer(**ask.options(), compression_type=compression, **options) as producer:
        for record_key, value in _given(values, key, key_separator):
            waiting.append(producer.send(name, value, record_key, fixed, partition))
            while waiting and (waiting[0].is_done or len(waiting) > MOST_WAITING):
                failed += not _tell(ask, name, next(numbers), waiting.popleft())
        producer.flush()
        while waiting:
            failed += not _tell(ask, name, next(numbers), waiting.popleft())
    sys.exit(EXIT_FAILED if failed else 0)


def _tell(ask: Ask, name: str, number: int, future: Any) -> bool:
    """Say what became of a record, in the order that they were given; whether it was written."""
    try:
        told = future.get(60)
    except Exception as error:  # noqa: BLE001 - every record's outcome is told
        note(f"record {number}: {said(error)}")
        return False
    ask.line({"partition": told.partition, "offset": told.offset}, f"{name}:{told.partition} offset {told.offset}")
    return True


def _given(values: tuple[str, ...], key: str | None, separator: str | None) -> Iterator[tuple[bytes | None, bytes]]:
    lines: Any = (value.encode() for value in values) if values else (line.rstrip(b"\n") for line in sys.stdin.buffer)
    for line in lines:
        if separator and separator.encode() in line:
            record_key, _, value = line.partition(separator.encode())
            yield record_key, value
        else:
            yield None if key is None else key.encode(), line


@command("consume")
@click.argument("name")
@click.option(
    "--from", "start", default="start", show_default=True, metavar="start|end|TIME|OFFSET", help="Begin here."
)
@click.option("--last", type=click.IntRange(1), help="Begin so many records before the end of each partition.")
@click.option("--partition", "-p", "only", type=click.IntRange(0), multiple=True, help="Of these partitions only.")
@click.option("--count", "-n", type=click.IntRange(1), help="End after so many records.")
@click.option("--follow", "-f", is_flag=True, help="Wait for more at the end.")
@click.option("--committed", is_flag=True, help="Only what no open or aborted transaction wrote.")
@click.option("--values", is_flag=True, help="Print the values alone, as they are.")
@asks
def consume(
    ask: Ask,
    name: str,
    start: str,
    last: int | None,
    only: tuple[int, ...],
    count: int | None,
    follow: bool,
    committed: bool,
    values: bool,
) -> None:
    """Print the records of a topic, up to its present end; --format json gives a line of JSON each."""
    read(ask, name, start, last=last, only=only, count=count, follow=follow, committed=committed, values=values)


@command("tail")
@click.argument("name")
@click.option("--last", type=click.IntRange(0), default=10, show_default=True, help="Begin so many before the end.")
@click.option("--count", "-n", type=click.IntRange(1), help="End after so many records.")
@asks
def tail(ask: Ask, name: str, last: int, count: int | None) -> None:
    """Print the newest records and those that come, until Ctrl-C."""
    read(ask, name, "end", last=last or None, count=count, follow=True)


def read(
    ask: Ask,
    name: str,
    start: str,
    *,
    last: int | None = None,
    only: tuple[int, ...] = (),
    count: int | None = None,
    follow: bool = False,
    committed: bool = False,
    values: bool = False,
) -> None:
    """Read from a place to the end, or on and on."""
    from kafka import KafkaConsumer, TopicPartition

    spec = spec_of(start)
    with ask.connected() as client:
        places = places_among(client, name, only)
        ends = ends_of(client, places)
        begin = resolve(client, dict.fromkeys(places, spec))
    for place, (first, end) in ends.items():
        begin[place] = max(first, end - last) if last is not None else min(max(begin[place], first), end)
    level = "read_committed" if committed else "read_uncommitted"
    with ask.told(), KafkaConsumer(**ask.options(), isolation_level=level, fetch_max_wait_ms=POLL_MS) as consumer:
        consumer.assign([TopicPartition(*place) for place in places])
        for place, offset in begin.items():
            consumer.seek(TopicPartition(*place), offset)
        left = {TopicPartition(*place): end for place, (_, end) in ends.items() if begin[place] < end}
        _print_all(ask, consumer, left, count=count, follow=follow, values=values)


def _print_all(
    ask: Ask, consumer: KafkaConsumer, left: dict[Any, int], *, count: int | None, follow: bool, values: bool
) -> None:
    printed = 0
    while left or follow:
        for tp, records in consumer.poll(POLL_MS).items():
            for record in records:
                if not follow and record.offset >= left.get(tp, 0):
                    break
                _print(ask, record, values=values)
                printed += 1
                if printed == count:
                    return
        sys.stdout.flush()
        left = {tp: end for tp, end in left.items() if consumer.position(tp) < end}


def _print(ask: Ask, record: Any, *, values: bool) -> None:
    if values:
        sys.stdout.buffer.write((record.value or b"") + b"\n")
        return
    told = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "at_ms": record.timestamp,
        "key": text_of(record.key),
        "value": text_of(record.value),
        "headers": {name: text_of(value) for name, value in record.headers},
    }
    key = "" if record.key is None else f" {told['key']}:"
    where = f"{record.topic}:{record.partition} {record.offset}"
    value = "(no value)" if record.value is None else told["value"]
    ask.line(told, f"{where} {time_text(record.timestamp)}{key} {value}")


def text_of(data: bytes | None) -> str | None:
    """Text where the bytes are text, base64 with a mark otherwise."""
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return "base64:" + base64.b64encode(data).decode()
