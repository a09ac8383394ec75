"""One scrape's view of the node, taken on the event loop a little at a time; what renders it may be any thread.

Everything in a Sampled is a copy or immutable. What other threads may ask by themselves (the operating system, the
image, tallies) is asked while it is rendered.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pyralog.admin.group_view import CommittedRow, GroupRow, committed_rows, group_rows
from pyralog.admin.hdr import Hdr, Window
from pyralog.admin.sources import Served, Sources, inherited_min_isr, min_isr, served
from pyralog.cluster.image import ClusterImage
from pyralog.config.schema import Config
from pyralog.errors import ErrorCode
from pyralog.metrics import Latency
from pyralog.model import PartitionRegistration, TopicPartition
from pyralog.net.plane_types import PartitionSnapshot

# What is done between two turns of the event loop: some 200 us.
PER_TURN = 100
ROWS_PER_TURN = 500
HISTOGRAMS = ("produce_ns", "fetch_ns", "sync_ns", "batch_bytes", "batch_records")


class Traffic(NamedTuple):
    """What a partition has taken and given since it was opened here; records out are counted by offsets."""

    bytes_in: int = 0
    bytes_out: int = 0
    records_in: int = 0
    batches_in: int = 0
    producers: int = 0
    records_out: int = 0


class Local(NamedTuple):
    """A partition that this node hosts. `floor` is its min.insync.replicas, at most its replicas."""

    tp: TopicPartition
    registration: PartitionRegistration
    floor: int
    snapshot: PartitionSnapshot
    traffic: Traffic


@dataclass(frozen=True, slots=True)
class Timed:
    """A latency's buckets as they are now; see metrics.Latency."""

    count: int
    sum_ns: int
    buckets: Sequence[int]


class LoopFigures(NamedTuple):
    """A loop: the share of the last interval that it has worked, and how late its timers were (None: not measured)."""

    busy: float
    lag_s: float | None


@dataclass(frozen=True, slots=True)
class Sampled:
    """The node as one scrape sees it."""

    config: Config
    image: ClusterImage
    node_id: int
    directory: str
    folders: Mapping[TopicPartition, Path]
    started_ms: int
    now_ms: int
    counters: Mapping[str, int]
    failed_writes: Mapping[str, int]
    failed_reads: Mapping[str, int]
    histograms: Mapping[str, Hdr]
    recent: Mapping[str, Hdr]
    requests: Counter[str]
    errors: Counter[tuple[str, str]]
    durations: Mapping[str, Timed]
    malformed: int
    unsupported: int
    waiting: int
    in_flight: int
    served: Served
    partitions: Sequence[Local]
    groups: Sequence[GroupRow]
    committed: Sequence[CommittedRow]
    committed_left_out: int
    http_connections: int
    http_refused: Mapping[str, int]
    loops: Mapping[str, LoopFigures]
    segments_deleted: int
    disk_failed: bool
    by_topic: dict[str, Traffic] = field(default_factory=dict)  # filled when it is first asked for

    def topics(self) -> dict[str, Traffic]:
        """The traffic of each topic, as far as it is hosted here."""
        found = self.by_topic
        if found:
            return found
        for one in self.partitions:
            before = found.get(one.tp.topic)
            found[one.tp.topic] = (
                one.traffic if before is None else Traffic(*(a + b for a, b in zip(before, one.traffic, strict=True)))
            )
        return found

    def high_watermarks(self) -> dict[tuple[str, int], int]:
        """Of the partitions that are hosted here."""
        return {(one.tp.topic, one.tp.partition): one.snapshot.high_watermark for one in self.partitions}


