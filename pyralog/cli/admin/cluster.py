"""`pyralog-admin cluster`: status, health, configuration, features, quorum, versions."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from pyralog.cli.admin.ask import EXIT_PARTLY, Ask, Rows, asks, fail, pairs_of
from pyralog.cli.admin.configs import change_configs, config_rows, describe
from pyralog.cli.admin.metadata import count_states, node_ids, topics_of
from pyralog.cli.admin.tree import AdminGroup, command, group

if TYPE_CHECKING:
    from kafka.admin import KafkaAdminClient

WATCH_S = 2.0


@group("cluster")
def cluster() -> None:
    """Status, health, configuration, features, quorum and versions of the cluster."""


@command("status")
@asks
def status(ask: Ask) -> None:
    """Nodes, controller, and how many topics and partitions there are."""
    with ask.connected() as client:
        told = client.describe_cluster()
        topics = topics_of(client)
    ask.document(
        {
            "cluster_id": told["cluster_id"],
            "controller": told["controller_id"],
            "nodes": [f"{each['broker_id']}@{each['host']}:{each['port']}" for each in told["brokers"]],
            "topics": sum(not each["is_internal"] for each in topics),
            "internal_topics": sum(bool(each["is_internal"]) for each in topics),
            **count_states(topics),
        }
    )


def health_of(client: KafkaAdminClient) -> dict[str, Any]:
    """What is wrong with the cluster, as far as its metadata says."""
    told = client.describe_cluster()
    topics = topics_of(client)
    fenced = [each["broker_id"] for each in told["brokers"] if each.get("is_fenced")]
    counts = count_states(topics)
    up = {each["broker_id"] for each in told["brokers"]} - set(fenced)
    wanted = {node for topic in topics for p in topic["partitions"] for node in p["replica_nodes"]}
    problems = []
    if told["controller_id"] < 0:
        problems.append("there is no controller")
    if down := sorted(wanted - up):
        problems.append(f"nodes with replicas are down: {', '.join(map(str, down))}")
    if fenced:
        problems.append(f"nodes are fenced: {', '.join(map(str, fenced))}")
    if counts["offline_partitions"]:
        problems.append(f"{counts['offline_partitions']} partitions have no leader")
    if counts["under_replicated_partitions"]:
        problems.append(f"{counts['under_replicated_partitions']} partitions are under-replicated")
    return {"healthy": not problems, "nodes_up": len(up), **counts, "problems": problems}


@command("health")
@click.option("--watch", is_flag=True, help="Look again and again, a line each.")
@click.option("--exit-when-healthy", is_flag=True, help="Wait until the cluster is well.")
@click.option("--interval", type=click.FloatRange(0.1), default=WATCH_S, show_default=True, help="Seconds in between.")
@click.option("--timeout", type=click.FloatRange(0), help="Give up after so many seconds.")
@asks
def health(ask: Ask, watch: bool, exit_when_healthy: bool, interval: float, timeout: float | None) -> None:
    """Whether every partition has its leader and replicas; exit code 4 when not."""
    deadline = None if timeout is None else time.monotonic() + timeout
    with ask.connected() as client:
        while True:
            found = health_of(client)
            if not watch and not exit_when_healthy:
                ask.document({**found, "problems": found["problems"] or "none"} if ask.form == "table" else found)
                break
            ask.line(found, "healthy" if found["healthy"] else "unhealthy: " + "; ".join(found["problems"]))
            sys.stdout.flush()
            if exit_when_healthy and found["healthy"]:
                break
            if deadline is not None and time.monotonic() + interval > deadline:
                break
            time.sleep(interval)
    sys.exit(0 if found["healthy"] else EXIT_PARTLY)


@group("config")
def config() -> None:
    """Configuration of the brokers: of one node, or of all where none is named."""


@command("get")
@click.argument("names", nargs=-1)
@click.option("--node", type=int, help="Of this node; otherwise what is set for all.")
@click.option("--all", "everything", is_flag=True, help="Defaults as well.")
@asks
def config_get(ask: Ask, names: tuple[str, ...], node: int | None, everything: bool) -> None:
    """Values and where they come from.

    Without --node: what is set at run time for all nodes; what is named, or everything with --all, is as the first
    node has it where it is not set for all.
    """
    with ask.connected() as client:
        found = describe(client, "broker", "" if node is None else str(node))
        if node is None and (everything or set(names) - set(found)):
            found = describe(client, "broker", str(node_ids(client)[0])) | found
    rows = config_rows(found, names, everything=everything or bool(names))
    if missing := sorted(set(names) - {row["name"] for row in rows}):
        fail(f"there is no configuration {', '.join(missing)}")
    where = "all nodes at run time" if node is None else f"node {node}"
    ask.show(rows, wide=("type", "documentation", "synonyms"), empty=f"Nothing is set for {where}; --all shows it all.")


@command("set")
@click.argument("values", nargs=-1, required=True, metavar="KEY=VALUE...")
@click.option("--node", type=int, help="For this node only.")
@click.option("--dry-run", is_flag=True, help="Have it checked, change nothing.")
@asks
def config_set(ask: Ask, values: tuple[str, ...], node: int | None, dry_run: bool) -> None:
    """Set values at run time, for all nodes or one."""
    changes: dict[str, Any] = {key: ("SET", value) for key, value in pairs_of(values, "config set").items()}
    with ask.connected() as client:
        change_configs(client, "broker", "" if node is None else str(node), changes, dry_run=dry_run)


@command("unset")
@click.argument("names", nargs=-1, required=True)
@click.option("--node", type=int, help="For this node only.")
@click.option("--dry-run", is_flag=True, help="Have it checked, change nothing.")
@asks
def config_unset(ask: Ask, names: tuple[str, ...], node: int | None, dry_run: bool) -> None:
    """Take back what was set at run time."""
    with ask.connected() as client:
        changes = dict.fromkeys(names, ("DELETE", None))
        change_configs(client, "broker", "" if node is None else str(node), changes, dry_run=dry_run)


@command("diff")
@asks
def config_diff(ask: Ask) -> None:
    """Where nodes differ from each other, and from the defaults."""
    rows: Rows = []
    with ask.connected() as client:
        by_node = {node: describe(client, "broker", str(node)) for node in node_ids(client)}
    for name in sorted({name for found in by_node.values() for name in found}):
        values = {node: found[name]["value"] if name in found else None for node, found in by_node.items()}
        sources = {str(found[name]["config_source"]).lower() for found in by_node.values() if name in found}
        set_somewhere = any(source != "default_config" for source in sources)
        if len(set(values.values())) > 1 or set_somewhere:
            shown: Any = next(iter(values.values())) if len(set(values.values())) == 1 else values
            rows.append(
                {"name": name, "value": shown, "differs": len(set(values.values())) > 1, "source": sorted(sources)}
            )
    ask.show(rows, empty="The nodes do not differ, and everything is at its default.")


@command("features")
@asks
def features(ask: Ask) -> None:
    """Features: what the nodes support, and which level is in force."""
    with ask.connected() as client:
        found = client.describe_features()
    ask.show(
        [
            {
                "feature": name,
                "supported": list(each.get("supported", ())),
                "level": (each.get("finalized") or (0, 0))[1],
            }
            for name, each in sorted(found.items())
        ]
    )


@command("quorum")
@asks
def quorum(ask: Ask) -> None:
    """The voters of the metadata log, and how far each of them is."""
    with ask.connected() as client:
        (topic,) = client.describe_metadata_quorum()["topics"]
    (log,) = topic["partitions"]
    if log.get("error"):
        fail(f"the quorum cannot be described: {log['error']}")
    end = max((each["log_end_offset"] for each in log["current_voters"]), default=-1)
    rows = [
        {
            "node": each["replica_id"],
            "role": "leader" if each["replica_id"] == log["leader_id"] else role,
            "log_end": each["log_end_offset"],
            "lag": max(end - each["log_end_offset"], 0),
            "last_fetch_at_ms": each.get("last_fetch_timestamp", -1),
            "last_caught_up_at_ms": each.get("last_caught_up_timestamp", -1),
        }
        for role, members in (("voter", log["current_voters"]), ("observer", log["observers"]))
        for each in members
    ]
    if ask.form in ("json", "yaml"):
        keys = ("leader_id", "leader_epoch", "high_watermark")
        ask.document({**{key: log[key] for key in keys}, "replicas": rows})
        return
    ask.show(rows)


@command("versions")
@click.option("--node", type=int, help="Of this node; otherwise of any.")
@asks
def versions(ask: Ask, node: int | None) -> None:
    """The APIs and their versions that a node offers."""
    from pyralog.wire.protocol import API

    with ask.connected() as client:
        wanted = node_ids(client)[0] if node is None else node
        offered = client.get_broker_version_data(wanted).api_versions
    rows = [
        {"key": int(key), "api": API[key].name if key in API else "?", "min": low, "max": high}
        for key, (low, high) in sorted(offered.items())
    ]
    ask.show(rows)


for each in (status, health, features, quorum, versions, config):
    cluster.add_command(each)
for each in (config_get, config_set, config_unset, config_diff):
    config.add_command(each)
assert isinstance(cluster, AdminGroup)
