"""Parts of pyralog-admin that need no cluster: its tree, how it prints, places in a log, host checks, secrets."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from pyralog.cli.admin import host_checks
from pyralog.cli.admin.bundle import without_secrets
from pyralog.cli.admin.client_config import client_options
from pyralog.cli.admin.main import main
from pyralog.cli.admin.offsets import Spec, spec_of
from pyralog.cli.admin.output import cell, size_text, table
from pyralog.cli.admin.progress import Progress
from pyralog.version import __version__


def run(*words: str, **env: str) -> Result:
    return CliRunner().invoke(main, list(words), env=env, prog_name="pyralog-admin")


def commands(command: click.Command, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every command of the tree."""
    if not isinstance(command, click.Group):
        return [path]
    context = click.Context(command)
    found = [(name, command.get_command(context, name)) for name in command.list_commands(context)]
    return [each for name, sub in found if sub is not None for each in commands(sub, (*path, name))]


def test_every_command_of_the_tree_has_help() -> None:
    found = commands(main)
    assert len(found) > 40
    for words in found:
        result = run(*words, "--help")
        assert result.exit_code == 0, words
        assert "--cluster" in result.output
        assert len(result.output.split("\n\n")[1].strip()) > 10, words


def test_every_command_is_in_the_manual() -> None:
    manual = (Path(__file__).parents[3] / "docs" / "ADMIN.md").read_text(encoding="utf-8")
    missing = [words for words in commands(main) if words[0] != "generate" and " ".join(words) not in manual]
    assert missing == []


def test_help_imports_no_command_and_no_library_of_theirs() -> None:
    code = (
        "import sys; sys.argv = ['pyralog-admin', '--help']\n"
        "from pyralog.cli.admin.main import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print('MODULES', *sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    loaded = set(done.stderr.split())
    assert not loaded & {"kafka", "rich", "yaml", "pyralog.cli.admin.topic", "pyralog.cli.admin.ask", "asyncio"}
    assert run("--version").output == f"pyralog-admin {__version__}\n"


def test_wrong_usage_is_exit_code_2() -> None:
    for words in (("topik",), ("topic", "create"), ("group", "seek", "g"), ("--format", "xml", "topic", "list")):
        assert run(*words).exit_code == 2, words
    assert "Did you mean 'topic'?" in run("topik").output
    later = run("rebalance", "--cluster", "localhost:9092")  # as the guide has it
    assert (later.exit_code, "'rebalance' comes with a later release" in later.output) == (2, True)


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("topic ls", "topic list"),
        ("topics rm", "topic delete"),
        ("groups desc", "group describe"),
        ("nodes ls", "node list"),
        ("partitions status", "partition status"),
        ("transactions ls", "txn list"),
    ],
)
def test_words_that_hands_type_by_reflex(short: str, long: str) -> None:
    found = [run(*words.split(), "--help").output.split("Options:")[0] for words in (short, long)]
    assert found[0].replace(short, long) == found[1]


def test_help_is_a_word_too() -> None:
    assert run("help").output == run("--help").output
    for words in (("topic",), ("topic", "create"), ("topics", "ls")):
        assert run("help", *words).output == run(*words, "--help").output
    assert run("topic", "help", "create").output == run("topic", "create", "--help").output
    assert run("topic", "help").output == run("topic", "--help").output
    assert run("-V").output == run("--version").output


def test_a_mistyped_word_is_answered_with_the_nearest() -> None:
    for words, meant in (("topc list", "topic"), ("topic lis", "list"), ("group sek", "seek")):
        result = run(*words.split())
        assert (result.exit_code, f"Did you mean {meant!r}?" in result.output) == (2, True), words


def test_help_of_a_group_cuts_no_sentence() -> None:
    for words in ("cluster", "node", "topic", "partition", "group", "txn", "backup", "perf", "check", "generate"):
        cut = [line for line in run(words, "--help").output.splitlines()[1:] if line.endswith("...")]
        assert cut == []
    assert "replicas, offsets." in " ".join(run("topic", "--help").output.split())


