"""The measurements that are not one load on two brokers: starting, memory, idling, syncing, neighbours."""

from __future__ import annotations

import compileall
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pyralog
from tests.benchmarks import clients, loadgen
from tests.benchmarks.embedded import Embedded
from tests.benchmarks.loads import LOADS, UNITS, Bar
from tests.benchmarks.session import FETCH_TOPIC, Session, make_fetch_topic, pinned, samples_of, settle
from tests.reference.kafka import Kafka
from tests.reference.process import Broker, port_open
from tests.reference.pyralog import Pyralog

MB = 1e6
PACKAGE = Path(pyralog.__file__).parent
WARM_ROUNDS = 2
KINDS: dict[str, Callable[[], Broker]] = {"kafka": lambda: fresh("kafka"), "pyralog": lambda: fresh("pyralog")}
PLAIN: dict[str, Callable[[], Broker]] = {"kafka": Kafka, "pyralog": Pyralog}
ONE_BY_ONE = {"conns": 1, "inflight": 1, "batch": 1, "rec": 100, "acks": -1}
NEIGHBOUR_P99_US = 1000  # a produce beside a computing thread or a flood
FLOOD_TOPICS = 1000
IDLE_CONNECTIONS = 2000
SETTLED_SECS = 3  # after which a broker has done what it puts off at its start
MANY_CONNECTIONS = 10_000


CHECK_MS = 200  # the loads whose topics keep little rely on it
PYRALOG: dict[str, object] = {
    "network.max_connections": 12_000,
    "storage.retention_check_interval_ms": CHECK_MS,
    "groups.initial_rebalance_delay_ms": 0,
}
KAFKA: dict[str, object] = {
    "log.retention.check.interval.ms": CHECK_MS,
    "log.initial.task.delay.ms": 1000,
    # As both have it when nothing is said; tests make do with fewer.
    "offsets.topic.num.partitions": 50,
    "transaction.state.log.num.partitions": 50,
}


def warm(session: Session) -> None:
    """Let the reference broker's compiler see every path before anything is counted."""
    secs = 2 * session.options.warm_secs
    for broker in session.brokers.values():
        session.say(f"warming {broker.name}")
        clients.create_topic(broker, "bench-warm")
        clients.await_group_coordinator(broker, "bench-warm")
        make_fetch_topic(broker)
        for _ in range(WARM_ROUNDS):
            for load in LOADS:
                if not load.heavy:
                    topic = FETCH_TOPIC if load.reads else "bench-warm"
                    loadgen.run(broker, load.mode, topic=topic, secs=secs / WARM_ROUNDS, warm=0, **load.flags)
        clients.delete_topics(broker, ["bench-warm"])
    settle()


def side_by_side(session: Session) -> None:
    """The table: every load on both brokers, interleaved."""
    for load in LOADS:
        if not _wanted(session, load.name):
            continue
        session.say(load.name)
        figures = session.interleaved(load, session.options.secs, session.options.repetitions, "bench")
        for bar in load.bars:
            session.add(load.name, bar.metric, UNITS[bar.metric], samples_of(figures, bar.metric), bar=bar)
        for metric in load.shown:
            session.add(load.name, metric, UNITS[metric], samples_of(figures, metric))
        for metric in ("p50_us", "p99_us", "req_s", "MB_s"):
            session.add_target(load.name, metric, samples_of(figures, metric))


def _wanted(session: Session, name: str) -> bool:
    return not session.options.only or name in session.options.only


