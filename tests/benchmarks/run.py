"""Pyralog beside Apache Kafka 4.4.0 on this machine: the table of ratios, the absolute figures, the curves.

    make bench                                      about 10 minutes
    python -m tests.benchmarks.run --quick          two minutes
    python -m tests.benchmarks.run --only produce-16x5,startup
    python -m tests.benchmarks.run --brokers kafka --list

Both brokers run at the same time and get every load in turns, medians of the repetitions are compared. Exit code 1: a
gate was missed. Results go to tests/benchmarks/results/ (`last` when everything ran, `partial` otherwise).
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from tests.benchmarks import compacting, curves, groups, loadgen, parts, rebuild, report
from tests.benchmarks.loads import LOADS
from tests.benchmarks.session import Options, Session, machine_busy
from tests.reference import kafka

BUSY = 0.15  # share of the machine that others may use before the figures mean little

# name, what it does, whether it needs the shared pair of brokers, whether it needs Pyralog
PARTS: dict[str, tuple[Callable[[Session], None], bool, bool]] = {
    "startup": (parts.startup, False, False),
    "idle": (parts.idle, False, False),
    "same-core": (parts.same_core, True, False),
    "rss": (parts.rss_after, True, False),
    "group-commit": (parts.group_commit, True, True),
    "idle-memory": (parts.idle_memory, False, False),
    "flood": (parts.flood, False, False),
    "compute": (parts.compute, False, True),
    "rebalances": (groups.rebalances, False, False),
    "storm": (groups.storm, False, False),
    "rebuild": (rebuild.rebuild, False, True),
    "compaction": (compacting.compaction, False, False),
    "partitions": (curves.partitions, False, True),
    "connections": (curves.connections, False, True),
    "recovery": (curves.recovery, False, True),
}
LOAD_NAMES = tuple(load.name for load in LOADS)


def options_of(args: argparse.Namespace) -> Options:
    """Session options from the command line."""
    options = Options(only=tuple(name for name in args.only.split(",") if name))
    if args.quick:
        options = Options(
            secs=1.0,
            repetitions=1,
            warm_secs=1.0,
            recovery_bytes=1 << 30,
            curve_points=(1, 100, 1000),
            start_repetitions=1,
            idle_secs=3.0,
            group_members=200,
            compaction_bytes=512 << 20,
            only=options.only,
        )
    options.secs = args.secs or options.secs
    options.repetitions = args.repetitions or options.repetitions
    if args.recovery_mib:
        options.recovery_bytes = args.recovery_mib << 20
    return options


def measure(session: Session) -> None:
    """Everything that was asked for, in an order in which memory after the loads is read after the loads."""
    only = session.options.only

    def run(name: str) -> None:
        part, _, needs_pyralog = PARTS[name]
        if (only and name not in only) or (needs_pyralog and "pyralog" not in session.brokers):
            return
        session.say(name)
        part(session)

    with_pair = [name for name, (_, pair, _) in PARTS.items() if pair]
    run("startup")
    loads = [name for name in LOAD_NAMES if not only or name in only]
    if loads or any(name in only for name in with_pair):
        for name, broker in session.brokers.items():
            session.say(f"starting {name}")
            broker.start()
        if loads or "same-core" in only:
            parts.warm(session)
        parts.side_by_side(session)
        for name in with_pair:
            run(name)
        for broker in session.brokers.values():
            broker.stop()
    for name, (_, pair, _) in PARTS.items():
        if not pair and name != "startup":
            run(name)


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.benchmarks.run", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one short repetition, smaller curves, 1 GiB of recovery")
    parser.add_argument("--only", default="", help="comma-separated names, see --list")
    parser.add_argument("--brokers", default="kafka,pyralog", help="kafka, pyralog or both")
    parser.add_argument("--secs", type=float, help="counted seconds of a run")
    parser.add_argument("--repetitions", type=int)
    parser.add_argument("--recovery-mib", type=int, help="size of the log to recover")
    parser.add_argument("--list", action="store_true", help="print the names of loads and parts")
    args = parser.parse_args()
    names = (*LOAD_NAMES, *PARTS)
    if args.list:
        print("\n".join(names))
        return 0
    options = options_of(args)
    if unknown := set(options.only) - set(names):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(names)}")

    begun = time.monotonic()
    loadgen.build()
    chosen = args.brokers.split(",")
    if "kafka" in chosen:
        kafka.install_broker()
    facts = report.machine()
    facts["command"] = "python -m tests.benchmarks.run " + " ".join(sys.argv[1:])
    if (busy := machine_busy()) > BUSY:
        facts["warning"] = f"others used {busy:.0%} of the processors before the run: the figures are not to be trusted"
        print(facts["warning"], file=sys.stderr)
    session = Session(options, {name: parts.KINDS[name]() for name in parts.KINDS if name in chosen})
    finished = False
    try:
        measure(session)
        finished = True
    finally:
        for broker in session.brokers.values():
            broker.close()
        facts["took"] = f"{time.monotonic() - begun:.0f} s"
        if session.rows:
            whole = finished and not options.only and len(session.brokers) == len(parts.KINDS)
            name = ("quick" if args.quick else "last") if whole else "partial"
            path = report.save(name, facts, session.rows, session.curves, session.raw)
            print(path.read_text())
            session.say(f"written to {path}")
    return 1 if any(row.ok is False and row.gate for row in session.rows) else 0


if __name__ == "__main__":
    sys.exit(main())
