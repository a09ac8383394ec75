"""A sample as Prometheus text, by prometheus_client; rendered on a worker thread that lets the loop go on.

prometheus_client formats; its counters and histograms, which lock for each sample, are not used.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any, cast

from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.core import Sample as Line

from pyralog.admin import kafka_families, machine, native, redpanda_families
from pyralog.admin.samples import SUFFIX_LABEL, Make, Sample, Table
from pyralog.admin.sampling import Sampled
from pyralog.metrics import NATIVE, Family

log = logging.getLogger(__name__)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# Samples, some 0.4 ms of work, after which the thread lets go of the interpreter so that the loop gets its turn.
PER_SLICE = 50
PAUSE_S = 1e-5
# Labels by which a family grows with what the cluster holds: such families are shown last, and so are cut first.
GROWING = frozenset({"partition", "redpanda_partition"})
DROPPED = next(family for family in NATIVE if family.name == native.OF_THE_RENDERER)


class Renderer:
    """Renders the families that the configuration wants, and no more series than it allows."""

    def __init__(self) -> None:
        self.dropped = 0
        self._warned = False

    def metrics(self, s: Sampled) -> bytes:
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

    def public_metrics(self, s: Sampled) -> bytes:
        """/public_metrics: Redpanda's families; nothing when they are not wanted."""
        wanted = "redpanda" in s.config.metrics.families
        return self._render(s, [redpanda_families.PUBLIC] if wanted else [], own=False)

    def _render(self, s: Sampled, tables: list[Table], *, own: bool) -> bytes:
        families = [(family, make) for table in tables for family, make in table.items()]
        families.sort(key=lambda item: not GROWING.isdisjoint(item[0].labels))  # stable: else as declared
        budget = _Budget(s.config.metrics.max_series - own)
        metrics: list[Metric] = [_metric(family, budget.within(family, make(s))) for family, make in families]
        text: bytes = generate_latest(cast("Any", _Collected(metrics)))
        if budget.dropped:
            self._count(budget.dropped + s.committed_left_out, s.config.metrics.max_series)
        if own:
            last = _metric(DROPPED, [Line(DROPPED.name, {}, self.dropped)])
            text += generate_latest(cast("Any", _Collected([last])))
        return text

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


class _Collected:
    """What prometheus_client takes for a registry."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        return self._metrics


class _Budget:
    """Counts series as they are made."""

    def __init__(self, most: int) -> None:
        self.dropped = 0
        self._left = most
        self._made = 0

    def within(self, family: Family, samples: Any) -> _Lines:
        """The samples of a family as long as there is room."""
        return _Lines(self, family, samples)

    def lines(self, family: Family, samples: Any) -> Iterator[Line]:
        """Made while they are asked for, so that no two families are in memory as objects."""
        names: dict[str, tuple[str, ...]] = {}
        for suffix, values, value in cast("Iterator[Sample]", samples):
            if self._left <= 0:
                self.dropped += 1
                continue
            self._left -= 1
            self._made += 1
            if self._made % PER_SLICE == 0:
                time.sleep(PAUSE_S)
            labels = names.get(suffix)
            if labels is None:
                labels = names[suffix] = _labels(family, suffix)
            yield Line(family.name + suffix, dict(zip(labels, values, strict=True)), float(value))


class _Lines:
    """Samples that are made when prometheus_client goes over them, which it does once."""

    def __init__(self, budget: _Budget, family: Family, samples: Any) -> None:
        self._made = budget.lines(family, samples)

    def __iter__(self) -> Iterator[Line]:
        return self._made


def _labels(family: Family, suffix: str) -> tuple[str, ...]:
    if family.kind == "summary" and not suffix:
        return (*family.labels, "quantile")
    extra = SUFFIX_LABEL.get(suffix)
    return family.labels if extra is None else (*family.labels, extra)


def _metric(family: Family, samples: Any) -> Metric:
    name = family.name.removesuffix("_total") if family.kind == "counter" else family.name
    made = Metric(name, family.doc, family.kind)
    made.samples = samples
    return made


def _process_table() -> Table:
    values = machine.process()
    return {family: _constant(values[family.name]) for family in machine.PROCESS}


def _constant(value: float) -> Make:
    return lambda s: [("", (), value)]
