"""What a test can do to a broker in its own process: hold it, and set its clock."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from pyralog._speedups.plane.driver import PlaneEngine
from pyralog.runtime import now_ms, start_thread


class Clock:
    """The wall clock, moved by as much as a test says."""

    def __init__(self) -> None:
        self.shift_ms = 0

    def __call__(self) -> int:
        return now_ms() + self.shift_ms


class Brake:
    """Holds the threads of a broker, as SIGSTOP would: the system still accepts connections, nobody answers them.

    The plane's thread runs turn by turn instead of in one go, so that it can be held between two turns.
    """

    def __init__(self) -> None:
        self._go = threading.Event()
        self._go.set()
        self._held = threading.Semaphore(0)
        self._engine: PlaneEngine | None = None
        self._ending = False

    def start_thread(self, name: str, body: Callable[[], None]) -> threading.Thread:
        """The node's way to get its threads."""
        if name.startswith("plane"):
            self._engine = body.__self__  # type: ignore[attr-defined]
            return start_thread(name, self._turns)
        if name == "sync":
            return start_thread(name, lambda: self._sync(body))
        return start_thread(name, body)

    def _turns(self) -> None:
        engine = self._engine
        assert engine is not None
        while not self._ending:
            if self._go.is_set():
                engine.cycle(-1)
            else:
                self._hold()
        # The engine has been told to stop, so that this returns.
        engine.run()

    def _sync(self, body: Callable[[], None]) -> None:
        """The sync thread. That its body returns is how the engine tells Python that it was told to stop."""
        body()
        self._ending = True
        self._go.set()
        if self._engine is not None:
            self._engine.revoke_permits()

    def _hold(self) -> None:
        self._held.release()
        self._go.wait()

    def pause(self, loop: asyncio.AbstractEventLoop) -> None:
        """Hold both threads; returns when they are held."""
        if not self._go.is_set():
            return
        self._go.clear()
        loop.call_soon_threadsafe(self._hold)
        assert self._engine is not None
        # A command wakes the plane; this one only makes it ask for permits again.
        self._engine.revoke_permits()
        self._held.acquire()
        self._held.acquire()

    def resume(self) -> None:
        """Let them go on."""
        self._go.set()

    @property
    def held(self) -> bool:
        """Whether the broker is paused."""
        return not self._go.is_set()
