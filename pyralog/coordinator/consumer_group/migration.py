"""Between the protocols while members stay: a classic group becomes a KIP-848 group, and one of the latter a classic
group again when only classic members are left. The records are Kafka's, in Kafka's order."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from pyralog.coordinator.consumer_group.embedded import (
    CustomAssignor,
    Subscription,
    read_assignment,
    read_subscription,
    write_assignment,
)
from pyralog.coordinator.consumer_group.group import NO_ASSIGNMENT, ConsumerGroup
from pyralog.coordinator.consumer_group.member import FIRST_EPOCH, Assignment, ClassicPart, Member, MemberState, plain
from pyralog.coordinator.consumer_group.membership import remove_members
from pyralog.coordinator.consumer_group.metadata import metadata_hash
from pyralog.coordinator.consumer_group.records import (
    current_record,
    epoch_record,
    group_tombstones,
    member_record,
    target_epoch_record,
    target_record,
)
from pyralog.coordinator.consumer_group.replay import REPLAY
from pyralog.coordinator.consumer_group.timers import no_timers, session_timer
from pyralog.coordinator.group.classic import COMPLETING, CONSUMER, STABLE, ClassicGroup
from pyralog.coordinator.group.classic_member import ClassicMember, Former, member_timer
from pyralog.coordinator.group.classic_rebalance import JOIN_TIMER, SYNC_TIMER, Converted, join_error, sync_error
from pyralog.coordinator.outcome import Reply, Timer
from pyralog.errors import ErrorCode, KafkaError
from pyralog.wire.protocol import ProtocolError

if TYPE_CHECKING:
    from pyralog.cluster.image import ClusterImage
    from pyralog.coordinator.consumer_group.draft import Draft
    from pyralog.coordinator.outcome import CoordinatorRecord
    from pyralog.model import Uuid

log = logging.getLogger(__name__)

UPGRADES = frozenset({"upgrade", "bidirectional"})
DOWNGRADES = frozenset({"downgrade", "bidirectional"})
# What these add to an assignment is the one before it (librdkafka does): nothing is lost. Kafka refuses them.
STICKY = frozenset({"sticky", "cooperative-sticky"})


# --- a classic group becomes one of the newer protocol ---


def to_consumer_group(draft: Draft, classic: ClassicGroup) -> ConsumerGroup:
    """The group that takes the place of a classic one; it is not the shard's until the draft's records are replayed.

    Nothing of the classic group is touched: whatever follows may still be refused.
    """
    # Who does not know his id yet cannot go on with it, and comes as somebody else.
    kept = [member for member in classic.members.values() if not member.anonymous]
    if not classic.is_empty:
        _check_upgrade(draft, classic)
    epoch = max(classic.generation, FIRST_EPOCH)  # there may not have been a generation yet
    converted = _members(draft, classic, kept, epoch)
    members = [one.member for one in converted]
    group_id = draft.group_id
    draft.write(classic.tombstones())
    group = ConsumerGroup(group_id)
    if not classic.is_empty:
        records = _group_records(draft, converted, epoch)
        draft.write(records)
        group = _replayed(group_id, records)
        draft.unassigned = classic.state is not STABLE or classic.leader is None or not _covers(draft, members)
    _dismiss_everybody(draft, classic)
    for member in members:
        assert member.classic is not None
        due_ms = draft.now_ms + member.classic.session_timeout_ms
        draft.timers.append(session_timer(group_id, member.member_id, due_ms))
    if members:
        log.info("group %s: %d classic members are now in a group of the newer protocol", group_id, len(members))
    return group


def _check_upgrade(draft: Draft, classic: ClassicGroup) -> None:
    settings = draft.shard.settings
    if settings.consumer_migration_policy not in UPGRADES:
        raise _no_upgrade(draft, "online upgrade is disabled.")
    if classic.protocol_type != CONSUMER:
        raise _no_upgrade(draft, "the group does not use the consumer embedded protocol.")
    if len(classic.members) > settings.consumer_max_size:
        raise _no_upgrade(draft, "the group size exceeds the consumer group maximum size.")


def _no_upgrade(draft: Draft, why: str) -> KafkaError:
    said = f"Cannot upgrade classic group {draft.group_id} to consumer group because {why}"
    log.info("%s", said)
    return KafkaError(ErrorCode.GROUP_ID_NOT_FOUND, said)


class _Converted(NamedTuple):
    """A member of the new group, and its target assignment: what the leader of the classic one has assigned."""

    member: Member
    target: Assignment


class _Read(NamedTuple):
    """A classic member, what its leader has assigned to it, and what it has if that is known otherwise than by its own
    word."""

    member: ClassicMember
    subscription: Subscription
    assigned: Mapping[Uuid, list[int]]
    has: Mapping[Uuid, list[int]] | None


def _members(draft: Draft, classic: ClassicGroup, kept: Sequence[ClassicMember], epoch: int) -> list[_Converted]:
    """The classic members as members of the group's generation, with what they have."""
    image = draft.shard.image
    read = []
    owners: set[tuple[Uuid, int]] = set()
    for one in kept:
        try:
            subscription = read_subscription(_metadata(classic, one), image)
            assigned = read_assignment(one.assignment, image, sticky=classic.protocol in STICKY)
        except ProtocolError:
            raise _no_upgrade(draft, "the embedded consumer protocol is malformed.") from None
        except CustomAssignor:
            raise _no_upgrade(draft, _CUSTOM) from None
        has: dict[Uuid, list[int]] | None = assigned
        if one.former is not None:
            has = _still_has(one.former, image)
        elif classic.state is COMPLETING or one.join_ticket:
            has = None  # it has joined since, and said what it has
        for topic_id, partitions in (has or {}).items():
            for partition in partitions:
                if (topic_id, partition) in owners:
                    # In the newer protocol a partition has one owner. Only an assignor of one's own does such a thing.
                    raise _no_upgrade(draft, _CUSTOM)
                owners.add((topic_id, partition))
        read.append(_Read(one, subscription, assigned, has))
    members = []
    # What one says who has joined again is newer than what others said before.
    said = {one.member.member_id: _unowned(one.subscription, owners) for one in read if one.has is None}
    for found in read:
        one = found.member
        beside: Mapping[Uuid, list[int]] = {}
        if found.has is None:
            found = found._replace(has=said[one.member_id])
        elif one.former is None and not (classic.state is STABLE and one.settled):
            beside = _unowned(found.subscription, owners)
        target = {topic_id: frozenset(partitions) for topic_id, partitions in found.assigned.items()}
        members.append(_Converted(_member(one, found.subscription, found.has or {}, beside, epoch), target))
    return members


