"""Parts of a scrape by themselves: declarations, the limit of series, lag in time, rates, loops, assignments."""

from __future__ import annotations

import asyncio
import struct
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from pyralog.admin.exposition import Renderer, labels_text, value_text
from pyralog.admin.group_view import classic_assignment
from pyralog.admin.kafka_families import EXPORTER, JMX
from pyralog.admin.lag import Ages, batch_timestamp
from pyralog.admin.machine import PROCESS
from pyralog.admin.native import api_label, table
from pyralog.admin.rates import Rates
from pyralog.admin.redpanda_families import PUBLIC
from pyralog.admin.reference import page
from pyralog.admin.samples import SUFFIX_LABEL
from pyralog.admin.sampling import LoopWatch, Sampled, Traffic
from pyralog.metrics import NATIVE, TALLIES, Family, by_name
from tests.log_batches import make_batch

ROOT = Path(__file__).parents[3]


def test_a_name_is_declared_once() -> None:
    families = (*NATIVE, *PROCESS, *JMX, *EXPORTER, *PUBLIC)
    assert len(by_name(tuple(families))) == len(families)
    assert {tally.name for tally in TALLIES} <= {family.name for family in NATIVE}
    assert len(table()) == len(NATIVE) - 1  # what was left out is the renderer's to say


@pytest.mark.parametrize("family", [*NATIVE, *PROCESS, *JMX, *EXPORTER, *PUBLIC], ids=lambda family: family.name)
def test_names_follow_prometheus(family: Family) -> None:
    assert family.kind in ("counter", "gauge", "histogram", "summary", "unknown")
    assert (family.kind == "counter") == family.name.endswith("_total") or family.kind == "unknown"
    assert not family.name.endswith(("_sum", "_count", "_bucket")) or family.kind == "unknown"
    assert family.doc.endswith(".")
    assert not set(family.labels) & {*SUFFIX_LABEL.values(), "quantile"}


def test_the_page_is_that_of_the_declarations() -> None:
    written = (ROOT / "docs" / "METRICS.md").read_text(encoding="utf-8")
    assert written == page(), "python -m pyralog.admin.reference"


def test_nothing_of_it_is_imported_at_start() -> None:
    code = "import pyralog.app, sys; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"aiohttp", "prometheus_client", "psutil", "pyralog.admin.exposition", "pyralog.admin.sampling"} & set(
        found
    )


def test_api_labels() -> None:
    assert [api_label(name) for name in ("Produce", "CreateTopics", "OffsetForLeaderEpoch")] == [
        "produce",
        "create_topics",
        "offset_for_leader_epoch",
    ]


# --- rendering ---


def sampled(most: int) -> Sampled:
    metrics = SimpleNamespace(families=("native",), max_series=most)
    return cast("Sampled", SimpleNamespace(config=SimpleNamespace(metrics=metrics), committed_left_out=3))


def test_what_grows_is_cut_first_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    wide = Family("wide", "gauge", "Many.", ("partition",))
    narrow = Family("narrow_total", "counter", "One.")
    made: Any = {wide: lambda s: (("", (str(n),), n) for n in range(50)), narrow: lambda s: [("", (), 7)]}
    renderer = Renderer()
    for _ in range(2):
        text = renderer._render(sampled(11), [made], own=True).body.decode()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert lines[:2] == ["narrow_total 7", 'wide{partition="0"} 0']
    assert len(lines) == 11
    assert lines[-1] == f"pyralog_metrics_series_dropped_total {2 * (41 + 3)}"
    assert caplog.text.count("metrics.max_series is 11") == 1


NAMES = st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True)
# Its reader takes a carriage return for the end of a line, as Prometheus does not.
VALUES = st.text(st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from('"\\\n'))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(NAMES, VALUES, max_size=4), st.floats() | st.integers(-(2**63), 2**63))
def test_lines_are_read_back_as_they_were_meant(labels: dict[str, str], value: float) -> None:
    shown = labels_text(tuple(labels), tuple(labels.values()))
    (family,) = text_string_to_metric_families(f"x{shown} {value_text(value)}\n")
    (sample,) = family.samples
    assert sample.labels == labels
    assert sample.value == pytest.approx(value, nan_ok=True)


