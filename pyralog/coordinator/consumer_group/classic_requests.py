"""Requests of the classic protocol to KIP-848 groups: their members of either protocol rebalance with each other.

A classic member joins like any other and is at once given an epoch, which it takes for a generation, and its part by
SyncGroup. A Heartbeat tells it to join again when the target assignment has moved on, or when it must give partitions
up or may now have what others have given up: so it takes the steps that the newer protocol takes by heartbeats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyralog.coordinator.consumer_group.draft import Draft
from pyralog.coordinator.consumer_group.embedded import (
    Subscription,
    read_subscription,
    write_assignment,
)
from pyralog.coordinator.consumer_group.group import NO_ASSIGNMENT, ConsumerGroup
from pyralog.coordinator.consumer_group.heartbeat import Step, client_host, step_member, target_step
from pyralog.coordinator.consumer_group.member import ClassicPart, Member, MemberState, plain
from pyralog.coordinator.consumer_group.membership import (
    Found,
    dynamic_member,
    refuse_if_fenced,
    refuse_if_full,
    static_member,
    unknown_member,
)
from pyralog.coordinator.consumer_group.migration import Successor, may_downgrade, part_with, to_classic_group
from pyralog.coordinator.consumer_group.records import member_record
from pyralog.coordinator.consumer_group.subscription import bump_epoch, topics_with, update_regexes
from pyralog.coordinator.consumer_group.timers import join_timer, session_timer, sync_timer
from pyralog.coordinator.group.classic import CONSUMER
from pyralog.coordinator.group.classic_join import MEMBER_ID_REQUIRED_FROM
from pyralog.coordinator.group.classic_rebalance import NO_MEMBER_ID, join_error
from pyralog.coordinator.outcome import Outcome, Reply
from pyralog.errors import ErrorCode, KafkaError
from pyralog.wire.messages import (
    HeartbeatRequest,
    HeartbeatResponse,
    JoinGroupRequest,
    JoinGroupResponse,
    LeaveGroupRequest,
    LeaveGroupResponse,
    MemberResponse,
    SyncGroupRequest,
    SyncGroupResponse,
)
from pyralog.wire.protocol import ProtocolError

if TYPE_CHECKING:
    from pyralog.coordinator.consumer_group.subscription import Regexes
    from pyralog.coordinator.group.shard import GroupShard
    from pyralog.coordinator.outcome import ClientRequest


def handle_classic(
    shard: GroupShard, group: ConsumerGroup, request: ClientRequest, ticket: int, now_ms: int
) -> Outcome:
    """JoinGroup, SyncGroup, Heartbeat or LeaveGroup to a group of the newer protocol."""
    draft = Draft(shard, group.group_id, now_ms)
    message = request.message
    match message:
        case JoinGroupRequest():
            try:
                answer = _Join(draft, group, request).run()
            except KafkaError as error:
                return Outcome(replies=(Reply(ticket, join_error(NO_MEMBER_ID, error.code)),))
            return draft.reply(ticket, answer)
        case SyncGroupRequest():
            return draft.reply(ticket, _sync(draft, group, message))
        case HeartbeatRequest():
            return draft.reply(ticket, _heartbeat(draft, group, message))
    assert isinstance(message, LeaveGroupRequest)
    return draft.reply(ticket, _leave(draft, group, message))


# --- joining ---


class _Join:
    """One JoinGroup on its way through."""

    def __init__(self, draft: Draft, group: ConsumerGroup, request: ClientRequest) -> None:
        message: Any = request.message
        self.draft = draft
        self.group = group
        self.request = request
        self.message = message
        self.session_ms: int = message.session_timeout_ms
        # Version 0 has no rebalance timeout: the session's takes its place.
        rebalance_ms: int = message.rebalance_timeout_ms
        self.rebalance_ms = rebalance_ms if rebalance_ms >= 0 else self.session_ms
        self.instance_id: str | None = message.group_instance_id

    def run(self) -> JoinGroupResponse:
        """Let the member in, or not."""
        draft, group, message = self.draft, self.group, self.message
        if draft.shard.settings.consumer_migration_policy == "disabled":
            raise KafkaError(
                ErrorCode.INCONSISTENT_GROUP_PROTOCOL,
                f"Cannot join the consumer group {group.group_id} with the classic protocol because the group "
                "migration is disabled.",
            )
        newcomer = message.member_id == NO_MEMBER_ID
        member_id = draft.shard.new_id() if newcomer else message.member_id
        refuse_if_full(group, draft.shard.settings.consumer_max_size, member_id, self.instance_id)
        if not _supports(group, message):
            raise KafkaError(
                ErrorCode.INCONSISTENT_GROUP_PROTOCOL,
                f"Member {member_id}'s protocols are not supported.",
            )
        if newcomer and self.instance_id is None and self.request.version >= MEMBER_ID_REQUIRED_FROM:
            return join_error(member_id, ErrorCode.MEMBER_ID_REQUIRED)
        subscription = self._subscription()
        if self.instance_id is None:
            found = dynamic_member(group, member_id, -1, (), True)
        else:
            found = static_member(draft, group, member_id, self.instance_id, -1, (), newcomer)
        after = self._enter(found, subscription)
        return JoinGroupResponse(
            generation_id=after.epoch,
            protocol_type=CONSUMER,
            protocol_name=message.protocols[0].name,
            member_id=after.member_id,
        )

    def _subscription(self) -> Subscription:
        """What it consumes. The metadata of all its protocols say the same of that; Kafka reads the first."""
        try:
            return read_subscription(self.message.protocols[0].metadata, self.draft.shard.image)
        except ProtocolError:
            raise KafkaError(
                ErrorCode.INCONSISTENT_GROUP_PROTOCOL,
                "Malformed embedded consumer protocol in subscription deserialization.",
            ) from None

    def _enter(self, found: Found, subscription: Subscription) -> Member:
        draft, group, before = self.draft, self.group, found.member
        predecessor = group.static_member(self.instance_id)
        said = before._replace(
            instance_id=before.instance_id if self.instance_id is None else self.instance_id,
            rack_id=before.rack_id if subscription.rack_id is None else subscription.rack_id,
            rebalance_timeout_ms=self.rebalance_ms,
            client_id=self.request.client_id,
            client_host=client_host(self.request),
            topics=subscription.topics,
            regex="",  # classic members find matching topics themselves
            classic=ClassicPart(self.session_ms, tuple((one.name, one.metadata) for one in self.message.protocols)),
        )
        if said != before:
            draft.records.append(member_record(group.group_id, said))
        former = before if found.known_to(group) else None
        regexes = update_regexes(draft, group, former, said, self.request.principal)
        bump = said.topics != before.topics or regexes.changed or regexes.bump
        epoch = group.epoch
        if bump:
            epoch = bump_epoch(draft, group, topics_with(group, former, said, regexes.resolved, draft.shard.image))
        if (
            predecessor is not None
            and predecessor.classic is None
            and may_downgrade(draft, group, {predecessor.member_id}, len(group.members))
        ):
            return self._back_to_classic(said, predecessor, regexes, bump or epoch > group.target_epoch)
        step = target_step(draft, group, found, said, regexes, epoch)
        after = self._step(said, step, regexes, subscription, bump)
        group_id, member_id, now_ms = group.group_id, after.member_id, draft.now_ms
        group.rejoining.discard(member_id)
        draft.timers.append(join_timer(group_id, member_id, None))
        draft.timers.append(session_timer(group_id, member_id, now_ms + self.session_ms))
        draft.timers.append(sync_timer(group_id, member_id, now_ms + self.rebalance_ms))
        return after

    def _step(self, said: Member, step: Step, regexes: Regexes, subscription: Subscription, changed: bool) -> Member:
        return step_member(self.draft, self.group, said, step, regexes, changed, subscription.owned)

    def _back_to_classic(self, said: Member, predecessor: Member, regexes: Regexes, rebalance: bool) -> Member:
        """A static member of the newer protocol is back as a classic one, and was the last of its kind.

        Nobody need rebalance if he takes over what that one had, and everybody has what he shall have.
        """
        draft, group = self.draft, self.group
        after = said
        if not rebalance:
            step = Step(group.epoch, group.target_epoch, group.target.get(predecessor.member_id, NO_ASSIGNMENT))
            after = step_member(draft, group, said, step, regexes, False, ())
            rebalance = not all(
                member.reconciled_to(group.target_epoch)
                for member in (after, *(one for one in group.members.values() if one is not predecessor))
            )
        successor = Successor(after, predecessor.member_id)
        to_classic_group(draft, group, {predecessor.member_id}, successor, rebalance=rebalance)
        return after


def _supports(group: ConsumerGroup, message: JoinGroupRequest) -> bool:
    """The type is that of consumers, and all classic members know one of these protocols."""
    if message.protocol_type != CONSUMER or not message.protocols:
        return False
    return any(group.classic_protocols[one.name] == group.classic_count for one in message.protocols)


# --- in the group ---


def _classic_member(group: ConsumerGroup, message: Any) -> Member:
    """The member that asks. KafkaError UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID, ILLEGAL_GENERATION."""
    member_id, instance_id = message.member_id, message.group_instance_id
    if instance_id is None:
        member = group.members.get(member_id)
        if member is None:
            raise unknown_member(group, member_id)
    else:
        member = group.static_member(instance_id)
        if member is None:
            raise KafkaError(
                ErrorCode.UNKNOWN_MEMBER_ID,
                f"Member with instance id {instance_id} is not a member of group {group.group_id}.",
            )
        refuse_if_fenced(member, member_id, instance_id)
    if member.classic is None:
        raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID, f"Member {member_id} does not use the classic protocol.")
    if message.generation_id != member.epoch:
        raise KafkaError(
            ErrorCode.ILLEGAL_GENERATION,
            f"The request generation id {message.generation_id} is not equal to the member epoch {member.epoch} of "
            f"member {member_id}.",
        )
    return member


def _sync(draft: Draft, group: ConsumerGroup, message: SyncGroupRequest) -> SyncGroupResponse:
    member = _classic_member(group, message)
    assert member.classic is not None
    name, metadata = member.classic.protocols[0]
    told_type, told_name = message.protocol_type, message.protocol_name
    if told_type not in (None, CONSUMER) or told_name not in (None, name):
        raise KafkaError(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    if group.target_epoch > member.epoch and member.state != MemberState.UNREVOKED_PARTITIONS:
        _expect_join(draft, group, member)
        return SyncGroupResponse(error_code=ErrorCode.REBALANCE_IN_PROGRESS)
    group_id, member_id = group.group_id, member.member_id
    draft.timers.append(sync_timer(group_id, member_id, None))
    draft.timers.append(session_timer(group_id, member_id, draft.now_ms + member.classic.session_timeout_ms))
    return SyncGroupResponse(
        protocol_type=told_type,
        protocol_name=told_name,
        assignment=write_assignment(plain(member.owned), metadata, draft.shard.image),
    )


def _heartbeat(draft: Draft, group: ConsumerGroup, message: HeartbeatRequest) -> HeartbeatResponse:
    member = _classic_member(group, message)
    assert member.classic is not None
    due_ms = draft.now_ms + member.classic.session_timeout_ms
    draft.timers.append(session_timer(group.group_id, member.member_id, due_ms))
    if not _must_join(draft, group, member):
        return HeartbeatResponse()
    _expect_join(draft, group, member)
    return HeartbeatResponse(error_code=ErrorCode.REBALANCE_IN_PROGRESS)


def _must_join(draft: Draft, group: ConsumerGroup, member: Member) -> bool:
    """Whether there is a step to take. That includes an assignment which waited for its time and which no member of the
    newer protocol has asked for since: there may be none."""
    if member.epoch < group.target_epoch or member.state == MemberState.UNREVOKED_PARTITIONS:
        return True
    if member.state == MemberState.UNRELEASED_PARTITIONS:
        return not _waits_for_others(group, member)
    return (
        group.epoch > group.target_epoch
        and group.classic_count == len(group.members)
        and draft.now_ms >= group.target_timestamp_ms + draft.assignment_interval_ms
    )


def _waits_for_others(group: ConsumerGroup, member: Member) -> bool:
    for topic_id, partitions in group.target.get(member.member_id, NO_ASSIGNMENT).items():
        owned = member.owned.get(topic_id, {})
        if any(one not in owned and group.owner(topic_id, one) is not None for one in partitions):
            return True
    return False


def _expect_join(draft: Draft, group: ConsumerGroup, member: Member) -> None:
    """It has its rebalance timeout to join again, from when it was first told so."""
    if member.member_id not in group.rejoining:
        group.rejoining.add(member.member_id)
        due_ms = draft.now_ms + member.rebalance_timeout_ms
        draft.timers.append(join_timer(group.group_id, member.member_id, due_ms))


# --- leaving ---


def _leave(draft: Draft, group: ConsumerGroup, message: LeaveGroupRequest) -> LeaveGroupResponse:
    """Members leave, or an administrator takes them out: members of the newer protocol too."""
    gone: dict[str, Member] = {}
    results = []
    for one in message.members:
        code = ErrorCode.NONE
        try:
            member = _leaving(group, one.member_id, one.group_instance_id)
            gone[member.member_id] = member
        except KafkaError as error:
            code = error.code
        results.append(
            MemberResponse(member_id=one.member_id, group_instance_id=one.group_instance_id, error_code=code)
        )
    if gone:
        part_with(draft, group, list(gone.values()))
    return LeaveGroupResponse(members=results)


def _leaving(group: ConsumerGroup, member_id: str, instance_id: str | None) -> Member:
    if instance_id is None:
        member = group.members.get(member_id)
        if member is None:
            raise unknown_member(group, member_id)
        return member
    member = group.static_member(instance_id)
    if member is None:
        raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID, f"Instance id {instance_id} is unknown.")
    if member_id:  # an administrator may know the instance only
        refuse_if_fenced(member, member_id, instance_id)
    return member
