"""Scopes, pools and the loop."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from pyralog import runtime
from pyralog.runtime import FREEZE_FROM, RESOLUTION_NS, BulkLoad, SteadyClock, TaskScope, WorkPool


async def test_a_scope_ends_its_tasks_when_it_is_closed() -> None:
    scope, ended = TaskScope("s"), []

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(1)

    tasks = [scope.start(forever(), name="t") for _ in range(3)]
    await asyncio.sleep(0)
    await scope.close()
    assert len(ended) == 3
    assert all(t.cancelled() for t in tasks)
    with pytest.raises(RuntimeError, match="closed"):
        scope.start(forever(), name="late")


async def test_a_task_that_starts_another_while_closing_is_no_leak() -> None:
    scope = TaskScope("s")

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            with pytest.raises(RuntimeError):
                scope.start(asyncio.sleep(60), name="late")

    scope.start(stubborn(), name="t")
    await asyncio.sleep(0)
    await scope.close()


async def test_failures_are_logged_and_those_of_critical_tasks_reported(caplog: pytest.LogCaptureFixture) -> None:
    scope = TaskScope("s")

    async def fails(text: str) -> None:
        raise ValueError(text)

    scope.start(fails("small"), name="one")
    await asyncio.sleep(0.001)
    assert scope.failures == 1
    assert not scope.failed.done()
    scope.start(fails("large"), name="two", critical=True)
    scope.start(fails("later"), name="three", critical=True)
    error = await asyncio.wait_for(scope.failed, 5)
    assert str(error) == "large"
    await asyncio.sleep(0.001)
    assert scope.failures == 3
    assert "s/one failed" in caplog.text
    await scope.close()


async def test_results_come_from_tasks_as_usual() -> None:
    scope = TaskScope("s")

    async def answer() -> int:
        return 42

    assert await scope.start(answer(), name="t") == 42
    await scope.close()


async def test_a_pool_of_one_thread_keeps_the_order() -> None:
    pool, seen = WorkPool("one", 1), []
    await asyncio.gather(*(pool.run(seen.append, i) for i in range(100)))
    assert seen == list(range(100))
    assert (await pool.run(threading.current_thread)).name.startswith("one")
    pool.close()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread has no niceness of its own")
async def test_a_pool_that_gives_way_changes_its_own_threads_alone() -> None:
    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    before = niceness()
    pool, plain = WorkPool("slow", 1, nice=before + 3), WorkPool("p", 1)
    assert await pool.run(niceness) == before + 3
    assert await plain.run(niceness) == niceness() == before
    pool.close()
    plain.close()


async def test_a_cancelled_wait_ends_only_when_the_work_has() -> None:
    pool, done = WorkPool("p", 1), threading.Event()
    started = threading.Event()

    def work() -> None:
        started.set()
        time.sleep(0.05)
        done.set()

    task = asyncio.ensure_future(pool.run(work))
    while not started.is_set():
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done.is_set()
    pool.close()


def test_now_is_in_milliseconds() -> None:
    assert abs(runtime.now_ms() - time.time() * 1000) < 1000


def test_run_uses_uvloop() -> None:
    uvloop = pytest.importorskip("uvloop")

    async def main() -> bool:
        return isinstance(asyncio.get_running_loop(), uvloop.Loop)

    assert runtime.run(main())


@pytest.fixture
def collector() -> Iterator[None]:
    """The cycle collector as it was."""
    enabled = gc.isenabled()
    yield
    gc.unfreeze()
    (gc.enable if enabled else gc.disable)()


@pytest.mark.usefixtures("collector")
@pytest.mark.parametrize(("objects", "frozen"), [(FREEZE_FROM - 1, False), (FREEZE_FROM, True)])
def test_a_bulk_load_is_not_collected_and_a_large_one_put_aside(objects: int, frozen: bool) -> None:
    gc.enable()
    before = gc.get_freeze_count()
    with BulkLoad() as bulk:
        assert not gc.isenabled()
        bulk.made(1)
        bulk.made(objects - 1)
    assert gc.isenabled()
    assert (gc.get_freeze_count() > before) == frozen


@pytest.mark.usefixtures("collector")
@pytest.mark.parametrize("first_ends_first", [False, True])
def test_bulk_loads_may_overlap(first_ends_first: bool) -> None:
    gc.enable()
    loads = [BulkLoad(), BulkLoad()]
    for one in loads:
        one.__enter__()
    for one in loads if first_ends_first else loads[::-1]:
        one.__exit__(None, None, None)
    assert gc.isenabled()


@pytest.mark.usefixtures("collector")
def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    with BulkLoad():
        assert not gc.isenabled()
    assert not gc.isenabled()


class _Hands:
    """The two clocks of the machine, set by hand."""

    def __init__(self) -> None:
        self.wall, self.monotonic = 1_000_000_000_000, 5_000_000

    def pass_by(self, ns: int) -> None:
        self.wall += ns
        self.monotonic += ns


def test_the_steady_clock_tells_the_time_to_the_resolution() -> None:
    hands = _Hands()
    clock = SteadyClock(lambda: hands.wall, lambda: hands.monotonic)
    for step in (1, RESOLUTION_NS // 3, RESOLUTION_NS, 1_000_000, 3_700_000, 10**10):
        hands.pass_by(step)
        assert 0 <= hands.wall - clock() * 1_000_000 < 1_000_000 + RESOLUTION_NS


@pytest.mark.parametrize("jump_ns", [-(10**9), 10**9])
def test_the_steady_clock_follows_a_jump_slowly_and_never_goes_back(jump_ns: int) -> None:
    hands = _Hands()
    clock = SteadyClock(lambda: hands.wall, lambda: hands.monotonic)
    hands.wall += jump_ns
    last, began = clock(), hands.monotonic
    for _ in range(20_000):
        hands.pass_by(700_000)
        now = clock()
        assert last <= now <= last + 2
        last = now
    assert hands.monotonic - began > 10 * abs(jump_ns)
    assert 0 <= hands.wall - last * 1_000_000 < 2_000_000


async def test_what_finds_no_descriptors_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "AGAIN_S", 0.001)
    refused = [OSError(errno.EMFILE, "Too many open files"), OSError(errno.EMFILE, "Too many open files")]
    pool = WorkPool("p", 1)

    def read() -> str:
        if refused:
            raise refused.pop()
        return "read"

    try:
        assert await runtime.until_files_open(pool, read, "groups") == "read"
        with pytest.raises(ValueError, match="invalid literal"):
            await runtime.until_files_open(pool, lambda: int("other"), "groups")
    finally:
        pool.close()
    assert refused == []