def test_labels_are_escaped() -> None:
    odd: Any = {Family("odd", "gauge", "Odd.", ("group",)): lambda s: [("", ('a"b\\c\nd',), 1)]}
    text = Renderer()._render(sampled(10), [odd], own=False).body.decode()
    assert 'odd{group="a\\"b\\\\c\\nd"} 1' in text


# --- lag in time ---


def segment(folder: Path, base: int, batches: list[bytes], index: list[tuple[int, int]] | None = None) -> None:
    (folder / f"{base:020}.log").write_bytes(b"".join(batches))
    if index is not None:
        (folder / f"{base:020}.index").write_bytes(b"".join(struct.pack(">qq", *entry) for entry in index))


def test_the_timestamp_of_the_batch_that_holds_an_offset(tmp_path: Path) -> None:
    first = [make_batch(offset, 10, timestamp=1000 + offset) for offset in range(0, 100, 10)]
    second = [make_batch(offset, 10, timestamp=1000 + offset) for offset in range(100, 200, 10)]
    segment(tmp_path, 0, first, [(50, sum(map(len, first[:5])))])
    segment(tmp_path, 100, second)
    for offset in (0, 9, 10, 49, 50, 99, 100, 155, 199):
        found = batch_timestamp(tmp_path, offset)
        assert found is not None
        assert 1000 + offset // 10 * 10 <= found <= 1000 + offset // 10 * 10 + 9
    assert batch_timestamp(tmp_path, 200) is None


def test_what_cannot_be_read_is_not_known(tmp_path: Path) -> None:
    ages = Ages()
    ages.begin()
    assert ages.timestamp(bytes(16), 0, 5, tmp_path / "gone") is None
    segment(tmp_path, 0, [b"\\0" * 100])
    assert ages.timestamp(bytes(16), 0, 5, tmp_path) is None


# --- rates and loops ---


def at(now_ms: int, taken: int) -> Sampled:
    topics = lambda: {"orders": Traffic(bytes_in=taken, bytes_out=2 * taken)}  # noqa: E731
    return cast("Sampled", SimpleNamespace(now_ms=now_ms, started_ms=0, topics=topics))


def test_rates_over_a_quarter_of_an_hour() -> None:
    rates = Rates()
    assert rates.fifteen_minutes(at(10_000, 1000))["BytesInPerSec", "orders"] == 100
    assert rates.fifteen_minutes(at(20_000, 3000))["BytesOutPerSec", "orders"] == 400
    for minute in range(1, 20):
        rates.fifteen_minutes(at(minute * 60_000, 3000))
    assert rates.fifteen_minutes(at(20 * 60_000, 3000))["BytesInPerSec", "orders"] == 0


async def test_loops_are_watched_while_somebody_asks() -> None:
    watch = LoopWatch()
    watch.EVERY_S = 0.02
    watch.figures(0)
    blocked_until = time.monotonic() + 0.2
    while time.monotonic() < blocked_until:
        pass
    await asyncio.sleep(0.05)
    found = watch.figures(125_000_000)
    assert found["control"].lag_s is not None
    assert 0.1 < found["control"].lag_s < 60
    assert 0 < found["control"].busy <= 1
    assert 0 < found["plane-0"].busy <= 1
    watch.close()


# --- groups ---


def test_assignments_of_classic_consumers() -> None:
    data = struct.pack(">hih6siiihih", 1, 1, 6, b"orders", 2, 4, 1, 0, -1, 0)
    assert classic_assignment(data) == [{"topic": "orders", "partitions": [1, 4]}]
    assert classic_assignment(data[:26]) == classic_assignment(data)  # no user data at all
    assert classic_assignment(b"") is None
    assert classic_assignment(struct.pack(">hih", 1, 1, 50)) is None
    assert classic_assignment(struct.pack(">hi", 1, 2**31 - 1)) is None
    assert classic_assignment(struct.pack(">hih6si", 1, 1, 6, b"orders", 2**31 - 1)) is None


@pytest.mark.parametrize(
    ("what", "line"),
    [("grafana", '"title": "Pyralog"'), ("alerts", "PyralogNodeDown"), ("prometheus", "scrape_configs:")],
)
def test_files_for_the_tools_around_are_shipped(what: str, line: str) -> None:
    command = [sys.executable, "-m", "pyralog.cli.admin", "generate", what]
    assert line in subprocess.run(command, capture_output=True, text=True, check=True).stdout
