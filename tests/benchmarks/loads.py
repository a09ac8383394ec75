"""The loads that both brokers get, with the bar that each must reach: data, no code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

UNITS = {
    "p50_us": "us",
    "p99_us": "us",
    "cpu_us_req": "us/request",
    "req_s": "req/s",
    "MB_s": "MB/s",
}


@dataclass(frozen=True)
class Bar:
    """What Pyralog's figure, divided by Kafka's, must be: at most, or at least, `ratio`."""

    metric: str
    at_most: float | None = None
    at_least: float | None = None

    def holds(self, ratio: float) -> bool:
        """Whether a ratio is good enough."""
        return ratio <= self.at_most if self.at_most is not None else ratio >= (self.at_least or 0)

    @property
    def text(self) -> str:
        """The bar as the table shows it."""
        sign, limit = ("<=", self.at_most) if self.at_most is not None else (">=", self.at_least or 0)
        return f"{sign} {limit:,.0f}" if limit >= 1000 else f"{sign} {limit:.3g}"


@dataclass(frozen=True)
class Load:
    """One row of the table: the load generator's mode and flags, and the bars."""

    name: str
    mode: str
    flags: dict[str, object]
    bars: tuple[Bar, ...]
    reads: bool = False  # reads the topic that was written with large batches
    configs: Mapping[str, str] = field(default_factory=dict)  # of its topic
    heavy: bool = False  # writes so much that every repetition gets a new topic
    shown: tuple[str, ...] = field(default=())  # further metrics for the report, without a bar


ACKS_ALL = {"acks": -1}
PRODUCE_16KB = {**ACKS_ALL, "conns": 4, "inflight": 5, "batch": 16, "rec": 1024}
PRODUCE_1MB = {**ACKS_ALL, "conns": 1, "inflight": 4, "batch": 1000, "rec": 1024}
KEPT_SHORT = {"segment.bytes": "33554432", "retention.bytes": "67108864", "file.delete.delay.ms": "0"}

LOADS = (
    Load(
        "produce-1x1",
        "produce",
        {**ACKS_ALL, "conns": 1, "inflight": 1, "batch": 1, "rec": 100},
        (Bar("p50_us", at_most=0.9), Bar("p99_us", at_most=0.75), Bar("cpu_us_req", at_most=1 / 6)),
        shown=("req_s",),
    ),
    Load(
        "produce-16x1",
        "produce",
        {**ACKS_ALL, "conns": 16, "inflight": 1, "batch": 1, "rec": 100},
        (Bar("req_s", at_least=2.5), Bar("cpu_us_req", at_most=1 / 6)),
        shown=("p50_us", "p99_us"),
    ),
    Load(
        "produce-16x5",
        "produce",
        {**ACKS_ALL, "conns": 16, "inflight": 5, "batch": 1, "rec": 100},
        (Bar("req_s", at_least=8), Bar("p99_us", at_most=1 / 4), Bar("cpu_us_req", at_most=1 / 10)),
        shown=("p50_us",),
    ),
    Load(
        "produce-open-loop",
        "produce",
        {**ACKS_ALL, "conns": 8, "inflight": 16, "batch": 10, "rec": 100, "rate": 2000},
        (Bar("p50_us", at_most=0.6), Bar("p99_us", at_most=1 / 2), Bar("cpu_us_req", at_most=1 / 5)),
    ),
    Load(
        "produce-16KB-4x5",
        "produce",
        PRODUCE_16KB,
        (Bar("MB_s", at_least=4), Bar("cpu_us_req", at_most=1 / 5)),
        heavy=True,
    ),
    Load(
        "produce-1MB-1x4",
        "produce",
        PRODUCE_1MB,
        (Bar("MB_s", at_least=5), Bar("cpu_us_req", at_most=1 / 5)),
        heavy=True,
    ),
    # The same two against pages that the machine has used before, as on a broker that has run for a while: retention
    # gives them back as fast as they are written. On a virtual machine a page that was never touched costs 8 to 14 us.
    Load(
        "produce-16KB-kept",
        "produce",
        PRODUCE_16KB,
        (Bar("MB_s", at_least=4), Bar("cpu_us_req", at_most=1 / 5)),
        configs=KEPT_SHORT,
    ),
    Load(
        "produce-1MB-kept",
        "produce",
        PRODUCE_1MB,
        (Bar("MB_s", at_least=5), Bar("cpu_us_req", at_most=1 / 5)),
        configs=KEPT_SHORT,
    ),
    Load(
        "fetch-1MB-1",
        "fetch",
        {"conns": 1, "maxbytes": 1 << 20},
        (Bar("MB_s", at_least=1), Bar("cpu_us_req", at_most=0.8)),
        reads=True,
    ),
    Load(
        "fetch-1MB-4",
        "fetch",
        {"conns": 4, "maxbytes": 1 << 20},
        (Bar("MB_s", at_least=0.95), Bar("cpu_us_req", at_most=0.8)),
        reads=True,
    ),
    Load(
        "tail",
        "tail",
        {**ACKS_ALL, "rate": 1000, "rec": 100},
        (Bar("p50_us", at_most=0.6), Bar("p99_us", at_most=1 / 2), Bar("cpu_us_req", at_most=1 / 6)),
    ),
    Load(
        "commit-64",
        "commit",
        {"conns": 64, "inflight": 1},
        (Bar("req_s", at_least=2), Bar("cpu_us_req", at_most=1 / 3)),
        shown=("p50_us", "p99_us"),
    ),
    Load(
        "commit-64-members",
        "commit",
        {"conns": 64, "inflight": 1, "members": 1},
        (Bar("req_s", at_least=2), Bar("cpu_us_req", at_most=1 / 3)),
        shown=("p50_us", "p99_us"),
    ),
    # Transactions of one batch of 100 records; a request is a transaction.
    Load(
        "txn-1",
        "txn",
        {"conns": 1, "batch": 100, "rec": 100},
        (Bar("req_s", at_least=2), Bar("cpu_us_req", at_most=1 / 3)),
        shown=("p50_us", "p99_us"),
    ),
    Load(
        "txn-16",
        "txn",
        {"conns": 16, "batch": 100, "rec": 100},
        (Bar("req_s", at_least=2), Bar("cpu_us_req", at_most=1 / 3)),
        shown=("p50_us", "p99_us"),
    ),
    Load("ping-1x1", "ping", {"conns": 1, "inflight": 1}, (Bar("p50_us", at_most=1),), shown=("p99_us", "cpu_us_req")),
)

# The absolute list of the design: reported, never failed (the machine may be loaded, or another one).
TARGETS = {
    ("same-core", "p50_us"): Bar("p50_us", at_most=10),
    ("same-core", "p99_us"): Bar("p99_us", at_most=25),
    ("produce-16x1", "req_s"): Bar("req_s", at_least=150_000),
    ("produce-16x5", "req_s"): Bar("req_s", at_least=650_000),
    ("produce-1MB-1x4", "MB_s"): Bar("MB_s", at_least=1600),
    ("fetch-1MB-1", "MB_s"): Bar("MB_s", at_least=2000),
    ("tail", "p50_us"): Bar("p50_us", at_most=130),
}
