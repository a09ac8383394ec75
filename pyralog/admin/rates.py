"""Rates over a quarter of an hour, for the one console that reads them ready-made instead of working them out."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyralog.admin.sampling import Sampled

SPAN_MS = 15 * 60_000
EVERY_MS = 30_000
NAMES = ("BytesInPerSec", "BytesOutPerSec")

Totals = dict[str, tuple[int, int]]


class Rates:
    """Totals by topic, kept as often as somebody scrapes but no oftener than EVERY_MS."""

    def __init__(self) -> None:
        self._kept: deque[tuple[int, Totals]] = deque()

    def fifteen_minutes(self, s: Sampled) -> dict[tuple[str, str], float]:
        """Bytes per second by (name, topic), since the oldest totals kept or, without any, since the node started."""
        totals = {topic: (traffic.bytes_in, traffic.bytes_out) for topic, traffic in s.topics().items()}
        while self._kept and s.now_ms - self._kept[0][0] > SPAN_MS:
            self._kept.popleft()
        since_ms, before = self._kept[0] if self._kept else (s.started_ms, {})
        if not self._kept or s.now_ms - self._kept[-1][0] >= EVERY_MS:
            self._kept.append((s.now_ms, totals))
        span_s = max(1.0, (s.now_ms - since_ms) / 1000)
        found = {}
        for topic, both in totals.items():
            for name, now, then in zip(NAMES, both, before.get(topic, (0, 0)), strict=True):
                found[name, topic] = max(0, now - then) / span_s
        return found


RATES = Rates()
