"""Which nodes get the replicas of new partitions: round robin, so that leaders and followers are spread evenly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pyralog.cluster.image import ClusterImage
from pyralog.errors import ErrorCode, KafkaError


def usable_brokers(image: ClusterImage) -> tuple[int, ...]:
    """Nodes that may get replicas, by id."""
    return tuple(sorted(broker.node_id for broker in image.brokers.values() if not broker.fenced))


def place(brokers: Sequence[int], partitions: Iterable[int], replication_factor: int) -> list[tuple[int, ...]]:
    """Replicas for each partition index, preferred leader first; KafkaError 38 when there are too few nodes."""
    if replication_factor > len(brokers):
        raise KafkaError(
            ErrorCode.INVALID_REPLICATION_FACTOR,
            f"Unable to replicate the partition {replication_factor} time(s): The target replication factor of "
            f"{replication_factor} cannot be reached because only {len(brokers)} broker(s) are registered.",
        )
    n = len(brokers)
    return [tuple(brokers[(index + i) % n] for i in range(replication_factor)) for index in partitions]
