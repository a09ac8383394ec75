"""The pyralog command: options, exit codes and what it says."""

from __future__ import annotations

import gc
import logging
import os
import re
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pyralog.cli.daemon import main
from pyralog.errors import StorageError
from pyralog.version import __version__

Invoke = Callable[..., Result]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The configurations that app.run was called with; a function put first is called in its place."""
    calls: list[Any] = []

    def run(config: Any, read: Any = None) -> int:
        behave = calls.pop(0) if calls and callable(calls[0]) else None
        calls.append(config)
        return behave(config) if behave else 0

    app = types.ModuleType("pyralog.app")
    app.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyralog.app", app)
    yield calls
    gc.unfreeze()


@pytest.fixture
def invoke(runs: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Invoke]:
    """Run the command in an empty folder and environment."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("PYRALOG_", "KAFKA_", "RUST_LOG", "NODE_ID")):
            monkeypatch.delenv(name)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield lambda *arguments, **environ: CliRunner().invoke(main, list(arguments), env=environ)
    root.handlers[:] = handlers
    root.setLevel(level)
    gc.enable()


def test_version(invoke: Invoke) -> None:
    result = invoke("--version")
    assert (result.exit_code, result.output) == (0, f"pyralog {__version__}\n")


def test_words_that_are_no_tools(invoke: Invoke, runs: list[Any]) -> None:
    assert invoke("version").output == invoke("-V").output == f"pyralog {__version__}\n"
    assert invoke("help").output == invoke("--help").output
    result = invoke("config.yaml")
    assert (result.exit_code, runs) == (2, [])
    assert "'config.yaml' is none of the tools config and log." in result.output
    assert "--config FILE" in result.output


def test_zero_config_runs(invoke: Invoke, runs: list[Any]) -> None:
    result = invoke()
    assert (result.exit_code, result.stderr) == (0, "")
    assert runs[0].node.data_dir == "./pyralog-data"
    assert str(runs[0].network.listen_address) == "127.0.0.1:9092"


