"""The image's entrypoint: what is run, who owns /data, which user it runs as, and what a start is asked to do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyralog.cli import container
from pyralog.testing.ports import free_port

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="changes owners and users")
ROOT = Path(__file__).parents[2]
# Prints who runs it, where, with which words.
FAKE = '#!/bin/sh\necho "$(id -u):$(id -g):$(id -G)" pyralog "$@"\n'


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that other users can enter, unlike pytest's."""
    with tempfile.TemporaryDirectory(prefix="pyralog-test-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


def run(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """The entrypoint with a fake broker, data in folder/data."""
    (folder / "bin").mkdir(exist_ok=True)
    fake = folder / "bin" / "pyralog"
    fake.write_text(FAKE)
    fake.chmod(0o755)
    path = f"{folder / 'bin'}:/usr/bin:/bin"
    environment = {"PATH": path, "PYRALOG_DATA_DIR": str(folder / "data"), "PYTHONPATH": str(ROOT), **env}
    command = [sys.executable, "-m", "pyralog.cli.container", *arguments]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


# --- what is run ---


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        ([], "pyralog --config FILE"),
        (["--set", "a=b"], "pyralog --config FILE --set a=b"),
        (["pyralog", "--set", "a=b"], "pyralog --config FILE --set a=b"),
        (["--config", "/my.yaml"], "pyralog --config /my.yaml"),
        (["--config=/my.yaml"], "pyralog --config=/my.yaml"),
        (["log", "dump", "/data"], "pyralog log dump /data"),
        (["pyralog", "log", "dump"], "pyralog log dump"),
        (["pyralog-admin", "topic", "list"], "pyralog-admin topic list"),
        (["bash"], "bash"),
    ],
)
def test_options_alone_are_the_brokers_and_it_gets_the_images_file(
    arguments: list[str], command: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = folder / "config.yaml"
    file.touch()
    monkeypatch.setattr(container, "CONFIG_FILES", (str(folder / "missing.yaml"), str(file)))
    assert " ".join(container.command_of(arguments)).replace(str(file), "FILE") == command


def test_a_command_that_does_not_exist_is_said_in_one_line(folder: Path) -> None:
    found = run(folder, "bashh")
    assert (found.returncode, found.stdout, found.stderr) == (127, "", "pyralog: bashh: No such file or directory\n")


def test_it_knows_the_tools_that_pyralog_has() -> None:
    from pyralog.cli.daemon import TOOLS

    assert set(container.TOOLS) == set(TOOLS)


# --- the data folder ---


@AS_ROOT
def test_an_empty_folder_of_roots_is_given_to_the_broker_which_is_not_root(folder: Path) -> None:
    data = folder / "data"
    data.mkdir()
    (data / "lost+found").mkdir(0o700)
    found = run(folder, "--set", "a=b")
    assert found.stdout == "10001:10001:10001 pyralog --set a=b\n", found.stderr
    assert (data.stat().st_uid, data.stat().st_gid) == (10001, 10001)


@AS_ROOT
def test_a_missing_folder_is_made(folder: Path) -> None:
    assert run(folder).stdout.startswith("10001:10001")
    assert (folder / "data").stat().st_uid == 10001


@AS_ROOT
def test_a_folder_with_something_in_it_is_left_alone_and_the_command_said(folder: Path) -> None:
    data = folder / "data"
    data.mkdir(0o755)
    (data / "file").touch()
    found = run(folder)
    assert (found.returncode, found.stdout) == (2, "")
    assert f"sudo chown -R 10001:10001 {data}\n" in found.stderr
    assert "belongs to 0:0 (mode 755) and user 10001 cannot write it" in found.stderr
    assert data.stat().st_uid == 0


@AS_ROOT
def test_a_folder_of_the_brokers_with_something_in_it_is_used(folder: Path) -> None:
    data = folder / "data"
    data.mkdir()
    (data / "file").touch()
    os.chown(data, 10001, 10001)
    assert run(folder).stdout.startswith("10001:10001")


@AS_ROOT
@pytest.mark.parametrize("owner", [0, 10001])
def test_started_as_10001_it_uses_its_folder_or_says_the_command(folder: Path, owner: int) -> None:
    data = folder / "data"
    data.mkdir(0o755)
    os.chown(data, owner, owner)
    # The interpreter itself may lie where user 10001 cannot come, so the user is changed within it.
    code = (
        "import os, sys, pathlib; from pyralog.cli import container as c; c.drop_root();"
        "\ntry: print(c.prepare(pathlib.Path(sys.argv[1])))\nexcept c.RefusedError as error: print(error)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(data)], capture_output=True, text=True, timeout=60, cwd=ROOT
    )
    if owner:
        assert found.stdout == "True\n", found.stderr
    else:
        assert f"sudo chown -R 10001:10001 {data}" in found.stdout, found.stderr


def test_the_command_names_the_hosts_folder(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "600 590 0:50 / / rw,relatime - overlay overlay rw\n"
        "612 600 254:1 /srv/pyralog\\040data /data rw,relatime - ext4 /dev/vda1 rw\n"
        "613 600 254:2 / /other rw - ext4 /dev/vdb rw\n"
    )
    assert container.host_path(Path("/data"), str(mounts)) == "/srv/pyralog\\ data"
    # A whole file system is mounted: its path on the host is not to be known from here.
    assert container.host_path(Path("/other"), str(mounts)) is None
    assert container.host_path(Path("/data"), str(tmp_path / "none")) is None


def test_tools_and_shells_leave_the_folder_alone(folder: Path) -> None:
    found = run(folder, "sh", "-c", "id -u")
    assert found.stdout == f"{os.geteuid()}\n"
    assert not (folder / "data").exists()


# --- what a start is asked to do ---


def test_topics_are_read_with_their_sizes() -> None:
    assert container.parse_topics(" orders:3:1, events:6 ,audit,") == (
        ("orders", 3, 1),
        ("events", 6, None),
        ("audit", None, None),
    )
    assert list(container.topic_jobs(container.parse_topics("a:3:1,b"))) == [
        ["pyralog-admin", "topic", "create", "a", "--partitions", "3", "--replicas", "1", "--if-not-exists"],
        ["pyralog-admin", "topic", "create", "b", "--if-not-exists"],
    ]


@pytest.mark.parametrize("wrong", ["a:0", "a:x", "a:1:2:3", ":3", "a:-1", "a:1.5"])
def test_a_wrong_topic_stops_the_start(folder: Path, wrong: str) -> None:
    with pytest.raises(container.RefusedError, match="PYRALOG_CREATE_TOPICS"):
        container.parse_topics(f"good:1,{wrong}")


def test_scripts_run_in_the_order_of_their_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, mode in (("20-b.sh", 0o644), ("10-a.py", 0o755), ("README", 0o644)):
        (tmp_path / name).touch(mode)
    assert list(container.script_jobs(tmp_path)) == [[f"{tmp_path}/10-a.py"], ["sh", f"{tmp_path}/20-b.sh"]]
    assert "README is neither executable nor a .sh file" in capsys.readouterr().err
    assert list(container.script_jobs(tmp_path / "none")) == []


class Entrypoint:
    """The entrypoint as a process with a real broker, without the change of user."""

    def __init__(self, folder: Path, **env: str) -> None:
        self.port = free_port()
        self.scripts = folder / "init.d"
        self.scripts.mkdir(exist_ok=True)
        self.log = folder / "log"
        code = (
            "import sys; from pyralog.cli import container as c; c.drop_root = lambda: None;"
            f"c.SCRIPTS = {str(self.scripts)!r}; c.CONFIG_FILES = (); sys.exit(c.main())"
        )
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        listen = {"PYRALOG_LISTEN_ADDRESS": f"127.0.0.1:{self.port}", "PYRALOG_DATA_DIR": str(folder / "data")}
        self._command = [sys.executable, "-c", code, "--set", "network.internal_address=127.0.0.1:0"]
        self._env = {"PATH": path, "PYTHONPATH": str(ROOT), **listen, **env}

    def start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(self._command, env=self._env, stdout=log, stderr=log)

    def topics(self) -> dict[str, int]:
        """Name and number of partitions."""
        address = f"127.0.0.1:{self.port}"
        command = ["pyralog-admin", "--cluster", address, "--format", "json", "topic", "list"]
        found = subprocess.run(command, env=self._env, capture_output=True, text=True, timeout=60, check=True)
        return {each["topic"]: each["partitions"] for each in json.loads(found.stdout)}


def until(check: Callable[[], object], entrypoint: Entrypoint, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not check():
        assert time.monotonic() < deadline, entrypoint.log.read_text()
        time.sleep(0.05)


def test_a_first_start_makes_topics_and_runs_scripts_and_a_second_only_topics(folder: Path) -> None:
    entrypoint = Entrypoint(folder, PYRALOG_CREATE_TOPICS="orders:3:1")
    script = entrypoint.scripts / "10.sh"
    script.write_text(f'pyralog-admin topic create by-script -p 2 && echo "ran $PYRALOG_CLUSTER" >> {folder}/ran\n')
    ran = folder / "ran"
    process = entrypoint.start()
    try:
        until(ran.exists, entrypoint)
        assert ran.read_text() == f"ran 127.0.0.1:{entrypoint.port}\n"
        assert entrypoint.topics() == {"by-script": 2, "orders": 3}
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, entrypoint.log.read_text()
    process = entrypoint.start()
    try:
        until(lambda: b"There is a topic orders already" in entrypoint.log.read_bytes(), entrypoint)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0, entrypoint.log.read_text()
    assert ran.read_text().count("ran") == 1


def test_a_script_that_fails_stops_the_container_with_its_code(folder: Path) -> None:
    entrypoint = Entrypoint(folder)
    (entrypoint.scripts / "10.sh").write_text("exit 7\n")
    assert entrypoint.start().wait(60) == 7
    assert "10.sh failed with 7; stopping" in entrypoint.log.read_text()


def test_a_broker_that_does_not_start_ends_the_container_with_its_code(folder: Path) -> None:
    entrypoint = Entrypoint(folder, PYRALOG_CREATE_TOPICS="a", PYRALOG_STORAGE_SEGMENT_CONFIG_MAX_SIZE="nonsense")
    assert entrypoint.start().wait(60) == 78
    assert "max_size" in entrypoint.log.read_text()
