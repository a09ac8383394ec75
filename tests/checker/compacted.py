"""What clients of a compacted topic may see while it is compacted: I18, and I3-I5, I7, I8 where records may be missing.

A scan is judged by what was acknowledged before it began: of each key it shows the last such write or a later one.
Where that is a tombstone it may show nothing, and where a tombstone may lie behind it nothing, too: that may have been
removed meanwhile, and with it what it deletes.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.checker.history import Event, Partition, Put, Scan, Txn, Violation


@dataclass
class _Writes:
    """Of one partition: all writes by id with their last step; of each key the acknowledged, committed ones by offset,
    and those that may be there."""

    puts: dict[str, Put] = field(default_factory=dict)
    sure: dict[str, dict[int, Put]] = field(default_factory=lambda: defaultdict(dict))
    maybe: dict[str, dict[str, Put]] = field(default_factory=lambda: defaultdict(dict))
    where: dict[int, str] = field(default_factory=dict)
    offset_of: dict[str, int] = field(default_factory=dict)


def check_compacted(
    history: Sequence[Event], *, complete: bool = True, tombstones_stay: bool = False
) -> list[Violation]:
    """All violations. `complete`: the last scan of each partition came after the last write. `tombstones_stay`: none is
    old enough to be removed.
    """
    fate = {event.txn: event.kind for event in history if isinstance(event, Txn)}
    writes: dict[Partition, _Writes] = defaultdict(_Writes)
    for event in history:
        if isinstance(event, Put):
            log = writes[event.partition]
            log.puts[event.id] = event
            if event.kind != "fail" and fate.get(event.txn, "ok") != "fail":
                log.maybe[event.key][event.id] = event
            else:
                log.maybe[event.key].pop(event.id, None)
    found = [*_order(history)]
    begun: dict[tuple[str, Partition], dict[str, int]] = {}
    waiting: dict[str, list[Put]] = defaultdict(list)
    last: dict[Partition, Scan] = {}
    for event in history:
        if isinstance(event, Put) and event.kind == "ok":
            log = writes[event.partition]
            found += _placed(log, event.partition, event.offset, event.id)
            if event.txn:
                waiting[event.txn].append(event)
            else:
                log.sure[event.key][event.offset] = event
        elif isinstance(event, Txn) and event.kind == "ok":
            for put in waiting.pop(event.txn, []):
                writes[put.partition].sure[put.key][put.offset] = put
        elif isinstance(event, Scan):
            log, scanner = writes[event.partition], (event.process, event.partition)
            if event.kind == "invoke":
                begun[scanner] = {key: len(known) for key, known in log.sure.items()}
            elif event.kind == "ok":
                found += _records(log, event, fate)
                found += _state(log, event, begun.pop(scanner, {}), tombstones_stay)
                last[event.partition] = event
    if complete:
        found += _ends(writes, last)
    return found


def _order(history: Sequence[Event]) -> Iterator[Violation]:
    """I8: in the order in which a producer began its writes, the offsets it was told grow."""
    told = {event.id: event.offset for event in history if isinstance(event, Put) and event.kind == "ok"}
    last: dict[tuple[str, Partition], int] = {}
    for event in history:
        if isinstance(event, Put) and event.kind == "invoke" and event.id in told:
            before = last.get((event.process, event.partition), -1)
            if told[event.id] <= before:
                text = f"{event.process} wrote {event.id!r} and was told {told[event.id]} after {before}"
                yield Violation("I8", event.partition, text)
            last[event.process, event.partition] = told[event.id]


def _placed(log: _Writes, partition: Partition, offset: int, id: str) -> Iterator[Violation]:
    """I3: an offset is never given out again. I4: a write is there once."""
    other = log.where.setdefault(offset, id)
    if other != id:
        yield Violation("I3", partition, f"offset {offset} was that of {other!r}, and is that of {id!r}")
    before = log.offset_of.setdefault(id, offset)
    if before != offset:
        yield Violation("I4", partition, f"{id!r} is at {before} and at {offset}")


def _records(log: _Writes, scan: Scan, fate: Mapping[str, str]) -> Iterator[Violation]:
    """I7: upwards, from where it began. I3, I5: only what was written so, and may be seen."""
    offsets = [scan.start - 1, *(record[0] for record in scan.records), scan.end]
    for before, after in itertools.pairwise(offsets):
        if after <= before and (after, before) != (scan.end, scan.start - 1):
            yield Violation("I7", scan.partition, f"{scan.process} read {after} after {before}")
    for offset, key, id, dead in scan.records:
        put = log.puts.get(id)
        if put is None or (put.key, put.dead) != (key, dead):
            yield Violation("I3", scan.partition, f"{id!r} was read at {offset} as {key!r}, dead: {dead}; wrote {put}")
            continue
        yield from _placed(log, scan.partition, offset, id)
        if put.kind == "fail" or fate.get(put.txn) == "fail":
            yield Violation("I5", scan.partition, f"{id!r} was read at {offset}, its write failed or was aborted")


def _state(log: _Writes, scan: Scan, known: Mapping[str, int], tombstones_stay: bool) -> Iterator[Violation]:
    shown = {key: (offset, id, dead) for offset, key, id, dead in scan.records}
    for key, count in known.items():
        first = list(itertools.islice(log.sure[key].values(), count))
        put = max((p for p in first if scan.start <= p.offset < scan.end), key=lambda p: p.offset, default=None)
        if put is None:
            continue
        what = f"{scan.process} from {scan.start}: {key!r} was {'deleted' if put.dead else 'written'} at {put.offset}"
        offset, id, dead = shown.get(key, (-1, "", True))
        if offset >= put.offset:
            continue
        if offset >= 0 and not dead:
            again = "is back after its tombstone" if put.dead else "is read as the last value, which is older"
            yield Violation("I18", scan.partition, f"{what}, and {id!r} of {offset} {again}")
        elif put.dead and tombstones_stay:
            yield Violation("I18", scan.partition, f"{what}, and the tombstone {put.id!r} is gone too early")
        elif not put.dead and not _may_be_deleted(log, put):
            yield Violation("I18", scan.partition, f"{what}, and its last value {put.id!r} is gone")


def _may_be_deleted(log: _Writes, put: Put) -> bool:
    """Whether there may be a tombstone behind it, acknowledged then or later, or of unknown fate."""
    return any(
        other.dead and (other.kind != "ok" or other.offset > put.offset) for other in log.maybe[put.key].values()
    )


def _ends(writes: Mapping[Partition, _Writes], last: Mapping[Partition, Scan]) -> Iterator[Violation]:
    """I2: the last scan went as far as the last acknowledged write."""
    for partition, log in writes.items():
        highest = max((offset for known in log.sure.values() for offset in known), default=-1)
        end = last[partition].end if partition in last else 0
        if end <= highest:
            yield Violation("I2", partition, f"{highest} was acknowledged, and the last scan ended at {end}")
