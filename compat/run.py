"""Run the clients against Pyralog and against Apache Kafka, and judge what they saw.

python -m compat.run [--against pyralog|kafka|both] [--smoke] [CLIENT ...]

Each client is a script that takes a bootstrap address and prints one line per case (compat/cases.py). Judged is:
  - on Pyralog, every case of the client's allow-list passes; the list only grows;
  - on Kafka, every case passes: otherwise it is the case that is wrong;
  - with both, what a case observed is the same on both, or FINDINGS.md of that client names the difference
    as `case` or `case:key`, and says why.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from compat.cases import parse_line, read_list
from tests.reference.kafka import Kafka
from tests.reference.process import HOST, Broker, free_port
from tests.reference.pyralog import Pyralog

HERE = Path(__file__).parent
CLIENT_TIMEOUT_S = 480
NODE_ID = 0  # what kafka-python's own suite takes its broker to be
PARTITIONS = 4


@dataclass(frozen=True)
class Client:
    """A client: the module that runs it, its folder and its allow-list."""

    name: str
    module: str
    folder: str
    allow: str = "allow.txt"
    smoke: bool = True
    needs: tuple[str, ...] = ()
    fails_on_kafka: tuple[str, ...] = ()

    @property
    def allow_file(self) -> Path:
        return HERE / self.folder / self.allow

    @property
    def findings(self) -> str:
        path = HERE / self.folder / "FINDINGS.md"
        return path.read_text() if path.exists() else ""

    def missing(self) -> str | None:
        """The first program that is needed and not installed."""
        return next((program for program in self.needs if shutil.which(program) is None), None)


CLIENTS = {
    client.name: client
    for client in (
        Client("kafka-python", "compat.kafka_python.run", "kafka_python"),
        Client(
            "kafka-python-suite",
            "compat.kafka_python.suite",
            "kafka_python",
            allow="allow-suite.txt",
            smoke=False,
            # Depends on how fast ten threads join.
            fails_on_kafka=("test_consumer_integration::test_group",),
        ),
        Client("aiokafka", "compat.aiokafka.run", "aiokafka"),
        Client("confluent-kafka", "compat.confluent_kafka.run", "confluent_kafka"),
        Client("kcat", "compat.kcat.run", "kcat", needs=("kcat",)),
        Client("java", "compat.java.run", "java", smoke=False, needs=("java", "javac", "mvn")),
        Client("kafka-tools", "compat.kafka_tools.run", "kafka_tools", smoke=False, needs=("java", "javac", "mvn")),
        Client("streams", "compat.streams.run", "streams", smoke=False, needs=("java", "javac", "mvn")),
        Client("connect", "compat.connect.run", "connect", smoke=False, needs=("java", "mvn")),
        Client("franz-go", "compat.franz_go.run", "franz_go", smoke=False, needs=("go",)),
        Client("sarama", "compat.sarama.run", "sarama", smoke=False, needs=("go",)),
        Client("kafkajs", "compat.kafkajs.run", "kafkajs", smoke=False, needs=("node", "npm")),
    )
}


@dataclass
class Run:
    """What one client saw on one broker."""

    outcomes: dict[str, tuple[str, str]] = field(default_factory=dict)
    problem: str = ""
    seconds: float = 0.0

    def count(self, status: str) -> int:
        return sum(found == status for found, _ in self.outcomes.values())


def kafka_broker() -> Broker:
    """Apache Kafka as the cases expect a broker: node 0, four partitions, nothing expires."""
    port, controller = free_port(), free_port()
    settings = {
        "node.id": NODE_ID,
        "listeners": f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller}",
        "controller.quorum.voters": f"{NODE_ID}@{HOST}:{controller}",
        "num.partitions": PARTITIONS,
        "log.retention.ms": -1,
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
        "super.users": "User:ANONYMOUS",
    }
    return Kafka(port=port, settings=settings)


def pyralog_broker() -> Broker:
    """Pyralog, set up the same way by the names that Kafka's users know."""
    port = free_port()
    env = {"KAFKA_NUM_PARTITIONS": str(PARTITIONS), "KAFKA_LOG_RETENTION_MS": "-1"}
    settings = {"node.node_id": NODE_ID, "network.advertised_address": f"{HOST}:{port}"}
    return Pyralog(port=port, settings=settings, env=env)


BROKERS: Mapping[str, Callable[[], Broker]] = {"kafka": kafka_broker, "pyralog": pyralog_broker}


