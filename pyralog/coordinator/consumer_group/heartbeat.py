"""ConsumerGroupHeartbeat on a group: the member, the epoch, the target assignment, one step of reconciliation."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pyralog.coordinator.consumer_group.draft import Draft
from pyralog.coordinator.consumer_group.group import ConsumerGroup
from pyralog.coordinator.consumer_group.member import (
    JOIN_EPOCH,
    STATIC_LEAVE_EPOCH,
    Assignment,
    Member,
    MemberState,
    Owned,
)
from pyralog.coordinator.consumer_group.membership import (
    Found,
    dynamic_member,
    refuse_if_fenced,
    refuse_if_full,
    static_member,
    unknown_member,
)
from pyralog.coordinator.consumer_group.migration import part_with, to_consumer_group
from pyralog.coordinator.consumer_group.reconcile import Goal, Reported, reconcile
from pyralog.coordinator.consumer_group.records import (
    current_record,
    member_record,
    target_epoch_record,
    target_record,
)
from pyralog.coordinator.consumer_group.subscription import Regexes, bump_epoch, topics_with, update_regexes
from pyralog.coordinator.consumer_group.target import Subscriptions, assign, may_assign
from pyralog.coordinator.consumer_group.timers import no_revocation_timer, revocation_timer, session_timer
from pyralog.errors import ErrorCode, KafkaError
from pyralog.wire.messages import (
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
    ConsumerGroupHeartbeatResponseAssignment,
    ConsumerGroupHeartbeatResponseTopicPartitions,
)

if TYPE_CHECKING:
    from pyralog.coordinator.group.shard import GroupShard
    from pyralog.coordinator.outcome import ClientRequest, Outcome

# A member that waits for others hears of them sooner than a settled one: at least this often, more seldom in large
# groups, so that the whole group costs no more than a heartbeat a millisecond.
LEAST_WAIT_MS = 200
MS_PER_MEMBER = 1


class Step(NamedTuple):
    """Where the group is after this request's own records."""

    epoch: int
    target_epoch: int
    target: Assignment


def heartbeat(shard: GroupShard, request: ClientRequest, ticket: int, now_ms: int) -> Outcome:
    """A member joins, is alive, or leaves."""
    message = request.message
    assert isinstance(message, ConsumerGroupHeartbeatRequest)
    draft = Draft(shard, message.group_id, now_ms)
    if message.member_epoch < JOIN_EPOCH:
        return draft.reply(ticket, _leave(draft, message))
    joins = message.member_epoch == JOIN_EPOCH
    group = find_group(draft, joins)
    refuse_if_full(group, shard.settings.consumer_max_size, message.member_id, message.instance_id)
    found = _member(draft, group, message, message.member_id or shard.new_id())
    before = found.member
    said = _updated(before, message, request)
    if said != before or (before.member_id not in group.members and found.replaced_id is None):
        draft.records.append(member_record(group.group_id, said))
    regexes = update_regexes(draft, group, before if found.known_to(group) else None, said, request.principal)
    step = _assign(draft, group, found, said, regexes)
    after = step_member(
        draft, group, said, step, regexes, said.topics != before.topics or regexes.changed, message.topic_partitions
    )
    draft.timers.append(session_timer(group.group_id, after.member_id, now_ms + draft.session_timeout_ms))
    response = ConsumerGroupHeartbeatResponse(
        member_id=after.member_id,
        member_epoch=after.epoch,
        heartbeat_interval_ms=_next_heartbeat(draft, group, after, step),
    )
    if joins or _is_full(message) or _other_partitions(before.owned, after.owned):
        response.assignment = _assignment(after.owned)
    if regexes.checked:
        group.regexes_stale, group.regexes_checked_ms = False, now_ms
    return draft.reply(ticket, response)


