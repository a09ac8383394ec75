"""What a family of metrics is made of while it is rendered, and the shapes that several families share (pure)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeAlias

from pyralog.admin.hdr import Hdr, cumulative, quantiles
from pyralog.admin.sampling import Sampled, Timed
from pyralog.metrics import LATENCY_BUCKETS, Family

# A sample: what follows the family's name, the values of its labels (those of the suffix last), its value.
Sample: TypeAlias = tuple[str, tuple[str, ...], float]
Samples: TypeAlias = Iterable[Sample]
Make: TypeAlias = Callable[[Sampled], Samples]
# Families in the order in which they are shown, each with what makes its samples.
Table: TypeAlias = "Mapping[Family, Make]"

QUANTILES = (0.5, 0.9, 0.99, 0.999)
NS = 1e9
# The label that a suffix adds to a family's own.
SUFFIX_LABEL = {"_bucket": "le"}


def one(value: float, *labels: str) -> Iterator[Sample]:
    """A family of a single sample."""
    yield "", labels, value


def each(values: Mapping[str, float]) -> Iterator[Sample]:
    """A sample for each value of the only label."""
    for label, value in values.items():
        yield "", (label,), value


def histogram(hdr: Hdr, bounds: Iterable[float], unit: float, *labels: str) -> Iterator[Sample]:
    """An array of the plane as Prometheus's buckets; `unit` is how much of the array's is one of the bounds'."""
    wanted = list(bounds)
    for bound, count in zip(wanted, cumulative(hdr, wanted, unit), strict=True):
        yield "_bucket", (*labels, _text(bound)), count
    yield "_bucket", (*labels, "+Inf"), hdr.entries
    yield "_sum", labels, hdr.total / unit
    yield "_count", labels, hdr.entries


def timed(latency: Timed, *labels: str) -> Iterator[Sample]:
    """What Python has timed, in seconds."""
    so_far = 0
    for bound, count in zip(LATENCY_BUCKETS, latency.buckets, strict=False):
        so_far += count
        yield "_bucket", (*labels, _text(bound)), so_far
    yield "_bucket", (*labels, "+Inf"), latency.count
    yield "_sum", labels, latency.sum_ns / NS
    yield "_count", labels, latency.count


def recent_quantiles(hdr: Hdr) -> Iterator[Sample]:
    """Quantiles of what an array has gained in the last minute; NaN when that is nothing."""
    for quantile, value in zip(QUANTILES, quantiles(hdr.buckets, QUANTILES), strict=True):
        yield "", (str(quantile),), float("nan") if value is None else value / NS
    yield "_sum", (), hdr.total / NS
    yield "_count", (), hdr.entries


def _text(bound: float) -> str:
    return repr(float(bound))
