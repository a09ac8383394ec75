"""Ports for brokers of tests."""

from __future__ import annotations

import secrets
import socket
from pathlib import Path

HOST = "127.0.0.1"
FIRST_PORT = 10_000
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """A loopback port that was free a moment ago, and that the system gives to no outgoing connection.

    A client that keeps trying a port of the latter kind, while its broker is down, may in the end connect to itself.
    """
    dice = secrets.SystemRandom()
    for _ in range(1000):
        port = dice.randrange(FIRST_PORT, max(_first_outgoing(), 2 * FIRST_PORT))
        with socket.socket() as probe:
            # As the broker does, so that connections of an earlier one that are still being closed do not matter.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port was found on {HOST}")


def _first_outgoing() -> int:
    try:
        return int(_RANGE.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return 32_768
