"""Compaction of the same keyed records by both brokers: how fast, for how much processor time, and what producers to
another topic notice of it."""

from __future__ import annotations

import statistics
import time

from pyralog.records.compression import Codec
from tests.benchmarks import clients, keyed, loadgen, parts
from tests.benchmarks.loads import Bar
from tests.benchmarks.session import Session, settle
from tests.reference.process import Broker

KEYS = 100_000
VALUE_BYTES = 1_000
SEGMENT_BYTES = 64 << 20
CHECK_MS = 100
OTHER = "bench-beside"
LIMIT_S = 120
LONGER = 2  # the input of a compaction that producers are timed beside
MOST_LEFT = 1.13  # with the headers of a record and of a batch of its own
SETTINGS: dict[str, dict[str, object]] = {
    "kafka": {"log.cleaner.backoff.ms": CHECK_MS},
    "pyralog": {"storage.cleaner.check_interval_ms": CHECK_MS},
}
CONFIGS = {"cleanup.policy": "compact", "segment.bytes": str(SEGMENT_BYTES), "min.cleanable.dirty.ratio": "1"}
# What runs beside: a produce in flight, and 2,000 requests a second whatever the answers take.
BESIDE: dict[str, dict[str, object]] = {
    "1x1": dict(parts.ONE_BY_ONE),
    "open loop": {"acks": -1, "conns": 8, "inflight": 16, "batch": 10, "rec": 100, "rate": 2000},
}
MOST_SLOWER = 1.2
LEAST_MB_S = 150


def compaction(session: Session) -> None:
    """Every round on both brokers in turns: a topic is filled, producers are timed alone, and beside its compaction."""
    made = keyed.batches(KEYS, VALUE_BYTES, Codec.NONE)
    total = session.options.compaction_bytes
    speeds: dict[str, dict[str, list[float]]] = {metric: {} for metric in ("MB/s", "CPU s", "MB/s of a core")}
    waits: dict[tuple[str, str], dict[str, list[float]]] = {}
    running = {name: parts.fresh(name, **SETTINGS[name]) for name in session.brokers}
    try:
        for broker in running.values():
            broker.start()
            clients.create_topic(broker, OTHER)
        for round_ in range(-1, session.options.repetitions):
            for name, broker in running.items():
                topic = f"bench-compact-{round_ + 1}"
                size = _filled(broker, topic, made, total if round_ >= 0 else total // 4)
                cpu, took = _alone(broker, topic, size)
                if round_ >= 0:
                    speeds["MB/s"].setdefault(name, []).append(size / took / 1e6)
                    speeds["CPU s"].setdefault(name, []).append(cpu)
                    speeds["MB/s of a core"].setdefault(name, []).append(size / cpu / 1e6)
                    for load, found in _beside(session, broker, f"{topic}-beside", made, LONGER * total).items():
                        for kind, value in found.items():
                            waits.setdefault((load, kind), {}).setdefault(name, []).append(value)
    finally:
        for broker in running.values():
            broker.close()
    input_ = f"compaction, {total >> 20} MiB"
    session.add(input_, "input", "MB/s", speeds["MB/s"], bar=Bar("", at_least=1))
    session.add(input_, "CPU", "s", speeds["CPU s"])
    bar = Bar("", at_least=LEAST_MB_S)
    session.add(input_, "input per core", "MB/s", speeds["MB/s of a core"], bar=bar, relative=False)
    for load in BESIDE:
        for kind in ("alone", "beside"):
            session.add(f"{load}, {kind}", "p99", "us", waits[load, kind], relative=False)
        slower = {
            name: [beside / alone for beside, alone in zip(found, waits[load, "alone"][name], strict=True)]
            for name, found in waits[load, "beside"].items()
        }
        bar = Bar("", at_most=MOST_SLOWER)
        session.add(f"{load}, compaction", "p99 beside / alone", "", slower, bar=bar, relative=False, gate=False)
    session.raw["compaction"] = {"speeds": speeds, "waits": {" ".join(key): found for key, found in waits.items()}}


def _filled(broker: Broker, topic: str, made: list[bytes], total: int) -> int:
    clients.create_topic(broker, topic, configs=CONFIGS)
    size = keyed.fill(broker, topic, made, total)
    settle()
    return size


def _done(broker: Broker, topic: str) -> bool:
    """Of each key one record is left below the segment that is written to."""
    return keyed.closed_bytes(broker, topic) < MOST_LEFT * KEYS * VALUE_BYTES


def _begin(broker: Broker, topic: str) -> None:
    keyed.configure(broker, topic, min_cleanable_dirty_ratio=0.01)


def _await(broker: Broker, topic: str) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not _done(broker, topic):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{broker.name}: {topic} still has {keyed.closed_bytes(broker, topic)} bytes")
        time.sleep(0.02)


def _alone(broker: Broker, topic: str, size: int) -> tuple[float, float]:
    """Processor seconds and seconds of compacting a topic while nobody else asks for anything."""
    cpu, began = broker.cpu_s(), time.monotonic()
    _begin(broker, topic)
    _await(broker, topic)
    took = time.monotonic() - began
    cpu = broker.cpu_s() - cpu
    clients.delete_topics(broker, [topic])
    settle()
    return cpu, took


def _beside(session: Session, broker: Broker, topic: str, made: list[bytes], total: int) -> dict[str, dict[str, float]]:
    """p99 in microseconds of each load alone, before and after, and while the topic is compacted."""
    secs = min(session.options.secs, 1.0)
    samples: dict[tuple[str, str], list[float]] = {}

    def sample(kind: str) -> None:
        for load, flags in BESIDE.items():
            if kind == "beside" and _done(broker, topic):
                return
            run = loadgen.run(broker, "produce", topic=OTHER, secs=secs, warm=0.1, **flags)
            if kind == "alone" or not _done(broker, topic):
                samples.setdefault((load, kind), []).append(run["p99_us"])

    _filled(broker, topic, made, total)
    sample("alone")
    _begin(broker, topic)
    time.sleep(3 * CHECK_MS / 1000)
    while not _done(broker, topic):
        sample("beside")
    sample("alone")
    clients.delete_topics(broker, [topic])
    settle()
    return {
        load: {kind: statistics.median(samples[load, kind]) for kind in ("alone", "beside") if (load, kind) in samples}
        for load in BESIDE
    }
