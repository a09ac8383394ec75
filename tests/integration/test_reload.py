"""SIGHUP: the file is read again, what can change does, the rest is told; a file with mistakes changes nothing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.integration.conftest import ROOT, until
from tests.integration.dynamic import TOPIC, Admin
from tests.reference.pyralog import Pyralog

pytestmark = pytest.mark.pyralog_only

FILE = """\
logging: {level: info}
topics: {defaults: {max_message_bytes: 2000}}
groups: {max_size: 10}
"""


class Configured(Pyralog):
    """A node with a file."""

    @property
    def file(self) -> Path:
        return self.data_dir.parent / "pyralog.yaml"

    def command(self) -> Sequence[str]:
        arguments = super().command()[3:]
        return [sys.executable, "-m", self.module, "--config", str(self.file), *arguments]

    def reload(self, text: str, *expected: str) -> str:
        """Write the file, send SIGHUP, and wait until the log says what it is expected to, in this order."""
        before = self.log_file.stat().st_size
        # At once, as editors do: a reading that is on its way must not find half of it.
        whole = self.file.with_suffix(".new")
        whole.write_text(text, encoding="utf-8")
        whole.replace(self.file)
        os.kill(self.pid, signal.SIGHUP)

        def said() -> str:
            with self.log_file.open("rb") as log:
                log.seek(before)
                new = log.read().decode()
            at = 0
            for words in expected:
                at = new.find(words, at)
                if at < 0:
                    return ""
            return new

        return str(until(said, f"the log says {expected}"))


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Configured]:
    (tmp_path / "pyralog.yaml").write_text(FILE, encoding="utf-8")
    env = {"PYTHONPATH": str(ROOT), "PYRALOG_LOG": "", "RUST_LOG": ""}
    with Configured(data_dir=tmp_path / "data", settings={"network.max_connections": 100}, env=env) as broker:
        yield broker


@pytest.fixture
def admin(node: Configured) -> Iterator[Admin]:
    with Admin(node.port) as connected:
        connected.create_topics(["t"], 1, 1, {})
        yield connected


def test_what_can_change_does_and_the_rest_is_told(node: Configured, admin: Admin) -> None:
    assert admin.produce("t", b"x" * 5000) == 10
    admin.set(group__max__size=7)
    node.reload(
        "logging: {level: info}\n"
        "node: {rack: r1}\n"
        "topics: {num_partitions: 3, defaults: {max_message_bytes: 9000}}\n"
        "groups: {max_size: 20}\n"
        "network: {max_connections: 200, fetch_max_bytes: 5000}\n",
        "topics.num_partitions: 3 (was 1)",
        "topics.defaults.max_message_bytes: 9000 (was 2000)",
        "groups.max_size: the new value does not show: a value that was set while running is stronger",
        "node.rack: the new value needs a restart",
        "the configuration was read again: 3 changed",
    )
    assert admin.produce("t", b"x" * 5000) == 0
    assert len(admin.metadata("three").partitions) == 3
    configs = admin.configs()
    synonyms = [(one.value, one.source) for one in configs["group.max.size"].synonyms]
    assert synonyms == [("7", 3), ("20", 4), ("2147483647", 5)]
    assert configs["broker.rack"].value is None, "the running value is shown until the restart"
    assert configs["max.connections"].value == "100", "--set still wins"
    assert admin.configs(TOPIC, "t")["max.message.bytes"].config_source == 4


def test_a_file_with_mistakes_changes_nothing(node: Configured, admin: Admin) -> None:
    before = {name: config.value for name, config in admin.configs().items()}
    said = node.reload(
        "topics: {num_partitions: 3}\nnetwork:\n  max_conections: 7\ngroups: {max_size: many}\n",
        'pyralog.yaml:3:3: network.max_conections: unknown key. Did you mean "max_connections"?',
        'pyralog.yaml:4:20: groups.max_size: "many" is not a whole number.',
        "the configuration has 2 mistakes and was not taken over",
        "INVALID_CONFIG, mistakes ",
    )
    assert "read again:" not in said
    assert "Nothing was started" not in said, "it runs on"
    assert {name: config.value for name, config in admin.configs().items()} == before
    node.reload("topics: {num_partitions: x}\n", "the configuration has 1 mistake and was not taken over")
    node.file.unlink()
    os.kill(node.pid, signal.SIGHUP)
    until(lambda: "cannot be read: No such file or directory" in node.log_tail(), "the missing file is told")
    node.reload(FILE, "the configuration was read again: nothing changed")


def test_hanging_up_a_terminal_ends_the_node(tmp_path: Path) -> None:
    """Nobody wants a broker that outlives its terminal."""
    terminal, stdin = os.openpty()
    settings = (
        f"node.data_dir={tmp_path}",
        "network.listen_address=127.0.0.1:0",
        "network.internal_address=127.0.0.1:0",
    )
    command = [sys.executable, "-m", "pyralog.cli.daemon", *(word for one in settings for word in ("--set", one))]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, env=env, text=True) as process:
        try:
            assert process.stdout is not None
            until(lambda: " ready: " in process.stdout.readline(), "the node is ready")
            process.send_signal(signal.SIGHUP)
            assert process.wait(30) == 0
        finally:
            process.kill()
    os.close(terminal)
    os.close(stdin)


def test_levels_of_the_log(node: Configured, admin: Admin) -> None:
    node.reload(FILE.replace("level: info", "level: debug"), "logging.level: ", "read again: 1 changed")
    assert admin.configs(8, "1")["root"].value == "DEBUG"
    node.reload(FILE, "logging.level: ", "read again: 1 changed")
    assert admin.configs(8, "1")["root"].value == "INFO"


def test_systemd_is_told_of_the_reload_and_its_end(tmp_path: Path) -> None:
    (tmp_path / "pyralog.yaml").write_text(FILE, encoding="utf-8")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(tmp_path / "notify"))
        notify.settimeout(30)
        env = {"PYTHONPATH": str(ROOT), "NOTIFY_SOCKET": str(tmp_path / "notify"), "PYRALOG_LOG": "", "RUST_LOG": ""}
        with Configured(data_dir=tmp_path / "data", env=env) as node:

            def told(wanted: str) -> str:
                while not (message := notify.recv(4096).decode()).startswith(wanted):
                    pass
                return message

            told("READY=1")
            for text in ("nonsense: 1\n", FILE):
                node.file.write_text(text, encoding="utf-8")
                os.kill(node.pid, signal.SIGHUP)
                assert "MONOTONIC_USEC=" in told("RELOADING=1")
                assert "STATUS=Pyralog " in told("READY=1")


def test_during_the_start_and_many_at_once(node: Configured, admin: Admin) -> None:
    """A signal that comes early neither ends the process nor is forgotten."""
    node.stop()
    node.file.write_text("topics: {num_partitions: 3}\n", encoding="utf-8")
    node.prepare()
    node.launch()
    deadline = node.started_at + node.start_timeout_s
    starts = node.log_file.stat().st_size
    # From here on the signal is handled: the loop runs.
    until(lambda: b"partitions opened" in node.log_file.read_bytes()[starts:] or node.ready(), "the node starts")
    for _ in range(20):
        os.kill(node.pid, signal.SIGHUP)
    until(node.ready, "the node is ready")
    node.check_alive(deadline)
    node.reload("topics: {num_partitions: 4}\n", "topics.num_partitions: 4 (was 3)", "read again: 1 changed")