def find_group(draft: Draft, joins: bool) -> ConsumerGroup:
    """The group: a new one, or one that a classic group becomes, when a member joins."""
    group_id = draft.group_id
    found = draft.shard.groups.get(group_id)
    if isinstance(found, ConsumerGroup):
        return found
    if found is None:
        if joins:
            return ConsumerGroup(group_id)
        raise KafkaError(ErrorCode.GROUP_ID_NOT_FOUND, f"Consumer group {group_id} not found.")
    if joins:
        return to_consumer_group(draft, found)
    raise KafkaError(ErrorCode.GROUP_ID_NOT_FOUND, f"Group {group_id} is not a consumer group.")


def _member(draft: Draft, group: ConsumerGroup, message: ConsumerGroupHeartbeatRequest, member_id: str) -> Found:
    epoch, reported = message.member_epoch, message.topic_partitions
    joins = epoch == JOIN_EPOCH
    if message.instance_id is None:
        return dynamic_member(group, member_id, epoch, reported, joins)
    return static_member(draft, group, member_id, message.instance_id, epoch, reported, joins)


def _updated(before: Member, message: ConsumerGroupHeartbeatRequest, request: ClientRequest) -> Member:
    """The member with what it says now. It speaks the newer protocol, whatever it was before."""
    topics = message.subscribed_topic_names
    regex = message.subscribed_topic_regex
    timeout = message.rebalance_timeout_ms
    host = client_host(request)
    if (
        topics is None
        and regex is None
        and timeout == -1
        and before.classic is None
        and before.client_id == request.client_id
        and before.client_host == host
        and message.server_assignor is None
        and message.rack_id is None
        and message.instance_id in (None, before.instance_id)
    ):
        return before
    return before._replace(
        instance_id=before.instance_id if message.instance_id is None else message.instance_id,
        rack_id=before.rack_id if message.rack_id is None else message.rack_id,
        rebalance_timeout_ms=before.rebalance_timeout_ms if timeout == -1 else timeout,
        client_id=request.client_id,
        client_host=host,
        topics=before.topics if topics is None else frozenset(topics),
        regex=before.regex if regex is None else regex,
        assignor=before.assignor if message.server_assignor is None else message.server_assignor,
        classic=None,
    )


def client_host(request: ClientRequest) -> str:
    """As Kafka writes a peer's address, with the slash of Java's InetAddress."""
    host = request.client_host
    return host if host.startswith("/") else "/" + host


def _assign(draft: Draft, group: ConsumerGroup, found: Found, said: Member, regexes: Regexes) -> Step:
    """Bump the group's epoch if the member's word changes what is to be assigned, and assign if it may be done now."""
    before = found.member
    former = before if found.known_to(group) else None
    default = draft.shard.settings.consumer_assignors[0]
    bump = said.topics != before.topics or regexes.bump or draft.unassigned
    if said.assignor != before.assignor:
        bump |= group.preferred_assignor(default, former, said) != group.preferred_assignor(default)
    epoch = group.epoch
    if bump:
        epoch = bump_epoch(draft, group, topics_with(group, former, said, regexes.resolved, draft.shard.image))
    step = target_step(draft, group, found, said, regexes, epoch)
    if bump:
        group.changed_ms = draft.now_ms
    return step


def target_step(draft: Draft, group: ConsumerGroup, found: Found, said: Member, regexes: Regexes, epoch: int) -> Step:
    """The target assignment for this epoch, or the last one when it must wait a little."""
    last = Step(epoch, group.target_epoch, group.target_of(said.member_id, said.instance_id))
    if epoch <= group.target_epoch:
        return last
    image = draft.shard.image
    former = found.member if found.known_to(group) else None
    topics = topics_with(group, former, said, regexes.resolved, image)
    partitions = sum(len(image.topics[name].partitions) for name in topics)
    members = len(group.members) + 1
    if not may_assign(group, members, partitions, draft.assignment_interval_ms, draft.now_ms):
        return last
    default = draft.shard.settings.consumer_assignors[0]
    assignor = group.preferred_assignor(default, former, said)
    subscriptions = Subscriptions(image, regexes.resolved)
    assigned = assign(group, said, found.replaced_id, subscriptions, image, assignor)
    replaced = found.replaced_id
    for member_id, target in assigned.items():
        had = group.target.get(replaced if replaced and member_id == said.member_id else member_id)
        if had is None or (had is not target and had != target):
            draft.records.append(target_record(group.group_id, member_id, target))
    draft.records.append(target_epoch_record(group.group_id, epoch, draft.now_ms))
    return Step(epoch, epoch, assigned[said.member_id])


