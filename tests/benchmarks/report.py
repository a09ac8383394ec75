"""What was measured, as a table for people and as JSON for comparing runs."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks.loads import Bar

RESULTS = Path(__file__).with_name("results")
SIGNIFICANT = 4
METRIC_NAMES = {"p50_us": "p50", "p99_us": "p99", "cpu_us_req": "CPU", "req_s": "rate", "MB_s": "data"}


@dataclass
class Row:
    """One metric of one load. `bar` is on Pyralog / Kafka when `relative`, else on Pyralog's own figure."""

    load: str
    metric: str
    unit: str
    kafka: float | None = None
    pyralog: float | None = None
    bar: str = ""
    ok: bool | None = None
    relative: bool = True
    gate: bool = True  # a miss fails the run; otherwise it is only reported
    samples: dict[str, list[float]] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """Pyralog's figure over Kafka's."""
        return self.pyralog / self.kafka if self.kafka and self.pyralog is not None else None


def judged(row: Row, bar: Bar) -> Row:
    """The row with its verdict, as far as its figures allow one."""
    row.bar = bar.text
    value = row.ratio if row.relative else row.pyralog
    row.ok = None if value is None else bar.holds(value)
    return row


def number(value: float | None) -> str:
    """Four significant digits, thousands separated, no exponent."""
    if value is None:
        return "-"
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{SIGNIFICANT}g}"


def _verdict(row: Row) -> str:
    if row.ok is None:
        return ""
    if row.ok:
        return "pass"
    return "FAIL" if row.gate else "short"


def table(rows: list[Row]) -> str:
    """The rows in aligned columns."""
    head = ["load", "metric", "Kafka 4.4.0", "Pyralog", "ratio", "bar", ""]
    lines = [head]
    last = ""
    for row in rows:
        name = row.load if row.load != last else ""
        last = row.load
        metric = f"{METRIC_NAMES.get(row.metric, row.metric)} {row.unit}".strip()
        ratio = number(row.ratio) if row.relative else ""
        lines.append([name, metric, number(row.kafka), number(row.pyralog), ratio, row.bar, _verdict(row)])
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    left = {0, 1, 6}
    text = []
    for line in lines:
        cells = [
            cell.ljust(w) if i in left else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        ]
        text.append("  ".join(cells).rstrip())
    text.insert(1, "-" * max(map(len, text)))
    return "\n".join(text)


def _first_line(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except OSError:
        return "?"
    output = (done.stdout or done.stderr).strip()
    return output.splitlines()[0] if output else "?"


def machine() -> dict[str, str]:
    """Where this was measured."""
    model = "?"
    memory = "?"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal"):
            memory = f"{int(line.split()[1]) >> 20} GiB"
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": _first_line("git", "describe", "--always", "--dirty"),
        "cpu": f"{os.cpu_count()} x {model}",
        "memory": memory,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "java": _first_line("java", "-version"),
        "load_before": f"{os.getloadavg()[0]:.2f}",
    }


def text_report(facts: dict[str, str], rows: list[Row], curves: dict[str, str]) -> str:
    """Everything as one text."""
    about = "\n".join(f"{key:<12} {value}" for key, value in facts.items())
    parts = [about]
    compared = [row for row in rows if row.relative]
    absolute = [row for row in rows if not row.relative]
    if compared:
        parts.append("Ratios (Pyralog / Kafka, medians of interleaved runs)\n\n" + table(compared))
    if absolute:
        parts.append("Absolute figures\n\n" + table(absolute))
    parts += [f"{name}\n\n{text}" for name, text in curves.items()]
    return "\n\n".join(parts) + "\n"


def save(name: str, facts: dict[str, str], rows: list[Row], curves: dict[str, str], raw: dict[str, Any]) -> Path:
    """Write results/NAME.txt and results/NAME.json."""
    RESULTS.mkdir(exist_ok=True)
    document = {"machine": facts, "rows": [{**asdict(row), "ratio": row.ratio} for row in rows], "curves": raw}
    (RESULTS / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    path = RESULTS / f"{name}.txt"
    path.write_text(text_report(facts, rows, curves))
    return path
