"""A million records of five clients and five codecs, written and read back equal while the broker is killed twice.

python -m tests.integration.million [--records 1000000] [--kills 2] [--against kafka] [--dump] [CLIENT ...]

Every client writes with default settings (idempotent, which some have to be told) into topics that create themselves,
one for each compression, and reads them by assignment. The broker gets kill -9 and a restart in the middle of the
writing, as often as asked, and once more while reading when there are kills left. `--dump` lets Apache Kafka's own
DumpLogSegments look at every segment afterwards.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.integration.conftest import ROOT
from tests.integration.round_trip import CLIENTS, CODECS
from tests.reference.kafka import Kafka, install_tools, java, tool_class
from tests.reference.process import Broker
from tests.reference.pyralog import Pyralog

OUTAGE_S = 0.5


class Failed(RuntimeError):
    """A client saw something else than what was written, or gave up."""


def available(clients: Sequence[str]) -> list[str]:
    """Those of the clients whose programs are installed."""
    needs = {"kcat": ["kcat"], "java": ["java", "javac", "mvn"]}
    return [name for name in clients if all(shutil.which(program) for program in needs.get(name, ()))]


def start(role: str, client: str, codec: str, topic: str, count: int, broker: Broker) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.integration.round_trip", role, "--client", client, "--codec", codec]
    command += ["--topic", topic, "--count", str(count), "--bootstrap", broker.address]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    return subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def written_bytes(broker: Broker) -> int:
    """What the topics' segments hold, as a measure of progress that needs no broker."""
    return sum(path.stat().st_blocks * 512 for path in broker.data_dir.glob("million-*/*.log"))


class Phase:
    """All clients in one role, each going through its topics one after another."""

    def __init__(self, role: str, plan: dict[str, list[tuple[str, str]]], count: int, broker: Broker) -> None:
        self.role, self.count, self.broker = role, count, broker
        self.waiting = {client: list(topics) for client, topics in plan.items()}
        self.running: dict[str, tuple[str, subprocess.Popen[bytes]]] = {}
        self.finished = 0
        self.total = sum(len(topics) for topics in plan.values())

    def step(self) -> bool:
        """Start what may start, judge what has ended; False when all is done."""
        for client, topics in self.waiting.items():
            if client in self.running:
                topic, process = self.running[client]
                if process.poll() is None:
                    continue
                output = process.communicate()[0].decode(errors="replace")
                del self.running[client]
                if process.returncode:
                    raise Failed(f"{client} could not {self.role} {topic}: {output[-1500:].strip()}")
                self.finished += 1
            if topics:
                topic, codec = topics.pop(0)
                process = start(self.role, client, codec, topic, self.count, self.broker)
                self.running[client] = (topic, process)
        return bool(self.running)

    def close(self) -> None:
        for _, process in self.running.values():
            process.kill()
            process.communicate()


def run_phase(phase: Phase, kill_at: list[float], quiet: bool) -> int:
    """Run a phase; kill and restart the broker when that share of the topics is done. The number of kills."""
    kills = 0
    try:
        while phase.step():
            if kill_at and phase.finished >= kill_at[0] * phase.total:
                kill_at.pop(0)
                kills += 1
                before = written_bytes(phase.broker)
                phase.broker.kill()
                time.sleep(OUTAGE_S)  # the outage
                phase.broker.start()
                if not quiet:
                    took = phase.broker.port_open_s
                    print(f"  killed at {before >> 20} MiB while clients {phase.role}, back after {took:.2f} s")
            time.sleep(0.05)
    finally:
        phase.close()
    return kills


def round_trip(broker: Broker, clients: Sequence[str], records: int, kills: int, *, quiet: bool = False) -> int:
    """Write and read; raises Failed when something differs. The number of records."""
    count = max(1, records // (len(clients) * len(CODECS)))
    plan = {client: [(f"million-{client}-{codec}", codec) for codec in CODECS] for client in clients}
    writing = [(index + 1) / (kills + 1) for index in range(kills)]
    for role, kill_at in (("write", writing), ("read", [0.5] if kills > 1 else [])):
        started = time.monotonic()
        done = run_phase(Phase(role, plan, count, broker), kill_at, quiet)
        took = time.monotonic() - started
        total = count * len(clients) * len(CODECS)
        if not quiet:
            print(
                f"{role}: {total} records, {took:.1f} s, {total / took:,.0f}/s, broker killed {done} times", flush=True
            )
    return count * len(clients) * len(CODECS)


def dump(broker: Broker) -> list[str]:
    """Complaints of DumpLogSegments about the segments of a stopped broker."""
    segments = sorted(broker.data_dir.glob("million-*/*.log"))
    # Only the logs: the indexes hold positions of 64 bits, which is not Kafka's form.
    files = ",".join(map(str, segments))
    command = java(install_tools(), tool_class("DumpLogSegments"), "--deep-iteration", "--files", files)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wrong = [f"exit {done.returncode}: {done.stderr[-500:].strip()}"] if done.returncode else []
    seen: dict[str, int] = {}
    segment = ""
    for line in done.stdout.splitlines():
        lower = line.lower()
        if line.startswith("Dumping "):
            segment = line.removeprefix("Dumping ")
        elif "isvalid: true" in lower:
            seen[segment] = seen.get(segment, 0) + 1
        elif "isvalid: false" in lower or "invalid" in lower or "mismatch" in lower:
            wrong.append(f"{segment}: {line}")
    return wrong + [f"{path}: no valid batch" for path in map(str, segments) if path not in seen]


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.integration.million", description=__doc__.splitlines()[0])
    parser.add_argument("clients", nargs="*", metavar="CLIENT", help=f"of {', '.join(CLIENTS)}")
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--against", choices=("pyralog", "kafka"), default="pyralog")
    parser.add_argument("--sync", action="store_true", help="acknowledge only what is synced")
    parser.add_argument("--dump", action="store_true", help="look at every segment with Kafka's DumpLogSegments")
    options = parser.parse_args()
    clients = options.clients or available(CLIENTS)
    if left_out := sorted(set(CLIENTS) - set(clients)):
        print(f"left out: {', '.join(left_out)}")
    with tempfile.TemporaryDirectory(prefix="million-", dir=os.environ.get("TMPDIR")) as folder:
        data = Path(folder) / "data"
        settings = {"storage.segment_config.sync_on_write": options.sync}
        broker = Kafka(data_dir=data) if options.against == "kafka" else Pyralog(data_dir=data, settings=settings)
        with broker:
            try:
                total = round_trip(broker, clients, options.records, options.kills)
                print(f"resident memory of the broker: {broker.rss_bytes() >> 20} MiB")
            except Failed as failure:
                print(f"FAILED: {failure}\n{broker.log_tail()}")
                return 1
            broker.stop()
            complaints = dump(broker) if options.dump else []
    for complaint in complaints:
        print(f"DumpLogSegments: {complaint}")
    verdict = "" if not options.dump else ", DumpLogSegments has no complaint" if not complaints else ""
    print(f"{total} records of {len(clients)} clients were read back as they were written{verdict}")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
