"""Rules of a log and its clients: I1-I5, I7, I8, I10, I16.

Polls of read_uncommitted say what lies at an offset; what may be there at all is judged by read_committed.
"""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.checker.history import Assign, Event, Partition, Poll, Send, Txn, Violation


@dataclass
class Log:
    """What is known of one partition. `acked` must be there (a transaction's values: once it has committed), `barred`
    must not be seen by a reader of committed records, where `seen` holds what one saw."""

    acked: dict[str, int] = field(default_factory=dict)
    sent: dict[str, str] = field(default_factory=dict)
    barred: set[str] = field(default_factory=set)
    seen: set[str] = field(default_factory=set)
    read: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    where: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))


def gather(history: Sequence[Event]) -> dict[Partition, Log]:
    """The sends and reads of each partition."""
    logs: dict[Partition, Log] = defaultdict(Log)
    outcome = {event.txn: event.kind for event in history if isinstance(event, Txn)}
    for event in history:
        if isinstance(event, Send):
            log = logs[event.partition]
            log.sent[event.value] = event.kind
            fate = outcome.get(event.txn, "info") if event.txn else "ok"
            if event.kind == "fail" or fate == "fail":
                log.barred.add(event.value)
            elif event.kind == "ok" and event.offset >= 0 and fate == "ok":
                log.acked[event.value] = event.offset
        elif isinstance(event, Poll):
            log = logs[event.partition]
            for offset, value in event.records:
                log.read[offset].add(value)
                log.where[value].add(offset)
                if event.committed:
                    log.seen.add(value)
    return logs


def check_records(
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
        if value in log.barred and (value in log.seen or kind == "fail"):
            yield "I5", f"{value!r} was read at {sorted(offsets)} though its send failed or its transaction was aborted"
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
