"""Reads the plane's latency arrays: Prometheus buckets, and quantiles of the last minute (pure).

An array is log-linear, 32 steps for each power of two (plane/ring.pyx), so that every value is known within 3.2 %.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

STEPS = 32
WINDOW_S = 60.0
# What two scrapers ask for at nearly the same time shares one sample.
SAMPLE_EVERY_S = 5.0


class Hdr(NamedTuple):
    """A histogram of the plane as it is now."""

    entries: int
    total: int
    buckets: Sequence[int]


EMPTY = Hdr(0, 0, ())


def lowest(index: int) -> int:
    """The smallest value that is counted at an index."""
    exponent, step = divmod(index, STEPS)
    return step if exponent == 0 else (STEPS + step) << (exponent - 1)


def middle(index: int) -> float:
    """What stands for the values at an index."""
    return (lowest(index) + lowest(index + 1) - 1) / 2


def cumulative(hdr: Hdr, bounds: Sequence[float], unit: float) -> list[int]:
    """How many values are at most each bound, which is in units of `unit` of the array's."""
    sums = list(accumulate(hdr.buckets))
    found = []
    for bound in bounds:
        at = _index_after(bound * unit, len(sums))
        found.append(sums[at - 1] if at > 0 and sums else 0)
    return found


def _index_after(value: float, size: int) -> int:
    """The first index all of whose values are above `value`."""
    return bisect_left(range(size), True, key=lambda index: lowest(index) > value)


def quantiles(buckets: Sequence[int], wanted: Sequence[float]) -> list[float | None]:
    """The values at these quantiles; None of nothing."""
    sums = list(accumulate(buckets))
    if not sums or sums[-1] == 0:
        return [None] * len(wanted)
    total = sums[-1]
    return [middle(bisect_left(sums, max(1, quantile * total))) for quantile in wanted]


class Window:
    """What an array has gained in the last minute.

    Samples are taken when somebody asks, so a node that nobody watches does nothing; the first one who asks is told
    of everything since the start, and one who comes once an hour of that hour.
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[float, Hdr]] = deque()

    def gained(self, now_s: float, hdr: Hdr) -> Hdr:
        """The array's growth since the newest sample that is older than the window."""
        while len(self._samples) > 1 and now_s - self._samples[1][0] >= WINDOW_S:
            self._samples.popleft()
        base = self._samples[0][1] if self._samples else EMPTY
        if not self._samples or now_s - self._samples[-1][0] >= SAMPLE_EVERY_S:
            self._samples.append((now_s, hdr))
        if not base.buckets:
            return hdr
        gained = [after - before for after, before in zip(hdr.buckets, base.buckets, strict=True)]
        return Hdr(hdr.entries - base.entries, hdr.total - base.total, gained)