def test_options_reach_the_node(invoke: Invoke, runs: list[Any], tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("topics: {num_partitions: 3}\n", encoding="utf-8")
    invoke("--config", str(file), "--set", "node.node_id=5", "--set", f"node.data_dir={tmp_path}", NODE_ID="4")
    assert (runs[0].topics.num_partitions, runs[0].node.node_id) == (3, 5)


def test_options_that_hands_type_by_reflex(invoke: Invoke, runs: list[Any], tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("network: {listen_address: '127.0.0.2:9092'}\n", encoding="utf-8")
    for words, address in (
        (("--port", "19001"), "127.0.0.1:19001"),
        (("-c", str(file), "--port", "19001"), "127.0.0.2:19001"),
        (("--port", "0", "--set", "network.listen_address=[::1]:9094"), "[::1]:0"),
        (("-c", str(file)), "127.0.0.2:9092"),
    ):
        assert invoke(*words, "--data-dir", str(tmp_path / "data")).exit_code == 0
        config = runs.pop()
        assert (str(config.network.listen_address), config.node.data_dir) == (address, str(tmp_path / "data"))
    # The default of the other port makes way, one that was asked for does not.
    for words in (("--port", "9093"), ("--dev", "--port", "9093"), ("-c", str(file), "--port", "9093")):
        assert invoke(*words, "--data-dir", str(tmp_path / "data")).exit_code == 0
        assert runs.pop().network.internal_address.port == 9094
    inside = "network.internal_address=127.0.0.1:9093"
    assert "is also internal_address" in invoke("--port", "9093", "--set", inside).stderr
    assert re.search(r"listen_address: .* # --port$", invoke("--port", "1", "--print-config").stdout, re.MULTILINE)


def test_ports_that_cannot_be(invoke: Invoke, runs: list[Any], tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("network: {listeners: [{name: A, listen: '127.0.0.1:9092'}]}\n", encoding="utf-8")
    several = invoke("-c", str(file), "--port", "19001")
    assert several.exit_code == 78
    assert "--port network.listeners: has a port for each listener; --port is for network.listen_" in several.stderr
    assert "network.listen_address" in invoke("--set", "network.listen_address=x", "--port", "19001").stderr
    assert invoke("--port", "65536").exit_code == 2
    assert invoke("--ephemeral", "--data-dir", str(tmp_path)).exit_code == 2
    assert runs == []


def test_the_nodes_exit_code_is_the_commands(invoke: Invoke, runs: list[Any]) -> None:
    runs.append(lambda _: 3)
    assert invoke().exit_code == 3


def test_every_mistake_is_listed_and_nothing_started(invoke: Invoke, runs: list[Any], tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("node: {node_id: x}\nfrob: 1\n", encoding="utf-8")
    result = invoke("--config", str(file))
    assert result.exit_code == 78
    assert result.stdout == ""
    assert result.stderr.startswith(f"pyralog: 2 errors in {file}\n  1:17 node.node_id: ")
    assert runs == []


def test_check(invoke: Invoke, runs: list[Any]) -> None:
    assert invoke("--check").stdout == "The configuration is valid.\n"
    assert invoke("--check", "--set", "node.node_id=-1").exit_code == 78
    assert runs == []
    assert not Path("pyralog-data").exists()


def test_what_this_release_lacks_is_refused_with_its_place(invoke: Invoke, runs: list[Any], tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(f"node:\n  data_dir: {tmp_path}\n  cluster_nodes: [1, 2, 3]\n", encoding="utf-8")
    result = invoke("--config", str(file))
    assert result.exit_code == 78
    assert "3:18 node.cluster_nodes: this release runs a single node" in result.stderr
    assert invoke("--config", str(file), "--dev").exit_code == 0
    assert [member.node_id for member in runs[0].node.cluster_nodes] == [1]


def test_print_config(invoke: Invoke, runs: list[Any]) -> None:
    result = invoke("--print-config", "--set", "node.cluster_nodes=1,2", NODE_ID="2")
    assert result.exit_code == 0
    assert re.search(r"^  node_id: 2 +# NODE_ID$", result.stdout, re.MULTILINE)
    assert re.search(r"^  cluster_nodes: \[1, 2\] +# --set$", result.stdout, re.MULTILINE)
    assert runs == []


def test_ephemeral_data_is_gone_afterwards(invoke: Invoke, runs: list[Any]) -> None:
    def look(config: Any) -> int:
        assert Path(config.node.data_dir).is_dir()
        (Path(config.node.data_dir) / "topic-0").mkdir()
        return 0

    runs.append(look)
    assert invoke("--ephemeral", "--set", "node.data_dir=/nowhere").exit_code == 0
    assert not Path(runs[0].node.data_dir).exists()
    assert not Path("pyralog-data").exists()


def test_warnings_go_to_stderr(invoke: Invoke) -> None:
    result = invoke(PYRALOG_NODE_DI="1")
    assert "pyralog: warning: unused environment variables: PYRALOG_NODE_DI (did you mean" in result.stderr
    assert result.exit_code == 0


def test_a_folder_that_cannot_be_used(invoke: Invoke, runs: list[Any], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = invoke("--set", "node.data_dir=file")
    assert (result.exit_code, runs) == (78, [])
    assert '"file" is not a folder' in result.stderr


def test_a_log_folder_that_cannot_be_written(invoke: Invoke, runs: list[Any], tmp_path: Path) -> None:
    (tmp_path / "audit.log").mkdir()
    result = invoke("--set", f"node.log_dir={tmp_path}")
    assert (result.exit_code, runs) == (78, [])
    assert f'node.log_dir: "{tmp_path}/audit.log" cannot be used: Is a directory.' in result.stderr


def test_log_files(invoke: Invoke, runs: list[Any], tmp_path: Path) -> None:
    result = invoke("--set", f"node.log_dir={tmp_path}/logs")
    assert (result.exit_code, result.output) == (0, "")
    assert "Pyralog 0.1.0 starts: node 1" in (tmp_path / "logs" / "pyralog.log").read_text(encoding="utf-8")


@pytest.mark.parametrize("variable", ["PYRALOG_LOG", "RUST_LOG"])
def test_log_levels(variable: str, invoke: Invoke) -> None:
    invoke(**{variable: "warn,pyralog::storage=trace"})
    assert logging.getLogger().level == logging.WARNING
    assert logging.getLogger("pyralog.storage").level == 5
    logging.getLogger("pyralog.storage").setLevel(logging.NOTSET)


def test_a_port_in_use_names_its_owner(invoke: Invoke, runs: list[Any]) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        def bind_it(config: Any) -> int:
            with socket.socket() as second:
                second.bind(("127.0.0.1", port))
            return 0

        runs.append(bind_it)
        result = invoke("--set", f"network.listen_address=127.0.0.1:{port}")
    assert result.exit_code == 1
    assert result.stderr.startswith("pyralog: Address already in use\n")
    assert f"127.0.0.1:{port} is taken by process {os.getpid()} (" in result.stderr
    assert "choose another port: --port 19092" in result.stderr


def test_what_could_not_be_opened_or_bound_is_named(invoke: Invoke, runs: list[Any]) -> None:
    import errno

    def fail(_: Any) -> int:
        raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address", "192.0.2.1:9092")

    runs.append(fail)
    result = invoke()
    assert result.exit_code == 1
    assert result.stderr == (
        "pyralog: 192.0.2.1:9092: Cannot assign requested address\n"
        "  This machine has no such address; to be reached from elsewhere, listen on 0.0.0.0.\n"
    )


def test_a_disk_error_is_said_in_one_line(invoke: Invoke, runs: list[Any]) -> None:
    def fail(_: Any) -> int:
        raise StorageError("open", "/data/meta", 5)

    runs.append(fail)
    result = invoke()
    assert (result.exit_code, result.stderr) == (1, "pyralog: open /data/meta: EIO\n")


def test_usage_errors(invoke: Invoke) -> None:
    assert invoke("--frob").exit_code == 2
    assert invoke("--help").exit_code == 0


def test_a_start_imports_nothing_for_plugins_that_nobody_has(tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "pyralog.cli.daemon", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, cwd=tmp_path)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "pydantic.plugin._loader" in imported  # else this test has lost its subject
    assert not imported & {"email.message", "zipfile", "csv", "tempfile"}


def test_what_stands_for_importlib_metadata_gives_way_to_it() -> None:
    code = (
        "import sys; from pyralog.cli.daemon import _Metadata as M; name = 'importlib.metadata';"
        "sys.modules[name] = M(name); import importlib.metadata as first; assert type(first) is M;"
        "from importlib.metadata import version; assert version('click');"
        "assert first.entry_points(group='console_scripts'); assert first.PackageNotFoundError;"
        "import importlib.metadata as second; assert type(second) is not M; print('ok')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("ok\n", "")
