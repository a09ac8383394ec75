"""Values that depend on other values: presets, quorums from the number of nodes, loopback without a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyralog.config.endpoints import split_list
from pyralog.config.marks import Path
from pyralog.config.units import duration, whole

MIB = 1024**2
QUORUM: Path = ("replication", "quorum")

# The guide's three tuning chapters (requirements.md 3.5).
PROFILES: Mapping[str, Mapping[Path, Any]] = {
    "low-latency": {
        ("storage", "cache_config", "max_size"): 8 * MIB,
        ("storage", "cache_config", "max_buffer_time_ms"): 1,
        ("storage", "cache_config", "enabled"): True,
        ("storage", "segment_config", "sync_on_write"): True,
    },
    "high-throughput": {
        ("storage", "cache_config", "max_size"): 128 * MIB,
        ("storage", "cache_config", "max_buffer_time_ms"): 50,
        ("storage", "cache_config", "enabled"): True,
        ("storage", "segment_config", "max_size"): 4096 * MIB,
        ("storage", "segment_config", "sync_on_write"): False,
    },
    "durable": {
        ("storage", "segment_config", "sync_on_write"): True,
        ("replication", "quorum", "write_quorum"): 3,
        ("replication", "quorum", "replication_factor"): 3,
    },
}

ZERO_CONFIG: Mapping[Path, Any] = {
    ("node", "data_dir"): "./pyralog-data",
    ("node", "log_dir"): "",
    ("network", "listen_address"): "127.0.0.1:9092",
    ("network", "internal_address"): "127.0.0.1:9093",
}

# --dev: one node on loopback whatever the file says of a cluster, and no wait before a group's first assignment.
DEVELOPMENT: Mapping[Path, Any] = {
    ("network", "listen_address"): "127.0.0.1:9092",
    ("network", "internal_address"): "127.0.0.1:9093",
    ("replication", "quorum", "replication_factor"): 1,
    ("replication", "quorum", "write_quorum"): 1,
    ("replication", "quorum", "read_quorum"): 1,
    ("groups", "initial_rebalance_delay_ms"): 0,
}


def lookup(tree: Mapping[str, Any], path: Path) -> Any:
    """The value at a path of a raw tree, or None."""
    value: Any = tree
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return None
        value = value[name]
    return value


def put(tree: dict[str, Any], path: Path, value: Any) -> bool:
    """Set a value, making sections on the way; False when something other than a section is in the way."""
    for name in path[:-1]:
        inner = tree.setdefault(name, {})
        if inner is None:
            inner = tree[name] = {}
        if not isinstance(inner, dict):
            return False
        tree = inner
    tree[path[-1]] = value
    return True


def preset_values(name: str, tree: Mapping[str, Any]) -> tuple[dict[Path, Any], str | None]:
    """What a preset sets, as far as this cluster has the nodes for it; and what the operator should then hear."""
    values = dict(PROFILES.get(name, {}))
    factor, write = (*QUORUM, "replication_factor"), (*QUORUM, "write_quorum")
    if factor not in values:
        return values, None
    nodes = _nodes(tree)
    wanted = values[factor]
    values[factor] = min(wanted, nodes)
    values[write] = min(values[write], _number(tree, factor, values[factor]))
    if nodes >= wanted or lookup(tree, factor) is not None:
        return values, None
    count = f"{nodes} node{'' if nodes == 1 else 's'}"
    return values, f"profile {name}: with {count} there are {nodes} and not {wanted} copies of each record"


def _nodes(tree: Mapping[str, Any]) -> int:
    members = lookup(tree, ("node", "cluster_nodes"))
    return 1 if members is None else max(1, len(split_list(members)))


def _number(tree: Mapping[str, Any], path: Path, fallback: int) -> int:
    """A number of the raw tree; a wrong one is reported by validation, here the fallback serves."""
    value = lookup(tree, path)
    try:
        return fallback if value is None else duration(value) if path[-1].endswith("_ms") else whole(value)
    except ValueError:
        return fallback


def computed(tree: Mapping[str, Any], *, zero_config: bool) -> dict[Path, Any]:
    """Defaults of keys that the tree does not set and whose default is a rule."""
    node_id = _number(tree, ("node", "node_id"), 1)
    nodes, quorum = _nodes(tree), QUORUM
    factor = _number(tree, (*quorum, "replication_factor"), min(3, nodes))
    write = _number(tree, (*quorum, "write_quorum"), min(2, factor))
    state_factor = _number(tree, ("transactions", "state_replication_factor"), min(3, nodes))
    rules: dict[Path, Any] = {
        ("node", "cluster_nodes"): [node_id],
        (*quorum, "replication_factor"): factor,
        (*quorum, "write_quorum"): write,
        (*quorum, "read_quorum"): max(1, factor - write + 1),
        ("groups", "offsets_replication_factor"): min(3, nodes),
        ("transactions", "state_replication_factor"): state_factor,
        ("transactions", "state_min_isr"): min(2, state_factor),
        ("election_timeout", "max_ms"): max(300, 2 * _number(tree, ("election_timeout", "min_ms"), 150)),
    }
    if zero_config:
        rules.update(ZERO_CONFIG)
    return {path: value for path, value in rules.items() if lookup(tree, path) is None}