class LoopWatch:
    """How busy the control loop and the data plane are, between one scrape and the next.

    Timers are watched from the first scrape on, for as long as somebody asks.
    """

    EVERY_S = 0.25
    GIVE_UP_S = 300.0

    def __init__(self) -> None:
        self._before: tuple[float, float, float] | None = None
        self._worst = 0.0
        self._asked = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._figures: dict[str, LoopFigures] = {}

    def figures(self, plane_ns: int) -> dict[str, LoopFigures]:
        """Since the last call; since the start of the process at the first. `plane_ns` is what the plane has worked.

        Called on the loop's own thread, whose processor time is what the loop has worked.
        """
        now, own, plane = time.monotonic(), time.thread_time(), plane_ns / 1e9
        self._asked = now
        if self._timer is None:
            self._watch(asyncio.get_running_loop())
        if self._before is not None and now - self._before[0] < self.EVERY_S:
            return self._figures  # two scrapers at once
        since, own_before, plane_before = self._before or (now - max(time.process_time(), 1.0), 0.0, 0.0)
        span = max(now - since, 1e-9)
        self._figures = {
            "control": LoopFigures(min(1.0, (own - own_before) / span), self._worst),
            "plane-0": LoopFigures(min(1.0, (plane - plane_before) / span), None),
        }
        self._before, self._worst = (now, own, plane), 0.0
        return self._figures

    def close(self) -> None:
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch(self, loop: asyncio.AbstractEventLoop) -> None:
        due = loop.time() + self.EVERY_S

        def fired() -> None:
            self._worst = max(self._worst, loop.time() - due)
            self._timer = None
            if time.monotonic() - self._asked < self.GIVE_UP_S:
                self._watch(loop)

        self._timer = loop.call_at(due, fired)


class Sampler:
    """Takes samples of one node; keeps what spans two of them."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._windows = {name: Window() for name in HISTOGRAMS}
        self.loops = LoopWatch()

    async def take(self, http_connections: int, http_refused: Mapping[str, int]) -> Sampled:
        """The node now. Figures of one partition belong together; those of two may be some milliseconds apart."""
        sources = self._sources
        engine, stats = sources.plane.engine, sources.stats
        partitions = await self._partitions()
        committed, left_out = await committed_rows(sources.groups, sources.config.metrics.max_series, ROWS_PER_TURN)
        counters = engine.counters()
        writes, reads = engine.failures()
        histograms = {name: Hdr(*engine.histogram(name)) for name in HISTOGRAMS}
        now_s = time.monotonic()
        return Sampled(
            config=sources.config,
            image=sources.image,
            node_id=sources.node_id,
            directory=sources.directory,
            folders={tp: replica.folder for tp, replica in sources.lifecycle.replicas.items()},
            started_ms=sources.started_ms,
            now_ms=sources.now_ms(),
            counters=counters,
            failed_writes=_named(writes),
            failed_reads=_named(reads),
            histograms=histograms,
            recent={name: self._windows[name].gained(now_s, hdr) for name, hdr in histograms.items()},
            requests=stats.requests.copy(),
            errors=stats.errors.copy(),
            durations={name: _timed(latency) for name, latency in stats.durations.items()},
            malformed=stats.malformed + counters["protocol_errors"],
            unsupported=stats.unsupported,
            waiting=stats.waiting,
            in_flight=sources.quorum.in_flight,
            served=served(sources),
            partitions=partitions,
            groups=list(group_rows(sources.groups)),
            committed=committed,
            committed_left_out=left_out,
            http_connections=http_connections,
            http_refused=dict(http_refused),
            loops=self.loops.figures(counters["cycle_ns"]),
            segments_deleted=sources.maintenance.segments_deleted,
            disk_failed=sources.failure() is not None,
        )

    async def _partitions(self) -> list[Local]:
        sources = self._sources
        inherited = inherited_min_isr(sources)
        found = []
        for count, tp in enumerate(sorted(sources.plane.partitions()), 1):
            if count % PER_TURN == 0:
                await asyncio.sleep(0)
            registration, snapshot = sources.image.partition(*tp), sources.plane.snapshot(tp)
            if registration is None or snapshot is None:
                continue  # it comes or goes just now
            floor = min(min_isr(sources.image, tp.topic, inherited), len(registration.replicas))
            found.append(Local(tp, registration, floor, snapshot, Traffic(*sources.plane.traffic(tp))))
        return found


def _named(by_code: Mapping[int, int]) -> dict[str, int]:
    known = {int(code): code.name for code in ErrorCode}
    return {known.get(code, "UNKNOWN_SERVER_ERROR"): count for code, count in by_code.items()}


def _timed(latency: Latency) -> Timed:
    return Timed(latency.count, latency.sum_ns, tuple(latency.buckets))
