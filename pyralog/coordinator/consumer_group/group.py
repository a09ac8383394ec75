"""A KIP-848 group as its records have made it: members, target assignment, owners of partitions, subscriptions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from pyralog.coordinator.consumer_group.member import FIRST_EPOCH, Assignment, Member, Owned
from pyralog.errors import ErrorCode

if TYPE_CHECKING:
    from pyralog._speedups.commits import Commit
    from pyralog.coordinator.group.shard import GroupShard
    from pyralog.coordinator.outcome import ClientRequest, CoordinatorRecord, Outcome, Timer
    from pyralog.model import Uuid

NO_ASSIGNMENT: Assignment = {}
NO_TOPICS: frozenset[str] = frozenset()
CONSUMER_PROTOCOL = "consumer"


class Resolved(NamedTuple):
    """The topics that a regular expression matched, at which image version and when."""

    topics: frozenset[str] = frozenset()
    version: int = 0
    timestamp_ms: int = 0


class ConsumerGroup:
    """One group. Only `replay` calls what changes it.

    Volatile are `changed_ms` (when a member last came or went, or wanted something else), `regexes_stale` (topics have
    come or gone since), `regexes_checked_ms` and `rejoining` (classic members that were told to join again).
    """

    kind = "consumer"
    protocol_type = "consumer"

    __slots__ = (
        "assignors",
        "changed_ms",
        "classic_count",
        "classic_protocols",
        "epoch",
        "group_id",
        "has_partition_metadata",
        "members",
        "metadata_hash",
        "owners",
        "regex_counts",
        "regexes_checked_ms",
        "regexes_stale",
        "rejoining",
        "resolved",
        "static_members",
        "target",
        "target_epoch",
        "target_timestamp_ms",
        "topic_counts",
    )

    def __init__(self, group_id: str) -> None:
        self.group_id = group_id
        self.epoch = FIRST_EPOCH
        self.metadata_hash = 0
        self.target_epoch = FIRST_EPOCH
        self.target_timestamp_ms = 0
        self.changed_ms = 0
        self.members: dict[str, Member] = {}
        self.static_members: dict[str, str] = {}
        self.target: dict[str, Assignment] = {}
        self.owners: dict[Uuid, dict[int, str]] = {}
        self.topic_counts: Counter[str] = Counter()
        self.regex_counts: Counter[str] = Counter()
        self.resolved: dict[str, Resolved] = {}
        self.assignors: Counter[str] = Counter()
        self.classic_count = 0
        self.classic_protocols: Counter[str] = Counter()
        self.has_partition_metadata = False
        self.regexes_stale = False
        self.regexes_checked_ms = 0
        self.rejoining: set[str] = set()

    # --- what the shard asks of every group ---

    @property
    def is_empty(self) -> bool:
        """No members."""
        return not self.members

    def state_name(self) -> str:
        """As Kafka shows it."""
        if not self.members:
            return "Empty"
        if self.epoch > self.target_epoch:
            return "Assigning"
        if all(member.reconciled_to(self.target_epoch) for member in self.members.values()):
            return "Stable"
        return "Reconciling"

    def validate_delete(self) -> ErrorCode:
        """Only an empty group may go."""
        return ErrorCode.NON_EMPTY_GROUP if self.members else ErrorCode.NONE

    def validate_offset_delete(self) -> ErrorCode:
        """It is always known what members consume."""
        return ErrorCode.NONE

    def expires_from(self, commit_timestamp_ms: int) -> int | None:
        """The retention of an offset begins with its commit."""
        return commit_timestamp_ms

    def subscribed_to(self, topic: str) -> bool:
        """Whether a member consumes this topic, by name or by a regular expression."""
        if self.topic_counts[topic]:
            return True
        return any(topic in found.topics for found in self.resolved.values())

    def tombstones(self) -> tuple[CoordinatorRecord, ...]:
        """The records that remove the group, its offsets apart."""
        from pyralog.coordinator.consumer_group.records import group_tombstones

        return group_tombstones(self)

    def validate_offset_fetch(self, member_id: str | None, member_epoch: int) -> ErrorCode:
        """Without a member id anybody may read; a member must be of its present epoch."""
        if member_id is None and member_epoch < 0:
            return ErrorCode.NONE
        member = self.members.get(member_id or "")
        if member is None:
            return ErrorCode.UNKNOWN_MEMBER_ID
        if member_epoch == member.epoch:
            return ErrorCode.NONE
        return ErrorCode.STALE_MEMBER_EPOCH if member.classic is None else ErrorCode.ILLEGAL_GENERATION

    def validate_offset_commit(self, message: Any, version: int) -> ErrorCode:
        """Whether this OffsetCommit or TxnOffsetCommit may be stored.

        A member may still commit with an older epoch for partitions that it has had since (KIP-1251).
        """
        from pyralog.coordinator.consumer_group.commits import validate_commit

        return validate_commit(self, message, version)

    def admit_commit(self, commit: Commit, now_ms: int) -> tuple[Timer, ...] | None:
        """A commit on the quick way; None when `validate_offset_commit` has something against it."""
        return () if self.validate_offset_commit(commit, commit.version) is ErrorCode.NONE else None

    def commit_timers(self, message: Any, now_ms: int) -> tuple[Timer, ...]:
        """A commit is no heartbeat of this protocol, nor for classic members in such a group."""
        return ()

    def handle_classic(self, shard: GroupShard, request: ClientRequest, ticket: int, now_ms: int) -> Outcome:
        """A request of a classic member, or of somebody who wants to become one."""
        from pyralog.coordinator.consumer_group.classic_requests import handle_classic

        return handle_classic(shard, self, request, ticket, now_ms)

    # --- reading ---

    def static_member(self, instance_id: str | None) -> Member | None:
        """The member of this instance id."""
        member_id = self.static_members.get(instance_id) if instance_id is not None else None
        return None if member_id is None else self.members.get(member_id)

    def target_of(self, member_id: str, instance_id: str | None) -> Assignment:
        """What the target assignment gives a member, or the one before it of the same instance id."""
        known = self.static_members.get(instance_id, member_id) if instance_id is not None else member_id
        return self.target.get(known, NO_ASSIGNMENT)

    def owner(self, topic_id: Uuid, partition: int) -> str | None:
        """Who has a partition or has not yet given it up."""
        partitions = self.owners.get(topic_id)
        return None if partitions is None else partitions.get(partition)

    def preferred_assignor(self, default: str, before: Member | None = None, after: Member | None = None) -> str:
        """The assignor that most members ask for, as if `after` stood in the place of `before`, one of them."""
        counts = self.assignors
        if before is not None and before.assignor:
            counts = counts - Counter((before.assignor,))
        if after is not None and after.assignor:
            counts = counts + Counter((after.assignor,))
        return max(counts, key=lambda name: (counts[name], name == default, name), default=default)

    def subscribed_topics(self) -> Iterator[str]:
        """The names that are subscribed to by name."""
        return (name for name, count in self.topic_counts.items() if count)

    # --- changing ---

    def put_member(self, member: Member) -> None:
        """Add a member or replace its former self."""
        former = self.members.get(member.member_id)
        if former is not None:
            self._count(former, -1)
            self._disown(former.member_id, former.owned)
            self._disown(former.member_id, former.revoking)
            if former.instance_id is not None and former.instance_id != member.instance_id:
                self._forget_instance(former)
        self.members[member.member_id] = member
        self._count(member, 1)
        _recount(self.topic_counts, NO_TOPICS if former is None else former.topics, member.topics)
        self._own(member.member_id, member.owned)
        self._own(member.member_id, member.revoking)
        if member.instance_id is not None:
            self.static_members[member.instance_id] = member.member_id

    def remove_member(self, member_id: str) -> None:
        """Forget a member."""
        member = self.members.pop(member_id, None)
        if member is None:
            return
        self._count(member, -1)
        _recount(self.topic_counts, member.topics, NO_TOPICS)
        self._disown(member_id, member.owned)
        self._disown(member_id, member.revoking)
        self._forget_instance(member)
        self.rejoining.discard(member_id)

    def _forget_instance(self, member: Member) -> None:
        if member.instance_id is not None and self.static_members.get(member.instance_id) == member.member_id:
            del self.static_members[member.instance_id]

    def _count(self, member: Member, by: int) -> None:
        if member.regex:
            _add(self.regex_counts, (member.regex,), by)
        if member.assignor:
            _add(self.assignors, (member.assignor,), by)
        if member.classic is not None:
            self.classic_count += by
            _add(self.classic_protocols, (name for name, _ in member.classic.protocols), by)

    def _own(self, member_id: str, owned: Owned) -> None:
        for topic_id, partitions in owned.items():
            self.owners.setdefault(topic_id, {}).update(dict.fromkeys(partitions, member_id))

    def _disown(self, member_id: str, owned: Mapping[Uuid, Mapping[int, int]]) -> None:
        for topic_id, partitions in owned.items():
            owners = self.owners.get(topic_id)
            if owners is None:
                continue
            for partition in partitions:
                # A static member's successor has its partitions before the predecessor is forgotten.
                if owners.get(partition) == member_id:
                    del owners[partition]
            if not owners:
                del self.owners[topic_id]


def _recount(counts: Counter[str], before: frozenset[str], after: frozenset[str]) -> None:
    """A member's topics are others now; it may have any number, most of which stay."""
    if before is not after:
        counts.update(after - before)
        _add(counts, before - after, -1)


def _add(counts: Counter[str], names: Any, by: int) -> None:
    for name in names:
        left = counts[name] + by
        if left > 0:
            counts[name] = left
        else:
            counts.pop(name, None)
