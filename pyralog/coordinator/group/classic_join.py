"""JoinGroup of classic groups: who may come in, under which id, and whether the others must join again for that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyralog.coordinator.group.classic import COMPLETING, EMPTY, PREPARING, STABLE, ClassicGroup
from pyralog.coordinator.group.classic_member import ClassicMember, member_timer
from pyralog.coordinator.group.classic_rebalance import (
    NO_MEMBER_ID,
    Effects,
    Rebalance,
    complete_if_all_joined,
    dismiss,
    join_answer,
    join_error,
    member_list,
    park_join,
    prepare,
    rebalance_or_complete,
)
from pyralog.coordinator.group.classic_rebalance import remove as remove_member
from pyralog.coordinator.outcome import ClientRequest
from pyralog.errors import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable

# A dynamic member must come back with the id that it is given (KIP-394).
MEMBER_ID_REQUIRED_FROM = 4
# A static leader that returns is told to assign nothing (KIP-814); before, it is told that somebody else leads.
SKIP_ASSIGNMENT_FROM = 9
# How long a JoinGroup of a member that does not know its id yet may wait: its client may be gone without a trace.
NEW_MEMBER_JOIN_TIMEOUT_MS = 300_000


class Join:
    """One JoinGroup on its way through."""

    __slots__ = (
        "client",
        "effects",
        "group",
        "instance_id",
        "message",
        "protocols",
        "ticket",
        "timeouts_ms",
        "version",
    )

    def __init__(self, group: ClassicGroup, request: ClientRequest, ticket: int, effects: Effects) -> None:
        message: Any = request.message
        self.group = group
        self.message = message
        self.version = request.version
        self.client = (request.client_id, request.client_host)
        self.instance_id: str | None = message.group_instance_id
        self.protocols: dict[str, bytes] = {one.name: one.metadata for one in message.protocols}
        session_ms = message.session_timeout_ms
        # Version 0 has no rebalance timeout: the session's takes its place, for -1 would never let the others in.
        rebalance_ms = message.rebalance_timeout_ms if message.rebalance_timeout_ms >= 0 else session_ms
        self.timeouts_ms = (rebalance_ms, session_ms)
        self.ticket = ticket
        self.effects = effects

    def refuse(self, code: ErrorCode, member_id: str = NO_MEMBER_ID) -> None:
        """Answer with an error."""
        self.effects.reply(self.ticket, join_error(member_id, code))

    @property
    def why(self) -> str:
        """What the client says why it joins (KIP-800)."""
        return f"client says: {self.message.reason}" if self.message.reason else "the client gives no reason"

    # --- who comes ---

    def run(self, new_id: Callable[[], str]) -> None:
        """Let the member in, or not."""
        group, member_id = self.group, self.message.member_id
        if not self._has_room(member_id):
            remove_member(group, member_id, self.effects)
            self.refuse(ErrorCode.GROUP_MAX_SIZE_REACHED)
            complete_if_all_joined(group, self.effects)
        elif not group.supports(self.message.protocol_type, self.protocols):
            self.refuse(ErrorCode.INCONSISTENT_GROUP_PROTOCOL, member_id)
        elif member_id == NO_MEMBER_ID:
            self._newcomer(new_id)
        elif member_id in group.pending:
            if self.instance_id is not None:
                self.refuse(ErrorCode.UNKNOWN_MEMBER_ID, member_id)  # such ids are given to dynamic members only
            else:
                self._add(member_id)
        else:
            self._again(member_id)

    def _has_room(self, member_id: str) -> bool:
        """Rejoining members of a group that has become too large are let in up to the limit; the last are put out."""
        group, most = self.group, self.effects.settings.max_size
        if group.state is EMPTY:
            return True
        member = group.members.get(member_id)
        if group.state is PREPARING:
            return (member is not None and bool(member.join_ticket)) or group.awaiting_join < most
        return member is not None or len(group.members) < most

    def _newcomer(self, new_id: Callable[[], str]) -> None:
        group = self.group
        if self.instance_id is not None:
            member_id = f"{self.instance_id}-{new_id()}"
            known = group.static.get(self.instance_id)
            if known is None:
                self._add(member_id, anonymous=True)
            else:
                self._replace_static(known, member_id)
            return
        member_id = f"{self.client[0]}-{new_id()}"
        if self.version < MEMBER_ID_REQUIRED_FROM:
            self._add(member_id, anonymous=True)
            return
        group.pending.add(member_id)
        due_ms = self.effects.now_ms + self.message.session_timeout_ms
        self.effects.timers.append(member_timer(group.group_id, member_id, due_ms))
        self.refuse(ErrorCode.MEMBER_ID_REQUIRED, member_id)

    def _add(self, member_id: str, *, anonymous: bool = False) -> None:
        group, effects = self.group, self.effects
        member = ClassicMember(member_id, self.instance_id, self.client, self.timeouts_ms, self.protocols)
        member.is_new, member.anonymous = True, anonymous
        if group.state is PREPARING and group.previous is EMPTY:
            group.new_member_added = True
        group.add(member, self.message.protocol_type)
        park_join(group, member, self.ticket, effects)
        effects.touch(group, member, NEW_MEMBER_JOIN_TIMEOUT_MS)
        rebalance_or_complete(group, f"{member_id} joins; {self.why}", effects)

    # --- who is known ---

    def _again(self, member_id: str) -> None:
        group = self.group
        code = group.validate_member(member_id, self.instance_id)
        if code is not ErrorCode.NONE:
            self.refuse(code, member_id)
            return
        member = group.members[member_id]
        unchanged = member.protocols == self.protocols
        leads = group.leader == member_id
        if (group.state is COMPLETING and unchanged) or (group.state is STABLE and unchanged and not leads):
            # It may not have got the answer: it is told of the generation that there is. A leader of a stable group
            # that joins again wants a rebalance, since topics have changed.
            self.effects.reply(self.ticket, join_answer(group, member_id, leads=leads))
            return
        group.update(member, self.protocols, *self.timeouts_ms)
        park_join(group, member, self.ticket, self.effects)
        rebalance_or_complete(group, f"{member_id} joins again; {self.why}", self.effects)

    def _replace_static(self, old_id: str, new_id: str) -> None:
        """A static member without its id: its process was started again (KIP-345). It takes over what it had."""
        group, effects = self.group, self.effects
        leader = group.leader
        dismiss(group, group.members[old_id], ErrorCode.FENCED_INSTANCE_ID, effects, old_id)
        effects.timers.append(member_timer(group.group_id, old_id, None))
        member = group.replace_static(old_id, new_id)
        group.update(member, self.protocols, *self.timeouts_ms)
        effects.touch(group, member)
        if group.state is STABLE and group.select_protocol() == group.protocol:
            self._hand_back(member, leader)
            return
        # Before the leader has assigned, it knows only the old id: the new one would get nothing.
        park_join(group, member, self.ticket, effects)
        why = f"static member {self.instance_id} is back; {self.why}"
        if group.state is COMPLETING:
            prepare(group, why, effects)
        else:
            rebalance_or_complete(group, why, effects)

    def _hand_back(self, member: ClassicMember, leader: str | None) -> None:
        """Nobody need rebalance: the new id is stored, and the member gets its assignment by SyncGroup."""
        group, effects = self.group, self.effects
        member_id = member.member_id
        assignments = {id: one.assignment for id, one in group.members.items()}
        effects.records.append(group.record(assignments, effects.now_ms))
        effects.refused = Rebalance(group.group_id, group.generation, "a static member could not be stored")
        leads = group.leader == member_id
        if self.version >= SKIP_ASSIGNMENT_FROM:
            answer = join_answer(group, member_id, leads=False)
            if leads:
                answer.members = member_list(group)
                answer.skip_assignment = True
        else:
            answer = join_answer(group, member_id, leads=False, leader=leader)
        effects.reply(self.ticket, answer)