def test_an_unreachable_cluster_is_told_at_once() -> None:
    began = time.monotonic()
    result = run("--cluster", "127.0.0.1:9", "topic", "list")
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr.startswith("pyralog-admin: 127.0.0.1:9 cannot be reached: ")
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("start", Spec(None, -2)),
        ("end", Spec(None, -1)),
        ("max-timestamp", Spec(None, -3)),
        ("17", Spec(17, None)),
        ("@1700000000000", Spec(None, 1700000000000)),
        ("2023-11-14T22:13:20Z", Spec(None, 1700000000000)),
        ("2023-11-14T23:13:20+01:00", Spec(None, 1700000000000)),
    ],
)
def test_places_in_a_log(text: str, spec: Spec) -> None:
    assert spec_of(text) == spec


@pytest.mark.parametrize("text", ["", "yesterday", "-5", "@x", "2023-13-01"])
def test_what_is_no_place_in_a_log(text: str) -> None:
    with pytest.raises(click.UsageError, match="no place in a log"):
        spec_of(text)


def test_cells_are_read_by_people() -> None:
    assert [size_text(size) for size in (0, 1023, 1024, 1536, 5 << 30)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "1.5 KiB",
        "5.0 GiB",
    ]
    assert cell("size_bytes", 2048) == "2.0 KiB"
    assert cell("began_at_ms", 1700000000000) == "2023-11-14T22:13:20.000Z"
    assert [cell("x", value) for value in (None, True, False, [1, 2], {"a": 1})] == ["-", "yes", "no", "1,2", "a=1"]


def test_tables_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    table([{"name": "a", "size_bytes": 1}, {"name": "long", "size_bytes": 4096}])
    assert capsys.readouterr().out == "NAME     SIZE\na         1 B\nlong  4.0 KiB\n"


def test_a_wide_table_is_not_folded_on_a_narrow_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.delenv("NO_COLOR", raising=False)
    table([{"topic": "orders.of.every.customer.ever", "partition": 1}])
    assert capsys.readouterr().out.splitlines()[1] == "orders.of.every.customer.ever          1"


def test_progress_is_a_line_now_and_then_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pyralog.cli.admin.progress.EVERY_S", 0.0)
    for wanted in (True, False):
        with Progress("copy", 4096, wanted=wanted) as progress:
            progress.item("a-0")
            progress.add(2048)
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines()[-1].startswith("copy: 2.0 KiB of 4.0 KiB, ")
    assert told.err.splitlines()[-1].endswith(" s left a-0")
    assert len(told.err.splitlines()) == 2


def fake_proc(folder: Path, values: dict[str, str]) -> Path:
    for name, value in values.items():
        path = folder.joinpath(*name.split("."))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value + "\n")
    return folder


def test_a_host_as_the_guide_wants_it(tmp_path: Path) -> None:
    values = {name: str(value) for name, value in host_checks.SYSCTL.items()}
    values |= {name: "\t".join(map(str, triple)) for name, triple in host_checks.SYSCTL_TRIPLES.items()}
    values |= {"vm.swappiness": "1", "vm.nr_hugepages": "0"}
    found = list(host_checks.sysctl_findings(fake_proc(tmp_path, values)))
    assert {each.status for each in found} == {"ok"}
    assert len(found) == len(values)
    assert "2 GiB that Pyralog does not use" in found[-1].advice


def test_a_host_that_is_not(tmp_path: Path) -> None:
    values = {"net.core.rmem_max": "212992", "net.ipv4.tcp_rmem": "4096\t131072\t6291456", "vm.swappiness": "60"}
    found = {each.check: each for each in host_checks.sysctl_findings(fake_proc(tmp_path, values))}
    assert found["net.core.rmem_max"].advice == "sysctl -w net.core.rmem_max=134217728"
    assert found["net.ipv4.tcp_rmem"].advice == "sysctl -w net.ipv4.tcp_rmem='4096 87380 67108864'"
    assert found["vm.swappiness"].status == "warn"
    assert found["fs.nr_open"].status == "unknown"
    (tmp_path / "enabled").write_text("always [madvise] never\n")
    (tmp_path / "defrag").write_text("always defer [never]\n")
    first, second = host_checks.huge_page_findings(tmp_path)
    assert (first.status, first.found, second.status) == ("warn", "madvise", "ok")
    assert {each.check for each in host_checks.limit_findings()} == {"limit nofile", "limit nproc"}


