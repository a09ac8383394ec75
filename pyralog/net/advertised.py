"""Where clients are told to connect: one configured address, or one derived from each connection."""

from __future__ import annotations

import ipaddress
import logging
import os
import struct
from collections.abc import Sequence
from typing import Protocol

from pyralog.config.endpoints import Address, Listener

log = logging.getLogger(__name__)

# Subnets whose answer has been logged; a scan must not fill memory or the log.
MAX_LOGGED_SUBNETS = 1000
_CONTAINER_MARKS = ("/.dockerenv", "/run/.containerenv")


class Connected(Protocol):
    """The two ends of a connection."""

    @property
    def peer_host(self) -> str: ...

    @property
    def local_host(self) -> str: ...

    @property
    def local_port(self) -> int: ...


def plain_ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The IP address that a host text is, IPv4 if it is one in IPv6 clothes; None for a name."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def container_gateway(route_file: str = "/proc/net/route", marks: Sequence[str] = _CONTAINER_MARKS) -> str | None:
    """The default gateway, when this process runs in a container; a published port makes clients come from there.

    Outside a container the default gateway is a router, and who comes from there is far away.
    """
    if not any(os.path.exists(mark) for mark in marks):
        return None
    try:
        with open(route_file, encoding="ascii") as file:
            rows = [line.split() for line in file][1:]
    except OSError:
        return None
    for row in rows:
        if len(row) > 7 and row[1] == "00000000" and row[7] == "00000000":
            return str(ipaddress.IPv4Address(struct.pack("<I", int(row[2], 16))))
    return None


class AdvertisedAddress:
    """Answers for each connection.

    (a) The listener's configured address, if there is one. (b) `localhost` for a peer on this machine: one that comes
    from loopback, or through a published port from the container's gateway. `localhost` may resolve to ::1 first, so
    an IPv4 peer of a listener without IPv6 gets 127.0.0.1. (c) Else the address by which the peer reached this node.
    """

    def __init__(self, listeners: Sequence[Listener], gateway: str | None = None) -> None:
        self._listeners = listeners
        self._gateway = None if gateway is None else plain_ip(gateway)
        self._logged: set[str] = set()

    def address_for(self, connection: Connected) -> tuple[str, int]:
        """Host and port by which the peer of this connection reaches this node."""
        listener = self._listener(connection)
        if listener is not None and listener.advertised is not None:
            return listener.advertised.host, listener.advertised.port
        told = self._derived(connection, listener)
        self._note(connection.peer_host, told)
        return told

    def _listener(self, connection: Connected) -> Listener | None:
        """The listener a connection came through. A port that the system chose is no listener's by number."""
        for listener in self._listeners:
            if listener.listen.port == connection.local_port:
                return listener
        return self._listeners[0] if len(self._listeners) == 1 else None

    def _derived(self, connection: Connected, listener: Listener | None) -> tuple[str, int]:
        port = connection.local_port
        peer = plain_ip(connection.peer_host)
        local = plain_ip(connection.local_host)
        if peer is not None and peer == self._gateway:
            return "localhost", port
        if peer is not None and peer.is_loopback:
            ipv4_only = listener is not None and ":" not in listener.listen.host
            return ("127.0.0.1" if peer.version == 4 and ipv4_only else "localhost"), port
        return (connection.local_host if local is None else str(local)), port

    def _note(self, peer_host: str, told: tuple[str, int]) -> None:
        peer = plain_ip(peer_host)
        if peer is None or len(self._logged) >= MAX_LOGGED_SUBNETS:
            return
        subnet = str(ipaddress.ip_network(f"{peer}/{24 if peer.version == 4 else 64}", strict=False))
        if subnet not in self._logged:
            self._logged.add(subnet)
            log.info("clients from %s are told to connect to %s", subnet, Address(*told))


def registered_address(listener: Listener, host_name: str) -> tuple[str, int]:
    """What other nodes are told of this one: the advertised address, else where it listens, else its host name."""
    if listener.advertised is not None:
        return listener.advertised.host, listener.advertised.port
    if listener.listen.wildcard:
        return host_name, listener.listen.port
    return listener.listen.host, listener.listen.port
