"""Nodes as processes of their own, which can be killed and stopped for real; one node until there is a cluster."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import pyralog
from pyralog.testing.ending import at_end, remove
from pyralog.testing.errors import BrokerFailedError
from pyralog.testing.ports import HOST, free_port
from pyralog.testing.settings import as_settings
from pyralog.testing.topics import Topics

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
POLL_S = 0.005
LOG_TAIL_BYTES = 4000
# Variables that would reach into the configuration of a node.
FOREIGN = ("PYRALOG_", "KAFKA_", "NODE_ID")


class LocalNode(Topics):
    """One node in a process of its own. Its folder holds `data` and `pyralog.out`, what the process printed."""

    def __init__(self, node_id: int, folder: Path, config: Mapping[str, object], env: Mapping[str, str]) -> None:
        self.node_id = node_id
        self.folder = folder
        self.data_dir = folder / "data"
        self.log_file = folder / "pyralog.out"
        self.port = free_port()
        self.internal_port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._config = dict(config)
        self._env = dict(env)
        self._read_from = 0
        self._paused = False

    # --- life ---

    @property
    def running(self) -> bool:
        """Whether its process lives; a paused one does."""
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        """The process id."""
        if self.process is None:
            raise BrokerFailedError(f"node {self.node_id} does not run")
        return self.process.pid

    def launch(self) -> None:
        """Start the process and return at once."""
        if self.running:
            raise BrokerFailedError(f"node {self.node_id} runs already")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._read_from = self.log_file.stat().st_size if self.log_file.exists() else 0
        with self.log_file.open("ab") as output:
            self.process = subprocess.Popen(
                [*_tied_to_us(), sys.executable, "-m", "pyralog.cli.daemon", *self._arguments()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment(),
                start_new_session=True,
            )

    def await_ready(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Return when it says that it is ready."""
        deadline = time.monotonic() + timeout_s
        while not self._says_ready():
            if not self.running:
                raise BrokerFailedError(f"node {self.node_id} did not start\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise BrokerFailedError(f"node {self.node_id} is not ready after {timeout_s} s\n{self.log_tail()}")
            time.sleep(POLL_S)

    def start(self) -> Self:
        """Start, and return when clients can be served."""
        self.launch()
        try:
            self.await_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def stop(self) -> int:
        """SIGTERM, SIGKILL where that takes too long; the exit code."""
        if self.process is None:
            return 0
        self.resume()
        if self.running:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self._reap(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """SIGKILL: what is on disk is what a crash leaves."""
        if self.process is None:
            return 0
        self.process.kill()
        return self._reap(STOP_TIMEOUT_S)

    def restart(self) -> Self:
        """Stop and start on the same port and data."""
        self.stop()
        return self.start()

    def pause(self) -> None:
        """SIGSTOP: the system goes on accepting its connections, nobody answers them."""
        os.kill(self.pid, signal.SIGSTOP)
        self._paused = True

    def resume(self) -> None:
        """SIGCONT."""
        if self._paused and self.running:
            os.kill(self.pid, signal.SIGCONT)
        self._paused = False

    def log_tail(self, size_bytes: int = LOG_TAIL_BYTES) -> str:
        """The end of what it printed."""
        return self.log_file.read_bytes()[-size_bytes:].decode(errors="replace") if self.log_file.exists() else ""

    # --- within ---

    def _reap(self, timeout_s: float) -> int:
        assert self.process is not None
        code = self.process.wait(timeout_s)
        self.process = None
        self._paused = False
        return code

    def _arguments(self) -> list[str]:
        settings = {
            "node.node_id": self.node_id,
            "node.cluster_nodes": [self.node_id],
            "network.listen_address": f"{HOST}:{self.port}",
            "network.internal_address": f"{HOST}:{self.internal_port}",
            **self._config,
            "node.data_dir": str(self.data_dir),
        }
        return [argument for setting in as_settings(settings) for argument in ("--set", setting)]

    def _environment(self) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        # The same Pyralog as ours, also when it runs from its source tree.
        root = str(Path(pyralog.__file__).parents[1])
        ours["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        return {**ours, **self._env}

    def _says_ready(self) -> bool:
        with self.log_file.open("rb") as output:
            output.seek(self._read_from)
            return any(line.startswith(b"Pyralog ") and b" ready" in line for line in output)


class LocalCluster:
    """`with LocalCluster() as cluster:` - its nodes are processes on free ports of this machine.

    `config` and `env` are given to every node. Without `folder` everything is gone after close().
    """

    def __init__(
        self,
        nodes: int = 1,
        *,
        config: Mapping[str, object] | None = None,
        folder: str | os.PathLike[str] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        if nodes < 1:
            raise ValueError(f"a cluster has at least one node, not {nodes}")
        if nodes > 1:
            raise NotImplementedError(
                f"LocalCluster(nodes={nodes}): this release of Pyralog runs a single node; replication between nodes "
                "comes later. Use LocalCluster() or LocalCluster(nodes=1)."
            )
        self._forget: Callable[[], object] = _nothing
        if folder is None:
            self.folder = Path(tempfile.mkdtemp(prefix="pyralog-cluster-"))
            self._forget = at_end(self, remove, self.folder)
        else:
            self.folder = Path(folder)
        self.nodes = [
            LocalNode(node_id, self.folder / f"node-{node_id}", config or {}, env or {})
            for node_id in range(1, nodes + 1)
        ]
        self._end = at_end(self, _kill_all, self.nodes)

    @property
    def bootstrap_servers(self) -> str:
        """host:port of every node, for a client's option of that name."""
        return ",".join(node.bootstrap_servers for node in self.nodes)

    def node(self, node_id: int) -> LocalNode:
        """The node with this id; they count from 1."""
        for node in self.nodes:
            if node.node_id == node_id:
                return node
        raise KeyError(f"there is no node {node_id}, only {', '.join(str(node.node_id) for node in self.nodes)}")

    def create_topic(
        self, name: str, partitions: int = 1, *, replication_factor: int = 1, config: Mapping[str, object] | None = None
    ) -> str:
        """Make a topic and return its name."""
        return self._any().create_topic(name, partitions, replication_factor=replication_factor, config=config)

    def topics(self) -> dict[str, int]:
        """Names and numbers of partitions."""
        return self._any().topics()

    def start(self) -> Self:
        """Start every node that does not run, and return when all are ready."""
        started = [node for node in self.nodes if not node.running]
        try:
            for node in started:
                node.launch()
            for node in started:
                node.await_ready()
        except BaseException:
            _kill_all(started)
            raise
        return self

    def stop(self) -> None:
        """Stop every node in order; the data stays."""
        for node in self.nodes:
            node.stop()

    def close(self) -> None:
        """Stop, and remove what was made here."""
        try:
            self.stop()
        finally:
            self._end()
            self._forget()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _any(self) -> LocalNode:
        for node in self.nodes:
            if node.running:
                return node
        raise BrokerFailedError("no node of the cluster runs")


def _tied_to_us() -> tuple[str, ...]:
    """A command in front of the node's that has it die with us, even when we are killed.

    The system ties it to the thread that starts it, so that this is for the main thread only.
    """
    if shutil.which("setpriv") is None or threading.current_thread() is not threading.main_thread():
        return ()
    return ("setpriv", "--pdeathsig", "KILL", "--")


def _kill_all(nodes: list[LocalNode]) -> None:
    for node in nodes:
        node.kill()


def _nothing() -> None:
    """The caller's folder is the caller's."""
