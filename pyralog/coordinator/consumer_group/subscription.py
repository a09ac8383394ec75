"""What a group consumes after a member has changed its mind: topics, regular expressions and what they match."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Set
from typing import TYPE_CHECKING, NamedTuple

from pyralog.coordinator.consumer_group.group import ConsumerGroup, Resolved
from pyralog.coordinator.consumer_group.metadata import existing, metadata_hash
from pyralog.coordinator.consumer_group.records import (
    epoch_record,
    partition_metadata_tombstone,
    regex_record,
    regex_tombstone,
)
from pyralog.coordinator.consumer_group.regexes import compiled, matching
from pyralog.metrics import GROUP_REBALANCES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyralog.cluster.image import ClusterImage
    from pyralog.coordinator.consumer_group.draft import Draft
    from pyralog.coordinator.consumer_group.member import Member

# Topic names that are matched, per millisecond that must lie between two resolutions of a group: a tenth of a core.
NAMES_PER_MS = 50


class Regexes(NamedTuple):
    """Regular expressions after a heartbeat: what they match, whether the member's own is another one, whether the
    topics of the group may have changed by it, and whether they were looked up."""

    resolved: Mapping[str, Resolved]
    changed: bool = False
    bump: bool = False
    checked: bool = False


def update_regexes(draft: Draft, group: ConsumerGroup, before: Member | None, after: Member, principal: str) -> Regexes:
    """Check a new expression, forget one that nobody uses any more, and look up topics where that is due."""
    old, new = "" if before is None else before.regex, after.regex
    changed = old != new
    resolved = dict(group.resolved)
    bump = False
    if changed:
        if new and new not in resolved:
            compiled(new)
        if old and group.regex_counts[old] == 1:
            draft.records.append(regex_tombstone(group.group_id, old))
            resolved.pop(old, None)
        bump = not new or new in resolved
    used = set(group.regex_counts)
    if new:
        used.add(new)
    if changed and old and group.regex_counts[old] == 1:
        used.discard(old)
    if not used:
        return Regexes(resolved, changed, bump)
    names = _due(draft, group, used, resolved)
    for regex in names:
        found = _look_up(draft, regex, principal)
        former = resolved.get(regex)
        if former is None or former.topics != found.topics:
            draft.records.append(regex_record(group.group_id, regex, found))
            resolved[regex] = found
            bump = True
    return Regexes(resolved, changed, bump, bool(names))


def _due(draft: Draft, group: ConsumerGroup, used: set[str], resolved: Mapping[str, Resolved]) -> list[str]:
    """The expressions to look up now: not yet resolved ones, or all when topics have come and gone or time has."""
    now_ms = draft.now_ms
    last = max((one.timestamp_ms for one in resolved.values()), default=0)
    last = max(last, group.regexes_checked_ms)
    stale = group.regexes_stale or now_ms > last + draft.shard.settings.consumer_regex_refresh_interval_ms
    due = sorted(used) if stale else sorted(used - resolved.keys())
    pause = len(due) * len(draft.shard.image.topics) // NAMES_PER_MS
    return due if now_ms >= last + pause or last > now_ms else []


def _look_up(draft: Draft, regex: str, principal: str) -> Resolved:
    shard = draft.shard
    topics = matching(regex, shard.image.topics)
    return Resolved(frozenset(shard.visible_topics(principal, topics)), shard.image.offset, draft.now_ms)


def topics_with(
    group: ConsumerGroup,
    before: Member | None,
    after: Member | None,
    resolved: Mapping[str, Resolved],
    image: ClusterImage,
) -> set[str]:
    """The existing topics that the group consumes once `after` stands in the place of `before`; None is no member."""
    names = set(existing(group.topic_counts.keys(), image))
    wanted: frozenset[str] = after.topics if after is not None else frozenset()
    if before is not None:
        names -= {name for name in existing(before.topics, image) - wanted if group.topic_counts[name] == 1}
    return names.union(existing(wanted, image), *(existing(one.topics, image) for one in resolved.values()))


def topics_without(
    group: ConsumerGroup, gone: Iterable[Member], resolved: Mapping[str, Resolved], image: ClusterImage
) -> set[str]:
    """The existing topics that the group consumes without these members."""
    counts: Counter[str] = Counter()
    for member in gone:
        counts.update(existing(member.topics, image))
    names = {name for name in existing(group.topic_counts.keys(), image) if group.topic_counts[name] > counts[name]}
    return names.union(*(existing(one.topics, image) for one in resolved.values()))


def bump_epoch(draft: Draft, group: ConsumerGroup, topics: Set[str]) -> int:
    """The group's next epoch, reached with these topics."""
    epoch = group.epoch + 1
    GROUP_REBALANCES.add(group.group_id)
    draft.records.append(epoch_record(group.group_id, epoch, metadata_hash(topics, draft.shard.image)))
    if group.has_partition_metadata:
        draft.records.append(partition_metadata_tombstone(group.group_id))
    return epoch
