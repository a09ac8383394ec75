"""Rebalances of classic groups: from members that wait to a generation, and what happens to those who are late."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from pyralog.coordinator.group.classic import COMPLETING, EMPTY, PREPARING, STABLE, ClassicGroup
from pyralog.coordinator.group.classic_member import ClassicMember, member_timer
from pyralog.coordinator.outcome import NOTHING, CoordinatorRecord, Outcome, Reply, Timer
from pyralog.errors import ErrorCode
from pyralog.metrics import GROUP_REBALANCES
from pyralog.wire.messages import JoinGroupResponse, JoinGroupResponseMember, SyncGroupResponse

if TYPE_CHECKING:
    from pyralog.coordinator.group.settings import GroupSettings

log = logging.getLogger(__name__)

JOIN_TIMER, SYNC_TIMER = "classic-join", "classic-sync"
NO_MEMBER_ID = ""


class JoinExpires(NamedTuple):
    """The event that ends the wait for members to join. Of a group's first generation: after `delay_ms`, and later
    still by up to `remaining_ms` while new members come."""

    group_id: str
    initial: bool = False
    delay_ms: int = 0
    remaining_ms: int = 0


class SyncExpires(NamedTuple):
    """The event that ends the wait for members to ask for their assignments of this generation."""

    group_id: str
    generation: int


class Rebalance(NamedTuple):
    """The event that makes a group begin anew: its generation could not be stored."""

    group_id: str
    generation: int
    why: str


class Converted(NamedTuple):
    """The event that follows a conversion from the newer protocol: sessions begin, and a rebalance if the members have
    not what they shall have."""

    group_id: str
    generation: int
    rebalance: bool


class Effects:
    """What follows from a request or an event, as it is found out."""

    __slots__ = ("now_ms", "records", "refused", "replies", "settings", "timers")

    def __init__(self, settings: GroupSettings, now_ms: int) -> None:
        self.settings = settings
        self.now_ms = now_ms
        self.records: list[CoordinatorRecord] = []
        self.replies: list[Reply] = []
        self.timers: list[Timer] = []
        self.refused: Any = None

    def reply(self, ticket: int, message: Any) -> None:
        """Answer a request, unless there is none."""
        if ticket:
            self.replies.append(Reply(ticket, message))

    def touch(self, group: ClassicGroup, member: ClassicMember, timeout_ms: int | None = None) -> None:
        """The member's session lasts from now."""
        self.timers += member.touch(group.group_id, self.now_ms, timeout_ms)

    def outcome(self) -> Outcome:
        """All of it."""
        if not (self.records or self.replies or self.timers):
            return NOTHING
        return Outcome(tuple(self.records), tuple(self.replies), tuple(self.timers), refused=self.refused)


# --- answers ---


def join_error(member_id: str, code: ErrorCode) -> JoinGroupResponse:
    """The answer to a JoinGroup that failed."""
    return JoinGroupResponse(member_id=member_id, error_code=code, protocol_name=None)


def join_answer(group: ClassicGroup, member_id: str, *, leads: bool, leader: str | None = None) -> JoinGroupResponse:
    """The generation as a member is told of it; who leads gets everybody's metadata."""
    told = group.leader if leader is None else leader
    return JoinGroupResponse(
        generation_id=group.generation,
        protocol_type=group.protocol_type,
        protocol_name=group.protocol,
        leader=told or "",
        member_id=member_id,
        members=member_list(group) if leads else [],
    )


def member_list(group: ClassicGroup) -> list[JoinGroupResponseMember]:
    """Every member with its metadata for the protocol of this generation."""
    protocol = group.protocol or ""
    return [
        JoinGroupResponseMember(
            member_id=member_id,
            group_instance_id=member.instance_id,
            metadata=member.protocols.get(protocol, b""),
        )
        for member_id, member in group.members.items()
    ]


def sync_error(code: ErrorCode) -> SyncGroupResponse:
    """The answer to a SyncGroup that failed."""
    return SyncGroupResponse(error_code=code)


def sync_answer(group: ClassicGroup, assignment: bytes) -> SyncGroupResponse:
    """A member's assignment."""
    return SyncGroupResponse(protocol_type=group.protocol_type, protocol_name=group.protocol, assignment=assignment)


