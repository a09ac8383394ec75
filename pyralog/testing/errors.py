"""What goes wrong with a broker that a test wanted."""

from __future__ import annotations


class BrokerFailedError(RuntimeError):
    """The broker did not start, or ended by itself; the text says why."""
