"""Sockets for the ports of a node, and the names by which it is reached."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence

from pyralog.config.endpoints import Address, Listener


def bind_listeners(listeners: Sequence[Listener]) -> list[tuple[socket.socket, Listener]]:
    """Sockets bound to the client ports, and the listeners with the ports they really got. Nothing listens yet.

    What cannot be bound is an OSError whose file name is the address.
    """
    bound: list[tuple[socket.socket, Listener]] = []
    try:
        for listener in listeners:
            family = socket.AF_INET6 if ":" in listener.listen.host else socket.AF_INET
            sock = socket.socket(family, socket.SOCK_STREAM)
            bound.append((sock, listener))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                # [::] serves IPv4 as well, as it does for Kafka.
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.bind((listener.listen.host, listener.listen.port))
            port = int(sock.getsockname()[1])
            bound[-1] = (sock, listener._replace(listen=Address(listener.listen.host, port)))
    except OSError as error:
        for sock, _ in bound:
            sock.close()
        raise OSError(error.errno, error.strerror, str(listener.listen)) from error
    return bound


def host_names(listeners: Sequence[Listener]) -> Iterator[str]:
    """Names by which HTTP clients may call this node."""
    yield socket.gethostname().lower()
    for listener in listeners:
        yield listener.listen.host.lower()
        if listener.advertised is not None:
            yield listener.advertised.host.lower()
