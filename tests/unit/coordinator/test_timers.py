"""Timers of a shard: each fires in its time, also behind one that is set anew when it fires."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from pyralog.coordinator.outcome import Timer
from pyralog.coordinator.timers import Timers


def now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


async def test_a_timer_fires_behind_one_that_is_set_anew() -> None:
    """As when the session of a member that lives is looked at a millisecond before that of one that is dead."""
    fired: list[tuple[str, int]] = []
    done = asyncio.Event()

    def fire(event: Any, at_ms: int) -> None:
        fired.append((event, at_ms))
        if event == "again":
            timers.set(Timer(("again",), at_ms + 600_000, "again"), at_ms)
        else:
            done.set()

    timers = Timers(now_ms, fire)
    start = now_ms()
    timers.set(Timer(("again",), start + 20, "again"), start)
    timers.set(Timer(("other",), start + 60, "other"), start)
    await asyncio.wait_for(done.wait(), 20)
    timers.close()
    assert [event for event, _ in fired] == ["again", "other"]
    assert fired[1][1] >= start + 60
