"""Rules of groups: one owner, no commits of old generations, offsets that stay (I20), static members (I21)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.checker.history import Commit, Committed, Event, Own, Partition, Returned, Violation

NONE = -1


def check_groups(history: Sequence[Event], *, forward: bool = False, by_member: bool = False) -> list[Violation]:
    """All violations of I20 and I21.

    `forward`: members only ever commit on from where they were, so that a committed offset may not go back.
    `by_member`: generations are member epochs (KIP-848), which say nothing of other members.
    """
    found = [*_static(history), *_offsets(history, forward)]
    if by_member:
        return found + list(_old_epochs(history))
    return found + list(_owners(history)) + list(_old_generations(history))


def _owners(history: Sequence[Event]) -> Iterator[Violation]:
    owner: dict[tuple[str, int, Partition], str] = {}
    for event in history:
        if not isinstance(event, Own):
            continue
        for partition in event.partitions:
            first = owner.setdefault((event.group, event.generation, partition), event.process)
            if first != event.process:
                text = f"{first} and {event.process} both own it in generation {event.generation} of {event.group}"
                yield Violation("I20", partition, text)


def _old_generations(history: Sequence[Event]) -> Iterator[Violation]:
    """A commit that begins after a newer generation has got its partitions must not succeed."""
    newest: dict[str, int] = defaultdict(lambda: NONE)
    began: dict[tuple[str, str, Partition, int], int] = {}
    for event in history:
        if isinstance(event, Own):
            newest[event.group] = max(newest[event.group], event.generation)
        elif isinstance(event, Commit) and event.generation != NONE:
            key = (event.process, event.group, event.partition, event.offset)
            if event.kind == "invoke":
                began[key] = newest[event.group]
            elif event.kind == "ok" and event.generation < began.get(key, NONE):
                text = f"{event.process} committed {event.offset} in generation {event.generation} of {event.group}"
                yield Violation("I20", event.partition, f"{text}, after {began[key]} had begun")


def _old_epochs(history: Sequence[Event]) -> Iterator[Violation]:
    newest: dict[tuple[str, str], int] = defaultdict(lambda: NONE)
    for event in history:
        if isinstance(event, Own):
            if event.generation < newest[event.process, event.group]:
                yield Violation("I20", event.group, f"{event.process} went back to epoch {event.generation}")
            newest[event.process, event.group] = event.generation


@dataclass
class _Offset:
    """What a question for an offset may be answered with: the last sure commit, and every later or unsure one."""

    sure: int = NONE
    unsure: set[int] = field(default_factory=set)
    asked: dict[str, set[int]] = field(default_factory=dict)
    told: int = NONE

    def maybe(self, offset: int) -> None:
        self.unsure.add(offset)
        for allowed in self.asked.values():
            allowed.add(offset)


def _offsets(history: Sequence[Event], forward: bool) -> Iterator[Violation]:
    known: dict[tuple[str, Partition], _Offset] = defaultdict(_Offset)
    for event in history:
        if isinstance(event, Commit):
            state = known[event.group, event.partition]
            if event.kind == "invoke":
                state.maybe(event.offset)
            elif event.kind == "fail":
                state.unsure.discard(event.offset)
            elif event.kind == "ok":
                state.unsure.discard(event.offset)
                state.sure = event.offset
                for allowed in state.asked.values():
                    allowed.add(event.offset)
        elif isinstance(event, Committed):
            state = known[event.group, event.partition]
            if event.kind == "invoke":
                state.asked[event.process] = {state.sure, *state.unsure}
            elif event.kind == "ok":
                yield from _told(event, state, forward)


def _told(event: Committed, state: _Offset, forward: bool) -> Iterator[Violation]:
    allowed = state.asked.pop(event.process, {state.sure, *state.unsure})
    where = f"{event.process} was told {event.offset} for {event.group}"
    if event.offset not in allowed:
        yield Violation("I20", event.partition, f"{where}, where {sorted(allowed)} had been committed")
    elif forward and event.offset < state.told:
        yield Violation("I20", event.partition, f"{where}, after {state.told}")
    state.told = max(state.told, event.offset)
    if event.offset in state.unsure:
        # It was seen, so it has happened.
        state.unsure.discard(event.offset)
        state.sure = event.offset


def _static(history: Sequence[Event]) -> Iterator[Violation]:
    for event in history:
        if isinstance(event, Returned):
            missing = sorted(set(event.before) - set(event.after))
            if missing:
                yield Violation("I21", event.group, f"{event.process} came back in time and has lost {missing}")
