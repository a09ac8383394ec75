"""A hash of the topics that a group consumes: when it changes, the group must be assigned again (KIP-1101)."""

from __future__ import annotations

import hashlib
from collections.abc import Set
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyralog.cluster.image import ClusterImage, TopicImage


def existing(names: Set[str], image: ClusterImage) -> Set[str]:
    """Those of the names that topics have. Members may name a hundred thousand others, and there may be as many topics:
    the work is that of the smaller number."""
    topics = image.topics
    if len(topics) < len(names):
        return {name for name in topics if name in names}
    return topics.keys() & names


def metadata_hash(topics: Set[str], image: ClusterImage) -> int:
    """Over id, number of partitions and racks of each topic that exists; 0 where none does. A signed 64-bit number."""
    racked = any(broker.rack for broker in image.brokers.values())
    digest = hashlib.blake2b(digest_size=8)
    names = sorted(existing(topics, image))
    for name in names:
        topic = image.topics[name]
        digest.update(topic.topic_id)
        digest.update(len(topic.partitions).to_bytes(4, "big"))
        if racked:
            digest.update(_racks(topic, image))
    return int.from_bytes(digest.digest(), "big", signed=True) if names else 0


def _racks(topic: TopicImage, image: ClusterImage) -> bytes:
    """Per partition the racks of its replicas, in order."""
    parts = []
    for partition in topic.partitions:
        brokers = (image.brokers.get(node) for node in partition.replicas)
        parts.append(",".join(sorted(broker.rack for broker in brokers if broker is not None and broker.rack)))
    return "\n".join(parts).encode()