# --- parking ---


def park_join(group: ClassicGroup, member: ClassicMember, ticket: int, effects: Effects) -> None:
    """Let a JoinGroup wait. One that the member has sent before, over a connection that may be gone, ends here."""
    earlier = group.park_join(member, ticket)
    effects.reply(earlier, join_error(member.member_id, ErrorCode.REBALANCE_IN_PROGRESS))


def park_sync(member: ClassicMember, ticket: int, effects: Effects) -> None:
    """Let a SyncGroup wait, likewise."""
    earlier, member.sync_ticket = member.sync_ticket, ticket
    effects.reply(earlier, sync_error(ErrorCode.REBALANCE_IN_PROGRESS))


def dismiss(group: ClassicGroup, member: ClassicMember, code: ErrorCode, effects: Effects, told_id: str = "") -> None:
    """Answer what a member waits for with an error, so that it begins anew if it is still there."""
    effects.reply(group.take_join(member), join_error(told_id, code))
    sync_ticket, member.sync_ticket = member.sync_ticket, 0
    effects.reply(sync_ticket, sync_error(code))


def remove(group: ClassicGroup, member_id: str, effects: Effects) -> None:
    """Take out a member, or somebody who has not joined yet; nothing follows from it here."""
    member = group.members.get(member_id)
    if member is not None:
        dismiss(group, member, ErrorCode.UNKNOWN_MEMBER_ID, effects)
    effects.timers.append(member_timer(group.group_id, member_id, None))
    group.remove(member_id)


# --- the steps of a rebalance ---


def rebalance_or_complete(group: ClassicGroup, why: str, effects: Effects) -> None:
    """The members have changed: begin a rebalance, or go on with the one that is under way."""
    if group.state is PREPARING:
        complete_if_all_joined(group, effects)
    else:
        prepare(group, why, effects)


def prepare(group: ClassicGroup, why: str, effects: Effects) -> None:
    """Make everybody join again. The first generation of a group waits a little for more members (KIP-134)."""
    if group.state is COMPLETING:
        for member in group.members.values():
            member.assignment = b""
            if member.sync_ticket:
                ticket, member.sync_ticket = member.sync_ticket, 0
                effects.reply(ticket, sync_error(ErrorCode.REBALANCE_IN_PROGRESS))
                effects.touch(group, member)
    if group.pending_sync:
        group.pending_sync.clear()
        effects.timers.append(Timer((SYNC_TIMER, group.group_id), None))
    initial = group.state is EMPTY
    group.move(PREPARING, effects.now_ms)
    GROUP_REBALANCES.add(group.group_id)
    log.debug("group %s: rebalance after generation %d: %s", group.group_id, group.generation, why)
    if initial:
        delay_ms = effects.settings.initial_rebalance_delay_ms
        remaining_ms = max(group.rebalance_timeout_ms - delay_ms, 0)
        group.new_member_added = False
        _wait_for_joins(group, delay_ms, JoinExpires(group.group_id, True, delay_ms, remaining_ms), effects)
    elif group.all_joined:
        complete_join(group, effects)
    else:
        _wait_for_joins(group, group.rebalance_timeout_ms, JoinExpires(group.group_id), effects)


def _wait_for_joins(group: ClassicGroup, wait_ms: int, event: JoinExpires, effects: Effects) -> None:
    effects.timers.append(Timer((JOIN_TIMER, group.group_id), effects.now_ms + wait_ms, event))


def complete_if_all_joined(group: ClassicGroup, effects: Effects) -> None:
    """Go on without waiting when there is nobody to wait for; a first generation waits its time all the same."""
    if group.state is PREPARING and group.previous is not EMPTY and group.all_joined:
        complete_join(group, effects)


def initial_wait_over(group: ClassicGroup, event: JoinExpires, effects: Effects) -> None:
    """A first generation has waited: once more if members have come meanwhile, up to the rebalance timeout."""
    if not group.new_member_added or not event.remaining_ms:
        complete_join(group, effects)
        return
    group.new_member_added = False
    delay_ms = min(effects.settings.initial_rebalance_delay_ms, event.remaining_ms)
    remaining_ms = max(event.remaining_ms - event.delay_ms, 0)
    _wait_for_joins(group, delay_ms, JoinExpires(group.group_id, True, delay_ms, remaining_ms), effects)


