"""Keyed timers of one shard: a heap on one loop timer; setting a key again replaces its timer."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from typing import Any

from pyralog.coordinator.outcome import Timer

# What may fire in one turn of the loop; a group of 10,000 dead members must not stop it.
FIRE_AT_ONCE = 256
# A timer this late says that the loop stood still: what came in meanwhile, such as heartbeats, is read first.
LATE_MS = 200
LATE_WAIT_MS = 50


class _Entry:
    __slots__ = ("due_ms", "event", "queued_ms")

    def __init__(self, due_ms: int, event: Any) -> None:
        self.due_ms = due_ms
        self.event = event
        self.queued_ms = due_ms


class Timers:
    """Events by key, handed to `fire` when they are due. Times are those of the steady clock given in."""

    def __init__(self, clock: Callable[[], int], fire: Callable[[Any, int], None]) -> None:
        self._clock = clock
        self._fire = fire
        self._entries: dict[tuple[str, ...], _Entry] = {}
        self._heap: list[tuple[int, tuple[str, ...]]] = []
        self._handle: asyncio.TimerHandle | None = None
        self._handle_ms = 0
        self._waited = False

    def __len__(self) -> int:
        return len(self._entries)

    def set(self, timer: Timer, now_ms: int) -> None:
        """Set, move or take back a timer."""
        key, due_ms, event = timer
        if due_ms is None:
            self._entries.pop(key, None)
            return
        entry = self._entries.get(key)
        if entry is not None and due_ms >= entry.queued_ms:
            # The usual case, a heartbeat: what is in the heap comes first and will find the later time.
            entry.due_ms = due_ms
            entry.event = event
            return
        self._entries[key] = _Entry(due_ms, event)
        heapq.heappush(self._heap, (due_ms, key))
        if len(self._heap) > 64 + 2 * len(self._entries):
            self._heap = [(entry.queued_ms, key) for key, entry in self._entries.items()]
            heapq.heapify(self._heap)
        if self._handle is None or due_ms < self._handle_ms:
            self._arm(due_ms, now_ms)

    def close(self) -> None:
        """Nothing fires any more."""
        self._entries.clear()
        self._heap.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _arm(self, due_ms: int, now_ms: int) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._handle_ms = due_ms
        self._handle = asyncio.get_running_loop().call_later(max(0, due_ms - now_ms) / 1000, self._due)

    def _due(self) -> None:
        self._handle = None
        now_ms = self._clock()
        if now_ms - self._handle_ms > LATE_MS and not self._waited:
            self._waited = True
            self._arm(now_ms + LATE_WAIT_MS, now_ms)
            return
        self._waited = False
        fired = 0
        while self._heap and self._heap[0][0] <= now_ms and fired < FIRE_AT_ONCE:
            queued_ms, key = heapq.heappop(self._heap)
            entry = self._entries.get(key)
            if entry is None or entry.queued_ms != queued_ms:
                continue
            if entry.due_ms > now_ms:
                entry.queued_ms = entry.due_ms
                heapq.heappush(self._heap, (entry.due_ms, key))
                continue
            del self._entries[key]
            fired += 1
            self._fire(entry.event, now_ms)
        self._arm_first(now_ms)

    def _arm_first(self, now_ms: int) -> None:
        """Events that have fired may have set their timers anew, which need not be the first ones."""
        if self._heap and (self._handle is None or self._heap[0][0] < self._handle_ms):
            self._arm(max(self._heap[0][0], now_ms), now_ms)