@pytest.mark.parametrize(
    "text",
    [
        "password: hunter2",
        '"key_password": "hunter2",',
        "ssl.key.password=hunter2",
        'sasl.jaas.config=x.PlainLoginModule required username="u" password="hunter2";',
        "PYRALOG_SECRET='hunter2'",
        "Authorization: Bearer hunter2hunter2",
        "s3://user:hunter2@bucket/",
        "api-key: hunter2 and more hunter2",
    ],
)
def test_secrets_stay_out_of_a_bundle(text: str) -> None:
    assert "hunter2" not in without_secrets(f"before: 1\n{text}\nafter: 2\n")
    assert without_secrets(f"before: 1\n{text}\nafter: 2\n").startswith("before: 1\n")
    assert without_secrets(f"before: 1\n{text}\nafter: 2\n").endswith("after: 2\n")


def test_what_is_no_secret_stays() -> None:
    text = json.dumps({"node_id": 1, "log.dirs": "/data", "topic": "orders"}, indent=2)
    assert without_secrets(text) == text


def test_client_properties(tmp_path: Path) -> None:
    file = tmp_path / "client.properties"
    file.write_text(
        "# a comment\nsecurity.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\n"
        'sasl.jaas.config=org.apache.X required username="u" password="p";\n'
        "ssl.ca.location=/ca.pem\nrequest.timeout.ms=5000\nssl.endpoint.identification.algorithm=\nfrob=1\n"
    )
    notes: list[str] = []
    assert client_options(str(file), notes.append) == {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "u",
        "sasl_plain_password": "p",
        "ssl_cafile": "/ca.pem",
        "request_timeout_ms": 5000,
        "ssl_check_hostname": False,
    }
    assert notes == [f"pyralog-admin: {file}: frob is not known and left out"]
    gone = run("--command-config", str(tmp_path / "gone"), "--cluster", "127.0.0.1:9", "topic", "list")
    assert gone.exit_code in (1, 3)


def test_generated_files() -> None:
    unit = run("generate", "systemd", "--data-dir", "/data").output
    for line in ("User=pyralog", "LimitNOFILE=1048576", "ReadWritePaths=/data /var/log/pyralog", "RestartSec=5"):
        assert line in unit
    assert "ExecStart=/usr/local/bin/pyralog --config /etc/pyralog/config.json" in unit
    assert "Type=simple" in unit
    assert "StateDirectory" not in unit
    assert "LogsDirectory=pyralog\n" in unit
    notified = run("generate", "systemd", "--notify").output
    for line in ("Type=notify", "NotifyAccess=main", "WatchdogSec=30", "StateDirectory=pyralog", "ProtectHome=true"):
        assert f"{line}\n" in notified
    for word in (("--data-dir", "/home/data"), ("--command", "/root/.local/bin/pyralog")):
        assert "ProtectHome=read-only\n" in run("generate", "systemd", *word).output
    for shell in ("bash", "zsh", "fish"):
        assert "_PYRALOG_ADMIN_COMPLETE" in run("generate", "completion", shell).output
    assert run("generate", "completion", "tcsh").exit_code == 2


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
@pytest.mark.parametrize("words", [(), ("--notify",)])
def test_systemd_takes_the_unit(words: tuple[str, ...], tmp_path: Path) -> None:
    unit = tmp_path / "pyralog.service"
    made = run("generate", "systemd", *words, "--command", str(shutil.which("true")))
    unit.write_text(made.output, encoding="utf-8")
    command = ["systemd-analyze", "verify", "--man=no", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_nothing_of_the_commands_is_in_the_broker() -> None:
    code = "import sys, pyralog.cli.daemon, pyralog.app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert not set(done.stdout.split()) & {"rich", "kafka", "pyralog.cli.admin", "pyralog.cli.log_tools"}
