"""Time, tasks, threads and the event loop: the one place that starts any of them."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

# The steady clock is asked for every request of a group: within this time it says the same again.
RESOLUTION_NS = 500_000
# How fast the steady clock follows the wall clock after a jump: one part of so many.
SLEW = 10
# How long until files that could not be opened are tried again.
AGAIN_S = 1.0


def now_ms() -> int:
    """Milliseconds since the epoch, by the wall clock."""
    return time.time_ns() // 1_000_000


class SteadyClock:
    """Milliseconds since the epoch that never jump: what has a timeout must not end because the clock was set.

    It runs on the monotonic clock and makes up for a difference to the wall clock slowly. Never goes back.
    """

    def __init__(
        self, wall_ns: Callable[[], int] = time.time_ns, monotonic_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._now = wall_ns()
        self._seen = monotonic_ns()
        self._ms = self._now // 1_000_000

    def __call__(self) -> int:
        """The time now."""
        seen = self._monotonic_ns()
        elapsed = seen - self._seen
        if elapsed < RESOLUTION_NS:
            return self._ms
        self._seen = seen
        self._now += elapsed
        most = elapsed // SLEW
        self._now += max(-most, min(most, self._wall_ns() - self._now))
        self._ms = self._now // 1_000_000
        return self._ms


# A load of so many objects is put aside afterwards: looking through a million of them takes a third of a second.
FREEZE_FROM = 100_000


class BulkLoad:
    """Work that makes very many objects and no garbage. Nothing looks for cycles meanwhile: that would double its time.

    `made` says how many there were. The cycle collector is the process's; whoever has it off finds it off again.
    """

    def __init__(self) -> None:
        self._made = 0
        self._collecting = False

    def made(self, objects: int) -> None:
        """So many more that will live long."""
        self._made += objects

    def __enter__(self) -> BulkLoad:
        self._collecting = gc.isenabled()
        gc.disable()
        return self

    def __exit__(self, *_: object) -> None:
        if self._made >= FREEZE_FROM:
            gc.freeze()
        if self._collecting:
            gc.enable()


class Pending(Generic[T]):
    """A result that comes later, on the event loop: lighter than a future, since nothing is scheduled.

    It is awaitable; `then` calls back with the result or the exception. Resolving it twice changes nothing.
    """

    __slots__ = ("_callbacks", "_value", "done")

    def __init__(self) -> None:
        self.done = False
        self._value: T | BaseException | None = None
        self._callbacks: list[Callable[[Any], None]] = []

    @classmethod
    def of(cls, value: T | BaseException) -> Pending[T]:
        """One that is resolved already."""
        made: Pending[T] = cls()
        made.resolve(value)
        return made

    def resolve(self, value: T | BaseException) -> None:
        """Give the result, or the exception to raise where it is awaited."""
        if self.done:
            return
        self.done = True
        self._value = value
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback(value)

    def then(self, callback: Callable[[Any], None]) -> None:
        """Call back with the result or the exception; at once when it is there."""
        if self.done:
            callback(self._value)
        else:
            self._callbacks.append(callback)

    def map(self, change: Callable[[T], R]) -> Pending[R]:
        """What `change` makes of the result; an exception stays what it is, one of `change` takes its place."""
        return self._derive(change, of_errors=False)

    def recover(self, change: Callable[[Any], T]) -> Pending[T]:
        """The result, or what `change` makes of the exception."""
        return self._derive(change, of_errors=True)

    def _derive(self, change: Callable[[Any], Any], *, of_errors: bool) -> Pending[Any]:
        made: Pending[Any] = Pending()

        def pass_on(value: Any) -> None:
            if isinstance(value, BaseException) is of_errors:
                try:
                    value = change(value)
                except Exception as error:  # noqa: BLE001 - whoever waits gets it
                    value = error
            made.resolve(value)

        self.then(pass_on)
        return made

    def __await__(self) -> Generator[Any, None, T]:
        if not self.done:
            woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.then(lambda _: None if woken.done() else woken.set_result(None))
            yield from woken.__await__()
        if isinstance(self._value, BaseException):
            raise self._value
        return self._value  # type: ignore[return-value]


class TaskScope:
    """Owns the tasks of one component: starts them, notes their failures, and ends them all when it is closed.

    A failure is never silent. That of a critical task is also the scope's: `failed` carries it, and whoever runs the
    node stops it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.failures = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._critical: set[asyncio.Task[Any]] = set()
        self._closed = False
        self._failed: asyncio.Future[BaseException] | None = None

    @property
    def failed(self) -> asyncio.Future[BaseException]:
        """Resolves to the exception of the first critical task that failed."""
        if self._failed is None:
            self._failed = asyncio.get_running_loop().create_future()
        return self._failed

    @property
    def running(self) -> int:
        """Tasks that have not ended."""
        return len(self._tasks)

    def start(
        self, coroutine: Coroutine[Any, Any, T], *, name: str, critical: bool = False, quiet: bool = False
    ) -> asyncio.Task[T]:
        """Run a coroutine as a task of this scope. `quiet`: the caller takes the result, an exception included."""
        if self._closed:
            coroutine.close()
            raise RuntimeError(f"scope {self.name} is closed, {name} cannot start")
        task = asyncio.get_running_loop().create_task(coroutine, name=f"{self.name}/{name}")
        self._tasks.add(task)
        if critical:
            self._critical.add(task)
        task.add_done_callback(self._tasks.discard if quiet else self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        critical = task in self._critical
        self._critical.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            return
        self.failures += 1
        log.error("task %s failed%s", task.get_name(), ", which ends the node" if critical else "", exc_info=error)
        if critical:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """Report a failure that the node cannot go on with."""
        if not self.failed.done():
            self.failed.set_result(error)

    async def settle(self, timeout_ms: int) -> None:
        """Wait for what runs to end by itself, at most so long."""
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=timeout_ms / 1000)

    async def close(self) -> None:
        """Cancel what still runs, and wait for it."""
        self._closed = True
        while self._tasks:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            # The done callbacks run in the next turn of the loop.
            await asyncio.sleep(0)


