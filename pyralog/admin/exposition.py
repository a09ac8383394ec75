"""A sample as Prometheus text (version 0.0.4), rendered on a worker thread that lets the loop go on.

The lines are formatted here and not by prometheus_client: 20,000 series are 45 ms of processor time instead of 190,
which every 15 s would be more than the hundredth that p99 latencies are made of. Its parser judges them in the tests,
and so do promtool and Prometheus.
"""

from __future__ import annotations

import logging
import time

from pyralog.admin import kafka_families, machine, native, redpanda_families
from pyralog.admin.routes_model import Text
from pyralog.admin.samples import SUFFIX_LABEL, Make, Samples, Table
from pyralog.admin.sampling import Sampled
from pyralog.metrics import NATIVE, Family

log = logging.getLogger(__name__)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Samples, some 0.5 ms of work, after which the thread lets go of the interpreter so that the loop gets its turn.
PER_SLICE = 250
PAUSE_S = 1e-5
# Labels by which a family grows with what the cluster holds: such families are shown last, and so are cut first.
GROWING = frozenset({"partition", "redpanda_partition"})
DROPPED = next(family for family in NATIVE if family.name == native.OF_THE_RENDERER)


class Renderer:
    """Renders the families that the configuration wants, and no more series than it allows."""

    def __init__(self) -> None:
        self.dropped = 0
        self._warned = False

    def metrics(self, s: Sampled) -> Text:
        """/metrics: our own families, the process's, and Kafka's."""
        wanted = s.config.metrics.families
        tables: list[Table] = []
        if "native" in wanted:
            tables.append(native.table())
        if "process" in wanted:
            tables.append(_process_table())
        if "jmx" in wanted:
            tables.append(kafka_families.JMX)
        if "exporter" in wanted:
            tables.append(kafka_families.EXPORTER)
        return self._render(s, tables, own="native" in wanted)

    def public_metrics(self, s: Sampled) -> Text:
        """/public_metrics: Redpanda's families; nothing when they are not wanted."""
        wanted = "redpanda" in s.config.metrics.families
        return self._render(s, [redpanda_families.PUBLIC] if wanted else [], own=False)

    def _render(self, s: Sampled, tables: list[Table], *, own: bool) -> Text:
        families = [(family, make) for table in tables for family, make in table.items()]
        families.sort(key=lambda item: not GROWING.isdisjoint(item[0].labels))  # stable: else as declared
        text = _Lines(s.config.metrics.max_series - own)
        for family, make in families:
            text.add(family, make(s))
        if text.dropped:
            self._count(text.dropped + s.committed_left_out, s.config.metrics.max_series)
        if own:
            text.left = 1
            text.add(DROPPED, [("", (), self.dropped)])
        return Text(text.whole(), CONTENT_TYPE)

    def _count(self, dropped: int, limit: int) -> None:
        self.dropped += dropped
        if not self._warned:
            self._warned = True
            log.warning(
                "a scrape left out %d series: metrics.max_series is %d. Raise it, or take families out of "
                "metrics.families; repetitions are counted in %s",
                dropped,
                limit,
                DROPPED.name,
            )


class _Lines:
    """Lines as they come, up to a number of series."""

    def __init__(self, most: int) -> None:
        self.left = most
        self.dropped = 0
        self._made = 0
        self._parts: list[str] = []
        # What the same labels look like; every partition comes a score of times.
        self._seen: dict[tuple[tuple[str, ...], tuple[str, ...]], str] = {}

    def add(self, family: Family, samples: Samples) -> None:
        """A family with all its samples."""
        self._parts.append(f"# HELP {family.name} {family.doc}\n# TYPE {family.name} {TYPES[family.kind]}\n")
        names: dict[str, tuple[str, ...]] = {}
        for suffix, values, value in samples:
            if self.left <= 0:
                self.dropped += 1
                continue
            self.left -= 1
            self._made += 1
            if self._made % PER_SLICE == 0:
                time.sleep(PAUSE_S)
            labels = names.get(suffix)
            if labels is None:
                labels = names[suffix] = _labels(family, suffix)
            shown = self._seen.get((labels, values))
            if shown is None:
                shown = self._seen[labels, values] = labels_text(labels, values)
            self._parts.append(f"{family.name}{suffix}{shown} {value_text(value)}\n")

    def whole(self) -> bytes:
        """All of it."""
        return "".join(self._parts).encode()


TYPES = {
    "counter": "counter",
    "gauge": "gauge",
    "histogram": "histogram",
    "summary": "summary",
    "unknown": "untyped",
}
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


def labels_text(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    """Labels in braces; nothing without any."""
    if not names:
        return ""
    pairs = (f'{name}="{value.translate(_ESCAPES)}"' for name, value in zip(names, values, strict=True))
    return f"{{{','.join(pairs)}}}"


def value_text(value: float) -> str:
    """A number as Prometheus reads it: Python's own form, but for infinities and what is no number."""
    if value != value:
        return "NaN"
    if value in (_INFINITE, -_INFINITE):
        return "+Inf" if value > 0 else "-Inf"
    return repr(int(value)) if isinstance(value, bool) else repr(value)


_INFINITE = float("inf")


def _labels(family: Family, suffix: str) -> tuple[str, ...]:
    if family.kind == "summary" and not suffix:
        return (*family.labels, "quantile")
    extra = SUFFIX_LABEL.get(suffix)
    return family.labels if extra is None else (*family.labels, extra)


def _process_table() -> Table:
    values = machine.process()
    return {family: _constant(values[family.name]) for family in machine.PROCESS}


def _constant(value: float) -> Make:
    return lambda s: [("", (), value)]