def step_member(
    draft: Draft,
    group: ConsumerGroup,
    said: Member,
    step: Step,
    regexes: Regexes,
    consistent: bool,
    reported: Reported,
) -> Member:
    """One step of the member towards its target, with the record and the timer that belong to it."""
    if not consistent and said.reconciled_to(step.target_epoch):
        return said
    wanted = Subscriptions(draft.shard.image, regexes.resolved).topic_ids(said)
    goal = Goal(step.target_epoch, step.target, group.owner, wanted.__contains__, reported, consistent)
    after = reconcile(said, goal)
    if after == said:
        return said
    draft.records.append(current_record(group.group_id, after))
    if after.classic is None:
        if after.state == MemberState.UNREVOKED_PARTITIONS:
            due_ms = draft.now_ms + after.rebalance_timeout_ms
            draft.timers.append(revocation_timer(group.group_id, after.member_id, after.epoch, due_ms))
        else:
            draft.timers.append(no_revocation_timer(group.group_id, after.member_id))
    return after


def _leave(draft: Draft, message: ConsumerGroupHeartbeatRequest) -> ConsumerGroupHeartbeatResponse:
    """Epoch -1: for good; -2: a static member that means to come back within its session timeout."""
    group = draft.shard.groups.get(message.group_id)
    if group is None:
        raise KafkaError(ErrorCode.GROUP_ID_NOT_FOUND, f"Group {message.group_id} not found.")
    if not isinstance(group, ConsumerGroup):
        raise KafkaError(ErrorCode.GROUP_ID_NOT_FOUND, f"Group {message.group_id} is not a consumer group.")
    response = ConsumerGroupHeartbeatResponse(member_id=message.member_id, member_epoch=message.member_epoch)
    if message.instance_id is None:
        member = group.members.get(message.member_id)
        if member is None:
            raise unknown_member(group, message.member_id)
    else:
        member = group.static_member(message.instance_id)
        if member is None:
            raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID, f"Instance id {message.instance_id} is unknown.")
        refuse_if_fenced(member, message.member_id, message.instance_id)
        if message.member_epoch == STATIC_LEAVE_EPOCH:
            # Whatever epoch its successor commits with, these partitions are its own (KIP-1251).
            owned = {topic_id: dict.fromkeys(partitions, 0) for topic_id, partitions in member.owned.items()}
            away = member._replace(epoch=STATIC_LEAVE_EPOCH, owned=owned, revoking={})
            draft.records.append(current_record(group.group_id, away))
            return response
    part_with(draft, group, [member])
    return response


def _is_full(message: ConsumerGroupHeartbeatRequest) -> bool:
    """A full request has all that a member must say: then it has lost track, and is told its assignment again."""
    named = message.subscribed_topic_names is not None or message.subscribed_topic_regex is not None
    return message.rebalance_timeout_ms != -1 and named and message.topic_partitions is not None


def _other_partitions(before: Owned, after: Owned) -> bool:
    if before is after:
        return False
    return before.keys() != after.keys() or any(before[t].keys() != after[t].keys() for t in after)


def _assignment(owned: Owned) -> ConsumerGroupHeartbeatResponseAssignment:
    return ConsumerGroupHeartbeatResponseAssignment(
        topic_partitions=[
            ConsumerGroupHeartbeatResponseTopicPartitions(topic_id=topic_id, partitions=sorted(partitions))
            for topic_id, partitions in owned.items()
        ]
    )


def _next_heartbeat(draft: Draft, group: ConsumerGroup, after: Member, step: Step) -> int:
    """The usual interval, or a shorter one while the member waits for an assignment or for others' partitions."""
    usual = draft.heartbeat_interval_ms
    if step.epoch == step.target_epoch and after.state != MemberState.UNRELEASED_PARTITIONS:
        return usual
    return min(usual, max(LEAST_WAIT_MS, len(group.members) * MS_PER_MEMBER))
