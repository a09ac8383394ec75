"""Kafka Streams 4.4.0: a word count under exactly_once_v2, from Maven Central; each application is a Java process."""

from __future__ import annotations

import collections
import contextlib
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import confluent_kafka
from confluent_kafka.admin import AdminClient, NewTopic

from compat.cases import Context, Suite, equal, eventually
from tests.reference.kafka import CACHE, java

HERE = Path(__file__).parent
TARGET = HERE / "target"
JARS = CACHE / "kafka-streams-4.4.0"
WORDS = ("log", "segment", "batch", "record", "epoch", "leader", "replica", "offset")
LINES = 300
PARTITIONS = 2

suite = Suite("streams")


def compile_program() -> str:
    """The class path; fetches the jars and compiles when the source is newer."""
    if not (JARS / "complete").exists():
        command = ["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={JARS}"]
        subprocess.run(command, cwd=HERE, check=True, timeout=540, stdout=sys.stderr)
        (JARS / "log4j2.properties").write_text("rootLogger.level = ERROR\n")
        (JARS / "complete").touch()
    TARGET.mkdir(exist_ok=True)
    source, compiled = HERE / "WordCount.java", TARGET / "WordCount.class"
    if not compiled.exists() or compiled.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(["javac", "-cp", f"{JARS}/*", "-d", str(TARGET), str(source)], check=True, stdout=sys.stderr)
    return f"{TARGET}:{JARS}/*"


class Application:
    """A running word count; `states` is what it said of itself."""

    def __init__(self, bootstrap: str, name: str, source: str, sink: str, state_dir: str) -> None:
        command = java(JARS, "WordCount", bootstrap, name, source, sink, state_dir, options=("-Xmx256m",))
        command[command.index("-cp") + 1] = compile_program()
        self.states: list[str] = []
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.states.extend(line.strip() for line in self.process.stdout)

    def stop(self) -> None:
        """Close it in order."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self._ended()

    def kill(self) -> None:
        """End it without a goodbye."""
        self.process.kill()
        self._ended()

    def _ended(self) -> None:
        self.process.wait()
        self._reader.join(5)
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextlib.contextmanager
def running(bootstrap: str, name: str, source: str, sink: str, state_dir: str) -> Iterator[Application]:
    """An application that is started, and stopped at the end."""
    application = Application(bootstrap, name, source, sink, state_dir)
    try:
        yield application
    finally:
        application.stop()


def create(bootstrap: str, *topics: str) -> None:
    """Topics, ready to be used."""
    wanted = [NewTopic(name, PARTITIONS, 1) for name in topics]
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for future in admin.create_topics(wanted).values():
        future.result(20)


def write(bootstrap: str, topic: str, first: int, count: int) -> collections.Counter[str]:
    """Lines of words, acknowledged once each; how often each word was written."""
    producer = confluent_kafka.Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True})
    failed: list[object] = []
    counts: collections.Counter[str] = collections.Counter()
    for number in range(first, first + count):
        words = [WORDS[(number + i * i) % len(WORDS)] for i in range(4)]
        counts.update(words)
        producer.produce(topic, " ".join(words), on_delivery=lambda error, _: failed.append(error) if error else None)
    equal(producer.flush(60), 0)
    equal(failed, [])
    return counts


def history(bootstrap: str, topic: str) -> dict[str, list[int]]:
    """Every committed count of each word, in order: under exactly-once each goes up by one at least, and never back."""
    settings = {"bootstrap.servers": bootstrap, "group.id": "unused", "isolation.level": "read_committed"}
    consumer = confluent_kafka.Consumer({**settings, "enable.partition.eof": True, "enable.auto.commit": False})
    consumer.assign([confluent_kafka.TopicPartition(topic, index, 0) for index in range(PARTITIONS)])
    found: dict[str, list[int]] = collections.defaultdict(list)
    ended: set[int] = set()
    while len(ended) < PARTITIONS:
        message = consumer.poll(10)
        if message is None:
            break
        if message.error() is None:
            found[message.key().decode()].append(int(message.value()))
        elif message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF:
            ended.add(message.partition())
    consumer.close()
    return found


def last_counts(bootstrap: str, topic: str) -> dict[str, int]:
    """The newest committed count of each word."""
    return {word: counts[-1] for word, counts in history(bootstrap, topic).items()}


def reach(bootstrap: str, topic: str, wanted: Mapping[str, int]) -> None:
    """Wait until the committed counts are these."""
    eventually(lambda: last_counts(bootstrap, topic) == wanted, "the counts", timeout_s=40)


@suite.case("wordcount.exactly_once")
def word_count(ctx: Context) -> dict[str, int]:
    """Every word is counted once; a second run of the application goes on where the first stood."""
    source, sink, name = ctx.topic("lines"), ctx.topic("counts"), ctx.topic("app")
    create(ctx.bootstrap, source, sink)
    wanted: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as state_dir:
        for round_ in range(2):
            with running(ctx.bootstrap, name, source, sink, state_dir):
                wanted += write(ctx.bootstrap, source, round_ * LINES, LINES)
                reach(ctx.bootstrap, sink, wanted)
    return dict(sorted(wanted.items()))


@suite.case("wordcount.killed", smoke=False)
def word_count_killed(ctx: Context) -> dict[str, int]:
    """An application that is killed leaves a transaction open; the next one counts nothing twice."""
    source, sink, name = ctx.topic("lines"), ctx.topic("counts"), ctx.topic("app")
    create(ctx.bootstrap, source, sink)
    wanted = write(ctx.bootstrap, source, 0, LINES)
    with tempfile.TemporaryDirectory() as state_dir:
        first = Application(ctx.bootstrap, name, source, sink, state_dir)
        try:
            eventually(lambda: last_counts(ctx.bootstrap, sink), "a count", timeout_s=40)
            wanted += write(ctx.bootstrap, source, LINES, LINES)
        finally:
            first.kill()
        with running(ctx.bootstrap, name, source, sink, state_dir):
            reach(ctx.bootstrap, sink, wanted)
    for counts in history(ctx.bootstrap, sink).values():
        equal(counts, sorted(set(counts)))
    return dict(sorted(wanted.items()))


if __name__ == "__main__":
    if shutil.which("mvn") is None or shutil.which("javac") is None:
        sys.exit("a JDK and Maven are needed for Kafka Streams")
    compile_program()
    sys.exit(suite.main())
