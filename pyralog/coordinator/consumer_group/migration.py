"""Between the protocols: a classic group becomes a KIP-848 group when one joins, and back when the last leaves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pyralog.coordinator.consumer_group.group import ConsumerGroup
from pyralog.coordinator.consumer_group.member import Member
from pyralog.coordinator.consumer_group.membership import remove_members
from pyralog.errors import ErrorCode, KafkaError

if TYPE_CHECKING:
    from pyralog.coordinator.consumer_group.draft import Draft


def to_consumer_group(draft: Draft, classic: Any) -> ConsumerGroup:
    """TODO"""
    raise KafkaError(ErrorCode.GROUP_ID_NOT_FOUND, f"Group {draft.group_id} is not a consumer group.")


def part_with(draft: Draft, group: ConsumerGroup, members: Sequence[Member]) -> None:
    """Members leave or are thrown out."""
    remove_members(draft, group, members)
