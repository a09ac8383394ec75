"""One partition of __consumer_offsets as a machine: its groups and their offsets, and who handles what of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from pyralog._speedups.codec import Message
from pyralog.coordinator.consumer_group.requests import (
    CONSUMER_HANDLERS,
    CONSUMER_ON_IMAGE,
    CONSUMER_REPLAY,
    CONSUMER_START,
)
from pyralog.coordinator.group.classic_requests import (
    CLASSIC_HANDLERS,
    CLASSIC_ON_IMAGE,
    CLASSIC_REPLAY,
    CLASSIC_START,
)
from pyralog.coordinator.group.offset_requests import (
    OFFSET_HANDLERS,
    forget_topics,
    next_check,
    start_offsets,
)
from pyralog.coordinator.group.offsets import Offsets
from pyralog.coordinator.outcome import NOTHING, ClientRequest, CoordinatorRecord, Outcome, Timer, Transaction, combine
from pyralog.errors import ErrorCode, KafkaError
from pyralog.wire.messages import LegacyOffsetCommitKey, OffsetCommitKey

if TYPE_CHECKING:
    from pyralog._speedups.commits import Commit
    from pyralog.cluster.image import ClusterImage, ImageDelta
    from pyralog.coordinator.group.classic_member import Former
    from pyralog.coordinator.group.settings import GroupSettings

Handler = Callable[["GroupShard", Any, int, int], Outcome]
Replay = Callable[["GroupShard", Any, Any], None]


class Group(Protocol):
    """A group of either protocol, as the rest of the shard sees it."""

    group_id: str
    kind: str  # "classic" or "consumer"

    @property
    def is_empty(self) -> bool:
        """No members."""
        ...

    def state_name(self) -> str:
        """As Kafka shows it: Empty, Stable, ..."""
        ...

    def validate_offset_commit(self, message: Any, version: int) -> ErrorCode:
        """Whether this OffsetCommit or TxnOffsetCommit may be stored; it also counts as a heartbeat."""
        ...

    def validate_offset_fetch(self, member_id: str | None, member_epoch: int) -> ErrorCode:
        """Whether this member may read offsets with this epoch (v9+)."""
        ...

    def validate_delete(self) -> ErrorCode:
        """Whether the group may be deleted now."""
        ...

    def validate_offset_delete(self) -> ErrorCode:
        """Whether offsets of topics that nobody consumes may be deleted now."""
        ...

    def admit_commit(self, commit: Commit, now_ms: int) -> tuple[Timer, ...] | None:
        """`commit_timers` of a commit on the quick way. None: `validate_offset_commit` has an error for it."""
        ...

    def commit_timers(self, message: Any, now_ms: int) -> tuple[Timer, ...]:
        """An accepted commit is a sign of life: the member's session timer set anew, if it has one."""
        ...

    def expires_from(self, commit_timestamp_ms: int) -> int | None:
        """The time from which the retention of an offset counts; None while nothing expires.

        Empty with a protocol type: since it became empty. Stable and aware of its topics, or without a protocol type,
        or of the newer protocol: since the commit.
        """
        ...

    def subscribed_to(self, topic: str) -> bool:
        """Whether members consume this topic, so that its offsets may neither expire nor be deleted."""
        ...

    def tombstones(self) -> tuple[CoordinatorRecord, ...]:
        """The records that remove the group, its offsets apart."""
        ...


def _all_topics(_principal: str, topics: Collection[str]) -> Collection[str]:
    return topics


class GroupShard:
    """The groups of one partition. See coordinator.outcome.Machine for what may change what."""

    def __init__(
        self,
        partition: int,
        settings: GroupSettings,
        image: ClusterImage,
        new_id: Callable[[], str],
        group_config: Callable[[str], Mapping[str, str]] = lambda _: {},
    ) -> None:
        self.partition = partition
        self.settings = settings
        self.image = image
        self.new_id = new_id
        self.group_config = group_config
        # Of these topics, which a principal may see: subscriptions by regular expression match no others.
        self.visible_topics: Callable[[str, Collection[str]], Collection[str]] = _all_topics
        self.groups: dict[str, Any] = {}
        # Of a group that becomes a classic one by the records at hand: its members. Volatile.
        self.converted: dict[str, dict[str, Former]] = {}
        self.offsets = Offsets()  # also filled by _speedups.lane, with what `replay` would put there

    def knows(self, group_id: str) -> bool:
        """Whether there is such a group. One that has offsets and no entry in `groups` is one of simple consumers:
        classic, empty, without a protocol type."""
        return group_id in self.groups or group_id in self.offsets.groups or self.offsets.has_pending(group_id)

    def simple_groups(self) -> Iterator[str]:
        """The groups that are offsets only."""
        return (group_id for group_id in self.offsets.groups if group_id not in self.groups)

    def handle(self, request: Any, ticket: int, now_ms: int) -> Outcome:
        """Decide on a client's request or on an event of a timer."""
        subject = request.message if type(request) is ClientRequest else request
        handler = HANDLERS.get(type(subject))
        if handler is None:
            raise KafkaError(ErrorCode.UNSUPPORTED_VERSION, f"no group machine takes {type(subject).__name__}")
        return handler(self, request, ticket, now_ms)

    def replay(
        self, key: Message, value: Message | None, *, offset: int, timestamp_ms: int, transaction: Transaction | None
    ) -> None:
        """Apply one record."""
        kind = type(key)
        if kind is OffsetCommitKey or kind is LegacyOffsetCommitKey:
            self.offsets.replay(key, value, offset, transaction)
            return
        apply = REPLAY.get(kind)
        if apply is not None:
            apply(self, key, value)

    def replay_bulk(
        self, records: dict[bytes, tuple[int, int, bytes | None]]
    ) -> tuple[int, list[tuple[int, int, bytes, bytes | None]]]:
        """Committed offsets at once; the rest is given back. See coordinator.loading."""
        return self.offsets.fill(records)

    def complete(self, transaction: Transaction, *, committed: bool, now_ms: int) -> Outcome:
        """A producer's marker: its pending offsets count, or are forgotten."""
        self.offsets.complete(transaction, committed=committed)
        return NOTHING

    def start(self, now_ms: int) -> Outcome:
        """The timers of what was loaded."""
        return combine(*(begin(self, now_ms) for begin in STARTS if begin is not None))

    def reconfigure(self, settings: GroupSettings, now_ms: int) -> Outcome:
        """Go by other settings from now on."""
        self.settings = settings
        return Outcome(timers=(next_check(self, now_ms),))

    def on_image(self, image: ClusterImage, delta: ImageDelta, now_ms: int) -> Outcome:
        """The cluster has changed."""
        self.image = image
        return combine(*(hook(self, delta, now_ms) for hook in IMAGE_HOOKS if hook is not None))


HANDLERS: Mapping[type, Handler] = {**OFFSET_HANDLERS, **CLASSIC_HANDLERS, **CONSUMER_HANDLERS}
REPLAY: Mapping[type, Replay] = {**CLASSIC_REPLAY, **CONSUMER_REPLAY}
STARTS = (start_offsets, CLASSIC_START, CONSUMER_START)
IMAGE_HOOKS = (forget_topics, CLASSIC_ON_IMAGE, CONSUMER_ON_IMAGE)
