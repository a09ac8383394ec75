"""`pyralog-admin verify`: reads every batch of every partition and checks it."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from pyralog.cli.admin.ask import EXIT_FAILED, Ask, Rows, asks, note
from pyralog.cli.admin.configs import send
from pyralog.cli.admin.metadata import show_partitions, topics_of
from pyralog.cli.admin.offsets import ends_of
from pyralog.cli.admin.progress import Progress
from pyralog.cli.admin.telling import count, error_of
from pyralog.cli.admin.tree import command, internal_option

if TYPE_CHECKING:
    from kafka.admin import KafkaAdminClient

FETCH_BYTES = 4 << 20
BATCH_OVERHEAD = 12
TRIES = 3
OUT_OF_RANGE = "OFFSET_OUT_OF_RANGE"


@dataclass
class Checked:
    """What was found in one partition."""

    start: int
    end: int
    batches: int = 0
    records: int = 0
    size_bytes: int = 0
    problems: list[str] = field(default_factory=list)


@command("verify")
@click.argument("topics", nargs=-1)
@click.option("--deep", is_flag=True, help="Decompress and decode every record as well.")
@internal_option()
@asks
def verify(ask: Ask, topics: tuple[str, ...], deep: bool, internal: bool) -> None:
    """Read every partition from its first to its last record: checksums, offsets, and with --deep every record.

    Exit code 1 when something is wrong. Internal topics are read as well, and shown with --internal or a problem.
    """
    rows: Rows = []
    with ask.connected() as client:
        found = topics_of(client, topics)
        sizes = _sizes(client)
        places = [(each["name"], p["partition_index"], p["leader_id"]) for each in found for p in each["partitions"]]
        total = sum(sizes.get((name, number), 0) for name, number, _ in places)
        ends = ends_of(client, [(name, number) for name, number, leader in places if leader >= 0])
        with Progress("verify", total, wanted=ask.progress) as progress:
            for name, number, leader in places:
                progress.item(f"{name}:{number}")
                checked = Checked(*ends.get((name, number), (-1, -1)))
                if leader < 0:
                    checked.problems.append("it has no leader")
                else:
                    _check(client, name, number, leader, checked, progress, deep=deep)
                rows.append(
                    {
                        "topic": name,
                        "partition": number,
                        "start": checked.start,
                        "end": checked.end,
                        "batches": checked.batches,
                        "records": checked.records,
                        "size_bytes": checked.size_bytes,
                        "problems": checked.problems,
                    }
                )
    show_partitions(ask, rows, found, "problems", every=internal or bool(topics))
    wrong = sum(bool(row["problems"]) for row in rows)
    batches = sum(row["batches"] for row in rows)
    many = "1 batch" if batches == 1 else f"{batches} batches"
    note(f"{count(len(rows), 'partition')}, {many}: {wrong or 'none'} with problems.")
    sys.exit(EXIT_FAILED if wrong else 0)


def _sizes(client: KafkaAdminClient) -> dict[tuple[str, int], int]:
    """Bytes of each partition, for the progress."""
    return {
        (topic["name"], p["partition_index"]): p["partition_size"]
        for node in client.describe_log_dirs()
        for folder in node["log_dirs"]
        for topic in folder["topics"]
        for p in topic["partitions"]
    }


def _check(
    client: KafkaAdminClient, name: str, number: int, leader: int, checked: Checked, progress: Progress, *, deep: bool
) -> None:
    at, tries, limit = checked.start, 0, FETCH_BYTES
    while at < checked.end:
        error, data = _fetch(client, name, number, leader, at, limit)
        first = ends_of(client, [(name, number)])[name, number][0] if error == OUT_OF_RANGE else at
        if first > at:
            at = checked.start = first  # retention has been at work meanwhile
            continue
        if error:
            checked.problems.append(f"offset {at}: {error}")
            return
        after, size = check_batches(data, at, checked, deep=deep)
        progress.add(size)
        if after > at:
            at, tries = after, 0
            continue
        tries, limit = tries + 1, limit * 4
        if tries == TRIES:
            checked.problems.append(f"offset {at}: nothing is returned before the end {checked.end}")
            return


def _fetch(client: KafkaAdminClient, name: str, number: int, leader: int, at: int, limit: int) -> tuple[str, bytes]:
    from kafka.protocol.consumer import FetchRequest

    topic = FetchRequest.FetchTopic
    part = topic.FetchPartition(partition=number, current_leader_epoch=-1, fetch_offset=at, partition_max_bytes=limit)
    request = FetchRequest(
        replica_id=-1,
        max_wait_ms=500,
        min_bytes=1,
        max_bytes=limit,
        isolation_level=0,
        session_id=0,
        session_epoch=-1,
        topics=[topic(topic=name, partitions=[part])],
        max_version=12,
    )
    answer: Any = send(client, request, leader)
    (found,) = answer.responses[0].partitions
    return error_of(found.error_code), bytes(found.records or b"")


def check_batches(data: bytes, at: int, checked: Checked, *, deep: bool) -> tuple[int, int]:
    """Check whole batches; the offset behind the last one, and their bytes. What is cut at the end is read again."""
    from pyralog.errors import CorruptRecordError
    from pyralog.records.batch import crc_ok, iterate_batches, iterate_records

    position = 0
    while len(data) - position >= BATCH_OVERHEAD:
        size = BATCH_OVERHEAD + int.from_bytes(data[position + 8 : position + 12], "big")
        if len(data) - position < size:
            break
        raw = data[position : position + size]
        position += size
        try:
            ((header, _),) = iterate_batches(raw)
            if not crc_ok(raw):
                checked.problems.append(f"offset {header.base_offset}: the checksum does not match")
            if header.base_offset < at and header.last_offset < at:
                checked.problems.append(f"offset {header.base_offset}: offsets go back, {at} was expected")
            if deep and sum(1 for _ in iterate_records(raw)) != header.record_count:
                checked.problems.append(f"offset {header.base_offset}: {header.record_count} records were promised")
        except (CorruptRecordError, ValueError) as error:
            checked.problems.append(f"offset {at}: {error}")
            return checked.end, position
        at = header.last_offset + 1
        checked.batches += 1
        checked.records += header.record_count
        checked.size_bytes += size
    return at, position
