"""Places in a log as a user writes them: start, end, an offset, a time; and the offsets they stand for."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import click

if TYPE_CHECKING:
    from kafka.admin import KafkaAdminClient

Place = tuple[str, int]
EARLIEST, LATEST, MAX_TIMESTAMP = -2, -1, -3
WORDS = {"start": EARLIEST, "earliest": EARLIEST, "end": LATEST, "latest": LATEST, "max-timestamp": MAX_TIMESTAMP}


class Spec(NamedTuple):
    """An offset, or what ListOffsets is asked for: a time in ms or one of its special values."""

    offset: int | None
    asked: int | None


def spec_of(text: str) -> Spec:
    """`start`, `end`, `max-timestamp`, an offset, `@` and milliseconds, or a time of ISO 8601."""
    if text in WORDS:
        return Spec(None, WORDS[text])
    if text.isdigit():
        return Spec(int(text), None)
    if text.startswith("@") and text[1:].isdigit():
        return Spec(None, int(text[1:]))
    try:
        when = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(
            f"{text!r} is no place in a log: write start, end, max-timestamp, an offset, @MILLISECONDS, or a time such "
            "as 2026-01-31T12:00:00Z"
        ) from None
    if when.tzinfo is None:
        when = when.astimezone()
    return Spec(None, int(when.timestamp() * 1000))


def resolve(client: KafkaAdminClient, wanted: Mapping[Place, Spec]) -> dict[Place, int]:
    """The offset of each place; a time behind the last record stands for the end."""
    from kafka import TopicPartition

    found = {place: spec.offset for place, spec in wanted.items() if spec.offset is not None}
    asked = {TopicPartition(*place): spec.asked for place, spec in wanted.items() if spec.asked is not None}
    missing = []
    for tp, answer in (client.list_partition_offsets(asked) if asked else {}).items():
        if answer.offset < 0:
            missing.append(tp)
        else:
            found[tp.topic, tp.partition] = answer.offset
    if missing:
        for tp, answer in client.list_partition_offsets(dict.fromkeys(missing, LATEST)).items():
            found[tp.topic, tp.partition] = answer.offset
    return found


def ends_of(client: KafkaAdminClient, places: Iterable[Place]) -> dict[Place, tuple[int, int]]:
    """First offset and end of each partition."""
    from kafka import TopicPartition

    asked = [TopicPartition(*place) for place in places]
    if not asked:
        return {}
    first = client.list_partition_offsets(dict.fromkeys(asked, EARLIEST))
    last = client.list_partition_offsets(dict.fromkeys(asked, LATEST))
    return {(tp.topic, tp.partition): (first[tp].offset, last[tp].offset) for tp in asked}