def startup(session: Session) -> None:
    """Time from the start of the process to an open port and to the first acknowledged record, on a new directory.

    Modules are compiled before, as pip compiles what it installs; Kafka's are class files too.
    """
    compileall.compile_dir(PACKAGE, quiet=1)
    opened: dict[str, list[float]] = {}
    acked: dict[str, list[float]] = {}
    rss: dict[str, list[float]] = {}
    for repetition in range(session.options.start_repetitions):
        for name in session.brokers:
            broker = KINDS[name]()
            try:
                broker.prepare()
                broker.launch()
                begun = broker.started_at
                deadline = begun + broker.start_timeout_s
                while not port_open(broker.port):
                    broker.check_alive(deadline)
                    time.sleep(0.001)
                opened.setdefault(name, []).append(time.monotonic() - begun)
                clients.first_acked_record(broker.port, f"first-{repetition}", deadline)
                acked.setdefault(name, []).append(time.monotonic() - begun)
                time.sleep(1)
                rss.setdefault(name, []).append(broker.rss_bytes() / MB)
            finally:
                broker.close()
    bar = Bar("start", at_most=1 / 8)
    session.add("start", "port open", "s", opened, bar=bar)
    session.add("start", "first acked record", "s", acked, bar=bar)
    session.add("start", "first acked record", "s", acked, bar=Bar("", at_most=0.3), relative=False, gate=False)
    session.add("start", "RSS", "MB", rss, bar=Bar("", at_most=60), relative=False)


def rss_after(session: Session) -> None:
    """Memory after all loads."""
    samples = {name: [broker.rss_bytes() / MB] for name, broker in session.brokers.items()}
    session.add("after loads", "RSS", "MB", samples, bar=Bar("", at_most=150), relative=False)


def idle(session: Session) -> None:
    """Processor time of a broker whose many clients do nothing; with retention checked as rarely as by default."""
    samples: dict[str, list[float]] = {}
    for name in session.brokers:
        with PLAIN[name]() as broker:
            loadgen.run(broker, "idle", conns=100, secs=SETTLED_SECS)
            figures = loadgen.run(broker, "idle", conns=IDLE_CONNECTIONS, secs=session.options.idle_secs)
            samples[name] = [figures["idle_cpu_pct"]]
    session.add("idle", f"CPU, {IDLE_CONNECTIONS} conns", "%", samples, bar=Bar("", at_most=0.2), relative=False)


def idle_memory(session: Session) -> None:
    """Bytes that an idle connection costs: of a fresh process, as memory freed by earlier loads would hide it."""
    samples: dict[str, list[float]] = {}
    for name in session.brokers:
        with fresh(name) as broker:
            loadgen.run(broker, "idle", conns=100, secs=0.2)
            figures = loadgen.run(broker, "idle", conns=MANY_CONNECTIONS, secs=1)
            samples[name] = [figures["bytes_per_conn"] / 1000]
    bar = Bar("", at_most=9)
    session.add("idle", f"memory, {MANY_CONNECTIONS:,} conns", "kB/conn", samples, bar=bar, relative=False, gate=False)


def fresh(name: str, **settings: object) -> Broker:
    """A new broker of this kind, not started."""
    return Pyralog(settings={**PYRALOG, **settings}) if name == "pyralog" else Kafka(settings={**KAFKA, **settings})


def same_core(session: Session) -> None:
    """One produce in flight with client and broker on one processor: no wake-up across processors in the figure."""
    figures: dict[str, list[loadgen.Figures]] = {}
    for name, broker in session.brokers.items():
        clients.create_topic(broker, "bench-core")
        with pinned(broker, 0):
            for _ in range(session.options.repetitions):
                run = loadgen.run(broker, "produce", topic="bench-core", cpu=0, secs=session.options.secs, **ONE_BY_ONE)
                figures.setdefault(name, []).append(run)
        clients.delete_topics(broker, ["bench-core"])
    for metric in ("p50_us", "p99_us"):
        session.add_target("same-core", metric, samples_of(figures, metric))


