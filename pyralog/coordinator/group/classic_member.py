"""A member of a classic group, and what can be read of the subscriptions of consumers."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Set
from typing import Any, NamedTuple

from pyralog.coordinator.outcome import Timer
from pyralog.wire.messages import GroupMetadataValueMemberMetadata

MEMBER_TIMER = "classic-member"
_SHORT, _INT = struct.Struct(">h"), struct.Struct(">i")


class MemberExpires(NamedTuple):
    """The event that asks whether a member, or one who was given an id, has been silent for too long."""

    group_id: str
    member_id: str


def member_timer(group_id: str, member_id: str, due_ms: int | None) -> Timer:
    """The session timer of a member; None takes it back."""
    event = None if due_ms is None else MemberExpires(group_id, member_id)
    return Timer((MEMBER_TIMER, group_id, member_id), due_ms, event)


class Former(NamedTuple):
    """What is known of a member that was in a group of the newer protocol, and not in the record of the classic one:
    all its protocols, and the partitions by topic id that it had, until it has joined again."""

    protocols: dict[str, bytes]
    owned: Mapping[bytes, Iterable[int]]


class ClassicMember:
    """One member. `protocols` holds its metadata by name, best liked first; tickets are those of parked requests.

    `deadline_ms` is when its session ends, `armed_ms` when its timer asks: a heartbeat moves only the first.
    """

    __slots__ = (
        "anonymous",
        "armed_ms",
        "assignment",
        "client_host",
        "client_id",
        "deadline_ms",
        "former",
        "instance_id",
        "is_new",
        "join_ticket",
        "member_id",
        "protocols",
        "rebalance_timeout_ms",
        "session_timeout_ms",
        "settled",
        "sync_ticket",
        "sync_unknown",
    )

    def __init__(
        self,
        member_id: str,
        instance_id: str | None,
        client: tuple[str, str],
        timeouts_ms: tuple[int, int],
        protocols: dict[str, bytes],
    ) -> None:
        self.member_id = member_id
        self.instance_id = instance_id
        self.client_id, self.client_host = client
        self.rebalance_timeout_ms, self.session_timeout_ms = timeouts_ms
        self.protocols = protocols
        self.assignment = b""
        self.former: Former | None = None
        self.join_ticket = 0
        self.sync_ticket = 0
        self.settled = True  # it was heard of since it got its assignment, so that it has given up everything else
        self.sync_unknown = False  # it comes from a record: until the next generation nobody knows if it ever asked
        self.is_new = False
        self.anonymous = False  # new, and its client has not been told its id yet
        self.deadline_ms = 0
        self.armed_ms: int | None = None

    @classmethod
    def loaded(cls, one: Any, protocol: str) -> ClassicMember:
        """A member as a GroupMetadata record has it. Records of version 0 have no rebalance timeout.

        Whether it has heard of its assignment is not in the record: it may still have what it said it had.
        """
        rebalance_ms = one.session_timeout if one.rebalance_timeout < 0 else one.rebalance_timeout
        client = (one.client_id, one.client_host)
        member = cls(
            one.member_id,
            one.group_instance_id,
            client,
            (rebalance_ms, one.session_timeout),
            {protocol: one.subscription},
        )
        member.settled, member.sync_unknown = False, True
        return member

    def is_as_in(self, one: Any, protocol: str) -> bool:
        """Whether the record says the same of it: on the node that has written it, it does."""
        return bool(self.record(protocol, one.assignment) == one)

    def record(self, protocol: str, assignment: bytes) -> GroupMetadataValueMemberMetadata:
        """The member as a GroupMetadata record has it."""
        return GroupMetadataValueMemberMetadata(
            member_id=self.member_id,
            group_instance_id=self.instance_id,
            client_id=self.client_id,
            client_host=self.client_host,
            rebalance_timeout=self.rebalance_timeout_ms,
            session_timeout=self.session_timeout_ms,
            subscription=self.protocols.get(protocol, b""),
            assignment=assignment,
        )

    def vote(self, common: Set[str]) -> str:
        """The best liked of the common protocols."""
        return next(name for name in self.protocols if name in common)

    @property
    def waits(self) -> bool:
        """It has a request that only the coordinator can answer, so that it cannot show signs of life.

        A member that has never been told its id is not trusted with that: its client may have gone, and asks again.
        """
        return not self.is_new and bool(self.join_ticket or self.sync_ticket)

    def touch(self, group_id: str, now_ms: int, timeout_ms: int | None = None) -> tuple[Timer, ...]:
        """A sign of life: the session lasts from now. Mostly there is no timer to set, since one comes earlier."""
        due_ms = now_ms + (self.session_timeout_ms if timeout_ms is None else timeout_ms)
        self.deadline_ms = due_ms
        if self.armed_ms is not None and self.armed_ms <= due_ms:
            return ()
        self.armed_ms = due_ms
        return (member_timer(group_id, self.member_id, due_ms),)


def subscribed_topics(subscriptions: Iterable[bytes]) -> frozenset[str] | None:
    """The topics of ConsumerProtocolSubscription blobs; None when one cannot be read.

    Version 0 is the beginning of every later version, so that unknown versions can be read too.
    """
    topics: set[str] = set()
    try:
        for data in subscriptions:
            topics.update(_topics(data))
    except (struct.error, UnicodeDecodeError, ValueError):
        return None
    return frozenset(topics)


def _topics(data: bytes) -> Iterable[str]:
    (version,) = _SHORT.unpack_from(data)
    (count,) = _INT.unpack_from(data, 2)
    if version < 0 or count < 0 or count * 2 > len(data):
        raise ValueError("not a subscription")
    at = 6
    found = []
    for _ in range(count):
        (size,) = _SHORT.unpack_from(data, at)
        at += 2
        if size < 0 or at + size > len(data):
            raise ValueError("a topic's name is cut")
        found.append(data[at : at + size].decode())
        at += size
    return found
