"""Apache Kafka's command-line tools on groups: consoles that share a topic, what is said of groups, their configs."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from tests.reference.kafka import install_tools, java, tool, tool_class
from tests.reference.pyralog import Pyralog

pytestmark = pytest.mark.skipif(shutil.which("java") is None, reason="Kafka's tools need Java")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pyralog]:
    """One for all: each test has groups of its own."""
    settings = {"groups.initial_rebalance_delay_ms": 0}
    with Pyralog(data_dir=tmp_path_factory.mktemp("tools") / "data", settings=settings) as node:
        yield node


def run(broker: Pyralog, name: str, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return tool(name, "--bootstrap-server", broker.address, *args, check=check)


def test_configs_of_a_group(broker: Pyralog) -> None:
    group = ("--entity-type", "groups", "--entity-name", "configured")
    wanted = "consumer.heartbeat.interval.ms=7000,consumer.session.timeout.ms=50000"
    run(broker, "ConfigCommand", *group, "--alter", "--add-config", wanted)
    shown = run(broker, "ConfigCommand", *group, "--describe").stdout
    assert "consumer.heartbeat.interval.ms=7000 sensitive=false synonyms={DYNAMIC_GROUP_CONFIG" in shown
    assert "DEFAULT_CONFIG:group.consumer.session.timeout.ms=45000" in shown
    run(broker, "ConfigCommand", *group, "--alter", "--delete-config", "consumer.session.timeout.ms")
    everything = run(broker, "ConfigCommand", "--entity-type", "groups", "--describe").stdout
    assert "Dynamic configs for group configured are:" in everything
    assert "consumer.session.timeout.ms" not in everything
    refused = run(
        broker, "ConfigCommand", *group, "--alter", "--add-config", "consumer.session.timeout.ms=1", check=False
    )
    assert refused.returncode
    assert "consumer.session.timeout.ms must be in the range 45000 to 60000 inclusive." in refused.stderr


RECORDS, PARTITIONS = 40, 4


def rows(text: str) -> list[dict[str, str]]:
    """A table of columns, by its header; a cell without blanks."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    head = next(at for at, line in enumerate(lines) if "GROUP" in line)
    return [dict(zip(lines[head], line, strict=False)) for line in lines[head + 1 :]]


def fill(broker: Pyralog, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": broker.address})
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(30)
    producer = Producer({"bootstrap.servers": broker.address})
    for number in range(RECORDS):
        producer.produce(topic, str(number).encode(), partition=number % PARTITIONS)
    assert producer.flush(30) == 0


@contextlib.contextmanager
def console(broker: Pyralog, folder: Path, topic: str, group: str, *more: str) -> Iterator[Path]:
    """A kafka-console-consumer while it runs; the file that it prints to."""
    arguments = ("--bootstrap-server", broker.address, "--topic", topic, "--group", group, "--from-beginning", *more)
    command = java(install_tools(), tool_class("ConsoleConsumer"), *arguments, options=("-Xmx128m",))
    output = folder / f"{group}-{time.time_ns()}"
    with output.open("wb") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=subprocess.DEVNULL)
        try:
            yield output
        finally:
            process.terminate()  # it leaves the group
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            if process.poll() is None:
                process.kill()
                process.wait()


def until(condition: Callable[[], bool], what: str, timeout_s: float = 150) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.2)


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("protocol", "kind"), [("classic", "Classic"), ("consumer", "Consumer")])
def test_consoles_share_a_topic_and_tools_tell_of_them(
    protocol: str, kind: str, broker: Pyralog, tmp_path: Path
) -> None:
    topic = group = f"shared-{protocol}"
    fill(broker, topic)

    def groups(*more: str) -> str:
        return run(broker, "ConsumerGroupCommand", *more).stdout

    more = ("--consumer-property", f"group.protocol={protocol}")
    with contextlib.ExitStack() as stack:
        outputs = [stack.enter_context(console(broker, tmp_path, topic, group, *more)) for _ in range(2)]

        def read() -> list[int]:
            lines = [line for output in outputs for line in output.read_text().splitlines(keepends=True)]
            return sorted(int(line) for line in lines if line[:-1].isdigit() and line.endswith("\n"))

        until(lambda: len(read()) >= RECORDS, "all records are read")
        described = ("--describe", "--group", group)
        until(
            lambda: [one["#PARTITIONS"] for one in rows(groups(*described, "--members"))] == ["2", "2"], "two members"
        )
        assert set(read()) == set(range(RECORDS))
        (state,) = rows(groups(*described, "--state"))
        assert state["STATE"] == "Stable"
        assert state["#MEMBERS"] == "2"
        assert len(rows(groups(*described, "--offsets"))) == PARTITIONS
        listed = {one["GROUP"]: one for one in rows(run(broker, "GroupsCommand", "--list").stdout)}
        assert listed[group]["TYPE"] == kind
        assert listed[group]["PROTOCOL"] == "consumer"
        refused = run(broker, "ConsumerGroupCommand", "--delete", "--group", group, check=False)
        assert "not empty" in (refused.stdout + refused.stderr).lower()
    until(lambda: "Empty" in groups("--list", "--state"), "the group is empty")
    reset = ("--reset-offsets", "--group", group, "--topic", topic, "--to-offset", "3", "--execute")
    assert {one["NEW-OFFSET"] for one in rows(groups(*reset))} == {"3"}
    assert {one["CURRENT-OFFSET"] for one in rows(groups("--describe", "--group", group))} == {"3"}
    groups("--delete-offsets", "--group", group, "--topic", topic)
    assert "was successful" in groups("--delete", "--group", group)
    assert group not in groups("--list").split()
