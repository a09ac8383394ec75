"""`pyralog-admin node`: the nodes of the cluster, their log directories and loggers."""

from __future__ import annotations

import click

from pyralog.cli.admin.ask import Ask, asks, fail, pairs_of
from pyralog.cli.admin.configs import change_configs, config_rows, describe
from pyralog.cli.admin.metadata import node_ids, topics_of
from pyralog.cli.admin.telling import error_of
from pyralog.cli.admin.tree import command, group


@group("node")
def node() -> None:
    """The nodes of the cluster, their log directories and loggers."""


@command("list")
@asks
def node_list(ask: Ask) -> None:
    """Every node: where it is, how many partitions it leads and holds."""
    with ask.connected() as client:
        told = client.describe_cluster()
        partitions = [p for topic in topics_of(client) for p in topic["partitions"]]
    ask.show(
        [
            {
                "node": each["broker_id"],
                "host": each["host"],
                "port": each["port"],
                "rack": each.get("rack"),
                "controller": each["broker_id"] == told["controller_id"],
                "state": "fenced" if each.get("is_fenced") else "up",
                "leads": sum(p["leader_id"] == each["broker_id"] for p in partitions),
                "replicas": sum(each["broker_id"] in p["replica_nodes"] for p in partitions),
            }
            for each in sorted(told["brokers"], key=lambda each: int(each["broker_id"]))
        ]
    )


@command("describe")
@click.argument("node_id", type=int)
@click.option("--all", "everything", is_flag=True, help="Defaults as well.")
@asks
def node_describe(ask: Ask, node_id: int, everything: bool) -> None:
    """The configuration in force on a node, without what is at its default."""
    with ask.connected() as client:
        if node_id not in node_ids(client):
            fail(f"there is no node {node_id}")
        rows = config_rows(describe(client, "broker", str(node_id)), everything=everything)
    ask.show(
        rows,
        wide=("type", "documentation", "synonyms"),
        empty="Everything is at its default; --all shows it.",
    )


@command("logdirs")
@click.option("--node", "only", type=int, help="Of this node only.")
@click.option("--partitions", is_flag=True, help="Every partition by itself.")
@asks
def node_logdirs(ask: Ask, only: int | None, partitions: bool) -> None:
    """Log directories: size, room, partitions."""
    with ask.connected() as client:
        found = client.describe_log_dirs(brokers=None if only is None else [only])
    rows = []
    for node_found in found:
        for folder in node_found["log_dirs"]:
            sizes = [
                (topic["name"], p["partition_index"], p["partition_size"], p["offset_lag"])
                for topic in folder["topics"]
                for p in topic["partitions"]
            ]
            where = {"node": node_found["broker"], "folder": folder["log_dir"]}
            if partitions:
                rows += [
                    {**where, "topic": topic, "partition": number, "size_bytes": size, "lag": lag}
                    for topic, number, size, lag in sorted(sizes)
                ]
                continue
            rows.append(
                {
                    **where,
                    "partitions": len(sizes),
                    "size_bytes": sum(size for _, _, size, _ in sizes),
                    "total_bytes": folder.get("total_bytes", -1),
                    "free_bytes": folder.get("usable_bytes", -1),
                    "error": error_of(folder["error_code"]),
                }
            )
    ask.show(rows)


@command("loggers")
@click.argument("node_id", type=int)
@click.argument("levels", nargs=-1, metavar="[LOGGER=LEVEL]...")
@asks
def node_loggers(ask: Ask, node_id: int, levels: tuple[str, ...]) -> None:
    """Log levels of a node; with LOGGER=LEVEL they are set until it stops, with LOGGER= back to what they were."""
    with ask.connected() as client:
        if levels:
            changes: dict[str, tuple[str, str | None]] = {
                name: ("SET", level.upper()) if level else ("DELETE", None)
                for name, level in pairs_of(levels, "node loggers").items()
            }
            change_configs(client, "broker_logger", str(node_id), changes, dry_run=False)
            return
        found = describe(client, "broker_logger", str(node_id))
    ask.show([{"logger": name, "level": each["value"]} for name, each in sorted(found.items())])


for each in (node_list, node_describe, node_logdirs, node_loggers):
    node.add_command(each)
