"""A broker as a child process: what Pyralog and the reference broker have in common for scripts and benchmarks."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

HOST = "127.0.0.1"
FIRST_PORT = 10_000

# The broker dies with the thread that started it, even when a test run is killed outright. (Linux's util-linux; execs.)
TIED_TO_US = ("setpriv", "--pdeathsig", "KILL", "--") if shutil.which("setpriv") else ()


class BrokerFailed(RuntimeError):
    """The broker ended, or did not come up in time; the message carries the end of its log."""


def free_port() -> int:
    """A loopback port that was free a moment ago, and that the system gives to no outgoing connection.

    A client that reconnects to a dead broker on one of those ports may connect to itself, and keep the port from it.
    """
    dice = secrets.SystemRandom()
    while True:
        port = dice.randrange(FIRST_PORT, max(outgoing_ports(), 2 * FIRST_PORT))
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind((HOST, port))
                return port


def outgoing_ports() -> int:
    """The first of the ports that outgoing connections get."""
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    except OSError:
        return 32768


def port_open(port: int) -> bool:
    """Whether something accepts on this loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


class Broker:
    """One broker process with its data directory; a context manager that starts it, stops it by pid and tidies up.

    `data_dir` given by the caller is kept; one made here is deleted by `close` unless `keep` is set.
    """

    name = "broker"
    start_timeout_s = 60.0
    stop_timeout_s = 30.0

    def __init__(
        self,
        *,
        port: int | None = None,
        data_dir: Path | str | None = None,
        settings: Mapping[str, object] | None = None,
        env: Mapping[str, str] | None = None,
        keep: bool = False,
    ) -> None:
        self.port = port or free_port()
        self._made_dir = data_dir is None
        self.data_dir = Path(data_dir or tempfile.mkdtemp(prefix=f"{self.name}-"))
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.settings = dict(settings or {})
        self.env = dict(env or {})
        self.keep = keep
        self.process: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0
        self.port_open_s = 0.0
        self._log: IO[bytes] | None = None

    # -- what each broker says about itself

    def prepare(self) -> None:
        """Whatever must exist before the process starts (not part of the start time)."""

    def command(self) -> Sequence[str]:
        """The command line of the broker."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Whether clients can be let in."""
        return port_open(self.port)

    # -- life

    @property
    def address(self) -> str:
        """host:port for clients."""
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """Process id of the broker."""
        assert self.process is not None, "not started"
        return self.process.pid

    @property
    def log_file(self) -> Path:
        """Where the broker's own output goes: beside the data, never inside it."""
        return self.data_dir.with_name(self.data_dir.name + ".out")

    def log_tail(self, size: int = 4000) -> str:
        """The end of the broker's output, for error messages."""
        if not self.log_file.exists():
            return ""
        return self.log_file.read_bytes()[-size:].decode(errors="replace")

    def start(self) -> Self:
        """Start the process and return once clients can connect; `port_open_s` is the time that took."""
        self.prepare()
        self.launch()
        try:
            self._await_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def launch(self) -> None:
        """Start the process and return at once; `prepare` comes before."""
        self._log = self.log_file.open("ab")
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(
            [*TIED_TO_US, *self.command()],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **self.env},
            start_new_session=True,  # a Ctrl-C in the terminal reaches the script, which stops the broker in order
        )

    def check_alive(self, deadline: float) -> None:
        """Raise when the process is gone, or the (monotonic) deadline has passed."""
        assert self.process is not None
        if self.process.poll() is not None:
            raise BrokerFailed(f"{self.name} exited with {self.process.returncode}\n{self.log_tail()}")
        if time.monotonic() > deadline:
            raise BrokerFailed(f"{self.name} not ready after {self.start_timeout_s} s\n{self.log_tail()}")

    def _await_ready(self) -> None:
        while not self.ready():
            self.check_alive(self.started_at + self.start_timeout_s)
            time.sleep(0.005)
        self.port_open_s = time.monotonic() - self.started_at

    def stop(self) -> int:
        """Stop it as an operator would (SIGTERM), by force after `stop_timeout_s`; returns the exit code."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(self.stop_timeout_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return self._reap()

    def kill(self) -> int:
        """kill -9: what is on disk is what a crash leaves."""
        if self.process is None:
            return 0
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        return self._reap()

    def _reap(self) -> int:
        assert self.process is not None
        code = self.process.wait(30)
        self.process = None
        if self._log is not None:
            self._log.close()
            self._log = None
        return code

    def close(self) -> None:
        """Stop, and delete what was made here."""
        try:
            self.stop()
        finally:
            if self._made_dir and not self.keep:
                shutil.rmtree(self.data_dir, ignore_errors=True)
                self.log_file.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    # -- measures

    def rss_bytes(self) -> int:
        """Resident memory of the broker."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0

    def cpu_s(self) -> float:
        """User and system time used since the start, in seconds, as exact as the kernel keeps it."""
        return time.clock_gettime(~self.pid << 3 | 2)  # CPUCLOCK_SCHED of another process; see clock_getcpuclockid(3)
