"""Cost per request against the number of partitions and connections, and recovery of a large log after kill -9."""

from __future__ import annotations

import contextlib
import time

from tests.benchmarks import clients, loadgen
from tests.benchmarks.loads import Bar
from tests.benchmarks.report import number
from tests.benchmarks.session import Session
from tests.reference.pyralog import Pyralog

SMALL = {"batch": 1, "rec": 100, "acks": -1}
ACTIVE = 16
RECOVERY_PARTITIONS = 4
RECOVERY_LIMIT_S = 10
RECOVERY_BYTES = 10 << 30
FLAT = 2.0  # cost at the far end over cost at the near end; caches miss more, nothing may grow with the number
HEADROOM = 2_000  # connections above those of the curve


def _table(head: list[str], lines: list[list[float]]) -> str:
    cells = [head, *([number(value) for value in line] for line in lines)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    return "\n".join("  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in cells)


def _flatness(session: Session, load: str, metric: str, costs: list[float]) -> None:
    if len(costs) > 1:
        growth = [costs[-1] / min(costs[:2])]
        bar = Bar("", at_most=FLAT)
        session.add(load, metric, "x", {"pyralog": growth}, bar=bar, relative=False, gate=False)


def partitions(session: Session) -> None:
    """One topic of N partitions, every request to the next of them."""
    lines: list[list[float]] = []
    raw = []
    with Pyralog() as broker:
        for count in session.options.curve_points:
            session.say(f"curve: {count} partitions")
            begun = time.monotonic()
            clients.create_topic(broker, f"curve-{count}", count)
            created = time.monotonic() - begun
            common = {"topic": f"curve-{count}", "parts": count, "rotate": 1, "secs": session.options.secs, **SMALL}
            one = loadgen.run(broker, "produce", conns=1, inflight=1, **common)
            many = loadgen.run(broker, "produce", conns=ACTIVE, inflight=1, **common)
            raw.append({"partitions": count, "created_s": created, "one": one, "many": many})
            lines.append(
                [
                    *(count, created),
                    *(one["p50_us"], one["p99_us"], one["cpu_us_req"]),
                    *(many["req_s"], many["p99_us"], many["cpu_us_req"], many["rss_kb"] / 1000),
                ]
            )
            clients.delete_topics(broker, [f"curve-{count}"])
    head = ["partitions", "created s", "1x1 p50", "p99 us", "CPU us", "16x1 req/s", "p99 us", "CPU us", "RSS MB"]
    session.curves["Cost per request by partitions (every request to the next partition)"] = _table(head, lines)
    session.raw["partitions"] = raw
    _flatness(session, "1 to N partitions", "CPU of 1x1", [line[4] for line in lines])
    _flatness(session, "1 to N partitions", "p50 of 1x1", [line[2] for line in lines])


def connections(session: Session) -> None:
    """N connections: 16 active beside N idle ones, then all N active with one request in flight each."""
    lines: list[list[float]] = []
    raw = []
    points = session.options.curve_points
    with Pyralog(settings={"network.max_connections": max(points) + HEADROOM}) as broker:
        clients.create_topic(broker, "curve")
        common = {"topic": "curve", "secs": session.options.secs, "inflight": 1, **SMALL}
        for count in points:
            session.say(f"curve: {count} connections")
            active = min(ACTIVE, count)
            idle = (
                loadgen.Background(broker, "idle", conns=count - active) if count > active else contextlib.nullcontext()
            )
            with idle:
                few = loadgen.run(broker, "produce", conns=active, **common)
                one = loadgen.run(broker, "produce", conns=1, **common)
            every = loadgen.run(broker, "produce", conns=count, **common)
            raw.append({"connections": count, "few": few, "one": one, "all": every})
            lines.append(
                [
                    *(count, one["p50_us"], one["p99_us"], one["cpu_us_req"]),
                    *(few["req_s"], few["cpu_us_req"]),
                    *(every["req_s"], every["p99_us"], every["cpu_us_req"], every["rss_kb"] / 1000),
                ]
            )
    head = ["connections", "1 active p50", "p99 us", "CPU us", "16 active req/s", "CPU us"]
    head += ["all active req/s", "p99 us", "CPU us", "RSS MB"]
    session.curves["Cost per request by connections (the others idle, then all active)"] = _table(head, lines)
    session.raw["connections"] = raw
    _flatness(session, "1 to N connections", "CPU of 1 active", [line[3] for line in lines])
    _flatness(session, "1 to N connections", "CPU, all active", [line[8] for line in lines])


def recovery(session: Session) -> None:
    """kill -9 of a broker under load with a large log; the time until it serves every acknowledged record again."""
    size = session.options.recovery_bytes
    session.say(f"recovery: writing {size >> 20} MiB")
    load = {"conns": RECOVERY_PARTITIONS, "parts": RECOVERY_PARTITIONS, "inflight": 4, "batch": 1000, "rec": 1024}
    with Pyralog() as broker:
        clients.create_topic(broker, "bench", RECOVERY_PARTITIONS)
        run = loadgen.run(broker, "produce", topic="bench", acks=-1, total=size, secs=240, warm=0, **load)
        broker.kill()
        acked = run["acked_bytes"] // run["req_bytes"] * 1000
        broker.start_timeout_s = 300
        begun = time.monotonic()
        broker.start()
        ends = clients.end_offsets(broker.port, "bench", RECOVERY_PARTITIONS)
        took = time.monotonic() - begun
        begun = time.monotonic()
        broker.stop()
        stopped = time.monotonic() - begun
        begun = time.monotonic()
        broker.start()
        clients.end_offsets(broker.port, "bench", RECOVERY_PARTITIONS)
        clean = time.monotonic() - begun
    if sum(ends) < acked:
        raise AssertionError(f"{acked} records were acknowledged, {sum(ends)} are there after kill -9")
    bar = Bar("", at_most=RECOVERY_LIMIT_S * size / RECOVERY_BYTES) if size >= RECOVERY_BYTES else None
    name = f"{run['acked_bytes'] / (1 << 30):.1f} GiB log"
    session.add(name, "start after kill -9", "s", {"pyralog": [took]}, bar=bar, relative=False)
    session.add(name, "clean stop", "s", {"pyralog": [stopped]}, relative=False)
    session.add(name, "start after clean stop", "s", {"pyralog": [clean]}, relative=False)
