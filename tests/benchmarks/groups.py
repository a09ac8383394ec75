"""Groups of many members, and what a storm of them joining does to producers."""

from __future__ import annotations

import threading
from typing import Self

from tests.benchmarks import clients, group_members, loadgen, parts
from tests.benchmarks.loads import Bar
from tests.benchmarks.session import Session
from tests.reference.process import Broker

BATCH_SHARE = 10  # a rolling restart takes this many steps
WARM_GROUPS, WARM_MEMBERS = 2, 100
HALF = Bar("", at_most=1 / 2)
STORM_TOPIC = "bench-storm"
NAMES = {"classic": "classic", "consumer": "KIP-848"}
PHASES = {
    "classic": {"start": "start to stable", "rolling": "rolling restart"},
    "consumer": {"joined": "all joined", "start": "start to stable", "rolling": "rolling restart"},
}


def rebalances(session: Session) -> None:
    """From start to stable, and one rolling restart, in both protocols: each broker on its own, after small groups."""
    count = session.options.group_members
    times: dict[tuple[str, str], dict[str, list[float]]] = {}
    for name in session.brokers:
        with parts.fresh(name, **SETTINGS[name]) as broker:
            group_members.prepare(broker, count)
            for protocol in group_members.PROTOCOLS:
                session.say(f"{count} members, {protocol}, {name}")
                for metric, samples in _measure(session, broker, protocol, count).items():
                    times.setdefault((protocol, metric), {})[name] = samples
    for protocol, told in NAMES.items():
        load = f"{count:,} members, {told}"
        for metric, label in PHASES[protocol].items():
            # That all have joined is a step on the way.
            session.add(load, label, "s", times[protocol, f"{metric}_s"], bar=None if metric == "joined" else HALF)
            session.add(load, f"{label}, CPU", "s", times[protocol, f"{metric}_cpu_s"])


def _measure(session: Session, broker: Broker, protocol: str, count: int) -> dict[str, list[float]]:
    """The samples of each metric: of several groups that start, the last of which is also started again."""
    flags: dict[str, object] = {"partitions": count, "leave": 1}
    for number in range(WARM_GROUPS):
        batch = WARM_MEMBERS // 2
        group_members.run(broker, protocol, f"warm-{number}", members=WARM_MEMBERS, batch=batch, **flags)
    found: dict[str, list[float]] = {}
    for number in reversed(range(session.options.repetitions)):
        batch = 0 if number else max(1, count // BATCH_SHARE)
        for metric, value in group_members.run(
            broker, protocol, f"many-{number}", members=count, batch=batch, **flags
        ).items():
            found.setdefault(metric, []).append(value)
    session.raw.setdefault("groups", {})[f"{protocol} {broker.name}"] = found
    return found


class Storm:
    """Groups of many members that form one after the other, for as long as the block lasts."""

    def __init__(self, broker: Broker, count: int) -> None:
        self.rounds = 0
        self._broker, self._count = broker, count
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="storm")

    def _run(self) -> None:
        while not self._over.is_set():
            group_members.run(self._broker, "classic", f"storm-{self.rounds}", members=self._count)
            self.rounds += 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def storm(session: Session) -> None:
    """Produce, one request in flight, while a group of many members forms again and again."""
    figures: dict[str, list[loadgen.Figures]] = {}
    for name in session.brokers:
        with parts.fresh(name, **SETTINGS[name]) as broker:
            group_members.prepare(broker, 1)
            clients.create_topic(broker, STORM_TOPIC)
            flags = {"topic": STORM_TOPIC, "secs": session.options.secs, **parts.ONE_BY_ONE}
            loadgen.run(broker, "produce", **flags)
            with Storm(broker, session.options.group_members) as joining:
                figures[name] = [loadgen.run(broker, "produce", **flags) for _ in range(session.options.repetitions)]
            session.say(f"{name}: {joining.rounds} groups formed")
    parts.neighbour_rows(session, "beside join storm", figures)


SETTINGS: dict[str, dict[str, object]] = {"kafka": {"group.consumer.max.size": 2000}, "pyralog": {}}
