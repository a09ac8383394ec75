"""Deadlines of members of KIP-848 groups: the events that timers bring, and the timers."""

from __future__ import annotations

from typing import NamedTuple

from pyralog.coordinator.outcome import Timer


class MemberExpired(NamedTuple):
    """Nothing was heard of a member for its session timeout, or a classic member did not join or sync in time."""

    group_id: str
    member_id: str


class RevocationExpired(NamedTuple):
    """A member has not given up its partitions within its rebalance timeout."""

    group_id: str
    member_id: str
    epoch: int


def _key(kind: str, group_id: str, member_id: str) -> tuple[str, ...]:
    return ("consumer-" + kind, group_id, member_id)


def session_timer(group_id: str, member_id: str, due_ms: int) -> Timer:
    """Replaces the one of the last heartbeat."""
    return Timer(("consumer-session", group_id, member_id), due_ms, MemberExpired(group_id, member_id))


def revocation_timer(group_id: str, member_id: str, epoch: int, due_ms: int) -> Timer:
    """The member is in UNREVOKED_PARTITIONS since now."""
    return Timer(_key("revoke", group_id, member_id), due_ms, RevocationExpired(group_id, member_id, epoch))


def no_revocation_timer(group_id: str, member_id: str) -> Timer:
    """It has given up what it had to."""
    return Timer(_key("revoke", group_id, member_id), None)


def join_timer(group_id: str, member_id: str, due_ms: int | None) -> Timer:
    """A classic member that was told to join again."""
    event = None if due_ms is None else MemberExpired(group_id, member_id)
    return Timer(_key("join", group_id, member_id), due_ms, event)


def sync_timer(group_id: str, member_id: str, due_ms: int | None) -> Timer:
    """A classic member that has joined and must sync."""
    event = None if due_ms is None else MemberExpired(group_id, member_id)
    return Timer(_key("sync", group_id, member_id), due_ms, event)


def no_timers(group_id: str, member_id: str) -> tuple[Timer, ...]:
    """A member is gone."""
    return tuple(Timer(_key(kind, group_id, member_id), None) for kind in ("session", "revoke", "join", "sync"))
