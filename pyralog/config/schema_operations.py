"""Keys of metrics and logging."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from pyralog.config.endpoints import split_list
from pyralog.config.logspec import parse_log_filters
from pyralog.config.options import Bytes, Opt, Section, Whole
from pyralog.config.units import INT_MAX, shown, text

MIB = 1024**2
FAMILIES = ("native", "process", "jmx", "exporter", "redpanda")


def _families(value: object) -> tuple[str, ...]:
    if isinstance(value, str) and value.strip() == "all":
        return FAMILIES
    wanted = tuple(dict.fromkeys(str(item) for item in split_list(value)))
    for name in wanted:
        if name not in FAMILIES:
            raise ValueError(f"{shown(name)} is not one of all, {', '.join(FAMILIES)}")
    return wanted


def _filters(value: object) -> str:
    filters = text(value)
    _, wrong = parse_log_filters(filters)
    if wrong:
        raise ValueError("; ".join(wrong))
    return filters


class MetricsSection(Section):
    """What /metrics and /public_metrics show."""

    families: Annotated[tuple[str, ...], BeforeValidator(_families), Opt(default="all", scope="cluster")] = Field(
        FAMILIES,
        description="native (pyralog_*), process (process_*), jmx and exporter (kafka_*), redpanda (/public_metrics).",
    )
    max_series: Annotated[Whole, Opt(scope="cluster")] = Field(
        20_000, ge=1000, le=1_000_000, description="Most series in one answer; what is left out is counted."
    )


class LoggingSection(Section):
    """The log files pyralog.log, error.log and audit.log in node.log_dir."""

    level: Annotated[str, BeforeValidator(_filters), Opt(default="info", scope="cluster")] = Field(
        "", description='As PYRALOG_LOG, which wins: "info", or "pyralog=info,pyralog::storage=debug".'
    )
    format: Annotated[Literal["text", "json"], Opt()] = Field(
        "text", description="How log records are written; audit.log is always JSON lines."
    )
    max_size: Annotated[Bytes, Opt(unit="bytes")] = Field(
        64 * MIB, ge=0, le=2**40, description="Size at which a log file is put aside; 0 leaves that to logrotate."
    )
    keep: Annotated[Whole, Opt()] = Field(
        5, ge=0, le=1000, description="Files that are put aside and kept, of each log."
    )
    queue_records: Annotated[Whole, Opt()] = Field(
        10_000, ge=100, le=INT_MAX, description="Records that wait for a slow disk; more are dropped and counted."
    )