def run_client(client: Client, address: str, options: argparse.Namespace) -> Run:
    """Run one client's script; a script that hangs is ended by its process id."""
    command = [sys.executable, "-m", client.module, "--bootstrap", address]
    command += ["--smoke"] if options.smoke else []
    for pattern in options.only:
        command += ["--only", pattern]
    run = Run()
    started = time.monotonic()
    env = {**os.environ, "PYTHONPATH": str(HERE.parent), "PYTHONWARNINGS": "ignore"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, cwd=HERE.parent) as process:
        try:
            output, errors = process.communicate(timeout=CLIENT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            output, errors = process.communicate()
            run.problem = f"not done after {CLIENT_TIMEOUT_S} s"
    for parsed in map(parse_line, output.decode(errors="replace").splitlines()):
        if parsed is not None:
            run.outcomes[parsed[1]] = (parsed[0], parsed[2])
    if not run.outcomes and not run.problem:
        run.problem = f"no case ran (exit {process.returncode}): {errors.decode(errors='replace')[-500:].strip()}"
    run.seconds = time.monotonic() - started
    return run


def differences(pyralog: Run, kafka: Run) -> Iterator[tuple[str, str, str]]:
    """(`case` or `case:key`, what Pyralog showed, what Kafka showed) wherever both passed and differ."""
    for case, (status, ours) in pyralog.outcomes.items():
        other, theirs = kafka.outcomes.get(case, ("", ""))
        if status != "ok" or other != "ok" or ours == theirs:
            continue
        left, right = (json.loads(text) if text else None for text in (ours, theirs))
        if isinstance(left, dict) and isinstance(right, dict):
            for key in sorted(left.keys() | right.keys()):
                if left.get(key) != right.get(key):
                    yield f"{case}:{key}", json.dumps(left.get(key)), json.dumps(right.get(key))
        else:
            yield case, ours, theirs


def explained(findings: str, name: str) -> bool:
    """Whether FINDINGS.md names a difference, or its whole case, between backticks."""
    named = set(re.findall(r"`([^`]+)`", findings))
    return name in named or name.partition(":")[0] in named


def judge(client: Client, runs: Mapping[str, Run], options: argparse.Namespace) -> list[str]:
    """What is wrong with one client's runs, one text each."""
    wrong = [f"{broker}: {run.problem}" for broker, run in runs.items() if run.problem]
    if (ours := runs.get("pyralog")) is not None:
        allowed = read_list(client.allow_file)
        for case in allowed:
            status, text = ours.outcomes.get(case, ("missing", ""))
            left_out = status == "missing" and (options.only or options.smoke)
            if status != "ok" and not left_out:
                wrong.append(f"pyralog: {case} is on the allow-list and {status}: {text}")
    if (theirs := runs.get("kafka")) is not None:
        for case, (status, text) in theirs.outcomes.items():
            if status == "FAIL" and case not in client.fails_on_kafka:
                wrong.append(f"kafka: {case} fails on the reference: {text}")
    if len(runs) == 2:
        for name, left, right in differences(runs["pyralog"], runs["kafka"]):
            if not explained(client.findings, name):
                wrong.append(f"{name}: pyralog {left}, kafka {right}; {client.folder}/FINDINGS.md does not say why")
    return wrong


def report(client: Client, runs: Mapping[str, Run], wrong: list[str], options: argparse.Namespace) -> None:
    """Print one client's result: counts, what fails, what could be added to the allow-list."""
    for broker, run in runs.items():
        counts = ", ".join(f"{run.count(status)} {word}" for status, word in COUNTED)
        print(f"{client.name} on {broker}: {counts} ({run.seconds:.0f} s)")
        for case, (status, text) in run.outcomes.items():
            if status == "FAIL" or options.verbose:
                print(f"    {status} {case} {text}")
    if (ours := runs.get("pyralog")) is not None:
        listed = set(read_list(client.allow_file))
        fresh = [case for case, (status, _) in ours.outcomes.items() if status == "ok" and case not in listed]
        if fresh and options.grow:
            with client.allow_file.open("a") as allow:
                allow.writelines(f"{case}\n" for case in fresh)
        elif fresh:
            print(f"    passes and is not on the allow-list: {', '.join(fresh)}")
    for text in wrong:
        print(f"    WRONG {text}")
    sys.stdout.flush()


COUNTED = (("ok", "passed"), ("FAIL", "failed"), ("skip", "skipped"))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="compat.run", description=__doc__.splitlines()[0])
    parser.add_argument("clients", nargs="*", metavar="CLIENT", help=f"of {', '.join(CLIENTS)}; all if none is named")
    parser.add_argument("--against", choices=("pyralog", "kafka", "both"), default="both")
    parser.add_argument("--smoke", action="store_true", help="a couple of minutes, clients from pip and kcat only")
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN", help="cases, e.g. 'admin.*'")
    parser.add_argument("--grow", action="store_true", help="add what passes on Pyralog to the allow-lists")
    parser.add_argument("-v", "--verbose", action="store_true", help="print every case")
    options = parser.parse_args()
    if unknown := [name for name in options.clients if name not in CLIENTS]:
        parser.error(f"no such client: {', '.join(unknown)}")
    return options


def choose(options: argparse.Namespace) -> list[Client]:
    """The clients to run: a program that is missing is an error only if its client was asked for by name."""
    named = [CLIENTS[name] for name in options.clients]
    chosen = named or [client for client in CLIENTS.values() if client.smoke or not options.smoke]
    able = []
    for client in chosen:
        if (program := client.missing()) is None:
            able.append(client)
        elif named:
            sys.exit(f"{client.name} needs {program}, which is not installed")
        else:
            print(f"{client.name}: left out, {program} is not installed")
    return able


def main() -> int:
    options = arguments()
    names = ("pyralog", "kafka") if options.against == "both" else (options.against,)
    failed = passed = skipped = 0
    with contextlib.ExitStack() as stack:
        clients = choose(options)
        brokers = {name: stack.enter_context(BROKERS[name]()) for name in names}
        for client in clients:
            runs = {name: run_client(client, broker.address, options) for name, broker in brokers.items()}
            wrong = judge(client, runs, options)
            report(client, runs, wrong, options)
            failed += len(wrong)
            passed += sum(run.count("ok") for run in runs.values())
            skipped += sum(run.count("skip") for run in runs.values())
        for name, broker in brokers.items():
            if broker.process is None or broker.process.poll() is not None:
                failed += 1
                print(f"WRONG {name} ended during the run\n{broker.log_tail()}")
    print(f"compat: {passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