def complete_join(group: ClassicGroup, effects: Effects) -> None:
    """The next generation: of those who have joined, and of static members, who may come back until their sessions
    end. Everybody who waits is told of it, and it is the leader's turn to assign."""
    if group.awaiting_join < len(group.members):
        late = [id for id, one in group.members.items() if not one.join_ticket and one.instance_id is None]
        for member_id in late:
            remove(group, member_id, effects)
        if late:
            log.info("group %s: %d members did not join again in time", group.group_id, len(late))
    if group.members and not group.elect():
        # Static members only, and none of them is here: their sessions decide.
        _wait_for_joins(group, group.rebalance_timeout_ms, JoinExpires(group.group_id), effects)
        return
    effects.timers.append(Timer((JOIN_TIMER, group.group_id), None))
    if not group.members:
        log.info("group %s is empty after generation %d", group.group_id, group.generation)
        effects.records.append(group.empty_record(effects.now_ms))
        return
    group.next_generation(effects.now_ms)
    log.info("group %s: generation %d has %d members", group.group_id, group.generation, len(group.members))
    for member_id, member in group.members.items():
        ticket = group.take_join(member)
        member.is_new = member.anonymous = False
        member.former, member.settled, member.sync_unknown = None, False, False
        if ticket:
            effects.reply(ticket, join_answer(group, member_id, leads=member_id == group.leader))
        effects.touch(group, member)
    due_ms = effects.now_ms + group.rebalance_timeout_ms
    event = SyncExpires(group.group_id, group.generation)
    effects.timers.append(Timer((SYNC_TIMER, group.group_id), due_ms, event))


def note_sync(group: ClassicGroup, member_id: str, effects: Effects) -> None:
    """A member has asked for its assignment in time."""
    if member_id in group.pending_sync:
        group.pending_sync.discard(member_id)
        if not group.pending_sync:
            effects.timers.append(Timer((SYNC_TIMER, group.group_id), None))


def assign(group: ClassicGroup, assignments: Mapping[str, bytes], effects: Effects) -> None:
    """The leader has assigned: the record makes the group stable, and everybody who waits gets his part.

    Should the log refuse it, the answers become errors and the group begins anew.
    """
    effects.records.append(group.record(assignments, effects.now_ms))
    effects.refused = Rebalance(group.group_id, group.generation, "the assignment could not be stored")
    for member_id, member in group.members.items():
        if member.sync_ticket:
            ticket, member.sync_ticket = member.sync_ticket, 0
            effects.reply(ticket, sync_answer(group, assignments.get(member_id, b"")))
            effects.touch(group, member)


def leave(group: ClassicGroup, member_id: str, why: str, effects: Effects) -> None:
    """A member is gone, or somebody who has not joined yet; the others may have to rebalance."""
    was_member = member_id in group.members
    remove(group, member_id, effects)
    after_leaving(group, why, effects, members_left=was_member)


def after_leaving(group: ClassicGroup, why: str, effects: Effects, *, members_left: bool) -> None:
    """What follows when somebody has been taken out."""
    if group.state is PREPARING:
        if group.all_joined and (group.previous is not EMPTY or not group.members):
            complete_join(group, effects)
    elif members_left and group.state in (STABLE, COMPLETING):
        prepare(group, why, effects)


def sync_wait_over(group: ClassicGroup, event: SyncExpires, effects: Effects) -> None:
    """Whoever has not asked for the assignment by now is taken out (KAFKA-9800)."""
    if event.generation != group.generation or group.state not in (COMPLETING, STABLE) or not group.pending_sync:
        return
    late = list(group.pending_sync)
    for member_id in late:
        remove(group, member_id, effects)
    log.info("group %s: %d members did not ask for their assignments in time", group.group_id, len(late))
    group.pending_sync.clear()
    prepare(group, "members did not ask for their assignments", effects)
