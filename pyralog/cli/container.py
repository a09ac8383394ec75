"""The image's entrypoint: prepares the data folder, gives up root, runs the broker and what a start is asked to do.

`docker run -v /data/pyralog:/data` makes a folder of root's, and the broker never runs as root. So, as root: a folder
that is empty is given to user 10001, and everything after runs as that user. A folder that holds something is never
changed; whoever owns it is told the command.
"""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

USER_ID = 10001
GROUP_ID = 10001
DATA = "/data"
CONFIG_FILES = ("/etc/pyralog/config.yaml", "/etc/pyralog/config.json")
SCRIPTS = "/docker-entrypoint-init.d"
START_TIMEOUT_S = 600
POLL_S = 0.05
EXIT_USAGE = 2
# Subcommands of `pyralog`, which `docker run IMAGE log dump ...` may name without it.
TOOLS = ("config", "log")
FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
# What a new file system holds; a folder with nothing else counts as empty.
FRESH = {"lost+found"}


class RefusedError(Exception):
    """Why the container does not start, with what to do, for the operator."""


class Topic(NamedTuple):
    """One entry of PYRALOG_CREATE_TOPICS; None means the broker's default."""

    name: str
    partitions: int | None
    replicas: int | None


def main() -> int:
    """Run what the container was asked to run; returns only with its exit code or because it cannot."""
    command = command_of(sys.argv[1:])
    broker = is_broker(command)
    try:
        fresh = broker and prepare(Path(data_folder(os.environ)))
        topics = parse_topics(os.environ.get("PYRALOG_CREATE_TOPICS", "")) if broker else ()
    except RefusedError as error:
        print(f"pyralog: {error}", file=sys.stderr)
        return EXIT_USAGE
    jobs = [*topic_jobs(topics), *(script_jobs(Path(SCRIPTS)) if fresh else ())]
    if jobs:
        return run_with(command, jobs)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"pyralog: {command[0]}: {error.strerror}", file=sys.stderr)
        return 127


def command_of(arguments: Sequence[str]) -> list[str]:
    """The whole command: options alone are the broker's, and a broker without --config gets the image's file."""
    command = list(arguments)
    if not command or command[0].startswith("-") or command[0] in TOOLS:
        command.insert(0, "pyralog")
    if is_broker(command) and not any(word.split("=")[0] == "--config" for word in command):
        file = next((name for name in CONFIG_FILES if os.path.exists(name)), None)
        if file is not None:
            command[1:1] = ["--config", file]
    return command


def is_broker(command: Sequence[str]) -> bool:
    """Whether this runs a node, not a tool or a shell."""
    return command[0] == "pyralog" and not (len(command) > 1 and command[1] in TOOLS)


# --- the data folder ---


def data_folder(environ: Mapping[str, str]) -> str:
    """Where the node of this environment keeps its data."""
    return environ.get("PYRALOG_DATA_DIR") or environ.get("PYRALOG_NODE_DATA_DIR") or DATA


def prepare(folder: Path) -> bool:
    """Make the folder usable by user 10001 and become that user; whether this is its first start."""
    empty = is_empty(folder)
    if os.geteuid() == 0:
        if not folder.exists():
            folder.mkdir(parents=True)
        if empty:
            os.chown(folder, USER_ID, GROUP_ID)
        drop_root()
    if folder.exists() and not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise RefusedError(not_ours(folder))
    return empty


def is_empty(folder: Path) -> bool:
    """Whether there is nothing in it; a folder that cannot be listed is not called empty."""
    try:
        return not {entry.name for entry in folder.iterdir()} - FRESH
    except FileNotFoundError:
        return True
    except OSError:
        return False


def drop_root() -> None:
    """Become user 10001 for good, without any other group."""
    os.setgroups([])
    os.setgid(GROUP_ID)
    os.setuid(USER_ID)


def not_ours(folder: Path, mounts: str = "/proc/self/mountinfo") -> str:
    """What to do about a folder that this user cannot write, with the command to type on the host."""
    owner = folder.stat()
    outside = host_path(folder, mounts)
    hint = "" if outside else f'\n  where "{folder}" stands for the folder or volume that is mounted there.'
    return (
        f'"{folder}" belongs to {owner.st_uid}:{owner.st_gid} (mode {owner.st_mode & 0o7777:o}) and user '
        f"{os.geteuid()} cannot write it. On the host:\n"
        f"  sudo chown -R {os.geteuid()}:{os.getegid()} {outside or folder}{hint}"
    )


