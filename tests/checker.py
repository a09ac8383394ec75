"""The one judge of histories: what clients saw of a log, checked against the invariants of docs (I1, I2, I3, ...).

A history is a list of events in the order in which they happened:

    Send(process, kind, partition, value, offset)   kind: invoke, ok, fail (surely not written), info (unknown)
    Poll(process, partition, records)               records: [(offset, value), ...] of one partition in one poll
    Assign(process)                                 the process chose new positions: the next poll may start anywhere

Values are unique over the whole history. Checked are:

    I1  no lost write: below the highest offset read, every acknowledged value was read
    I2  nothing unseen: after the final polls no acknowledged value is unread
    I3  one offset, one value, over all sends, polls and readers
    I4  no duplicate: with idempotence a value is at one offset only
    I5  no value of a failed send is read
    I7  no poll skips records and none goes back, between two assignments
    I8  a producer's acknowledged offsets grow in the order of its sends, per partition
    I10 an unknown send is there at most once
    I16 no gaps (where `dense` says that the log has none: no transactions, no compaction)
"""

from __future__ import annotations

import bisect
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

Partition = str  # "topic-0"


class Send(NamedTuple):
    """One step of a send."""

    process: str
    kind: str
    partition: Partition
    value: str
    offset: int = -1


class Poll(NamedTuple):
    """What one poll gave of one partition."""

    process: str
    partition: Partition
    records: Sequence[tuple[int, str]]


class Assign(NamedTuple):
    """A reader chose its positions."""

    process: str


Event = Send | Poll | Assign


class Violation(NamedTuple):
    """One broken invariant."""

    rule: str
    partition: Partition
    text: str

    def __str__(self) -> str:
        return f"{self.rule} {self.partition}: {self.text}"


@dataclass
class Log:
    """What is known of one partition."""

    acked: dict[str, int] = field(default_factory=dict)
    sent: dict[str, str] = field(default_factory=dict)
    read: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    where: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))


def gather(history: Iterable[Event]) -> dict[Partition, Log]:
    """The sends and reads of each partition."""
    logs: dict[Partition, Log] = defaultdict(Log)
    for event in history:
        if isinstance(event, Send):
            log = logs[event.partition]
            log.sent[event.value] = event.kind
            if event.kind == "ok" and event.offset >= 0:
                log.acked[event.value] = event.offset
        elif isinstance(event, Poll):
            log = logs[event.partition]
            for offset, value in event.records:
                log.read[offset].add(value)
                log.where[value].add(offset)
    return logs


def check(
    history: Sequence[Event],
    *,
    complete: bool = True,
    dense: bool = True,
    repeated: Iterable[str] = (),
    reordered: Iterable[str] = (),
) -> list[Violation]:
    """All violations. `complete`: the final polls reached the end. `repeated`: producers that may write a value twice
    (retries without idempotence). `reordered`: producers whose sends may be written in another order.
    """
    found = []
    may_repeat, may_reorder = frozenset(repeated), frozenset(reordered)
    owner = {event.value: event.process for event in history if isinstance(event, Send)}
    for partition, log in gather(history).items():
        found += [
            Violation(rule, partition, text) for rule, text in _partition(log, complete, dense, owner, may_repeat)
        ]
    found += list(_polls(history))
    found += list(_sends(history, may_reorder))
    return found


def _partition(
    log: Log, complete: bool, dense: bool, owner: Mapping[str, str], may_repeat: frozenset[str]
) -> Iterator[tuple[str, str]]:
    highest = max(log.read, default=-1)
    for value, offset in log.acked.items():
        if value not in log.where:
            if offset <= highest:
                yield "I1", f"{value!r} was acknowledged at {offset} and never read, though {highest} was"
            elif complete:
                yield "I2", f"{value!r} was acknowledged at {offset} and is not there after the final polls"
        elif offset not in log.where[value]:
            yield "I3", f"{value!r} was acknowledged at {offset} and read at {sorted(log.where[value])}"
    for offset, values in log.read.items():
        if len(values) > 1:
            yield "I3", f"offset {offset} was read as {sorted(values)}"
    for value, offsets in log.where.items():
        kind = log.sent.get(value)
        if kind is None:
            yield "I3", f"{value!r} was read at {sorted(offsets)} and never sent"
        if kind == "fail":
            yield "I5", f"{value!r} was read at {sorted(offsets)} though its send failed"
        if len(offsets) > 1 and owner.get(value) not in may_repeat:
            rule = "I10" if kind in ("info", "invoke") else "I4"
            yield rule, f"{value!r} is there {len(offsets)} times, at {sorted(offsets)}"
    if dense and log.read:
        missing = [offset for offset in range(min(log.read), highest) if offset not in log.read]
        if missing:
            yield "I16", f"no record at {missing[:10]}, {len(missing)} in all"


def _polls(history: Sequence[Event]) -> Iterator[Violation]:
    """I7: between two assignments each poll goes on where the last one ended."""
    known: dict[Partition, list[int]] = {}
    for partition, log in gather(history).items():
        known[partition] = sorted(set(log.read) | set(log.acked.values()))
    position: dict[tuple[str, Partition], int] = {}
    for event in history:
        if isinstance(event, Assign):
            for key in [key for key in position if key[0] == event.process]:
                del position[key]
        elif isinstance(event, Poll):
            key = (event.process, event.partition)
            for offset, value in event.records:
                last = position.get(key)
                if last is not None and offset <= last:
                    yield Violation("I7", event.partition, f"{event.process} read {offset} ({value!r}) after {last}")
                elif last is not None:
                    between = known[event.partition]
                    skipped = between[bisect.bisect_right(between, last) : bisect.bisect_left(between, offset)]
                    if skipped:
                        text = f"{event.process} read {offset} after {last} and left out {skipped[:5]}"
                        yield Violation("I7", event.partition, text)
                position[key] = offset


def _sends(history: Sequence[Event], may_reorder: frozenset[str]) -> Iterator[Violation]:
    """I8: in the order in which a producer began its sends, the offsets it was told grow."""
    told = {event.value: event.offset for event in history if isinstance(event, Send) and event.kind == "ok"}
    last: dict[tuple[str, Partition], tuple[int, str]] = {}
    for event in history:
        if not isinstance(event, Send) or event.kind != "invoke" or event.process in may_reorder:
            continue
        offset = told.get(event.value, -1)
        if offset < 0:
            continue
        key = (event.process, event.partition)
        before = last.get(key)
        if before is not None and offset <= before[0]:
            text = f"{event.process} sent {event.value!r} after {before[1]!r} and was told {offset} after {before[0]}"
            yield Violation("I8", event.partition, text)
        last[key] = (offset, event.value)


# -- histories in files: one JSON array a line, as the workers of tests/integration write them


def encode(event: Event) -> str:
    """One line of a history file."""
    return json.dumps([type(event).__name__, *event])


def decode(line: str) -> Event:
    """The event of a line."""
    name, *fields = json.loads(line)
    kinds: dict[str, type[Send] | type[Poll] | type[Assign]] = {"Send": Send, "Poll": Poll, "Assign": Assign}
    event = kinds[name](*fields)
    if isinstance(event, Poll):
        return event._replace(records=[(offset, value) for offset, value in event.records])
    return event


def load(*paths: Path) -> list[Event]:
    """The events of some files; order between files does not matter to any rule. A torn last line is left out."""
    events = []
    for path in paths:
        for line in path.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                events.append(decode(line))
    return events