_CUSTOM = (
    "an unsupported custom assignor is in use. Please refer to the documentation or switch to a default assignor "
    "before re-attempting the upgrade."
)


def _metadata(classic: ClassicGroup, one: ClassicMember) -> bytes:
    """The member's metadata for the protocol of the generation. Who has joined again with others may lack that one."""
    protocol = classic.protocol or classic.select_protocol()
    return one.protocols.get(protocol) or next(iter(one.protocols.values()))


def _still_has(former: Former, image: ClusterImage) -> dict[Uuid, list[int]]:
    """The group was one of the newer protocol and has not rebalanced since: nobody has been given anything else."""
    return {
        topic_id: list(partitions) for topic_id, partitions in former.owned.items() if topic_id in image.topic_names
    }


def _unowned(subscription: Subscription, owners: set[tuple[Uuid, int]]) -> dict[Uuid, list[int]]:
    """What a member had when it joined and nobody has been given since: until it hears of its assignment it goes on
    with that (incremental cooperative rebalancing, KIP-429), so that it must give it up before somebody else gets it.
    """
    found: dict[Uuid, list[int]] = {}
    for topic_id, partitions in subscription.owned:
        for partition in partitions:
            if (topic_id, partition) not in owners:
                owners.add((topic_id, partition))
                found.setdefault(topic_id, []).append(partition)
    return found


def _member(
    one: ClassicMember,
    subscription: Subscription,
    has: Mapping[Uuid, list[int]],
    beside: Mapping[Uuid, list[int]],
    epoch: int,
) -> Member:
    return Member(
        one.member_id,
        epoch=epoch,
        previous_epoch=epoch,
        instance_id=one.instance_id,
        rack_id=subscription.rack_id,
        rebalance_timeout_ms=one.rebalance_timeout_ms,
        client_id=one.client_id,
        client_host=one.client_host,
        topics=subscription.topics,
        classic=ClassicPart(one.session_timeout_ms, tuple(one.protocols.items())),
        state=MemberState.UNREVOKED_PARTITIONS if beside else MemberState.STABLE,
        owned={topic_id: dict.fromkeys(partitions, epoch) for topic_id, partitions in has.items()},
        revoking={topic_id: dict.fromkeys(partitions, epoch) for topic_id, partitions in beside.items()},
    )


def _group_records(draft: Draft, converted: Sequence[_Converted], epoch: int) -> list[CoordinatorRecord]:
    group_id, image = draft.group_id, draft.shard.image
    topics: frozenset[str] = frozenset().union(*(one.member.topics for one in converted))
    return [
        *(member_record(group_id, one.member) for one in converted),
        epoch_record(group_id, epoch, metadata_hash(topics, image)),
        *(target_record(group_id, one.member.member_id, one.target) for one in converted),
        target_epoch_record(group_id, epoch, 0),
        *(current_record(group_id, one.member) for one in converted),
    ]


def _covers(draft: Draft, members: Sequence[Member]) -> bool:
    """Whether everything that is consumed is somebody's. If not, the leader would have rebalanced the group."""
    topics = draft.shard.image.topics
    names = frozenset().union(*(member.topics for member in members))
    partitions = sum(len(topics[name].partitions) for name in names if name in topics)
    return partitions <= sum(len(each) for member in members for each in member.owned.values())


class _Scratch:
    """Stands in for a shard: what records make of nothing."""

    def __init__(self) -> None:
        self.groups: dict[str, Any] = {}