def host_path(folder: Path, mounts: str) -> str | None:
    """The mounted folder's path on its own file system: that on the host, where this lies on the root file system."""
    try:
        lines = Path(mounts).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for fields in reversed([line.split() for line in lines]):
        if len(fields) > 4 and fields[4] == str(folder) and fields[3] != "/":
            return fields[3].replace("\\040", "\\ ")
    return None


# --- what a start is asked to do ---


def parse_topics(text: str) -> tuple[Topic, ...]:
    """The topics of `orders:3:1,events:6,audit`: name, partitions, replicas."""
    return tuple(_topic(item.strip()) for item in text.split(",") if item.strip())


def _topic(item: str) -> Topic:
    name, *numbers = item.split(":")
    if not name or len(numbers) > 2 or not all(number.isdecimal() and int(number) > 0 for number in numbers):
        raise RefusedError(f'PYRALOG_CREATE_TOPICS: "{item}" is not NAME[:PARTITIONS[:REPLICAS]], such as orders:3:1')
    partitions, replicas = [*map(int, numbers), None, None][:2]
    return Topic(name, partitions, replicas)


def topic_jobs(topics: Sequence[Topic]) -> Iterator[list[str]]:
    """A command for each topic; one that exists is left as it is."""
    for topic in topics:
        sizes = (("--partitions", topic.partitions), ("--replicas", topic.replicas))
        options = [word for name, value in sizes if value is not None for word in (name, str(value))]
        yield ["pyralog-admin", "topic", "create", topic.name, *options, "--if-not-exists"]


def script_jobs(folder: Path) -> Iterator[list[str]]:
    """The scripts of a folder in the order of their names: executables, and *.sh by sh."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_file() and os.access(path, os.X_OK):
            yield [str(path)]
        elif path.suffix == ".sh":
            yield ["sh", str(path)]
        else:
            print(f"pyralog: {path} is neither executable nor a .sh file; it is not run", file=sys.stderr)


def run_with(command: Sequence[str], jobs: Sequence[Sequence[str]]) -> int:
    """Run the broker and, once it is ready, the jobs; the exit code of the broker, or of the first job that fails.

    Signals go to the broker. A container whose jobs failed stops: half a start is worse than none.
    """
    # A session of its own: ctrl-C must reach the broker once, by way of this process.
    broker = subprocess.Popen(command, start_new_session=True)
    for number in FORWARDED:
        signal.signal(number, lambda received, _: broker.send_signal(received))
    address = local_address()
    if await_ready(broker, address):
        environment = {**os.environ, "PYRALOG_CLUSTER": address}
        for job in jobs:
            print(f"pyralog: running {' '.join(job)}", flush=True)
            code = subprocess.run(job, env=environment, check=False).returncode
            if code != 0 and broker.poll() is None:
                print(f"pyralog: {' '.join(job)} failed with {code}; stopping", file=sys.stderr)
                broker.terminate()
                broker.wait()
                return code if code > 0 else 1
    return_code = broker.wait()
    return return_code if return_code >= 0 else 128 - return_code


def await_ready(broker: subprocess.Popen[bytes], address: str, timeout_s: float = START_TIMEOUT_S) -> bool:
    """Whether the broker lets clients in before it ends or the time is over."""
    deadline = time.monotonic() + timeout_s
    while broker.poll() is None:
        if is_ready(address):
            return True
        if time.monotonic() > deadline:
            print(f"pyralog: {address} is not ready after {timeout_s} s; stopping", file=sys.stderr)
            broker.terminate()
            break
        time.sleep(POLL_S)
    return False


def is_ready(address: str) -> bool:
    """Whether it says that clients are let in."""
    try:
        connection = http.client.HTTPConnection(address, timeout=5)
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == http.client.OK
        finally:
            connection.close()
    except (OSError, http.client.HTTPException):
        return False


def local_address() -> str:
    """The broker's own address, seen from here."""
    from pyralog.cli.admin.health import local_address as of_environment

    return of_environment()


if __name__ == "__main__":
    sys.exit(main())
