"""Classic groups: what a shard does with each of their requests, events and records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pyralog.coordinator.group.classic import COMPLETING, DEAD, PREPARING, STABLE, ClassicGroup
from pyralog.coordinator.group.classic_admin import ADMIN_HANDLERS
from pyralog.coordinator.group.classic_join import Join
from pyralog.coordinator.group.classic_member import MemberExpires, member_timer
from pyralog.coordinator.group.classic_rebalance import (
    Converted,
    Effects,
    JoinExpires,
    Rebalance,
    SyncExpires,
    after_leaving,
    assign,
    complete_join,
    initial_wait_over,
    join_error,
    leave,
    note_sync,
    park_sync,
    prepare,
    remove,
    sync_answer,
    sync_error,
    sync_wait_over,
)
from pyralog.coordinator.outcome import NOTHING, ClientRequest, Outcome, Reply, Timer
from pyralog.errors import ErrorCode
from pyralog.metrics import GROUP_REBALANCES
from pyralog.wire.messages import (
    GroupMetadataKey,
    HeartbeatRequest,
    HeartbeatResponse,
    JoinGroupRequest,
    LeaveGroupRequest,
    LeaveGroupResponse,
    MemberResponse,
    SyncGroupRequest,
)

if TYPE_CHECKING:
    from pyralog.cluster.image import ImageDelta
    from pyralog.coordinator.group.shard import GroupShard


def _elsewhere(shard: GroupShard, group: Any, request: ClientRequest, ticket: int, now_ms: int) -> Outcome | None:
    """What a group of another kind says to a request of a classic member; None when it does not speak to those."""
    answer = getattr(group, "handle_classic", None)
    found: Outcome | None = None if answer is None else answer(shard, request, ticket, now_ms)
    return found


# --- members ---


def join(shard: GroupShard, request: ClientRequest, ticket: int, now_ms: int) -> Outcome:
    """JoinGroup: see classic_join."""
    message: Any = request.message
    group_id, member_id = message.group_id, message.member_id
    settings = shard.settings
    if not settings.min_session_timeout_ms <= message.session_timeout_ms <= settings.max_session_timeout_ms:
        return Outcome(replies=(Reply(ticket, join_error(member_id, ErrorCode.INVALID_SESSION_TIMEOUT)),))
    group = shard.groups.get(group_id)
    effects = Effects(settings, now_ms)
    if group is not None and group.kind != ClassicGroup.kind:
        if not group.is_empty:
            outcome = _elsewhere(shard, group, request, ticket, now_ms)
            if outcome is None:
                answer = join_error("", ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
                outcome = Outcome(replies=(Reply(ticket, answer),))
            return outcome
        # Nobody is left of the other protocol: the group is a classic one from now on.
        effects.records += group.tombstones()
        group = None
    if group is None:
        if member_id:
            return Outcome(replies=(Reply(ticket, join_error(member_id, ErrorCode.UNKNOWN_MEMBER_ID)),))
        group = ClassicGroup(group_id, now_ms)
        if not group.supports(message.protocol_type, {one.name: one.metadata for one in message.protocols}):
            answer = join_error(member_id, ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
            return Outcome(replies=(Reply(ticket, answer),))
        shard.groups[group_id] = group
    Join(group, request, ticket, effects).run(shard.new_id)
    return effects.outcome()


def sync(shard: GroupShard, request: ClientRequest, ticket: int, now_ms: int) -> Outcome:
    """SyncGroup: a member asks for its assignment, and the leader brings everybody's."""
    message: Any = request.message
    group = shard.groups.get(message.group_id)
    member_id = message.member_id
    if group is not None and group.kind != ClassicGroup.kind and not group.is_empty:
        outcome = _elsewhere(shard, group, request, ticket, now_ms)
        if outcome is not None:
            return outcome
    if group is None or group.kind != ClassicGroup.kind:
        return _sync_refused(ticket, ErrorCode.UNKNOWN_MEMBER_ID)
    code = group.validate_member(member_id, message.group_instance_id)
    if code is not ErrorCode.NONE:
        return _sync_refused(ticket, code)
    if message.generation_id != group.generation:
        return _sync_refused(ticket, ErrorCode.ILLEGAL_GENERATION)
    if _differs(message.protocol_type, group.protocol_type) or _differs(message.protocol_name, group.protocol):
        return _sync_refused(ticket, ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    if group.state is PREPARING:
        return _sync_refused(ticket, ErrorCode.REBALANCE_IN_PROGRESS)
    effects = Effects(shard.settings, now_ms)
    member = group.members[member_id]
    note_sync(group, member_id, effects)
    if group.state is STABLE:
        member.sync_unknown = False
        effects.reply(ticket, sync_answer(group, member.assignment))
        return effects.outcome()
    park_sync(member, ticket, effects)
    if group.leader == member_id:
        assign(group, {one.member_id: one.assignment for one in message.assignments}, effects)
    return effects.outcome()


def _sync_refused(ticket: int, code: ErrorCode) -> Outcome:
    return Outcome(replies=(Reply(ticket, sync_error(code)),))


def _differs(told: str | None, known: str | None) -> bool:
    """Clients say what they believe from version 5 on."""
    return told is not None and told != known


def heartbeat(shard: GroupShard, request: ClientRequest, ticket: int, now_ms: int) -> Outcome:
    """Heartbeat: a member lives, and hears whether it must join again."""
    message: Any = request.message
    group = shard.groups.get(message.group_id)
    if group is not None and group.kind != ClassicGroup.kind:
        outcome = _elsewhere(shard, group, request, ticket, now_ms)
        if outcome is not None:
            return outcome
        group = None
    if group is None:
        return _heard(ticket, ErrorCode.UNKNOWN_MEMBER_ID)
    member_id = message.member_id
    code = group.validate_member(member_id, message.group_instance_id)
    if code is not ErrorCode.NONE:
        return _heard(ticket, code)
    if message.generation_id != group.generation:
        return _heard(ticket, ErrorCode.ILLEGAL_GENERATION)
    member = group.members[member_id]
    if group.state is STABLE and member_id not in group.pending_sync and not member.sync_unknown:
        member.settled = True
    timers = member.touch(group.group_id, now_ms)
    return _heard(ticket, ErrorCode.REBALANCE_IN_PROGRESS if group.state is PREPARING else ErrorCode.NONE, timers)


def _heard(ticket: int, code: ErrorCode, timers: tuple[Timer, ...] = ()) -> Outcome:
    return Outcome(replies=(Reply(ticket, HeartbeatResponse(error_code=code)),), timers=timers)


def leave_group(shard: GroupShard, request: ClientRequest, ticket: int, now_ms: int) -> Outcome:
    """LeaveGroup: members go, several at once from version 3 on; static ones also by their instance id alone."""
    message: Any = request.message
    group = shard.groups.get(message.group_id)
    if group is not None and group.kind != ClassicGroup.kind:
        outcome = _elsewhere(shard, group, request, ticket, now_ms)
        if outcome is not None:
            return outcome
        group = None
    effects = Effects(shard.settings, now_ms)
    results = []
    members_left = False
    for one in message.members:
        code, was_member = _leave_one(group, one, effects)
        members_left = members_left or was_member
        results.append(
            MemberResponse(member_id=one.member_id, group_instance_id=one.group_instance_id, error_code=code)
        )
    effects.reply(ticket, LeaveGroupResponse(members=results))
    if group is not None:
        reasons = "; ".join(sorted({one.reason for one in message.members if one.reason})) or "no reason given"
        after_leaving(group, f"members have left: {reasons}", effects, members_left=members_left)
        forget_if_unused(shard, group)
    return effects.outcome()


def _leave_one(group: ClassicGroup | None, one: Any, effects: Effects) -> tuple[ErrorCode, bool]:
    """Take one out: the error, and whether it was a member."""
    if group is None:
        return ErrorCode.UNKNOWN_MEMBER_ID, False
    member_id = one.member_id
    if not member_id:
        # An administrator who knows the instance only.
        member_id = None if one.group_instance_id is None else group.static.get(one.group_instance_id)
        if member_id is None:
            return ErrorCode.UNKNOWN_MEMBER_ID, False
    elif member_id in group.pending:
        remove(group, member_id, effects)
        return ErrorCode.NONE, False
    else:
        code = group.validate_member(member_id, one.group_instance_id)
        if code is not ErrorCode.NONE:
            return code, False
    remove(group, member_id, effects)
    return ErrorCode.NONE, True


def forget_if_unused(shard: GroupShard, group: ClassicGroup) -> None:
    """A group that never had a generation leaves nothing behind when the last one who asked for it is gone."""
    if group.unused and shard.groups.get(group.group_id) is group:
        del shard.groups[group.group_id]
        _dead(group)


def _dead(group: ClassicGroup) -> None:
    group.state = DEAD
    GROUP_REBALANCES.forget(group.group_id)


# --- events ---


def _classic(shard: GroupShard, group_id: str) -> ClassicGroup | None:
    group = shard.groups.get(group_id)
    return group if isinstance(group, ClassicGroup) else None


def member_expires(shard: GroupShard, event: MemberExpires, ticket: int, now_ms: int) -> Outcome:
    """A member's timer: it may have shown signs of life since it was set."""
    group = _classic(shard, event.group_id)
    if group is None:
        return NOTHING
    effects = Effects(shard.settings, now_ms)
    member = group.members.get(event.member_id)
    if member is None:
        if event.member_id in group.pending:
            leave(group, event.member_id, "", effects)
            forget_if_unused(shard, group)
        return effects.outcome()
    member.armed_ms = None
    if member.deadline_ms > now_ms:
        member.armed_ms = member.deadline_ms
        return Outcome(timers=(member_timer(event.group_id, event.member_id, member.deadline_ms),))
    if member.waits:
        return NOTHING  # its timer is set again when it gets its answer
    leave(group, event.member_id, f"the session of {event.member_id} has ended", effects)
    return effects.outcome()


def join_expires(shard: GroupShard, event: JoinExpires, ticket: int, now_ms: int) -> Outcome:
    """The time to join is over."""
    group = _classic(shard, event.group_id)
    if group is None or group.state is not PREPARING:
        return NOTHING
    effects = Effects(shard.settings, now_ms)
    if event.initial:
        initial_wait_over(group, event, effects)
    else:
        complete_join(group, effects)
    return effects.outcome()


def sync_expires(shard: GroupShard, event: SyncExpires, ticket: int, now_ms: int) -> Outcome:
    """The time to ask for assignments is over."""
    group = _classic(shard, event.group_id)
    if group is None:
        return NOTHING
    effects = Effects(shard.settings, now_ms)
    sync_wait_over(group, event, effects)
    return effects.outcome()


def rebalance(shard: GroupShard, event: Rebalance, ticket: int, now_ms: int) -> Outcome:
    """Begin anew, unless that has happened."""
    group = _classic(shard, event.group_id)
    if group is None or group.generation != event.generation or group.state not in (COMPLETING, STABLE):
        return NOTHING
    effects = Effects(shard.settings, now_ms)
    for member in group.members.values():
        # What the log refuses takes the timers of its outcome with it.
        member.armed_ms = None
        effects.touch(group, member)
    prepare(group, event.why, effects)
    return effects.outcome()


def converted(shard: GroupShard, event: Converted, ticket: int, now_ms: int) -> Outcome:
    """The group comes from the newer protocol. Somebody may have joined again since."""
    group = _classic(shard, event.group_id)
    if group is None or group.generation != event.generation:
        return NOTHING
    effects = Effects(shard.settings, now_ms)
    for member in group.members.values():
        effects.touch(group, member)
    if event.rebalance and group.state is STABLE:
        prepare(group, "the last member of the newer protocol is gone", effects)
    return effects.outcome()


# --- records and the life of the shard ---


def replay(shard: GroupShard, key: Any, value: Any) -> None:
    """A GroupMetadata record."""
    group = _classic(shard, key.group)
    if value is None:
        if group is not None:
            del shard.groups[key.group]
            _dead(group)
        return
    if group is None:
        group = shard.groups[key.group] = ClassicGroup(key.group, value.current_state_timestamp)
    group.apply(value)
    for member_id, former in shard.converted.pop(key.group, {}).items():
        member = group.members.get(member_id)
        if member is not None:
            member.former = former
            group.update(member, former.protocols, member.rebalance_timeout_ms, member.session_timeout_ms)


def start(shard: GroupShard, now_ms: int) -> Outcome:
    """Sessions begin anew when a shard is loaded: a member could not show signs of life meanwhile."""
    effects = Effects(shard.settings, now_ms)
    for group in list(shard.groups.values()):
        if not isinstance(group, ClassicGroup):
            continue
        for member in group.members.values():
            effects.touch(group, member)
        if group.members and group.leader is None:
            prepare(group, "the last member of the newer protocol is gone", effects)
        elif len(group.members) > shard.settings.max_size:
            prepare(group, "the group is larger than group.max.size", effects)
    return effects.outcome()


CLASSIC_HANDLERS: Mapping[type, Callable[[GroupShard, Any, int, int], Outcome]] = {
    JoinGroupRequest: join,
    SyncGroupRequest: sync,
    HeartbeatRequest: heartbeat,
    LeaveGroupRequest: leave_group,
    MemberExpires: member_expires,
    JoinExpires: join_expires,
    SyncExpires: sync_expires,
    Rebalance: rebalance,
    Converted: converted,
    **ADMIN_HANDLERS,
}
CLASSIC_REPLAY: Mapping[type, Callable[[GroupShard, Any, Any], None]] = {GroupMetadataKey: replay}
# Called once when the shard has been loaded: the timers of its members.
CLASSIC_START: Callable[[GroupShard, int], Outcome] | None = start
# Called when topics or partitions have changed: clients of this protocol watch them themselves.
CLASSIC_ON_IMAGE: Callable[[GroupShard, ImageDelta, int], Outcome] | None = None
