"""Apache Kafka's command-line tools: run, and what they print without what no two runs share."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compat.cases import Context, Suite
from tests.reference.kafka import install_tools, java, tool_class

suite = Suite("kafka_tools", timeout_s=150)
HERE = Path(__file__).parent
TARGET = HERE / "target"
TIMEOUT_S = 120
JAVA = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
# A 22-letter base64 identifier: of a topic, a directory, or the cluster.
IDENT = re.compile(r"(?<![\w-])(?=[\w-]*[A-Z])(?=[\w-]*[a-z0-9])[\w-]{22}(?![\w-])")
# Logs, stack traces, and what the runner throws in place of an exit.
NOISE = re.compile(r"^(WARN|SLF4J|ERROR StatusLogger|\[\d{4}-|\s*at |\(org\.apache|Runner\$Ended|null$)")


@dataclass(frozen=True)
class Done:
    """How a tool ended and what it printed."""

    returncode: int
    stdout: str
    stderr: str


class Runner:
    """The Java process that runs tools one after another; it ends with the script, whose end its input sees."""

    _process: subprocess.Popen[bytes] | None = None

    @classmethod
    def run(cls, main_class: str, args: Sequence[str]) -> Done:
        if cls._process is None or cls._process.poll() is not None:
            cls._process = cls.start()  # one that was left in the middle ends when nobody holds its input any more
        process, cls._process = cls._process, None  # until it has answered: an answer that comes late is nobody's
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\x1f".join((main_class, *args)).encode() + b"\n")
        process.stdin.flush()
        head = process.stdout.readline().split()
        if len(head) != 3:
            raise RuntimeError(f"{main_class} {' '.join(args)} ended Java: {process.wait(10)}")
        code, *sizes = map(int, head)
        out, err = (process.stdout.read(size).decode() for size in sizes)
        cls._process = process
        return Done(code, out, err)

    @staticmethod
    def start() -> subprocess.Popen[bytes]:
        """Compiled when its source is newer."""
        jars, source, compiled = install_tools(), HERE / "Runner.java", TARGET / "Runner.class"
        if not compiled.exists() or compiled.stat().st_mtime < source.stat().st_mtime:
            subprocess.run(["javac", "-cp", f"{jars}/*", "-d", str(TARGET), str(source)], check=True, stdout=sys.stderr)
        command = java(jars, "Runner", options=JAVA)
        command[command.index("-cp") + 1] = f"{TARGET}:{jars}/*"
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


class Tools:
    """The tools against one broker; `names` stand in place of the topics and groups of this run."""

    def __init__(self, ctx: Context, **names: str) -> None:
        self.ctx = ctx
        self.names = {value: f"<{name}>" for name, value in names.items()}
        self.names[ctx.bootstrap] = "<broker>"

    def raw(self, name: str, *args: str) -> Done:
        """A tool's whole output."""
        return Runner.run(tool_class(name), args)

    def process(self, name: str, *args: str, stdin: str = "") -> Done:
        """A tool in a Java process of its own, for those that read standard input or do not end by themselves."""
        command = java(install_tools(), tool_class(name), *args, options=JAVA)
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        return Done(done.returncode, done.stdout, done.stderr)

    def __call__(self, name: str, *args: str) -> list[str]:
        """The lines that a tool prints, in order; what it says to stderr follows."""
        to = ("--bootstrap-server", self.ctx.bootstrap)
        done = self.raw(name, *args, *to) if name == "ClusterTool" else self.raw(name, *to, *args)
        lines = [*meant(done.stdout), *(f"stderr: {line}" for line in meant(done.stderr))]
        return [self.scrub(line) for line in lines] + ([f"exit {done.returncode}"] if done.returncode else [])

    def scrub(self, line: str) -> str:
        """A line with single spaces and without names and identifiers of this run."""
        for found, name in self.names.items():
            line = line.replace(found, name)
        return IDENT.sub("<id>", " ".join(line.split()))

    @contextmanager
    def file(self, content: Any) -> Iterator[str]:
        """The path of a file with JSON, as several tools want it."""
        with tempfile.NamedTemporaryFile("w", suffix=".json") as made:
            made.write(content if isinstance(content, str) else json.dumps(content))
            made.flush()
            yield made.name


def meant(text: str) -> list[str]:
    """The lines of an output that are the tool's own; said twice counts once."""
    return list(dict.fromkeys(line for line in text.splitlines() if line.strip() and not NOISE.match(line)))


def rows(lines: list[str]) -> list[str]:
    """The lines of a table, sorted: a broker may list in any order."""
    return sorted(lines)


def json_in(lines: list[str]) -> Any:
    """The JSON that one of the lines is."""
    return json.loads(next(line for line in lines if line.startswith("{")))


def write(ctx: Context, topic: str, count: int, partition: int = 0, size: int = 10, start_ms: int = 0) -> None:
    """Records with known values and, if asked for, times."""
    from confluent_kafka import Producer

    failed: list[object] = []
    client = Producer({"bootstrap.servers": ctx.bootstrap})
    for i in range(count):
        stamp = {"timestamp": start_ms + 1000 * i} if start_ms else {}
        client.produce(
            topic,
            (b"%d " % i).ljust(size, b"x"),
            partition=partition,
            on_delivery=lambda error, _: failed.append(error) if error else None,
            **stamp,
        )
    assert client.flush(30) == 0, "records are left"
    assert not failed, failed


def make_topic(ctx: Context, partitions: int = 2, config: dict[str, str] | None = None) -> str:
    """A topic whose partitions have leaders."""
    from confluent_kafka.admin import AdminClient, NewTopic

    from compat.cases import eventually

    topic = ctx.topic()
    client = AdminClient({"bootstrap.servers": ctx.bootstrap})
    client.create_topics([NewTopic(topic, partitions, 1, config=config or {})])[topic].result(20)

    def led() -> bool:
        found = client.list_topics(topic, timeout=10).topics[topic]
        return len(found.partitions) == partitions and all(one.leader >= 0 for one in found.partitions.values())

    eventually(led, "leaders")
    return topic


def data_dir(ctx: Context) -> Path:
    """Where the broker keeps its logs, by its own answer; its files can be read because it runs on this host."""
    done = Tools(ctx).raw("LogDirsCommand", "--bootstrap-server", ctx.bootstrap, "--describe")
    return Path(json_in(done.stdout.splitlines())["brokers"][0]["logDirs"][0]["logDir"])
