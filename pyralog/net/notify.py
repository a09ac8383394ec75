"""What systemd is told of this process: that it is ready, alive, reloading or stopping (sd_notify(3), Type=notify)."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from enum import Enum

from pyralog._speedups.plane.driver import PlaneEngine

log = logging.getLogger(__name__)

# How often a long start or stop asks for more time, and how much it asks for. The unit's own limits hold without it.
EXTEND_EVERY_S = 5.0
EXTEND_S = 60
# Beats in the time after which systemd takes a silent process for dead: a late turn or two are no reason to kill it.
BEATS = 4
SEND_TIMEOUT_S = 1.0
# A start that uses less of a processor than this between two ticks, and whose progress stands still, hangs.
LEAST_CPU_S = 0.05
NOBODY = 0  # the token of no request


class Notifier:
    """Sends datagrams to the socket that NOTIFY_SOCKET names; without one it does nothing."""

    def __init__(self, address: str = "") -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket: socket.socket | None = None
        if address.startswith(("@", "/")):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        elif address:
            log.warning("NOTIFY_SOCKET: %s is neither a path nor an abstract name; systemd is told nothing", address)

    def __bool__(self) -> bool:
        return self._socket is not None

    def send(self, *assignments: str, wait: bool = True) -> bool:
        """Send assignments such as READY=1; False when they could not be sent (at once, unless `wait`)."""
        if self._socket is None:
            return False
        self._socket.settimeout(SEND_TIMEOUT_S if wait else 0)
        try:
            self._socket.sendto("\n".join(assignments).encode(), self._address)
        except OSError as error:
            log.warning("systemd cannot be told %s: %s", assignments[0], error)
            return False
        return True

    def close(self) -> None:
        """Say no more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class PlaneHeart:
    """Whether the plane's thread goes on turning."""

    def __init__(self, engine: PlaneEngine) -> None:
        self._engine = engine
        self._cycles = -1

    def __call__(self) -> bool:
        """True when it has finished a cycle since the last call. An idle plane sleeps, so each call wakes it."""
        before, self._cycles = self._cycles, self._engine.counters()["cycles"]
        self._engine.close_connection(NOBODY)
        return self._cycles != before


class Phase(Enum):
    """STARTING -> SERVING -> STOPPING; a start that fails goes from STARTING to STOPPING."""

    STARTING = "starting"
    SERVING = "serving"
    STOPPING = "stopping"


def watchdog_s(environ: Mapping[str, str], pid: int) -> float | None:
    """After how long without a beat systemd ends this process; None when it does not watch (sd_watchdog_enabled(3))."""
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    try:
        found = int(environ.get("WATCHDOG_USEC", "0"))
    except ValueError:
        return None
    return found / 1e6 if found > 0 else None


class Supervision:
    """Tells systemd about a node, from its control loop: a loop that is blocked is silent, and is meant to be."""

    def __init__(self, environ: Mapping[str, str] | None = None, *, extend_every_s: float = EXTEND_EVERY_S) -> None:
        environ = {} if environ is None else environ
        self._notifier = Notifier(environ.get("NOTIFY_SOCKET", ""))
        self._watchdog_s = watchdog_s(environ, os.getpid()) if self._notifier else None
        self._extend_every_s = extend_every_s
        self._phase = Phase.STARTING
        self._progress: Callable[[], str] = str
        self._alive: Callable[[], bool] = lambda: True
        self._status = ""
        self._cpu_s = 0.0
        self._silent = False
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, progress: Callable[[], str]) -> None:
        """The node starts. `progress` says in words how far it is; called every few seconds."""
        self._progress = progress
        if self._notifier:
            if self._watchdog_s is not None:
                import faulthandler

                faulthandler.enable()  # systemd ends a silent process by SIGABRT: the journal then says where it hung
            self._tell("Starting")
            self._next()

    def ready(self, alive: Callable[[], bool], status: str) -> None:
        """Clients may come. From now on the watchdog is fed as long as `alive()`."""
        self._phase, self._alive, self._status = Phase.SERVING, alive, status
        if self._notifier:
            self._notifier.send("READY=1", f"STATUS={status}")
            self._tick()

    def reloading(self) -> None:
        """The configuration is being read again; `reloaded` must follow."""
        if self._phase is not Phase.SERVING:
            return
        now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000 if hasattr(time, "CLOCK_MONOTONIC") else 0
        self._notifier.send("RELOADING=1", f"MONOTONIC_USEC={now_us}", "STATUS=Reading the configuration again")

    def reloaded(self) -> None:
        """The configuration has been read, whatever came of it."""
        if self._phase is Phase.SERVING:
            self._notifier.send("READY=1", f"STATUS={self._status}")

    def stopping(self) -> None:
        """The node stops."""
        if self._phase is not Phase.STOPPING:
            self._phase = Phase.STOPPING
            self._notifier.send("STOPPING=1", "STATUS=Stopping")
            self._progress = lambda: "Stopping"
            if self._timer is not None:
                self._next()

    def end(self) -> None:
        """The node has stopped."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._notifier.close()

    def _next(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        delay_s = self._extend_every_s
        if self._phase is Phase.SERVING:
            if self._watchdog_s is None:
                self._timer = None
                return
            delay_s = self._watchdog_s / BEATS
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._tick)

    def _tick(self) -> None:
        if self._phase is not Phase.SERVING:
            self._extend()
        elif self._watchdog_s is not None:
            alive = self._alive()
            if alive:
                self._notifier.send("WATCHDOG=1", wait=False)
            elif not self._silent:
                log.error("the data plane's thread has not turned for %.1f s", self._watchdog_s / BEATS)
            self._silent = not alive
        self._next()

    def _extend(self) -> None:
        """Ask for more time while there is progress; a start that hangs is left to the unit's TimeoutStartSec."""
        cpu_s = time.process_time()
        moved = cpu_s - self._cpu_s > LEAST_CPU_S
        self._cpu_s = cpu_s
        if self._tell(self._progress()) or moved:
            self._notifier.send(f"EXTEND_TIMEOUT_USEC={EXTEND_S * 1_000_000}")

    def _tell(self, status: str) -> bool:
        if status == self._status:
            return False
        self._status = status
        self._notifier.send(f"STATUS={status}")
        return True
