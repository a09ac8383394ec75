"""KIP-848 groups: what a shard does with each of their requests, events and records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pyralog.coordinator.consumer_group.describe import describe
from pyralog.coordinator.consumer_group.expiry import member_expired, on_image, revocation_expired, start
from pyralog.coordinator.consumer_group.heartbeat import heartbeat
from pyralog.coordinator.consumer_group.replay import REPLAY
from pyralog.coordinator.consumer_group.timers import MemberExpired, RevocationExpired
from pyralog.wire.messages import ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest

if TYPE_CHECKING:
    from pyralog.cluster.image import ImageDelta
    from pyralog.coordinator.group.shard import GroupShard
    from pyralog.coordinator.outcome import Outcome

CONSUMER_HANDLERS: Mapping[type, Callable[[GroupShard, Any, int, int], Outcome]] = {
    ConsumerGroupHeartbeatRequest: heartbeat,
    ConsumerGroupDescribeRequest: describe,
    MemberExpired: member_expired,
    RevocationExpired: revocation_expired,
}
CONSUMER_REPLAY: Mapping[type, Callable[[GroupShard, Any, Any], None]] = REPLAY
# Called once when the shard has been loaded: the timers of its members.
CONSUMER_START: Callable[[GroupShard, int], Outcome] | None = start
# Called when topics or partitions have changed.
CONSUMER_ON_IMAGE: Callable[[GroupShard, ImageDelta, int], Outcome] | None = on_image
