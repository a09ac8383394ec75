"""A client that speaks single requests over one socket: what tests need where a real client would hide the answer."""

from __future__ import annotations

from pyralog.testing.wire import Wire


class WireClient(Wire):
    """One connection to a broker on loopback; `ask` sends a request and waits for its answer."""

    client_id = "wire"

    def __init__(self, port: int, timeout_s: float = 20) -> None:
        super().__init__("127.0.0.1", port, timeout_s)
