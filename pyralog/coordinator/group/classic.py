"""A classic group: its members, its state, the protocol they share, and the record that outlives a restart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any

from pyralog.coordinator.group.classic_member import ClassicMember, subscribed_topics
from pyralog.coordinator.outcome import CoordinatorRecord, Timer
from pyralog.errors import ErrorCode
from pyralog.wire.messages import (
    GroupMetadataKey,
    GroupMetadataValue,
    TxnOffsetCommitRequest,
)

if TYPE_CHECKING:
    from pyralog._speedups.commits import Commit

CONSUMER = "consumer"  # the protocol type whose metadata a broker can read
RECORD_VERSION = 3  # of GroupMetadata values: 3 knows static members, and is what Kafka 4.4 writes
NO_TIMESTAMP = -1


class ClassicState(Enum):
    """Where a group is between two generations, named as Kafka names it; TRANSITIONS says what may follow."""

    EMPTY = "Empty"
    PREPARING_REBALANCE = "PreparingRebalance"
    COMPLETING_REBALANCE = "CompletingRebalance"
    STABLE = "Stable"
    DEAD = "Dead"


EMPTY, PREPARING, COMPLETING, STABLE, DEAD = ClassicState
TRANSITIONS: Mapping[ClassicState, frozenset[ClassicState]] = {
    EMPTY: frozenset({PREPARING, DEAD}),  # somebody joins; deleted or expired
    PREPARING: frozenset({COMPLETING, EMPTY, DEAD}),  # all have joined, or time is up; nobody has
    COMPLETING: frozenset({STABLE, PREPARING, DEAD}),  # the leader has assigned; the members have changed
    STABLE: frozenset({PREPARING, STABLE, DEAD}),  # the members have changed; a static member was replaced
    DEAD: frozenset(),
}


class ClassicGroup:
    """One group. Its members are volatile until a generation is complete: the record of that is what stays."""

    __slots__ = (
        "awaiting_join",
        "generation",
        "group_id",
        "leader",
        "members",
        "new_member_added",
        "pending",
        "pending_sync",
        "persisted",
        "previous",
        "protocol",
        "protocol_type",
        "state",
        "state_ms",
        "static",
        "supported",
        "topics",
    )

    kind = "classic"

    def __init__(self, group_id: str, now_ms: int) -> None:
        self.group_id = group_id
        self.state = self.previous = EMPTY
        self.state_ms = now_ms
        self.generation = 0
        self.protocol_type: str | None = None
        self.protocol: str | None = None
        self.leader: str | None = None
        self.members: dict[str, ClassicMember] = {}
        self.static: dict[str, str] = {}  # member ids by instance id
        self.pending: set[str] = set()  # ids given out with MEMBER_ID_REQUIRED that have not come back
        self.pending_sync: set[str] = set()  # who has not asked for the assignment of this generation
        self.awaiting_join = 0
        self.supported: dict[str, int] = {}  # how many members support each protocol
        self.topics: frozenset[str] | None = None  # what members consume; None = nobody knows
        self.new_member_added = False
        self.persisted = False

    # --- what the rest of the shard asks (class Group in shard.py) ---

    @property
    def is_empty(self) -> bool:
        """No members."""
        return self.state is EMPTY

    def state_name(self) -> str:
        """As Kafka shows it."""
        return self.state.value

    def validate_offset_commit(self, message: Any, version: int) -> ErrorCode:
        """Whether this OffsetCommit or TxnOffsetCommit may be stored.

        Only a plain commit minds that assignments are not known yet; older transactional ones name no member.
        """
        plain = type(message) is not TxnOffsetCommitRequest
        generation, member_id = message.generation_id_or_member_epoch, message.member_id
        instance_id = message.group_instance_id
        if generation < 0 and self.state is EMPTY:
            return ErrorCode.NONE
        if generation >= 0 or member_id or instance_id is not None:
            code = self.validate_member(member_id, instance_id)
            if code is not ErrorCode.NONE:
                return code
            if generation != self.generation:
                return ErrorCode.ILLEGAL_GENERATION
        elif plain and self.state is not EMPTY:
            return ErrorCode.UNKNOWN_MEMBER_ID
        if plain and self.state is COMPLETING:
            return ErrorCode.REBALANCE_IN_PROGRESS
        return ErrorCode.NONE

    def admit_commit(self, commit: Commit, now_ms: int) -> tuple[Timer, ...] | None:
        """`validate_offset_commit` (None: it has an error) and `commit_timers`; quick for members of a stable group."""
        member = self.members.get(commit.member_id)
        if (
            member is not None
            and self.state is STABLE
            and commit.generation_id_or_member_epoch == self.generation
            and commit.group_instance_id is None
        ):
            return member.touch(self.group_id, now_ms)
        if self.validate_offset_commit(commit, commit.version) is not ErrorCode.NONE:
            return None
        return self.commit_timers(commit, now_ms)

    def commit_timers(self, message: Any, now_ms: int) -> tuple[Timer, ...]:
        """An accepted commit is a sign of life, as in Kafka while the group is stable or about to rebalance."""
        member = self.members.get(message.member_id)
        if member is None or self.state not in (STABLE, PREPARING):
            return ()
        return member.touch(self.group_id, now_ms)

    def validate_offset_fetch(self, member_id: str | None, member_epoch: int) -> ErrorCode:
        """Anybody may read offsets."""
        return ErrorCode.NONE

    def validate_delete(self) -> ErrorCode:
        """Only a group without members may be deleted."""
        return ErrorCode.NONE if self.state is EMPTY else ErrorCode.NON_EMPTY_GROUP

    def validate_offset_delete(self) -> ErrorCode:
        """Of a group with members only where it is known what they consume."""
        if self.state is EMPTY or self.protocol_type == CONSUMER:
            return ErrorCode.NONE
        return ErrorCode.NON_EMPTY_GROUP

    def expires_from(self, commit_timestamp_ms: int) -> int | None:
        """When the retention of an offset begins: see class Group in shard.py."""
        if self.protocol_type is None:
            return commit_timestamp_ms
        if self.state is EMPTY:
            return commit_timestamp_ms if self.state_ms == NO_TIMESTAMP else self.state_ms
        if self.state is STABLE and self.protocol_type == CONSUMER and self.topics is not None:
            return commit_timestamp_ms
        return None

    def subscribed_to(self, topic: str) -> bool:
        """Whether members consume this topic. A consumer group of unknown subscriptions may consume anything."""
        if self.topics is None:
            return self.protocol_type == CONSUMER
        return topic in self.topics

    def tombstones(self) -> tuple[CoordinatorRecord, ...]:
        """The record that removes the group."""
        return (CoordinatorRecord(GroupMetadataKey(group=self.group_id), None),)

    # --- members ---

    @property
    def unused(self) -> bool:
        """Nothing of it is in the log and nobody is in it: it may be forgotten."""
        return not self.persisted and not self.members and not self.pending and self.state is EMPTY

    @property
    def all_joined(self) -> bool:
        """All members wait for the next generation, and nobody has still to come with the id that he was given."""
        return self.awaiting_join == len(self.members) and not self.pending

    @property
    def rebalance_timeout_ms(self) -> int:
        """The longest that a member asks for."""
        return max((member.rebalance_timeout_ms for member in self.members.values()), default=0)

    def validate_member(self, member_id: str, instance_id: str | None) -> ErrorCode:
        """Whether it is a member, and the one that this instance id stands for now (KIP-345)."""
        if instance_id is not None:
            known = self.static.get(instance_id)
            if known is None:
                return ErrorCode.UNKNOWN_MEMBER_ID
            if known != member_id:
                return ErrorCode.FENCED_INSTANCE_ID
        return ErrorCode.NONE if member_id in self.members else ErrorCode.UNKNOWN_MEMBER_ID

    def add(self, member: ClassicMember, protocol_type: str) -> None:
        """A new member; its protocols have been checked."""
        if not self.members:
            self.protocol_type = protocol_type
        if self.leader is None:
            self.leader = member.member_id
        self.members[member.member_id] = member
        if member.instance_id is not None:
            self.static[member.instance_id] = member.member_id
        self._count(member.protocols, 1)
        self.pending.discard(member.member_id)

    def remove(self, member_id: str) -> ClassicMember | None:
        """A member goes, or somebody who has not joined yet. The member's requests must have been answered."""
        self.pending.discard(member_id)
        self.pending_sync.discard(member_id)
        member = self.members.pop(member_id, None)
        if member is None:
            return None
        self._count(member.protocols, -1)
        if member.join_ticket:
            self.awaiting_join -= 1
        if member.instance_id is not None:
            self.static.pop(member.instance_id, None)
        if self.leader == member_id:
            self.leader = next(iter(self.members), None)
        return member

    def replace_static(self, old_id: str, new_id: str) -> ClassicMember:
        """A static member has come back and gets a new id; everything else of it stays."""
        member = self.members.pop(old_id)
        member.member_id = new_id
        member.armed_ms = None
        self.members[new_id] = member
        assert member.instance_id is not None
        self.static[member.instance_id] = new_id
        if self.leader == old_id:
            self.leader = new_id
        if old_id in self.pending_sync:
            self.pending_sync.discard(old_id)
            self.pending_sync.add(new_id)
        return member

    def update(self, member: ClassicMember, protocols: dict[str, bytes], rebalance_ms: int, session_ms: int) -> None:
        """A member joins again, maybe with other protocols and timeouts."""
        self._count(member.protocols, -1)
        member.protocols = protocols
        self._count(protocols, 1)
        member.rebalance_timeout_ms = rebalance_ms
        member.session_timeout_ms = session_ms

    def park_join(self, member: ClassicMember, ticket: int) -> int:
        """The member waits for the next generation; the ticket of an earlier request of it that waits still, or 0."""
        earlier, member.join_ticket = member.join_ticket, ticket
        if not earlier:
            self.awaiting_join += 1
        return earlier

    def take_join(self, member: ClassicMember) -> int:
        """The member waits no longer: the ticket to answer, or 0."""
        ticket, member.join_ticket = member.join_ticket, 0
        if ticket:
            self.awaiting_join -= 1
        return ticket

    def _count(self, protocols: Iterable[str], by: int) -> None:
        for name in protocols:
            count = self.supported.get(name, 0) + by
            if count:
                self.supported[name] = count
            else:
                del self.supported[name]

    # --- protocols and generations ---

    def supports(self, protocol_type: str, protocols: Mapping[str, bytes]) -> bool:
        """Whether somebody with these protocols may join: the type must be the group's, and one must be common."""
        if self.state is EMPTY:
            return bool(protocol_type) and bool(protocols)
        if protocol_type != self.protocol_type:
            return False
        everybody = len(self.members)
        return any(self.supported.get(name, 0) == everybody for name in protocols)

    def select_protocol(self) -> str:
        """Of the protocols that all members support, the one that most members like best."""
        everybody = len(self.members)
        common = {name for name, count in self.supported.items() if count == everybody}
        if len(common) == 1:
            return common.pop()
        votes: dict[str, int] = {}
        for member in self.members.values():
            choice = member.vote(common)
            votes[choice] = votes.get(choice, 0) + 1
        return max(votes, key=votes.__getitem__)

    def elect(self) -> bool:
        """Give the lead to somebody who has joined, if the leader has not; False when nobody has."""
        leader = None if self.leader is None else self.members.get(self.leader)
        if leader is not None and leader.join_ticket:
            return True
        for member in self.members.values():
            if member.join_ticket:
                self.leader = member.member_id
                return True
        return False

    def next_generation(self, now_ms: int) -> None:
        """Everybody who is to be in the next generation has joined: there is at least one."""
        self.generation += 1
        self.protocol = self.select_protocol()
        self.move(COMPLETING, now_ms)
        self.note_topics()
        self.pending_sync = set(self.members)

    def move(self, state: ClassicState, now_ms: int) -> None:
        """Go to another state."""
        assert state in TRANSITIONS[self.state], f"{self.group_id}: {self.state} -> {state}"
        self.previous, self.state, self.state_ms = self.state, state, now_ms

    def note_topics(self) -> None:
        """What this generation consumes, as far as a broker can read it."""
        if self.protocol_type != CONSUMER:
            self.topics = None
        elif not self.members:
            self.topics = frozenset()
        elif self.protocol is None:
            self.topics = None
        else:
            protocol = self.protocol
            self.topics = subscribed_topics({member.protocols.get(protocol, b"") for member in self.members.values()})

    # --- the record ---

    def record(self, assignments: Mapping[str, bytes], now_ms: int) -> CoordinatorRecord:
        """The generation with these assignments, whose members are all who are in the group now."""
        protocol = self.protocol or ""
        value = GroupMetadataValue(
            protocol_type=self.protocol_type or "",
            generation=self.generation,
            protocol=self.protocol,
            leader=self.leader,
            current_state_timestamp=now_ms,
            members=[member.record(protocol, assignments.get(id, b"")) for id, member in self.members.items()],
        )
        return CoordinatorRecord(GroupMetadataKey(group=self.group_id), value, RECORD_VERSION)

    def empty_record(self, now_ms: int) -> CoordinatorRecord:
        """The next generation, which has no members."""
        value = GroupMetadataValue(
            protocol_type=self.protocol_type or "",
            generation=self.generation + 1,
            protocol=None,
            leader=None,
            current_state_timestamp=now_ms,
            members=[],
        )
        return CoordinatorRecord(GroupMetadataKey(group=self.group_id), value, RECORD_VERSION)

    def apply(self, value: Any) -> None:
        """What the record says holds from now on; who waits, and which other protocols members know, stays noted.

        While the node runs, a record names exactly the members that are in the group, as they are: after a restart it
        makes them, and a later record may tell something else of them than an earlier one.
        """
        protocol = value.protocol or ""
        members = {}
        changed = len(value.members) != len(self.members)
        for one in value.members:
            member = self.members.get(one.member_id)
            if member is None or not member.is_as_in(one, protocol):
                member = ClassicMember.loaded(one, protocol)
                changed = True
            member.assignment = one.assignment
            members[one.member_id] = member
        self.persisted = True
        self.generation = value.generation
        self.protocol_type = value.protocol_type or None
        self.protocol = value.protocol
        self.leader = value.leader
        if changed:
            self._replace_members(members)
        self.previous, self.state = self.state, STABLE if members else EMPTY
        self.state_ms = value.current_state_timestamp
        self.note_topics()

    def _replace_members(self, members: dict[str, ClassicMember]) -> None:
        self.members = members
        self.static = {one.instance_id: id for id, one in members.items() if one.instance_id is not None}
        self.pending -= members.keys()
        self.pending_sync &= members.keys()
        self.awaiting_join = sum(1 for member in members.values() if member.join_ticket)
        self.supported = {}
        for member in members.values():
            self._count(member.protocols, 1)