def group_commit(session: Session) -> None:
    """An fsync before every ack: shared by what came meanwhile, against one that each request pays for itself.

    Syncing in line with each cycle (the cache disabled) shares a sync too, among all that a cycle read: shown, no bar.
    """
    sync = {"storage.segment_config.sync_on_write": "true"}
    group = Pyralog(settings=sync)
    inline = Pyralog(settings={"storage.cache_config.enabled": "false", **sync})
    kinds: dict[str, tuple[Broker, dict[str, int]]] = {
        "group": (group, {"conns": 64, "inflight": 5}),
        "inline": (inline, {"conns": 64, "inflight": 5}),
        "single": (group, {"conns": 1, "inflight": 1}),
    }
    if "kafka" in session.brokers:
        kinds["kafka"] = (session.brokers["kafka"], {"conns": 64, "inflight": 5})
        kinds["kafka single"] = (session.brokers["kafka"], {"conns": 1, "inflight": 1})
    figures: dict[str, list[loadgen.Figures]] = {name: [] for name in kinds}
    try:
        for broker in (group, inline):
            broker.start()
            clients.create_topic(broker, "bench-sync")
        if "kafka" in session.brokers:
            clients.create_topic(session.brokers["kafka"], "bench-sync", configs={"flush.messages": "1"})
        common = {"topic": "bench-sync", "secs": session.options.secs, "batch": 1, "rec": 100, "acks": -1}
        for _ in range(session.options.repetitions):
            for name, (broker, load) in kinds.items():
                figures[name].append(loadgen.run(broker, "produce", **common, **load))
    finally:
        for broker in (group, inline):
            broker.close()
        if "kafka" in session.brokers:
            clients.delete_topics(session.brokers["kafka"], ["bench-sync"])
    _sync_rows(session, figures)


def _sync_rows(session: Session, figures: dict[str, list[loadgen.Figures]]) -> None:
    def pair(name: str, kafka: str, metric: str) -> dict[str, list[float]]:
        return samples_of({"pyralog": figures[name], "kafka": figures.get(kafka, [])}, metric)

    def gain(name: str) -> dict[str, list[float]]:
        rates = [statistics.median(run["req_s"] for run in figures[kind]) for kind in ("group", name)]
        return {"pyralog": [rates[0] / rates[1]]}

    session.add("sync, 1x1", "one per request", "req/s", pair("single", "kafka single", "req_s"), relative=False)
    session.add("sync, 1x1", "p50", "us", pair("single", "kafka single", "p50_us"), relative=False)
    session.add("sync, 64x5", "group commit", "req/s", pair("group", "kafka", "req_s"), relative=False)
    session.add("sync, 64x5", "group p99", "us", pair("group", "kafka", "p99_us"), relative=False)
    session.add("sync, 64x5", "in line", "req/s", pair("inline", "", "req_s"), relative=False)
    session.add("sync, 64x5", "group / in line", "", gain("inline"), relative=False)
    session.add("sync, 64x5", "group / one per request", "", gain("single"), bar=Bar("", at_least=5), relative=False)


def neighbour_rows(session: Session, load: str, figures: dict[str, list[loadgen.Figures]]) -> None:
    """A produce load beside something else."""
    session.add(load, "p50", "us", samples_of(figures, "p50_us"), relative=False)
    bar = Bar("", at_most=NEIGHBOUR_P99_US)
    session.add(load, "p99", "us", samples_of(figures, "p99_us"), bar=bar, relative=False)
    session.add(load, "p99.9", "us", samples_of(figures, "p999_us"), relative=False)
    session.add(load, "rate", "req/s", samples_of(figures, "req_s"), relative=False)


def flood(session: Session) -> None:
    """Produce beside one connection that asks for the metadata of a thousand topics without a pause."""
    figures: dict[str, list[loadgen.Figures]] = {}
    for name in session.brokers:
        with fresh(name) as broker:
            clients.create_topics(broker, [f"flood-{number}" for number in range(FLOOD_TOPICS)])
            loadgen.run(broker, "meta", secs=session.options.warm_secs)
            asked = loadgen.run(broker, "meta", secs=1)
            session.add("metadata 1,000 topics", "alone", "req/s", {name: [asked["req_s"]]}, relative=False)
            with loadgen.Background(broker, "meta"):
                for _ in range(session.options.repetitions):
                    run = loadgen.run(broker, "produce", topic="flood-0", secs=session.options.secs, **ONE_BY_ONE)
                    figures.setdefault(name, []).append(run)
    neighbour_rows(session, "beside metadata flood", figures)


def compute(session: Session) -> None:
    """Produce while a Python thread of the same process computes."""
    figures: list[loadgen.Figures] = []
    with Embedded() as broker:
        clients.create_topic(broker, "bench")
        for _ in range(session.options.repetitions):
            figures.append(loadgen.run(broker, "produce", topic="bench", secs=session.options.secs, **ONE_BY_ONE))
    neighbour_rows(session, "beside computing thread", {"pyralog": figures})
