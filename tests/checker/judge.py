"""The one judge of histories: what clients saw, checked against the invariants by their numbers.

I1  no lost write: below the highest offset read, every acknowledged value was read
I2  nothing unseen: after the final polls no acknowledged value is unread
I3  one offset, one value, over all sends, polls and readers
I4  no duplicate: with idempotence a value is at one offset only
I5  no value of a failed send or an aborted transaction is read at read_committed
I6  a transaction never polls its own sends
I7  no poll skips records and none goes back, between two assignments
I8  a producer's acknowledged offsets grow in the order of its sends, per partition
I9  no two transactions come before each other
I10 an unknown send is there at most once
I11 the worst real-time lag is back under 1 s within 30 s of healing
I16 no gaps (where `dense` says that the log has none: no transactions, no compaction)
I18 compaction keeps the last value of each key (compaction.check_compaction), and clients see nothing else: no value
    older than an acknowledged later one, none behind its tombstone (compacted.check_compacted)
I19 producer states after a restart equal those before
I20 one owner per partition and generation; old generations cannot commit; committed offsets stay
I21 a static member keeps its assignment inside the session timeout
I22 read-process-write is exactly once (transactions.check_exactly_once)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tests.checker.compacted import check_compacted
from tests.checker.groups import check_groups
from tests.checker.history import Event, Healed, Lag, Producers, Violation
from tests.checker.records import check_records
from tests.checker.transactions import check_transactions

CAUGHT_UP_MS = 1_000
HEALING_MS = 30_000


def check(
    history: Sequence[Event],
    *,
    complete: bool = True,
    dense: bool = True,
    repeated: Iterable[str] = (),
    reordered: Iterable[str] = (),
    isolated: bool = False,
    forward: bool = False,
    by_member: bool = False,
    tombstones_stay: bool = False,
) -> list[Violation]:
    """All violations of all rules; the options are those of the modules beside this one."""
    return [
        *check_compacted(history, complete=complete, tombstones_stay=tombstones_stay),
        *check_records(history, complete=complete, dense=dense, repeated=repeated, reordered=reordered),
        *check_transactions(history, isolated=isolated),
        *check_groups(history, forward=forward, by_member=by_member),
        *_lag(history),
        *_producers(history),
    ]


def _lag(history: Sequence[Event]) -> Iterator[Violation]:
    healed = [event.time_ms for event in history if isinstance(event, Healed)]
    if not healed:
        return
    later = [event for event in history if isinstance(event, Lag) and event.time_ms >= healed[-1] + HEALING_MS]
    for event in later:
        if event.worst_ms >= CAUGHT_UP_MS:
            text = f"{event.worst_ms} ms behind, {event.time_ms - healed[-1]} ms after healing"
            yield Violation("I11", "", text)


def _producers(history: Sequence[Event]) -> Iterator[Violation]:
    before: dict[tuple[str, str], set[tuple[int, int, int]]] = {}
    for event in history:
        if not isinstance(event, Producers):
            continue
        states = set(event.states)
        first = before.setdefault((event.label, event.partition), states)
        if states != first:
            text = f"{sorted(first - states)} became {sorted(states - first)}"
            yield Violation("I19", event.partition, f"producer states have changed over {event.label}: {text}")
