"""A whole broker inside the process of a test: its loop and its data plane run in threads of their own."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pyralog._speedups.faultfiles import FaultFiles
from pyralog._speedups.fileops import Files
from pyralog.runtime import run as run_loop
from pyralog.runtime import start_thread
from pyralog.testing.controls import Brake, Clock
from pyralog.testing.ending import at_end, remove
from pyralog.testing.errors import BrokerFailedError
from pyralog.testing.ports import HOST, free_port
from pyralog.testing.settings import as_settings
from pyralog.testing.topics import Topics

if TYPE_CHECKING:
    from pyralog.app import Node
    from pyralog.config.schema import Config

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0


class Broker(Topics):
    """One node. `with Broker() as b:` or `async with Broker() as b:`, then point clients at `b.bootstrap_servers`.

    `config` holds keys of the configuration ("topics.num_partitions"); the environment is not read. Without `data_dir`
    the data lies in a temporary folder and is gone after close(); stop(), kill() and start() keep it, and the port.
    `faults` gives the broker a disk that fails and dawdles on command (`b.disk`), at some cost of speed.
    """

    def __init__(
        self,
        *,
        config: Mapping[str, object] | None = None,
        data_dir: str | os.PathLike[str] | None = None,
        port: int | None = None,
        node_id: int = 1,
        faults: bool = False,
    ) -> None:
        self.node_id = node_id
        self.port = port or free_port()
        self.clock = Clock()
        self.exit_code: int | None = None
        self._config = dict(config or {})
        self._own_port = port is None
        self._files = FaultFiles() if faults else Files()
        self._brake = Brake()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._node: Node | None = None
        self._ready: Future[None] = Future()
        self._ended: Future[None] = Future()
        self._forget: Callable[[], object] = _nothing
        if data_dir is None:
            self.data_dir = Path(tempfile.mkdtemp(prefix="pyralog-"))
            self._forget = at_end(self, remove, self.data_dir)
        else:
            self.data_dir = Path(data_dir)

    # --- life ---

    @property
    def running(self) -> bool:
        """Whether it serves; false also after it has ended by itself."""
        return self._thread is not None and self._ready.done() and not self._ended.done()

    def start(self) -> Self:
        """Start, and return when clients can be served."""
        self._begin()
        self._await(self._ready, START_TIMEOUT_S)
        return self

    def stop(self) -> None:
        """Stop in order: requests are finished, logs are flushed and closed. The data stays."""
        if self._thread is not None:
            self._end(abandoned=False)
            self._await(self._ended, STOP_TIMEOUT_S)
            self._over()

    def kill(self) -> None:
        """Stop as kill -9 does: connections break, nothing is flushed, the next start has to recover."""
        if self._thread is not None:
            self._end(abandoned=True)
            self._await(self._ended, STOP_TIMEOUT_S)
            self._over()

    def restart(self) -> Self:
        """Stop and start on the same port and data."""
        self.stop()
        return self.start()

    def close(self) -> None:
        """Stop, and remove the data unless the caller gave the folder."""
        try:
            self.stop()
        finally:
            self._forget()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self._forget()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def start_async(self) -> Self:
        """start() for a running event loop, which is not held up meanwhile."""
        self._begin()
        await self._await_async(self._ready, START_TIMEOUT_S)
        return self

    async def stop_async(self) -> None:
        """stop() for a running event loop."""
        if self._thread is not None:
            self._end(abandoned=False)
            await self._await_async(self._ended, STOP_TIMEOUT_S)
            self._over()

    async def close_async(self) -> None:
        """close() for a running event loop."""
        try:
            await self.stop_async()
        finally:
            self._forget()

    async def __aenter__(self) -> Self:
        try:
            return await self.start_async()
        except BaseException:
            self._forget()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close_async()

    # --- faults ---

    def pause(self) -> None:
        """Hold it as SIGSTOP would: connections are accepted, nothing is answered until resume()."""
        if not self.running:
            raise BrokerFailedError("the broker does not run")
        assert self._loop is not None
        self._brake.pause(self._loop)

    def resume(self) -> None:
        """Go on after pause()."""
        self._brake.resume()

    @property
    def disk(self) -> FaultFiles:
        """Its disk, where a test can have operations fail, tear and take their time; needs `faults=True`."""
        if not isinstance(self._files, FaultFiles):
            raise BrokerFailedError("this broker's disk has no faults: make it by Broker(faults=True)")
        return self._files

    def shift_clock(self, delta_ms: int) -> None:
        """Move the broker's clock by so much, forward or back; for retention, expiry and what else waits for a time."""
        self.clock.shift_ms += delta_ms

    # --- within ---

    def _settings(self) -> dict[str, object]:
        return {
            "node.node_id": self.node_id,
            "node.cluster_nodes": [self.node_id],
            "network.listen_address": f"{HOST}:{self.port}",
            "network.internal_address": f"{HOST}:0",
            "network.max_connections": 1000,
            **self._config,
            "node.data_dir": str(self.data_dir),
        }

    def _begin(self) -> None:
        if self._thread is not None:
            raise BrokerFailedError("the broker runs already")
        config = _load(self._settings())
        self._brake = Brake()
        self._ready, self._ended = Future(), Future()
        self._thread = start_thread(f"pyralog-{self.port}", lambda: self._main(config))

    def _main(self, config: Config) -> None:
        from pyralog.app import Node
        from pyralog.storage.log_dir import LogDir

        failure: BaseException | None = None
        log_dir = LogDir(self.data_dir, self._files)
        try:
            log_dir.lock()
            node = self._node = Node(config, log_dir, clock=self.clock)
            node.start_thread = self._brake.start_thread
            self.exit_code = run_loop(self._serve(node))
        except BaseException as error:  # noqa: BLE001 - whoever waits for the start gets it
            failure = error
        finally:
            log_dir.unlock()
            self._node = self._loop = self._stop = None
            if not self._ready.done():
                self._ready.set_exception(_explained(failure))
            self._ended.set_result(None)

    async def _serve(self, node: Node) -> int:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        return await node.serve(self._stop, self._is_ready)

    def _is_ready(self) -> None:
        assert self._node is not None
        self.port = self._node.listeners[0].listen.port
        self._ready.set_result(None)

    def _end(self, *, abandoned: bool) -> None:
        loop, stop, node = self._loop, self._stop, self._node
        if loop is None or stop is None or node is None:
            return  # it has ended by itself
        node.abandoned = abandoned
        self._brake.resume()
        loop.call_soon_threadsafe(stop.set)

    def _await(self, future: Future[None], timeout_s: float) -> None:
        try:
            future.result(timeout_s)
        except BaseException:
            self._give_up(future)
            raise

    async def _await_async(self, future: Future[None], timeout_s: float) -> None:
        try:
            await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(future)), timeout_s)
        except BaseException:
            self._give_up(future)
            raise

    def _give_up(self, future: Future[None]) -> None:
        """The start failed or took too long, or the caller is cancelled: no thread may stay behind."""
        if future is self._ready:
            self._end(abandoned=True)
            if self._thread is not None:
                self._thread.join(STOP_TIMEOUT_S)
            self._thread = None

    def _over(self) -> None:
        assert self._thread is not None
        self._thread.join(STOP_TIMEOUT_S)
        self._thread = None


def _nothing() -> None:
    """The caller's folder is the caller's."""


def _load(settings: Mapping[str, object]) -> Config:
    """The configuration, without a file and without the environment."""
    # Plugins of pydantic are looked for in every installed distribution; we have none.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from pyralog.config.checks import not_in_this_release
    from pyralog.config.loader import load
    from pyralog.config.problems import ConfigError, Problem

    loaded = load(settings=as_settings(settings))
    if refused := [Problem(each.path, each.message) for each in not_in_this_release(loaded.config)]:
        raise ConfigError(refused)
    return loaded.config


def _explained(failure: BaseException | None) -> BaseException:
    if failure is None:
        return BrokerFailedError("the broker ended before it was ready")
    told = BrokerFailedError(f"the broker did not start: {failure}")
    told.__cause__ = failure
    return told
