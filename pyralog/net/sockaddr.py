"""Addresses of sockets as the kernel writes them."""

from __future__ import annotations

import ipaddress
import socket
import sys


def parse_sockaddr(raw: bytes) -> tuple[str, int]:
    """Host and port of a sockaddr_in or sockaddr_in6; ("", 0) for anything else, such as a virtual connection."""
    family = int.from_bytes(raw[:2], sys.byteorder)
    port = int.from_bytes(raw[2:4], "big")
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, raw[4:8]), port
    if family == socket.AF_INET6:
        address = ipaddress.IPv6Address(raw[8:24])
        return str(address.ipv4_mapped or address), port
    return "", 0
