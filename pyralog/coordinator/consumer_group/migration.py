"""Between the protocols: an empty classic group becomes a KIP-848 group when such a member joins."""

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
    """An empty classic group gives way; one with members is not converted while they are there (no online upgrade)."""
    if not classic.is_empty:
        raise KafkaError(
            ErrorCode.GROUP_ID_NOT_FOUND,
            f"Cannot upgrade classic group {draft.group_id} to consumer group because online upgrade is disabled.",
        )
    draft.write(classic.tombstones())
    return ConsumerGroup(draft.group_id)


def part_with(draft: Draft, group: ConsumerGroup, members: Sequence[Member]) -> None:
    """Members leave or are thrown out."""
    remove_members(draft, group, members)
