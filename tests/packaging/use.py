"""Uses an installed Pyralog as its users do: start it, wait for `ready`, produce and consume, stop it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from kafka import KafkaConsumer, KafkaProducer

from pyralog.testing.ports import HOST, free_port

# Acceptance: none of these may be imported by a start with the default configuration.
LAZY = {"aiohttp", "prometheus_client", "scramp", "jwt", "cryptography", "obstore", "rich"}
POLL_S = 0.005
MIB = 1024**2


class Running:
    """A broker's process."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.log = log
        self.address = f"{HOST}:{port}"
        self.ready_after_s = 0.0
        self.ready_cpu_s = 0.0

    def await_ready(self, started: float, timeout_s: float = 60) -> None:
        while not re.search(r"^Pyralog \S+ ready", self.text(), re.MULTILINE):
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < started + timeout_s, self.text()
            time.sleep(POLL_S)
        self.ready_after_s = time.monotonic() - started
        # utime and stime, counted from behind the name in brackets.
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        self.ready_cpu_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def is_quick(self, limit_s: float = 1.0) -> bool:
        """Whether it was ready soon; where other programs keep the processors, whether it used little of them."""
        busy = os.getloadavg()[0] > (os.cpu_count() or 1)
        return self.ready_after_s < limit_s or (busy and self.ready_cpu_s < limit_s)

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def status(self, name: str) -> str:
        """A line of /proc/PID/status."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith(f"{name}:"))

    def rss_mib(self) -> float:
        return int(self.status("VmRSS").split()[0]) * 1024 / MIB

    def user_ids(self) -> set[str]:
        return set(self.status("Uid").split())

    def imported(self) -> set[str]:
        """Top-level names of what was imported, when it was started with -X importtime."""
        rows = re.findall(r"^import time:\s+\d+ \|\s+\d+ \|\s+(\S+)$", self.text(), re.MULTILINE)
        return {name.partition(".")[0] for name in rows}

    def round_trip(self, topic: str = "greetings") -> None:
        """kcat and kafka-python each produce and consume."""
        kcat = ["kcat", "-b", self.address, "-t", f"{topic}-kcat"]
        subprocess.run([*kcat, "-P"], input="hello\n", text=True, timeout=60, check=True, capture_output=True)
        read = subprocess.run([*kcat, "-C", "-e", "-q"], text=True, timeout=60, check=True, capture_output=True)
        assert read.stdout.splitlines()[-1:] == ["hello"]
        producer = KafkaProducer(bootstrap_servers=self.address)
        offset = producer.send(topic, b"hello").get(30).offset
        producer.close()
        self.reads(offset, topic)

    def console(self) -> None:
        """The page for browsers; what serves it is imported now, so memory is to be looked at before."""
        with urllib.request.urlopen(f"http://{self.address}/console/", timeout=30) as page:
            assert b"<title>Pyralog" in page.read()

    def reads(self, offset: int, topic: str = "greetings") -> None:
        """What round_trip wrote at this offset."""
        options = {"auto_offset_reset": "earliest", "consumer_timeout_ms": 30_000}
        consumer = KafkaConsumer(topic, bootstrap_servers=self.address, **options)
        try:
            assert any(record.offset == offset and record.value == b"hello" for record in consumer)
        finally:
            consumer.close()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextmanager
def running(
    command: Sequence[str | Path], folder: Path, env: Mapping[str, str] | None = None, *, port: int | None = None
) -> Iterator[Running]:
    """The broker that a command starts in a folder, with nothing of this environment; stopped with exit code 0."""
    port = free_port() if port is None else port
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "PYRALOG_LISTEN_ADDRESS": f"{HOST}:{port}",
        "PYRALOG_NETWORK_INTERNAL_ADDRESS": f"{HOST}:0",
        **(env or {}),
    }
    log = folder / f"pyralog-{port}.out"
    started = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(word) for word in command], cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    broker = Running(process, port, log)
    try:
        broker.await_ready(started)
        yield broker
        code = broker.stop()
        assert code == 0, broker.text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10)


# --- a clean Debian ---


def debian(suite: str, kept: Path, folder: Path) -> Path:
    """A minimal Debian in a folder of its own, copied from the one that debootstrap made before or makes now."""
    if not (kept / suite / "bin").exists():
        kept.mkdir(parents=True, exist_ok=True)
        partial = kept / f".{suite}"
        command = ["debootstrap", "--variant=minbase", suite, str(partial), "http://deb.debian.org/debian"]
        subprocess.run(command, check=True, timeout=900, stdout=subprocess.DEVNULL)
        partial.rename(kept / suite)
    root = folder / suite
    subprocess.run(["cp", "-a", str(kept / suite), str(root)], check=True, timeout=300)
    return root


def within(root: Path, *command: str, user: str | None = None) -> list[str]:
    """A command with this folder as its whole file system, and /proc; it keeps its process id."""
    spec = [f"--userspec={user}"] if user else []
    script = 'mount -t proc proc "$1/proc" && shift && exec "$@"'
    isolated = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", str(root)]
    return [*isolated, shutil.which("chroot") or "/usr/sbin/chroot", *spec, str(root), *command]


def shell(root: Path, script: str, *, check: bool = True, timeout_s: float = 600) -> str:
    """What a shell script prints within; the environment is a bare one."""
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "HOME": "/root"}
    environment |= {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    done = subprocess.run(
        within(root, "sh", "-ec", script),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert not check or done.returncode == 0, done.stdout
    return done.stdout