class WorkPool:
    """Named Python threads for blocking work. With one thread, what is given to it runs in that order.

    `nice` makes them give way to the other threads, as setpriority(2) does it for a thread, on Linux alone.
    """

    def __init__(self, name: str, threads: int, *, nice: int = 0) -> None:
        self.threads = threads
        begin = functools.partial(_give_way, nice) if nice else None
        self._executor = ThreadPoolExecutor(max_workers=threads, thread_name_prefix=name, initializer=begin)

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Call the function on a thread of the pool and wait for its result, also when the caller is cancelled.

        A cancelled caller must not believe that a write has not happened while a thread goes on with it.
        """
        future = asyncio.get_running_loop().run_in_executor(self._executor, function, *args)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            if not future.cancelled():
                future.exception()
            raise

    def close(self) -> None:
        """Wait for what is running and end the threads."""
        self._executor.shutdown(wait=True, cancel_futures=True)


def _give_way(nice: int) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)


async def until_files_open(work: WorkPool, function: Callable[[], T], what: str) -> T:
    """Run on the pool what opens files, again and again while there are no descriptors left for it."""
    while True:
        try:
            return await work.run(function)
        except OSError as error:
            log.error("%s have to wait: %s", what, error)
            await asyncio.sleep(AGAIN_S)


def start_thread(name: str, body: Callable[[], None]) -> threading.Thread:
    """Start a thread of the data plane. It ends when its engine is stopped, and does not keep a dying process alive."""
    thread = threading.Thread(target=body, name=name, daemon=True)
    thread.start()
    return thread


def work_threads() -> int:
    """How many threads the work pool gets: recovery is bound by the disk and, decompression apart, by one core each."""
    return max(2, min(8, os.cpu_count() or 2))


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on uvloop, or on asyncio's own loop where there is no uvloop."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None
    try:
        import uvloop
    except ImportError:
        factory = None
    else:
        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)
