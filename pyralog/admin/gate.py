"""Which hosts a request may name, and which pages may ask: guards against DNS rebinding and other sites (pure)."""

from __future__ import annotations

from collections.abc import Iterable

from pyralog.net.advertised import plain_ip

# The answer of every request: nothing is loaded from elsewhere, nobody frames it, nothing is kept.
HEADERS = {
    "Server": "Pyralog",
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def host_name(host: str) -> str:
    """The name or address in a Host header, without the port."""
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


class Gate:
    """Knows the names of this node. An address cannot be rebound, so only names need to be known."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names) | {"localhost"}

    def knows_host(self, host: str) -> bool:
        """Whether a Host header means this node."""
        name = host_name(host)
        return plain_ip(name) is not None or name.lower().rstrip(".") in self._names

    def knows_origin(self, origin: str | None, host: str) -> bool:
        """Whether the page that asks is one of this node's own; no browser leaves Origin out where it matters."""
        if origin is None:
            return True
        scheme, _, place = origin.partition("://")
        return scheme in ("http", "https") and place.lower() == host.lower()
