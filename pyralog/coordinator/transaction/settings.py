"""What the transaction machines must know of this node's configuration."""

from __future__ import annotations

from typing import NamedTuple

DAY_MS = 86_400_000


class TransactionSettings(NamedTuple):
    """Limits and periods of transactions; names follow Kafka's transaction* configs."""

    max_timeout_ms: int = 900_000
    id_expiration_ms: int = 7 * DAY_MS
    remove_expired_interval_ms: int = 3_600_000
