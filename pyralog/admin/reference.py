"""docs/METRICS.md, made from the declarations: `python -m pyralog.admin.reference` writes it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from pyralog.admin.kafka_families import EXPORTER, JMX
from pyralog.admin.machine import PROCESS
from pyralog.admin.redpanda_families import PUBLIC
from pyralog.metrics import NATIVE, Family

HEAD = """# Metrics

`GET /metrics` on the client port (or `network.admin_address`) is Prometheus text: Pyralog's own families, those of the
process, and Kafka's as known dashboards ask for them. `GET /public_metrics` has Redpanda's. `metrics.families` switches
each of them: `native`, `process`, `jmx`, `exporter`, `redpanda`. `metrics.max_series` bounds one answer; what grows
with the number of partitions is cut first, counted in `pyralog_metrics_series_dropped_total`, and warned of once.

```sh
pyralog-admin generate prometheus > prometheus.yml   # a scrape configuration
pyralog-admin generate alerts > alerts.yml           # 20 alerting rules
pyralog-admin generate grafana > pyralog.json        # a dashboard, for Grafana's import
```

This page is generated from the declarations: `python -m pyralog.admin.reference`.

- **Latency** is counted in the data plane in steps of 3 %, from which buckets and quantiles are both read. Quantiles
  are those of the last minute, or of the time since the last scrape where that is longer; NaN when nothing happened.
  A write's begins when its bytes have been received and ends when its answer has been sent or, with `sync_on_write`,
  released by the sync. A read's leaves out the wait for new records.
- **Records out** are counted by offsets: of a compacted topic more than were there. Records in include the markers of
  transactions, as in Kafka.
- **Errors** are counted by request, by the first error in it, so that the ratio to `pyralog_requests_total` stays
  below 1. Requests that succeeded have the error `NONE`. APIs are named in lower case: `api="create_topics"`.
- **Lag in time** is the age of the batch that the group would get next, by that batch's largest timestamp; at most 500
  batches are looked up for one scrape, and what is not looked up is not shown.
- **Group figures** are those of groups that this node coordinates, and lag where it also hosts the partition.
- **Busy ratio** of the control loop is its thread's processor time, of the data plane the time it was not waiting.
- A single node has no followers and no elections: `pyralog_replica_lag_*` and the error counters of replication and
  consensus have no samples, counters of elections and of the in-sync set stay 0. Kafka's commit and election latencies
  of the metadata quorum are not measured and have no samples. Nothing is made up.
- Kafka's counters of requests by topic exist for all topics together only (an empty `topic` label).
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for title, families in (
        ("Pyralog: `native`", NATIVE),
        ("The process: `process`", PROCESS),
        ("Kafka by the JMX exporter: `jmx`", JMX),
        ("Kafka by kafka_exporter: `exporter`", EXPORTER),
        ("Redpanda: `redpanda`, on /public_metrics", PUBLIC),
    ):
        parts.append("\n".join(_section(title, families)))
    return "\n".join(parts)


def _section(title: str, families: Iterable[Family]) -> list[str]:
    lines = [f"## {title}", "", "| name | type | labels | meaning |", "|---|---|---|---|"]
    for one in families:
        labels = ", ".join(f"`{label}`" for label in one.labels)
        lines.append(f"| `{one.name}` | {one.kind} | {labels} | {one.doc} |")
    return [*lines, ""]


def main(arguments: list[str]) -> None:
    """Write the page to the file named, or to its place."""
    default = Path(__file__).parents[2] / "docs" / "METRICS.md"
    Path(arguments[0] if arguments else default).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
