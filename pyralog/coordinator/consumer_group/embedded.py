"""What consumers of the classic protocol say of themselves: subscriptions and assignments inside of its requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from pyralog.wire.messages import ConsumerProtocolAssignment, ConsumerProtocolAssignmentTopicPartition
from pyralog.wire.protocol import blob_max_version, decode_blob, encode_blob

if TYPE_CHECKING:
    from pyralog.cluster.image import ClusterImage
    from pyralog.coordinator.consumer_group.member import Assignment
    from pyralog.model import Uuid

ASSIGNMENT, SUBSCRIPTION = "ConsumerProtocolAssignment", "ConsumerProtocolSubscription"


class Named(Protocol):
    """Partitions of a topic by its name."""

    topic: str
    partitions: list[int]


class OwnedTopic(NamedTuple):
    """Partitions of a topic that a member has; see reconcile.TopicPartitions."""

    topic_id: Uuid
    partitions: list[int]


class Subscription(NamedTuple):
    """What a member consumes, which rack it is in, and what it has. One that revokes everything before it joins again,
    as the eager assignors do, has nothing."""

    topics: frozenset[str]
    rack_id: str | None
    owned: tuple[OwnedTopic, ...]


def read_subscription(metadata: bytes, image: ClusterImage) -> Subscription:
    """The member's subscription; ProtocolError when it is none. Topics that are gone are left out of what it has."""
    said: Any = decode_blob(SUBSCRIPTION, metadata)
    owned = tuple(OwnedTopic(*pair) for pair in _by_id(said.owned_partitions, image).items())
    return Subscription(frozenset(said.topics), said.rack_id or None, owned)


class CustomAssignor(Exception):
    """An assignment holds what only its assignor understands: the newer protocol cannot keep it."""


def read_assignment(data: bytes, image: ClusterImage, *, sticky: bool) -> dict[Uuid, list[int]]:
    """The partitions that a member has been given, without topics that are gone. ProtocolError, CustomAssignor.

    `sticky`: whatever else it holds may be forgotten.
    """
    if not data:
        return {}
    said: Any = decode_blob(ASSIGNMENT, data)
    if said.user_data and not sticky:
        raise CustomAssignor
    return _by_id(said.assigned_partitions, image)


def write_assignment(
    assignment: Assignment | Mapping[Uuid, Iterable[int]], metadata: bytes, image: ClusterImage
) -> bytes:
    """An assignment for a member with this subscription, in the subscription's version."""
    version = int.from_bytes(metadata[:2], "big", signed=True) if len(metadata) >= 2 else 0
    topics = [
        ConsumerProtocolAssignmentTopicPartition(topic=image.topic_names[topic_id], partitions=sorted(partitions))
        for topic_id, partitions in assignment.items()
        if topic_id in image.topic_names and partitions
    ]
    topics.sort(key=lambda one: one.topic)
    version = max(0, min(version, blob_max_version(ASSIGNMENT)))
    return encode_blob(ASSIGNMENT, version, ConsumerProtocolAssignment(assigned_partitions=topics))


def _by_id(topics: Iterable[Named], image: ClusterImage) -> dict[Uuid, list[int]]:
    found: dict[Uuid, list[int]] = {}
    for one in topics:
        topic = image.topics.get(one.topic)
        if topic is not None and one.partitions:
            found.setdefault(topic.topic_id, []).extend(one.partitions)
    return found
