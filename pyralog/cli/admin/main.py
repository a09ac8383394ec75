"""The `pyralog-admin` command: the tree of its commands, each of which is imported when it is run."""

from __future__ import annotations

from pyralog.cli.admin.tree import Tree
from pyralog.version import __version__

VERSION = f"pyralog-admin {__version__}"

main = Tree(
    name="pyralog-admin",
    help="Look at a cluster, change it, measure it, save it. Works on Pyralog and on Apache Kafka.\n\n"
    "--cluster and the other options of this level are taken before and after the subcommand. PYRALOG_CLUSTER names "
    "the cluster when --cluster does not. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 unreachable, 4 done in part "
    "or unhealthy.",
    version=VERSION,
    later=("rebalance", "user", "acl", "quota", "token", "schema"),
    lazy={
        "cluster": ("pyralog.cli.admin.cluster:cluster", "Status, health, configuration, features, quorum, versions."),
        "health": ("pyralog.cli.admin.health:health", "Ask a node for its health over HTTP."),
        "node": ("pyralog.cli.admin.node:node", "List and describe nodes, their log directories and loggers."),
        "topic": (
            "pyralog.cli.admin.topic:topic",
            "Make, describe, change, trim and delete topics; write and read them.",
        ),
        "partition": ("pyralog.cli.admin.partition:partition", "Leaders and replicas; elections."),
        "group": ("pyralog.cli.admin.group:group", "Consumer groups: members, lag, seek, delete."),
        "txn": ("pyralog.cli.admin.txn:txn", "Transactions and producers; abort what hangs."),
        "backup": ("pyralog.cli.admin.backup:backup", "Save a node's data while it runs, check and restore it."),
        "verify": ("pyralog.cli.admin.verify:verify", "Read every batch of every partition and check it."),
        "perf": ("pyralog.cli.admin.perf:perf", "Measure producing, consuming, and the way from end to end."),
        "check": ("pyralog.cli.admin.doctor:check", "Compare this host's settings with what is recommended."),
        "doctor": ("pyralog.cli.admin.doctor:doctor", "Check the host and the running cluster, and say what to do."),
        "bundle": ("pyralog.cli.admin.bundle:bundle", "Collect what support asks for into a zip, without secrets."),
        "debug-bundle": ("pyralog.cli.admin.bundle:bundle", ""),
        "topics": ("pyralog.cli.admin.topic:topic", ""),
        "groups": ("pyralog.cli.admin.group:group", ""),
        "nodes": ("pyralog.cli.admin.node:node", ""),
        "partitions": ("pyralog.cli.admin.partition:partition", ""),
        "transactions": ("pyralog.cli.admin.txn:txn", ""),
        "generate": (
            "pyralog.cli.admin.generate:generate",
            "Dashboards, alerts, systemd unit, shell completion, man pages.",
        ),
    },
)
