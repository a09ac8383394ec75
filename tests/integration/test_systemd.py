"""A real node under a systemd of our own: a socket that is told READY, STATUS and WATCHDOG."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import ROOT, create_topic, until
from tests.reference.process import HOST, free_port

pytestmark = pytest.mark.pyralog_only

# Opening the logs waits for a file: recovery takes as long as a test wants.
SLOW_RECOVERY = """
import os, sys, time
from pyralog.replication.opening import PartitionStore
opens = PartitionStore.open_all
def open_all(self, wanted):
    while not os.path.exists({gate!r}):
        time.sleep(0.01)
    return opens(self, wanted)
PartitionStore.open_all = open_all
from pyralog.cli.daemon import main
main()
"""


class Unit:
    """A node as a unit of Type=notify."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.name = str(folder / "notify")
        self.socket.bind(self.name)
        self.socket.setblocking(False)
        self.told: list[str] = []
        self.child: subprocess.Popen[bytes] | None = None

    def start(self, code: str | None = None, *, watchdog_us: int = 400_000) -> None:
        self.told.clear()
        sets = {
            "node.data_dir": self.folder / "data",
            "network.listen_address": f"{HOST}:{self.port}",
            "network.internal_address": f"{HOST}:1",
        }
        command = [sys.executable, *(["-m", "pyralog.cli.daemon"] if code is None else ["-c", code])]
        command += [word for key, value in sets.items() for word in ("--set", f"{key}={value}")]
        env = {**os.environ, "PYTHONPATH": str(ROOT), "NOTIFY_SOCKET": self.name, "WATCHDOG_USEC": str(watchdog_us)}
        with (self.folder / "output").open("ab") as output:
            self.child = subprocess.Popen(command, env=env, stdout=output, stderr=output)

    def read(self) -> list[str]:
        with contextlib.suppress(BlockingIOError):
            while True:
                self.told += self.socket.recv(4096).decode().split("\n")
        return self.told

    def has(self, text: str, count: int = 1) -> bool:
        return sum(text in line for line in self.read()) >= count

    def beats(self) -> int:
        return self.read().count("WATCHDOG=1")

    def end(self, number: int = signal.SIGTERM) -> int:
        assert self.child is not None
        self.child.send_signal(number)
        return self.child.wait(30)


@pytest.fixture
def unit(tmp_path: Path) -> Iterator[Unit]:
    made = Unit(tmp_path)
    yield made
    if made.child is not None and made.child.poll() is None:
        made.child.kill()
        made.child.wait(10)
    made.socket.close()


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex((HOST, port)) == 0


def test_ready_comes_after_recovery(unit: Unit, tmp_path: Path) -> None:
    unit.start()
    until(lambda: unit.has("READY=1"), "READY")
    create_topic(f"{HOST}:{unit.port}", "orders", 3)
    assert unit.end(signal.SIGKILL) == -signal.SIGKILL
    gate = tmp_path / "gate"
    unit.start(SLOW_RECOVERY.format(gate=str(gate)))
    until(lambda: unit.has("STATUS=Starting: 0 of ", 1) or unit.has("EXTEND_TIMEOUT_USEC="), "progress", 30)
    assert not unit.has("READY=1")
    assert not accepts(unit.port)
    gate.touch()
    until(lambda: unit.has("READY=1"), "READY")
    assert accepts(unit.port)
    assert unit.has(f"STATUS=Pyralog 0.1.0 ready: Kafka on localhost:{unit.port}")
    until(lambda: unit.beats() >= 3, "the watchdog is fed")
    assert unit.end() == 0
    assert unit.read().index("STOPPING=1") > unit.read().index("READY=1")


# epoll_wait, epoll_pwait, epoll_pwait2 of x86-64, epoll_pwait of others.
EPOLL_WAIT = ("232", "281", "441", "22")


class Traced:
    """Holds one thread of another process, as a fault in it would (ptrace)."""

    ATTACH, DETACH = 16, 17

    def __init__(self, thread: int) -> None:
        self.thread = thread
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        self._libc.ptrace.restype = ctypes.c_long

    def __enter__(self) -> None:
        if self._libc.ptrace(self.ATTACH, self.thread, None, None) != 0:
            pytest.skip(f"ptrace is not permitted here: {os.strerror(ctypes.get_errno())}")
        os.waitpid(self.thread, 0x40000000)  # __WALL: it may be any thread

    def __exit__(self, *_: object) -> None:
        self._libc.ptrace(self.DETACH, self.thread, None, None)


def thread_in(process: int, *, main: bool) -> int:
    """The main thread, or the other one that waits for sockets: the plane's."""
    if main:
        return process

    def find() -> int | None:
        for name in os.listdir(f"/proc/{process}/task"):
            try:
                call = Path(f"/proc/{process}/task/{name}/syscall").read_text(encoding="utf-8").split()
            except PermissionError:
                pytest.skip("the system does not tell where threads wait")
            if name != str(process) and call[0] in EPOLL_WAIT:
                return int(name)
        return None

    found = until(find, "the plane waits for sockets")
    assert isinstance(found, int)
    return found


@pytest.mark.parametrize("main", [True, False], ids=["control loop", "data plane"])
def test_a_thread_that_hangs_silences_the_watchdog(unit: Unit, main: bool) -> None:
    unit.start()
    until(lambda: unit.beats() >= 3, "the watchdog is fed")
    assert unit.child is not None
    with Traced(thread_in(unit.child.pid, main=main)):
        # One beat may be on its way; then there is silence for longer than systemd would wait.
        beats, since = unit.beats(), time.monotonic()
        while time.monotonic() - since < 0.4:
            if unit.beats() > beats:
                assert unit.beats() <= beats + 1
            time.sleep(0.01)
        silent = unit.beats()
        time.sleep(0.4)
        assert unit.beats() == silent
    until(lambda: unit.beats() > silent, "it is fed again")
    assert unit.end() == 0
    if not main:
        assert "the data plane's thread has not turned" in (unit.folder / "output").read_text(encoding="utf-8")


def test_what_systemd_kills_says_where_it_hung(unit: Unit) -> None:
    unit.start()
    until(lambda: unit.has("READY=1"), "READY")
    assert unit.end(signal.SIGABRT) == -signal.SIGABRT
    output = (unit.folder / "output").read_text(encoding="utf-8")
    assert "Fatal Python error: Aborted" in output
    assert "pyralog/runtime.py" in output
