"""`pyralog-admin doctor` and `check host`: what is not as it should be, and what to do about it."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import click

from pyralog.cli.admin.ask import EXIT_PARTLY, Ask, HttpError, asks, note
from pyralog.cli.admin.cluster import health_of
from pyralog.cli.admin.host_checks import Finding, host_findings
from pyralog.cli.admin.tree import command, group

if TYPE_CHECKING:
    from kafka.admin import KafkaAdminClient

# TR-1: the guide's threshold of a high write latency, and room that a disk should have.
WRITE_P99_S = 0.010
LEAST_FREE = 0.10
OK = 200
P99 = re.compile(r'^pyralog_write_latency_quantile_seconds\{[^}]*quantile="0\.99"[^}]*\} (\S+)', re.MULTILINE)


@group("check")
def check() -> None:
    """Compare this host's settings with what is recommended."""


@command("host")
@asks
def check_host(ask: Ask) -> None:
    """Kernel parameters, limits and huge pages of this host; exit code 4 when one is not as recommended."""
    _end(ask, host_findings())


@command("doctor")
@click.option("--no-host", is_flag=True, help="Leave out this host, where the cluster runs elsewhere.")
@asks
def doctor(ask: Ask, no_host: bool) -> None:
    """The host, the partitions, the disks, and the guide's thresholds; exit code 4 when something needs attention."""
    findings = [] if no_host else host_findings()
    with ask.connected() as client:
        findings += _cluster(client)
        findings += _disks(client)
    findings += _metrics(ask)
    _end(ask, findings)


def _end(ask: Ask, findings: list[Finding]) -> None:
    ask.show([each._asdict() for each in findings], wide=("advice",))
    wrong = [each for each in findings if each.status == "warn"]
    if ask.form == "table" and wrong:
        click.echo("\nWhat to do:")
        for each in wrong:
            click.echo(f"  {each.check}: {each.advice}")
    note(f"{len(findings)} checks, {len(wrong) or 'none'} with a warning.")
    sys.exit(EXIT_PARTLY if wrong else 0)


def _cluster(client: KafkaAdminClient) -> list[Finding]:
    found = health_of(client)
    advice = "pyralog-admin partition status --not-ok names them; start the nodes that are down"
    status = "ok" if found["healthy"] else "warn"
    told = "; ".join(found["problems"]) or f"{found['partitions']} partitions, all with leader and replicas"
    return [Finding("cluster", status, told, "all partitions well", "" if found["healthy"] else advice)]


def _disks(client: KafkaAdminClient) -> list[Finding]:
    findings = []
    for node in client.describe_log_dirs():
        for folder in node["log_dirs"]:
            name, total = f"disk of node {node['broker']}", folder.get("total_bytes", -1)
            if folder["error_code"]:
                advice = "the disk failed: look at the node's log, replace the disk, start the node again"
                findings.append(Finding(name, "warn", f"{folder['log_dir']} failed", "no error", advice))
            elif total > 0:
                free = folder["usable_bytes"] / total
                advice = "shorten retention, delete topics, or give it a larger disk"
                good = free >= LEAST_FREE
                text, wanted = f"{free:.0%} of {folder['log_dir']} is free", f">= {LEAST_FREE:.0%}"
                findings.append(Finding(name, "ok" if good else "warn", text, wanted, "" if good else advice))
    return findings


def _metrics(ask: Ask) -> list[Finding]:
    """The guide's thresholds by the metrics of a Pyralog node; Apache Kafka serves none here."""
    try:
        status, body = ask.http("/metrics", accept="text/plain")
    except HttpError:
        status, body = 0, b""
    text = body.decode(errors="replace")
    name, wanted = "write latency p99", f"<= {WRITE_P99_S * 1000:.0f} ms"
    found = P99.search(text)
    if status != OK or found is None or found[1] == "NaN":
        return [Finding(name, "unknown", "no figures: no writes lately, or no Pyralog node", wanted, "")]
    p99 = float(found[1])
    advice = "look at the disk (iostat -x 1), keep cache_config.enabled, raise segment_config.max_size: TROUBLESHOOTING"
    good = p99 <= WRITE_P99_S
    return [Finding(name, "ok" if good else "warn", f"{p99 * 1000:.1f} ms", wanted, "" if good else advice)]


check.add_command(check_host)
