"""What assignors get and give: members with their subscriptions, and the partitions of each member."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from pyralog.coordinator.consumer_group.member import Assignment
from pyralog.model import Uuid


class Subscriber(NamedTuple):
    """A member as an assignor sees it: the topics it wants (that exist), and what the target gave it before."""

    member_id: str
    instance_id: str | None
    topics: frozenset[Uuid]
    before: Assignment


class Assignor(Protocol):
    """Spreads partitions over members."""

    def __call__(self, members: Sequence[Subscriber], partitions: Mapping[Uuid, int]) -> dict[str, Assignment]:
        """The partitions of each member; `partitions` holds the count of each topic that somebody wants."""
        ...


def homogeneous(members: Sequence[Subscriber]) -> bool:
    """Whether all want the same topics."""
    first = members[0].topics
    return all(member.topics is first or member.topics == first for member in members)
