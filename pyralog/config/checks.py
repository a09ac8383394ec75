"""Rules between keys: plain functions over a validated configuration, so that no single wrong field hides them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pyralog.config.endpoints import Address
from pyralog.config.schema import Config
from pyralog.config.schema_groups import GroupsSection


class Finding(NamedTuple):
    """A contradiction: the dotted path it is reported at, what is wrong, and the other keys it looked at."""

    path: str
    message: str
    others: tuple[str, ...] = ()


FACTOR = "replication.quorum.replication_factor"
MEMBERS = "node.cluster_nodes"


def cross_checks(config: Config) -> Iterator[Finding]:
    """Contradictions that stop the start."""
    yield from _quorum(config)
    yield from _members(config)
    yield from _addresses(config)
    timeout = config.election_timeout
    if timeout.min_ms > timeout.max_ms:
        message = f"{timeout.min_ms} is more than max_ms ({timeout.max_ms})."
        yield Finding("election_timeout.min_ms", message, ("election_timeout.max_ms",))
    defaults = config.topics.defaults
    if defaults.min_compaction_lag_ms > defaults.max_compaction_lag_ms:
        low, high = defaults.min_compaction_lag_ms, defaults.max_compaction_lag_ms
        message = f"{low} is more than max_compaction_lag_ms ({high})."
        yield Finding("topics.defaults.min_compaction_lag_ms", message, ("topics.defaults.max_compaction_lag_ms",))
    groups = config.groups
    if groups.min_session_timeout_ms > groups.max_session_timeout_ms:
        low, high = groups.min_session_timeout_ms, groups.max_session_timeout_ms
        message = f"{low} is more than max_session_timeout_ms ({high})."
        yield Finding("groups.min_session_timeout_ms", message, ("groups.max_session_timeout_ms",))
    for name in ("session_timeout", "heartbeat_interval", "assignment_interval"):
        yield from _between(groups, name)


def _between(groups: GroupsSection, name: str) -> Iterator[Finding]:
    """A value of the newer group protocol, and the limits within which groups may set their own."""
    value = getattr(groups, f"consumer_{name}_ms")
    low, high = getattr(groups, f"consumer_min_{name}_ms"), getattr(groups, f"consumer_max_{name}_ms")
    limits = (f"groups.consumer_min_{name}_ms", f"groups.consumer_max_{name}_ms")
    if low > high:
        yield Finding(limits[0], f"{low} is more than consumer_max_{name}_ms ({high}).", limits[1:])
    elif not low <= value <= high:
        yield Finding(f"groups.consumer_{name}_ms", f"{value} is not between {low} and {high}.", limits)


def _quorum(config: Config) -> Iterator[Finding]:
    quorum, nodes = config.replication.quorum, len(config.node.cluster_nodes)
    factor = quorum.replication_factor
    for name in ("write_quorum", "read_quorum"):
        value = getattr(quorum, name)
        if value > factor:
            message = f"{value} is more than replication_factor ({factor})."
            yield Finding(f"replication.quorum.{name}", message, (FACTOR, MEMBERS))
    if factor > nodes:
        count = f"{nodes} node{'' if nodes == 1 else 's'}"
        yield Finding(FACTOR, f"{factor} is more than the cluster has nodes ({count}).", (MEMBERS,))
    if config.transactions.state_min_isr > config.transactions.state_replication_factor:
        low, high = config.transactions.state_min_isr, config.transactions.state_replication_factor
        message = f"{low} is more than state_replication_factor ({high})."
        yield Finding("transactions.state_min_isr", message, ("transactions.state_replication_factor", MEMBERS))


def _members(config: Config) -> Iterator[Finding]:
    ids = [member.node_id for member in config.node.cluster_nodes]
    if config.node.node_id not in ids:
        message = f"{config.node.node_id} is not in cluster_nodes ({', '.join(map(str, ids))})."
        yield Finding("node.node_id", message, (MEMBERS,))
    twice = sorted({node_id for node_id in ids if ids.count(node_id) > 1})
    if twice:
        yield Finding(MEMBERS, f"node {', '.join(map(str, twice))} is listed twice.")
    for node_id in config.node.peers:
        if node_id not in ids:
            message = f"node {node_id} is not in cluster_nodes ({', '.join(map(str, ids))})."
            yield Finding("node.peers", message, (MEMBERS,))


def _addresses(config: Config) -> Iterator[Finding]:
    network = config.network
    if network.advertised_address is not None and network.advertised_address.wildcard:
        host = network.advertised_address.host
        yield Finding("network.advertised_address", f"clients cannot connect to {host}; name a host, or write auto.")
    seen: dict[Address, str] = {network.internal_address: "internal_address"}
    for listener in network.client_listeners():
        path = "network.listeners" if network.listeners else "network.listen_address"
        if listener.advertised is not None and listener.advertised.wildcard and network.listeners:
            host = listener.advertised.host
            yield Finding(path, f"{listener.name}: clients cannot connect to {host}; name a host.")
        taken = next((name for other, name in seen.items() if _collide(other, listener.listen)), None)
        if taken:
            message = f"{listener.listen} is also {taken}; each needs a port of its own."
            yield Finding(path, message, ("network.internal_address",))
        seen[listener.listen] = f"listener {listener.name}"
    if network.admin_address is not None:
        taken = next((name for other, name in seen.items() if _collide(other, network.admin_address)), None)
        if taken:
            message = f"{network.admin_address} is also {taken}; each needs a port of its own."
            yield Finding("network.admin_address", message, ("network.listen_address", "network.internal_address"))


def _collide(one: Address, other: Address) -> bool:
    """Whether two addresses cannot both be listened on: same port, and the same host or every interface."""
    if one.port != other.port or one.port == 0:
        return False
    return one.host == other.host or one.wildcard or other.wildcard


def raised_read_quorum(config: Config) -> tuple[int, str] | None:
    """The read quorum that elections need, with the warning, where the one given could miss an acknowledged write."""
    quorum = config.replication.quorum
    factor, write, read = quorum.replication_factor, quorum.write_quorum, quorum.read_quorum
    if write + read > factor:
        return None
    needed = factor - write + 1
    why = (
        f"replication.quorum.read_quorum: {read} is raised to {needed}; with write_quorum {write} of "
        f"{factor} replicas an election of {read} might miss an acknowledged write."
    )
    return needed, why


def not_in_this_release(config: Config) -> Iterator[Finding]:
    """Settings that are valid but that this release cannot honour: it refuses to start rather than pretend."""
    members = len(config.node.cluster_nodes)
    if members > 1:
        message = f"this release runs a single node; {members} nodes come with a later one. Try --dev."
        yield Finding(MEMBERS, message)
    if config.node.data_dirs and tuple(config.node.data_dirs) != (config.node.data_dir,):
        yield Finding("node.data_dirs", "several data folders come with a later release; set data_dir alone.")
    for listener in config.network.listeners:
        if listener.protocol != "PLAINTEXT":
            message = f"{listener.name}: {listener.protocol} comes with a later release."
            yield Finding("network.listeners", message)
