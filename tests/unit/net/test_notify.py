"""What systemd is told, over a socket of our own in its place."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import logging
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from pyralog._speedups.fileops import Files
from pyralog._speedups.plane.driver import PlaneEngine
from pyralog.net.notify import Notifier, PlaneHeart, Supervision, watchdog_s


class Systemd:
    """The other end: what it was told so far, message by message."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + name[1:] if name.startswith("@") else name)
        self.socket.setblocking(False)
        self.told: list[list[str]] = []

    def read(self) -> list[list[str]]:
        with contextlib.suppress(BlockingIOError):
            while True:
                self.told.append(self.socket.recv(4096).decode().split("\n"))
        return self.told

    def count(self, text: str) -> int:
        return sum(text in message for message in self.read())

    async def until(self, text: str, count: int = 1) -> None:
        deadline = time.monotonic() + 20
        while self.count(text) < count:
            assert time.monotonic() < deadline, (text, self.told)
            await asyncio.sleep(0.005)


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    made = Systemd(str(tmp_path / "n") if request.param == "path" else f"@pyralog-test-{os.getpid()}-{time.time_ns()}")
    yield made
    made.socket.close()


@pytest.fixture(autouse=True)
def no_fault_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of pytest stays."""
    monkeypatch.setattr(faulthandler, "enable", lambda: None)


@pytest.fixture
async def supervise(systemd: Systemd) -> AsyncIterator[Callable[..., Supervision]]:
    made: list[Supervision] = []

    def make(watchdog_us: int = 0, **options: float) -> Supervision:
        environ = {"NOTIFY_SOCKET": systemd.name}
        if watchdog_us:
            environ["WATCHDOG_USEC"] = str(watchdog_us)
        made.append(Supervision(environ, **options))
        return made[-1]

    yield make
    for each in made:
        each.end()


async def test_a_life(supervise: Callable[..., Supervision], systemd: Systemd) -> None:
    supervision = supervise()
    supervision.reloading()
    supervision.begin(lambda: "Starting")
    assert systemd.read() == [["STATUS=Starting"]]
    supervision.ready(lambda: True, "Pyralog ready")
    supervision.reloading()
    supervision.reloaded()
    supervision.stopping()
    supervision.stopping()
    _, ready, reloading, reloaded, stopping = systemd.read()
    assert ready == ["READY=1", "STATUS=Pyralog ready"]
    assert reloading[0] == "RELOADING=1"
    name, _, when = reloading[1].partition("=")
    assert name == "MONOTONIC_USEC"
    assert 0 <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000 - int(when) < 60_000_000
    assert reloaded == ["READY=1", "STATUS=Pyralog ready"]
    assert stopping == ["STOPPING=1", "STATUS=Stopping"]


async def test_a_long_start_asks_for_more_time_while_it_moves(
    supervise: Callable[..., Supervision], systemd: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    cpu, done, ticks = [1000.0], [0], [0]
    monkeypatch.setattr(time, "process_time", lambda: cpu[0])

    def progress() -> str:
        ticks[0] += 1
        return f"Starting: {done[0]} of 9 partitions recovered"

    supervision = supervise(extend_every_s=0.01)
    supervision.begin(progress)
    await systemd.until("STATUS=Starting: 0 of 9 partitions recovered")
    done[0] = 3
    await systemd.until("STATUS=Starting: 3 of 9 partitions recovered")
    asked = systemd.count("EXTEND_TIMEOUT_USEC=60000000")
    assert asked >= 2
    before = ticks[0]
    while ticks[0] < before + 10:  # nothing moves
        await asyncio.sleep(0.005)
    assert systemd.count("EXTEND_TIMEOUT_USEC=60000000") <= asked + 1
    cpu[0] += 1  # a large partition is being read
    await systemd.until("EXTEND_TIMEOUT_USEC=60000000", asked + 1)
    assert systemd.count("WATCHDOG=1") == 0


async def test_the_watchdog_is_fed_while_the_plane_lives(
    supervise: Callable[..., Supervision], systemd: Systemd, caplog: pytest.LogCaptureFixture
) -> None:
    alive, asked = [True], [0]

    def heart() -> bool:
        asked[0] += 1
        return alive[0]

    supervision = supervise(watchdog_us=40_000)
    supervision.begin(str)
    supervision.ready(heart, "ready")
    await systemd.until("WATCHDOG=1", 3)
    alive[0] = False
    before = asked[0]
    while asked[0] < before + 1:
        await asyncio.sleep(0.005)
    fed = systemd.count("WATCHDOG=1")
    while asked[0] < before + 10:
        await asyncio.sleep(0.005)
    assert systemd.count("WATCHDOG=1") == fed
    assert caplog.text.count("has not turned") == 1
    alive[0] = True
    await systemd.until("WATCHDOG=1", fed + 1)
    supervision.stopping()
    assert systemd.read()[-1] == ["STOPPING=1", "STATUS=Stopping"]


async def test_a_blocked_loop_is_silent(supervise: Callable[..., Supervision], systemd: Systemd) -> None:
    supervision = supervise(watchdog_us=40_000)
    supervision.begin(str)
    supervision.ready(lambda: True, "ready")
    await systemd.until("WATCHDOG=1", 2)
    fed = systemd.count("WATCHDOG=1")
    time.sleep(0.2)
    assert systemd.count("WATCHDOG=1") == fed
    await systemd.until("WATCHDOG=1", fed + 1)


def test_the_heart_of_an_idle_plane_beats_and_that_of_a_held_one_does_not() -> None:
    engine = PlaneEngine(Files())
    go, waits, ended = threading.Event(), threading.Event(), threading.Event()

    def turns() -> None:
        while not ended.is_set():
            if not go.is_set():
                waits.set()
            go.wait(30)
            engine.cycle(-1)

    def until(check: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not check():
            assert time.monotonic() < deadline
            time.sleep(0.002)

    def held_and_silent() -> bool:
        waiting = waits.is_set()  # before the heart is asked, as a last turn may come between
        return not heart() and waiting

    go.set()
    thread = threading.Thread(target=turns, daemon=True)
    thread.start()
    heart = PlaneHeart(engine)
    try:
        for _ in range(5):
            until(heart)
        go.clear()
        until(held_and_silent)
        held = engine.counters()["cycles"]
        assert [heart() for _ in range(5)] == [False] * 5
        assert engine.counters()["cycles"] == held
        go.set()
        until(heart)
    finally:
        ended.set()
        go.set()
        engine.close_connection(0)
        thread.join(10)
        engine.stop()
        engine.close()


async def test_without_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    supervision = Supervision({"WATCHDOG_USEC": "1000"})
    supervision.begin(lambda: pytest.fail("nobody asked"))
    supervision.ready(lambda: pytest.fail("nobody asked"), "ready")
    supervision.reloading()
    supervision.reloaded()
    supervision.stopping()
    supervision.end()


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_watchdog_time(environ: dict[str, str], expected: float | None) -> None:
    assert watchdog_s(environ, 7) == expected


def test_sockets_that_are_of_no_use(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    assert not Notifier("vsock:2:1234")
    gone = Notifier(str(tmp_path / "gone"))
    assert gone
    assert gone.send("READY=1") is False
    assert "systemd cannot be told READY=1: [Errno 2]" in caplog.text
    gone.close()
    assert not gone.send("READY=1")
