"""Who waits for a shard: how they get their answers, and how many of them there may be."""

from __future__ import annotations

from typing import Any, Protocol

from pyralog.errors import ErrorCode, KafkaError


class Answered(Protocol):
    """Whoever waits for a result: a Pending, or what stands for one."""

    def resolve(self, value: Any) -> None:
        """The result, or the exception that takes its place."""
        ...


class Load:
    """What all shards of a node hold for clients that wait; the limits on it."""

    __slots__ = ("max_waiting", "max_waiting_bytes", "refused", "waiting", "waiting_bytes")

    def __init__(self, max_waiting: int = 100_000, max_waiting_bytes: int = 64 << 20) -> None:
        self.max_waiting = max_waiting
        self.max_waiting_bytes = max_waiting_bytes
        self.waiting = 0
        self.waiting_bytes = 0
        self.refused = 0

    def full(self, size: int) -> bool:
        """Whether there is no room for a request."""
        return self.waiting >= self.max_waiting or self.waiting_bytes + size > self.max_waiting_bytes

    def admit(self, size: int) -> None:
        """Count a request in; COORDINATOR_NOT_AVAILABLE, which clients retry, when there is no room."""
        if self.full(size):
            raise self.too_many("too many requests wait for their groups")
        self.waiting += 1
        self.waiting_bytes += size

    def too_many(self, why: str) -> KafkaError:
        """The error of a request that is refused for its number: clients try again."""
        self.refused += 1
        return KafkaError(ErrorCode.COORDINATOR_NOT_AVAILABLE, why)

    def release(self, size: int) -> None:
        """Count it out."""
        self.waiting -= 1
        self.waiting_bytes -= size


# The log is well, but takes nothing (more) of this producer or this transaction coordinator.
FENCED = frozenset({ErrorCode.INVALID_PRODUCER_EPOCH, ErrorCode.TRANSACTION_COORDINATOR_FENCED})


def fenced(error: BaseException) -> bool:
    """Whether a log refused what it will refuse for ever, and is well."""
    return isinstance(error, KafkaError) and error.code in FENCED


def told(error: BaseException) -> ErrorCode:
    """What clients hear when their records could not be written; all of these make them look for the coordinator."""
    if isinstance(error, KafkaError) and error.code in (
        ErrorCode.NOT_LEADER_OR_FOLLOWER,
        ErrorCode.KAFKA_STORAGE_ERROR,
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode.NOT_COORDINATOR,
    ):
        return ErrorCode.NOT_COORDINATOR
    return ErrorCode.COORDINATOR_NOT_AVAILABLE
