"""One benchmark session: the brokers that are up, the options, and what was measured so far."""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks import clients, loadgen
from tests.benchmarks.loads import TARGETS, UNITS, Bar, Load
from tests.benchmarks.report import Row, judged
from tests.reference.process import Broker


@dataclass
class Options:
    """How long and how much."""

    secs: float = 2.0
    repetitions: int = 3
    warm_secs: float = 2.0
    recovery_bytes: int = 10 << 30
    curve_points: tuple[int, ...] = (1, 10, 100, 1_000, 10_000)
    start_repetitions: int = 3
    idle_secs: float = 8.0
    group_members: int = 1000
    compaction_bytes: int = 1 << 30
    only: tuple[str, ...] = ()


@dataclass
class Session:
    """What the parts of a session share."""

    options: Options
    brokers: dict[str, Broker] = field(default_factory=dict)  # "kafka" and "pyralog", as far as they take part
    rows: list[Row] = field(default_factory=list)
    curves: dict[str, str] = field(default_factory=dict)
    raw: dict[str, Any] = field(default_factory=dict)

    def say(self, text: str) -> None:
        """Progress, on standard error."""
        print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)

    def add(
        self,
        load: str,
        metric: str,
        unit: str,
        samples: dict[str, list[float]],
        *,
        bar: Bar | None = None,
        relative: bool = True,
        gate: bool = True,
    ) -> None:
        """One metric: medians of the samples of each broker, judged by its bar."""
        middle = {name: statistics.median(values) for name, values in samples.items() if values}
        row = Row(load, metric, unit, middle.get("kafka"), middle.get("pyralog"), relative=relative, gate=gate)
        row.samples = samples
        self.rows.append(judged(row, bar) if bar else row)

    def add_target(self, load: str, metric: str, samples: dict[str, list[float]]) -> None:
        """The same figure once more, against the absolute list."""
        bar = TARGETS.get((load, metric))
        if bar is not None:
            self.add(load, metric, UNITS.get(metric, ""), samples, bar=bar, relative=False, gate=False)

    def interleaved(self, load: Load, secs: float, repetitions: int, prefix: str) -> dict[str, list[loadgen.Figures]]:
        """Runs of one load, A B A B, after an uncounted run on each."""
        figures: dict[str, list[loadgen.Figures]] = {name: [] for name in self.brokers}
        topic = FETCH_TOPIC if load.reads else f"{prefix}-{load.name}"
        own = not load.reads and load.mode != "ping"
        for repetition in range(-1, repetitions):
            for name, broker in self.brokers.items():
                this = f"{topic}-{repetition + 1}" if load.heavy else topic
                if own and (load.heavy or repetition < 0):
                    clients.create_topic(broker, this, configs=load.configs)
                run_secs = self.options.warm_secs if repetition < 0 else secs
                result = loadgen.run(broker, load.mode, topic=this, secs=run_secs, **load.flags)
                if repetition >= 0:
                    figures[name].append(result)
                if own and (load.heavy or repetition == repetitions - 1):
                    clients.delete_topics(broker, [this])
                    if load.heavy:
                        settle()
        return figures


FETCH_TOPIC = "bench-fetch"
FETCH_BYTES = 512 << 20


def make_fetch_topic(broker: Broker) -> None:
    """The topic for reading: one partition, half a GiB of large batches."""
    clients.create_topic(broker, FETCH_TOPIC)
    loadgen.run(
        broker, "produce", topic=FETCH_TOPIC, batch=1000, rec=1024, inflight=4, total=FETCH_BYTES, secs=60, warm=0
    )


def settle() -> None:
    """Let deleted files go and dirty pages reach the disk, so that one run does not pay for the one before."""
    time.sleep(1.3)
    os.sync()


def samples_of(figures: dict[str, list[loadgen.Figures]], metric: str) -> dict[str, list[float]]:
    """One metric out of the figures of every run."""
    return {name: [float(run[metric]) for run in runs] for name, runs in figures.items()}


def machine_busy() -> float:
    """The share of processor time that others use right now, 0 to 1."""

    def read() -> tuple[int, int]:
        fields = [int(value) for value in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
        return sum(fields), fields[3] + fields[4]

    total, idle = read()
    time.sleep(1)
    total_after, idle_after = read()
    return 1 - (idle_after - idle) / max(1, total_after - total)


@contextlib.contextmanager
def pinned(broker: Broker, cpu: int) -> Any:
    """Every thread of a broker on one processor, for as long as the block lasts."""

    def pin(cpus: set[int]) -> None:
        for task in Path(f"/proc/{broker.pid}/task").iterdir():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(task.name), cpus)

    before = os.sched_getaffinity(broker.pid)
    pin({cpu})
    try:
        yield
    finally:
        pin(before)