def _replayed(group_id: str, records: Sequence[CoordinatorRecord]) -> ConsumerGroup:
    scratch: Any = _Scratch()
    for record in records:
        REPLAY[type(record.key)](scratch, record.key, record.value)
    group = scratch.groups[group_id]
    assert isinstance(group, ConsumerGroup)
    return group


def _dismiss_everybody(draft: Draft, classic: ClassicGroup) -> None:
    """Who waits for the others joins again, and finds the new group. The classic group's timers go."""
    group_id = draft.group_id
    for member_id, member in classic.members.items():
        if member.join_ticket:
            refusal = join_error(member_id, ErrorCode.REBALANCE_IN_PROGRESS)
            draft.replies.append(Reply(member.join_ticket, refusal))
        if member.sync_ticket:
            draft.replies.append(Reply(member.sync_ticket, sync_error(ErrorCode.REBALANCE_IN_PROGRESS)))
    draft.timers += (member_timer(group_id, one, None) for one in (*classic.members, *classic.pending))
    draft.timers += (Timer((kind, group_id), None) for kind in (JOIN_TIMER, SYNC_TIMER))


# --- and back ---


class Successor(NamedTuple):
    """A classic static member, and the id of the member of the newer protocol whose place it takes."""

    member: Member
    replaced_id: str


def part_with(draft: Draft, group: ConsumerGroup, members: Sequence[Member]) -> None:
    """Members leave or are thrown out. If only classic ones are left, the group is a classic one from now on."""
    gone = {member.member_id for member in members}
    if may_downgrade(draft, group, gone, len(group.members) - len(gone)):
        to_classic_group(draft, group, gone, None, rebalance=True)
    else:
        remove_members(draft, group, members)


def may_downgrade(draft: Draft, group: ConsumerGroup, gone: Collection[str], size: int) -> bool:
    """Whether all but these speak the classic protocol, and a classic group of `size` members is allowed and can be."""
    left = [member for member_id, member in group.members.items() if member_id not in gone]
    if size <= 0 or any(member.classic is None for member in left):
        return False
    settings = draft.shard.settings
    if settings.consumer_migration_policy not in DOWNGRADES:
        log.info("group %s stays one of the newer protocol: online downgrade is disabled", group.group_id)
        return False
    if size > settings.max_size:
        log.info("group %s stays one of the newer protocol: it is larger than group.max.size", group.group_id)
        return False
    return True


def to_classic_group(
    draft: Draft, group: ConsumerGroup, gone: Collection[str], successor: Successor | None, *, rebalance: bool
) -> None:
    """The records that make a classic group of it, of the generation that is the group's epoch, with the target
    assignment. A rebalance follows unless everybody has what he shall have.

    Until then the record names no leader: so the rebalance is not forgotten if this node dies before it. And it assigns
    to everybody what he may have now, not the target as Kafka's does, which nobody will be told of: should this node
    die, and the group be one of the newer protocol again before the rebalance, it is still known who has what.
    """
    group_id = draft.group_id
    members = [member for member_id, member in group.members.items() if member_id not in gone]
    targets = {member.member_id: group.target.get(member.member_id, NO_ASSIGNMENT) for member in members}
    replaced = None
    if successor is not None:
        members.append(successor.member)
        replaced = (successor.replaced_id, successor.member.member_id)
        targets[successor.member.member_id] = group.target.get(successor.replaced_id, NO_ASSIGNMENT)
    classic = ClassicGroup(group_id, draft.now_ms)
    for member in members:
        classic.add(_classic_member(member), CONSUMER)
    classic.generation = group.epoch
    classic.protocol = protocol = classic.select_protocol()
    if rebalance:
        classic.leader = None
    had = {member.member_id: _had(member) for member in members}
    assigned = had if rebalance else targets
    image = draft.shard.image
    assignments = {
        member_id: write_assignment(assigned[member_id], one.protocols.get(protocol, b""), image)
        for member_id, one in classic.members.items()
    }
    draft.write(group_tombstones(group, replaced))
    draft.records.append(classic.record(assignments, draft.now_ms))
    for member_id in (*group.members, *classic.members):
        draft.timers += no_timers(group_id, member_id)
    draft.shard.converted[group_id] = {
        member_id: Former(one.protocols, had[member_id]) for member_id, one in classic.members.items()
    }
    event = Converted(group_id, classic.generation, rebalance)
    draft.timers.append(Timer(("classic-converted", group_id), draft.now_ms, event))
    log.info("group %s: %d classic members are left, it is a classic group again", group_id, len(members))


def _had(member: Member) -> dict[Uuid, frozenset[int]]:
    had = plain(member.owned)
    for topic_id, partitions in member.revoking.items():
        had[topic_id] = had.get(topic_id, frozenset()) | frozenset(partitions)
    return had


def _classic_member(member: Member) -> ClassicMember:
    assert member.classic is not None
    return ClassicMember(
        member.member_id,
        member.instance_id,
        (member.client_id, member.client_host),
        (member.rebalance_timeout_ms, member.classic.session_timeout_ms),
        dict(member.classic.protocols),
    )
