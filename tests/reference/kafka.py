"""Apache Kafka 4.4.0, the reference: installed from Maven Central into a cache, run as one KRaft node on loopback.

python -m tests.reference.kafka install
python -m tests.reference.kafka run --port 9092 [--set num.partitions=4]
python -m tests.reference.kafka tool DumpLogSegments --deep-iteration --files FILE
"""

from __future__ import annotations

import argparse
import base64
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Sequence
from pathlib import Path

from tests.reference.process import HOST, Broker, free_port

VERSION = "4.4.0"
TOOLS_VERSION = "4.3.1"
HERE = Path(__file__).parent
CACHE = Path(os.environ.get("PYRALOG_CACHE", Path.home() / ".cache" / "pyralog"))

# A short name for the tools that are asked for most; anything else is given as a full class name.
TOOL_PACKAGE = "org.apache.kafka.tools"
TOOL_CLASSES = {
    "ConsoleConsumer": f"{TOOL_PACKAGE}.consumer.ConsoleConsumer",
    "ConsoleProducer": f"{TOOL_PACKAGE}.ConsoleProducer",
    "ConsumerGroupCommand": f"{TOOL_PACKAGE}.consumer.group.ConsumerGroupCommand",
    "ConfigCommand": "kafka.admin.ConfigCommand",
}

# One node for tests and benchmarks: nothing waits for others, nothing is replicated.
DEFAULTS: dict[str, object] = {
    "process.roles": "broker,controller",
    "node.id": 1,
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    "num.partitions": 1,
    "default.replication.factor": 1,
    "offsets.topic.replication.factor": 1,
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 4,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    "group.initial.rebalance.delay.ms": 0,
    "log.retention.check.interval.ms": 300000,
}

LOG4J = """
rootLogger.level = WARN
rootLogger.appenderRef.stdout.ref = out
appender.out.type = Console
appender.out.name = out
appender.out.target = SYSTEM_ERR
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = [%d] %p %m (%c)%n
"""


def _install(pom: str, target: Path) -> Path:
    """Fetch what a pom names, with Maven, once; safe against two scripts at the same time."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / f"{target.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (target / "complete").exists():
            return target
        if shutil.which("mvn") is None:
            raise SystemExit("Maven (mvn) is needed to fetch the reference broker")
        work = target.parent / f"{target.name}.pom"
        work.mkdir(exist_ok=True)
        shutil.copy(HERE / pom, work / "pom.xml")
        command = [
            "mvn",
            "-q",
            "-B",
            "dependency:copy-dependencies",
            f"-DoutputDirectory={target}",
            "-DincludeScope=runtime",
        ]
        subprocess.run(command, cwd=work, check=True, timeout=540)
        shutil.rmtree(work)
        (target / "log4j2.properties").write_text(LOG4J)
        (target / "complete").touch()
    return target


def install_broker() -> Path:
    """The folder with the broker's jars."""
    return _install("kafka-pom.xml", CACHE / f"kafka-{VERSION}")


def install_tools() -> Path:
    """The folder with the tools' jars."""
    return _install("tools-pom.xml", CACHE / f"kafka-tools-{TOOLS_VERSION}")


def java(jars: Path, main_class: str, *args: str, options: Sequence[str] = ()) -> list[str]:
    """A Java command line over a folder of jars."""
    home = os.environ.get("JAVA_HOME")
    binary = str(Path(home) / "bin" / "java") if home else "java"
    config = f"-Dlog4j2.configurationFile={jars / 'log4j2.properties'}"
    return [binary, *options, config, "-cp", f"{jars}/*", main_class, *args]


def tool(main_class: str, *args: str, timeout: float = 120, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run one of Kafka's command-line tools, e.g. tool("TopicCommand", "--bootstrap-server", ..., "--list")."""
    command = java(install_tools(), tool_class(main_class), *args, options=("-Xmx512m",))
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    if check and done.returncode:
        raise RuntimeError(f"{main_class} exited with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def tool_class(name: str) -> str:
    """The full name of a tool's class: given, known, or the class in Kafka's tools package."""
    name = name.removeprefix("kafka.tools.")
    return name if "." in name else TOOL_CLASSES.get(name, f"{TOOL_PACKAGE}.{name}")


class Kafka(Broker):
    """Apache Kafka 4.4.0 as one node; `settings` are server properties."""

    name = "kafka"

    @property
    def properties_file(self) -> Path:
        """The server properties, beside the data."""
        return self.data_dir.with_name(self.data_dir.name + ".properties")

    def prepare(self) -> None:
        jars = install_broker()
        controller = free_port()
        properties = {
            **DEFAULTS,
            "listeners": f"PLAINTEXT://{HOST}:{self.port},CONTROLLER://{HOST}:{controller}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{self.port}",
            "controller.quorum.voters": f"1@{HOST}:{controller}",
            "log.dirs": str(self.data_dir),
            **self.settings,
        }
        self.properties_file.write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
        if (self.data_dir / "meta.properties").exists():
            return
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if cluster.startswith("-"):  # the tool would take it for an option
            cluster = "A" + cluster[1:]
        args = ("format", "-t", cluster, "-c", str(self.properties_file))
        subprocess.run(java(jars, "kafka.tools.StorageTool", *args), check=True, capture_output=True, timeout=60)

    def command(self) -> Sequence[str]:
        heap = ("-Xms1g", "-Xmx1g", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-Djava.awt.headless=true")
        return java(install_broker(), "kafka.Kafka", str(self.properties_file), options=heap)

    def close(self) -> None:
        super().close()
        if self._made_dir and not self.keep:
            self.properties_file.unlink(missing_ok=True)


def parse_settings(pairs: Sequence[str]) -> dict[str, object]:
    """`--set key=value` arguments as a mapping."""
    for pair in pairs:
        if "=" not in pair:
            raise SystemExit(f"--set wants key=value, not {pair!r}")
    return {key: value for key, _, value in (pair.partition("=") for pair in pairs)}


def run_until_stopped(broker: Broker) -> int:
    """Run a broker in the foreground until SIGINT, SIGTERM, or its own end."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with broker:
        print(f"{broker.name} ready on {broker.address}, pid {broker.pid}, data in {broker.data_dir}", flush=True)
        while not stop.wait(0.2):
            assert broker.process is not None
            if broker.process.poll() is not None:
                print(broker.log_tail(), file=sys.stderr)
                return broker.process.returncode
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.reference.kafka", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("install", help="fetch broker and tools")
    run = commands.add_parser("run", help="run one node in the foreground")
    run.add_argument("--port", type=int)
    run.add_argument("--data-dir", type=Path)
    run.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    tools = commands.add_parser("tool", help="run one of Kafka's command-line tools")
    tools.add_argument("main_class")
    tools.add_argument("args", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if options.command == "install":
        print(install_broker(), install_tools(), sep="\n")
        return 0
    if options.command == "tool":
        command = java(install_tools(), tool_class(options.main_class), *options.args, options=("-Xmx512m",))
        return subprocess.run(command, check=False).returncode
    return run_until_stopped(Kafka(port=options.port, data_dir=options.data_dir, settings=parse_settings(options.set)))


if __name__ == "__main__":
    sys.exit(main())
