"""An outcome in the making: what a request leads to, collected before anything of it counts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pyralog.coordinator.outcome import CoordinatorRecord, Outcome, Reply, Timer

if TYPE_CHECKING:
    from pyralog.coordinator.group.shard import GroupShard

SESSION_TIMEOUT = "consumer.session.timeout.ms"
HEARTBEAT_INTERVAL = "consumer.heartbeat.interval.ms"
ASSIGNMENT_INTERVAL = "consumer.assignment.interval.ms"


class Draft:
    """Records, timers and replies for one group of one shard at one time."""

    __slots__ = ("_config", "group_id", "now_ms", "records", "replies", "shard", "timers", "unassigned")

    def __init__(self, shard: GroupShard, group_id: str, now_ms: int) -> None:
        self.shard = shard
        self.group_id = group_id
        self._config = shard.group_config(group_id)
        self.now_ms = now_ms
        self.records: list[CoordinatorRecord] = []
        self.timers: list[Timer] = []
        self.replies: list[Reply] = []
        self.unassigned = False  # the group comes from a classic one that was to rebalance

    def write(self, records: Iterable[CoordinatorRecord]) -> None:
        """Append records."""
        self.records.extend(records)

    def reply(self, ticket: int, value: Any) -> Outcome:
        """The outcome, with this answer."""
        self.replies.append(Reply(ticket, value))
        return self.outcome()

    def outcome(self) -> Outcome:
        """The outcome."""
        return Outcome(tuple(self.records), tuple(self.replies), tuple(self.timers))

    @property
    def session_timeout_ms(self) -> int:
        """Of members of the consumer protocol in this group."""
        settings = self.shard.settings
        return self._configured(
            SESSION_TIMEOUT,
            settings.consumer_session_timeout_ms,
            settings.consumer_min_session_timeout_ms,
            settings.consumer_max_session_timeout_ms,
        )

    @property
    def heartbeat_interval_ms(self) -> int:
        """How often members shall be heard of."""
        settings = self.shard.settings
        return self._configured(
            HEARTBEAT_INTERVAL,
            settings.consumer_heartbeat_interval_ms,
            settings.consumer_min_heartbeat_interval_ms,
            settings.consumer_max_heartbeat_interval_ms,
        )

    @property
    def assignment_interval_ms(self) -> int:
        """The longest pause between two assignments."""
        settings = self.shard.settings
        return self._configured(
            ASSIGNMENT_INTERVAL,
            settings.consumer_assignment_interval_ms,
            settings.consumer_min_assignment_interval_ms,
            settings.consumer_max_assignment_interval_ms,
        )

    def _configured(self, name: str, default: int, lowest: int, highest: int) -> int:
        """The group's own value, held to the limits that this node has now; else the node's."""
        text = self._config.get(name)
        return default if text is None else min(max(int(text), lowest), highest)
