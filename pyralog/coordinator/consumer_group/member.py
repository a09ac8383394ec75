"""A member of a KIP-848 group: what it has said of itself, what it owns, and how far it has come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import NamedTuple

from pyralog.model import Uuid

JOIN_EPOCH = 0
LEAVE_EPOCH = -1
STATIC_LEAVE_EPOCH = -2
# A group that nobody has joined yet; Kafka 4.4 starts here, so that a first join leads to epoch 2.
FIRST_EPOCH = 1

# Partitions of topics; and, for what a member owns, the epoch in which it got each (KIP-1251).
Assignment = Mapping[Uuid, frozenset[int]]
Owned = Mapping[Uuid, Mapping[int, int]]


class MemberState(IntEnum):
    """STABLE -> UNREVOKED_PARTITIONS (must give up some) -> UNRELEASED_PARTITIONS (waits for others) -> STABLE.

    Either step may be left out; a later target leads back. The numbers are those of the records.
    """

    STABLE = 0
    UNREVOKED_PARTITIONS = 1
    UNRELEASED_PARTITIONS = 2
    UNKNOWN = 127


class ClassicPart(NamedTuple):
    """Of a member that speaks the classic protocol: its session timeout and (name, metadata) of its protocols."""

    session_timeout_ms: int
    protocols: tuple[tuple[str, bytes], ...]


class Member(NamedTuple):
    """Immutable; a change is another object. `regex` is empty where there is none."""

    member_id: str
    epoch: int = JOIN_EPOCH
    previous_epoch: int = JOIN_EPOCH
    state: int = MemberState.STABLE
    instance_id: str | None = None
    rack_id: str | None = None
    rebalance_timeout_ms: int = -1
    client_id: str = ""
    client_host: str = ""
    topics: frozenset[str] = frozenset()
    regex: str = ""
    assignor: str | None = None
    classic: ClassicPart | None = None
    owned: Owned = {}
    revoking: Owned = {}

    def reconciled_to(self, epoch: int) -> bool:
        """Whether it has what the target assignment of this epoch gives it."""
        return self.state == MemberState.STABLE and self.epoch == epoch

    def moved(self, epoch: int, state: int, owned: Owned, revoking: Owned) -> Member:
        """The member one step on; its present epoch becomes the previous one."""
        return self._replace(epoch=epoch, previous_epoch=self.epoch, state=state, owned=owned, revoking=revoking)

    def assigned_in(self, topic_id: Uuid, partition: int) -> int | None:
        """The epoch in which it got this partition, also one that it is giving up; None when it is not its own."""
        epoch = self.owned.get(topic_id, {}).get(partition)
        return self.revoking.get(topic_id, {}).get(partition) if epoch is None else epoch

    @property
    def subscription(self) -> tuple[frozenset[str], str]:
        """Equal for members that consume the same."""
        return self.topics, self.regex


def plain(owned: Owned) -> dict[Uuid, frozenset[int]]:
    """What is owned, without epochs."""
    return {topic_id: frozenset(partitions) for topic_id, partitions in owned.items()}


def grouped(pairs: Iterable[tuple[Uuid, int]]) -> dict[Uuid, frozenset[int]]:
    """Partitions by topic."""
    found: dict[Uuid, set[int]] = {}
    for topic_id, partition in pairs:
        found.setdefault(topic_id, set()).add(partition)
    return {topic_id: frozenset(partitions) for topic_id, partitions in found.items()}
