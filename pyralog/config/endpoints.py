"""Addresses and cluster members as they are written in a configuration."""

from __future__ import annotations

import re
from typing import NamedTuple

from pyralog.config.units import INT_MAX, shown, whole

_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?", re.ASCII)
WILDCARDS = ("0.0.0.0", "::")
LOOPBACK = "127.0.0.1"


class Address(NamedTuple):
    """A host and a TCP port; port 0 lets the operating system choose one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def wildcard(self) -> bool:
        """Whether it means every interface: good for listening, useless as a destination."""
        return self.host in WILDCARDS


class ClusterNode(NamedTuple):
    """A member of the cluster: its id and, where the file tells, its internal address."""

    node_id: int
    address: Address | None = None

    def __str__(self) -> str:
        return str(self.node_id) if self.address is None else f"{self.node_id}@{self.address}"


class Listener(NamedTuple):
    """One client listener: name, where it listens, what clients are told (None = auto), and its protocol."""

    name: str
    listen: Address
    advertised: Address | None = None
    protocol: str = "PLAINTEXT"


def parse_address(value: object) -> Address:
    """`host:port`, `[ipv6]:port`, or `:port` for every interface."""
    if isinstance(value, Address):
        return value
    if not isinstance(value, str):
        raise ValueError(f'{shown(value)} is not an address such as "0.0.0.0:9092"')
    host, colon, port_text = value.strip().rpartition(":")
    if not colon or not port_text.isascii() or not port_text.isdigit():
        raise ValueError(f'{shown(value)} is not an address such as "0.0.0.0:9092": the port is missing')
    port = int(port_text)
    if port > 65535:
        raise ValueError(f"{shown(value)}: port {port} is out of range (0 to 65535)")
    if host.startswith("[") and host.endswith("]"):
        return Address(host[1:-1], port)
    if host and not _HOST.fullmatch(host):
        hint = ". Put an IPv6 address in brackets" if ":" in host else ""
        raise ValueError(f'{shown(value)} is not an address such as "0.0.0.0:9092"{hint}')
    return Address(host or "0.0.0.0", port)


def parse_advertised(value: object) -> Address | None:
    """`auto` (None) or an address clients can reach."""
    if value is None or (isinstance(value, str) and value.strip().lower() == "auto"):
        return None
    return parse_address(value)


def parse_optional_address(value: object) -> Address | None:
    """An address, or nothing."""
    return None if value is None else parse_address(value)


def parse_node_id(value: object) -> int:
    """The id of a node: 0 to 2147483647."""
    node_id = whole(value)
    if not 0 <= node_id <= INT_MAX:
        raise ValueError(f"node id {node_id} is out of range (0 to {INT_MAX})")
    return node_id


def parse_cluster_node(value: object) -> ClusterNode:
    """`2`, `"2@node2.example.com:9093"`, or `{id: 2, internal_address: node2.example.com:9093}`."""
    if isinstance(value, ClusterNode):
        return value
    if isinstance(value, dict):
        unknown = [key for key in value if key not in ("id", "internal_address")]
        if unknown or "id" not in value:
            raise ValueError('a member is written 2, "2@host:9093" or {id: 2, internal_address: "host:9093"}')
        address = value.get("internal_address")
        return ClusterNode(parse_node_id(value["id"]), None if address is None else parse_address(address))
    if isinstance(value, str) and "@" in value:
        node_id, _, address = value.partition("@")
        return ClusterNode(parse_node_id(node_id), parse_address(address))
    return ClusterNode(parse_node_id(value))


def parse_cluster_nodes(value: object) -> list[object]:
    """A list, `"1,2,3"` (environment), or a single id; the items are read by parse_cluster_node."""
    return split_list(value)


def parse_peers(value: object) -> dict[int, Address]:
    """A map of node id to internal address, or `2@host:9093,3@host:9093` (`=` is as good as `@`)."""
    if isinstance(value, dict):
        return {parse_node_id(key): parse_address(address) for key, address in value.items()}
    peers: dict[int, Address] = {}
    for item in split_list(value):
        node_id, mark, address = re.sub("=", "@", str(item), count=1).partition("@")
        if not mark:
            raise ValueError(f'{shown(item)} is not a peer such as "2@node2.example.com:9093"')
        peers[parse_node_id(node_id)] = parse_address(address)
    return peers


def parse_listener(value: object) -> Listener:
    """`{name, listen, advertised, protocol}`; only `listen` must be there."""
    if isinstance(value, Listener):
        return value
    if not isinstance(value, dict):
        raise ValueError("a listener is written {name: internal, listen: 0.0.0.0:19092, advertised: broker:19092}")
    for key in value:
        if key not in ("name", "listen", "advertised", "protocol"):
            raise ValueError(f'unknown key "{key}" in a listener; it has name, listen, advertised and protocol')
    if "listen" not in value:
        raise ValueError("a listener needs listen, an address such as 0.0.0.0:9092")
    listen = parse_address(value["listen"])
    return Listener(
        name=str(value.get("name") or f"PLAINTEXT_{listen.port}"),
        listen=listen,
        advertised=parse_advertised(value.get("advertised")),
        protocol=str(value.get("protocol", "PLAINTEXT")).upper(),
    )


def split_list(value: object) -> list[object]:
    """A list as it is; a text at its commas; anything else as the only item."""
    if isinstance(value, list | tuple):
        return list(value)
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return [value]
