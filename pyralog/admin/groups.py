"""Consumer groups as metrics and the HTTP interface see them, whoever keeps them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol


class GroupOffset(NamedTuple):
    """A committed offset and when it was committed (wall clock)."""

    group: str
    topic: str
    partition: int
    offset: int
    commit_ms: int
    metadata: str = ""


class GroupState(NamedTuple):
    """A group: its protocol (classic or consumer), state and members."""

    group: str
    kind: str
    state: str
    members: int


class GroupFigures(Protocol):
    """What the group coordinator tells of the groups that it keeps on this node."""

    def committed_offsets(self) -> Iterable[GroupOffset]:
        """Every committed offset."""
        ...

    def groups(self) -> Iterable[GroupState]:
        """Every group."""
        ...


class NoGroups:
    """A node that coordinates none."""

    def committed_offsets(self) -> Iterable[GroupOffset]:
        """None."""
        return ()

    def groups(self) -> Iterable[GroupState]:
        """None."""
        return ()


class CoordinatorGroups:
    """The groups of a coordinator's loaded shards (coordinator/group/service.py)."""

    def __init__(self, coordinator: Any) -> None:
        self._coordinator = coordinator

    def committed_offsets(self) -> Iterator[GroupOffset]:
        """Every committed offset of every loaded shard."""
        for shard in list(self._coordinator.shards()):
            for group, topic, partition, committed in shard.offsets:
                yield GroupOffset(
                    group, topic, partition, committed.offset, committed.commit_timestamp_ms, committed.metadata
                )

    def groups(self) -> Iterator[GroupState]:
        """Every group, those that only have offsets included."""
        for shard in list(self._coordinator.shards()):
            for group_id, group in list(shard.groups.items()):
                yield GroupState(group_id, group.kind, group.state_name(), len(getattr(group, "members", ())))
            for group_id in list(shard.simple_groups()):
                yield GroupState(group_id, "classic", "Empty", 0)
