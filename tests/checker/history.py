"""Histories: what clients saw, event by event, in the order in which it happened, and the files that keep them.

Every operation that can fail has a kind: invoke when it begins, then ok, fail (surely no effect) or info (unknown).
Values are unique over the whole history.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

Partition = str  # "topic-0"


class Send(NamedTuple):
    """One step of a send, in a transaction or (txn "") in none."""

    process: str
    kind: str
    partition: Partition
    value: str
    offset: int = -1
    txn: str = ""


class Poll(NamedTuple):
    """What one poll gave of one partition; `committed` = isolation level read_committed."""

    process: str
    partition: Partition
    records: Sequence[tuple[int, str]]
    txn: str = ""
    committed: bool = True


class Put(NamedTuple):
    """One step of a keyed write to a compacted topic; `dead` = a tombstone. `id`, unique, travels in a header."""

    process: str
    kind: str
    partition: Partition
    key: str
    id: str
    dead: bool = False
    offset: int = -1
    txn: str = ""


class Scan(NamedTuple):
    """One step of reading committed records from `start` to `end`, which was the end of what is stable: (offset, key,
    id, dead) of each. At invoke there are none."""

    process: str
    kind: str
    partition: Partition
    start: int
    end: int = -1
    records: Sequence[tuple[int, str, str, bool]] = ()


class Assign(NamedTuple):
    """A reader chose its positions: its next poll may start anywhere."""

    process: str


class Txn(NamedTuple):
    """A transaction's life: invoke = begun, ok = committed, fail = aborted, info = nobody knows."""

    process: str
    kind: str
    txn: str


class Own(NamedTuple):
    """A member of a group was given partitions, or has none any more (an empty list); it names all that it has."""

    process: str
    group: str
    generation: int
    partitions: Sequence[Partition]


class Returned(NamedTuple):
    """A static member came back inside its session timeout, in a group that was at rest: what it had, what it has."""

    process: str
    group: str
    before: Sequence[Partition]
    after: Sequence[Partition]


class Commit(NamedTuple):
    """One step of an offset commit; generation -1 = without membership."""

    process: str
    kind: str
    group: str
    partition: Partition
    offset: int
    generation: int = -1


class Committed(NamedTuple):
    """One step of asking for a committed offset; -1 = the answer was that there is none."""

    process: str
    kind: str
    group: str
    partition: Partition
    offset: int = -1


class Producers(NamedTuple):
    """(Producer id, epoch, last sequence) that a partition remembers, told twice under one label: before and after."""

    label: str
    partition: Partition
    states: Sequence[tuple[int, int, int]]


class Lag(NamedTuple):
    """How far the slowest reader was behind, in milliseconds of real time."""

    time_ms: int
    worst_ms: int


class Healed(NamedTuple):
    """The last fault was taken away."""

    time_ms: int


Event = Send | Poll | Put | Scan | Assign | Txn | Own | Returned | Commit | Committed | Producers | Lag | Healed
_KINDS: dict[str, Any] = {
    kind.__name__: kind
    for kind in (Send, Poll, Put, Scan, Assign, Txn, Own, Returned, Commit, Committed, Producers, Lag, Healed)
}


class Violation(NamedTuple):
    """One broken invariant, and of which partition, group or transaction."""

    rule: str
    partition: str
    text: str

    def __str__(self) -> str:
        return f"{self.rule} {self.partition}: {self.text}"


def encode(event: Event) -> str:
    """One line of a history file."""
    return json.dumps([type(event).__name__, *event])


def decode(line: str) -> Event:
    """The event of a line."""
    name, *fields = json.loads(line)
    event: Event = _KINDS[name](*fields)
    if isinstance(event, Poll):
        return event._replace(records=[(offset, value) for offset, value in event.records])
    if isinstance(event, Scan):
        return event._replace(records=[(offset, key, id, dead) for offset, key, id, dead in event.records])
    if isinstance(event, Producers):
        return event._replace(states=[(id, epoch, sequence) for id, epoch, sequence in event.states])
    return event


def load(*paths: Path) -> list[Event]:
    """The events of some files, one after the other. A torn last line is left out."""
    events = []
    for path in paths:
        for line in path.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                events.append(decode(line))
    return events
