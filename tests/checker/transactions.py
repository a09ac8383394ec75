"""Rules of transactions: I5 and I6 by value, I9 by cycles (Tarjan), I22 by what a read-process-write program made.

Which of two committed transactions came first is known from what one read of the other (wr). What a poll did not return
says little in a log, where a poll may stop anywhere: rw edges are drawn only where the history says that polls returned
all there was (`isolated`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tests.checker.history import Event, Partition, Poll, Send, Txn, Violation


def check_transactions(history: Sequence[Event], *, isolated: bool = False) -> list[Violation]:
    """All violations of I6 and I9. (I5 is among the rules of records.)"""
    return [*_own_sends(history), *_cycles(history, isolated)]


def _own_sends(history: Sequence[Event]) -> Iterator[Violation]:
    writer = {event.value: event.txn for event in history if isinstance(event, Send) and event.txn}
    for event in history:
        if isinstance(event, Poll) and event.txn and event.committed:
            for offset, value in event.records:
                if writer.get(value) == event.txn:
                    text = f"{event.txn} polled its own {value!r} at {offset} before it was committed"
                    yield Violation("I6", event.partition, text)


def _cycles(history: Sequence[Event], isolated: bool) -> Iterator[Violation]:
    committed = {event.txn for event in history if isinstance(event, Txn) and event.kind == "ok"}
    graph = _read_from(history, committed)
    if isolated:
        for before, after in _overwritten(history, committed):
            graph[before].add(after)
    for component in strong_components(graph):
        if len(component) > 1:
            yield Violation("I9", min(component), f"transactions that come before each other: {sorted(component)}")


def _read_from(history: Sequence[Event], committed: set[str]) -> dict[str, set[str]]:
    """wr: a transaction came after those whose values it read."""
    writer = {event.value: event.txn for event in history if isinstance(event, Send) and event.txn in committed}
    graph: dict[str, set[str]] = defaultdict(set)
    for event in history:
        if isinstance(event, Poll) and event.txn in committed:
            for _, value in event.records:
                before = writer.get(value)
                if before is not None and before != event.txn:
                    graph[before].add(event.txn)
    return graph


def _overwritten(history: Sequence[Event], committed: set[str]) -> Iterator[tuple[str, str]]:
    """rw: a transaction that read a partition to its end came before the one that wrote what follows."""
    written: dict[Partition, list[tuple[int, str]]] = defaultdict(list)
    for event in history:
        if isinstance(event, Send) and event.kind == "ok" and event.txn in committed:
            written[event.partition].append((event.offset, event.txn))
    last: dict[tuple[str, Partition], int] = {}
    for event in history:
        if isinstance(event, Poll) and event.txn in committed and event.records:
            key = (event.txn, event.partition)
            last[key] = max(last.get(key, -1), *(offset for offset, _ in event.records))
    for (txn, partition), offset in last.items():
        following = min(((at, who) for at, who in written[partition] if at > offset), default=None)
        if following is not None and following[1] != txn:
            yield txn, following[1]


def strong_components(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """The strongly connected components of a graph (Tarjan 1972), without recursion."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    found = []
    for root in list(graph):
        if root in index:
            continue
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        work = [(root, iter(graph.get(root, ())))]
        while work:
            node, edges = work[-1]
            for after in edges:
                if after not in index:
                    index[after] = low[after] = len(index)
                    stack.append(after)
                    on_stack.add(after)
                    work.append((after, iter(graph.get(after, ()))))
                    break
                if after in on_stack:
                    low[node] = min(low[node], index[after])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    component = []
                    while not component or component[-1] != node:
                        component.append(stack.pop())
                    on_stack.difference_update(component)
                    found.append(component)
    return found


def check_exactly_once(inputs: Iterable[str], outputs: Iterable[str], *, complete: bool = True) -> list[Violation]:
    """I22: a program that reads values, and writes each on in a transaction with its offset, made each exactly once.

    `inputs`: the acknowledged values; `outputs`: the value behind each committed record of the output, in any order.
    """
    wanted, made = set(inputs), Counter(outputs)
    found = [
        Violation("I22", "output", f"{value!r} was made {times} times") for value, times in made.items() if times > 1
    ]
    found += [Violation("I22", "output", f"{value!r} was made of nothing") for value in made if value not in wanted]
    if complete:
        found += [Violation("I22", "output", f"{value!r} was never made") for value in wanted if value not in made]
    return found
