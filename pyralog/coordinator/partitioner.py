"""Which partition of a coordinator's topic a group or a transactional id belongs to: by Java's hash of its name."""

from __future__ import annotations

import functools

_CACHED = 16_384


@functools.lru_cache(_CACHED)
def java_hash(text: str) -> int:
    """java.lang.String.hashCode: over UTF-16 code units, as a signed 32-bit number."""
    value = 0
    if text.isascii():
        for byte in text.encode():
            value = (31 * value + byte) & 0xFFFFFFFF
    else:
        raw = text.encode("utf-16-be", "surrogatepass")
        for at in range(0, len(raw), 2):
            value = (31 * value + (raw[at] << 8) + raw[at + 1]) & 0xFFFFFFFF
    return value - (1 << 32) if value >= 1 << 31 else value


def partition_for(name: str, partitions: int) -> int:
    """Kafka's Utils.abs(hash) % partitions; the one number without a positive counterpart counts as 0."""
    value = java_hash(name)
    return 0 if value == -(1 << 31) else abs(value) % partitions
