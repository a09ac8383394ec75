"""Committed offsets of a shard: what counts, what transactions have pending, what expires. Half a value machine."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

from pyralog._speedups.statelog import take_offsets
from pyralog.coordinator.outcome import CoordinatorRecord, Transaction
from pyralog.model import ZERO_UUID
from pyralog.wire.messages import LegacyOffsetCommitKey, OffsetCommitKey, OffsetCommitValue

NO_EXPIRY = -1
# Value versions: 1 carries an expiry (OffsetCommit v2-4), 3 the leader epoch, 4 the topic id (KIP-848's sequel).
WITH_EXPIRY, WITH_EPOCH, WITH_TOPIC_ID = 1, 3, 4

# Topics of a group: partitions of a topic.
ByTopic = dict[str, dict[int, "Committed"]]


class Committed(NamedTuple):
    """A committed offset. `record_offset` is where it lies in the log: the later of two commits counts."""

    offset: int
    leader_epoch: int
    metadata: str
    commit_timestamp_ms: int
    expire_timestamp_ms: int
    topic_id: bytes
    record_offset: int


# Committed._make without a Python frame, for a million of them.
MAKE_COMMITTED = partial(tuple.__new__, Committed)


class Offsets:
    """All offsets of a shard by group, topic and partition."""

    __slots__ = ("_open", "_pending", "count", "groups")

    def __init__(self) -> None:
        self.groups: dict[str, ByTopic] = {}
        self.count = 0
        # By producer id: a producer has one transaction at a time, and its marker may bear a later epoch (KIP-890).
        self._pending: dict[int, dict[str, ByTopic]] = {}
        self._open: dict[str, set[int]] = {}  # producers with something pending, by group

    # --- questions ---

    def get(self, group_id: str, topic: str, partition: int) -> Committed | None:
        """The committed offset of a partition."""
        topics = self.groups.get(group_id)
        partitions = None if topics is None else topics.get(topic)
        return None if partitions is None else partitions.get(partition)

    def of_group(self, group_id: str) -> ByTopic:
        """All committed offsets of a group."""
        return self.groups.get(group_id, {})

    def pending(self, group_id: str, topic: str, partition: int) -> bool:
        """Whether a transaction that has not ended has committed an offset of this partition."""
        producers = self._open.get(group_id)
        if not producers:
            return False
        return any(partition in self._pending[one].get(group_id, {}).get(topic, {}) for one in producers)

    def has_pending(self, group_id: str) -> bool:
        """Whether transactions that have not ended have committed offsets of this group."""
        return group_id in self._open

    def __iter__(self) -> Iterator[tuple[str, str, int, Committed]]:
        """(group, topic, partition, committed) of everything; the caller must not change it meanwhile."""
        for group_id, topics in self.groups.items():
            for topic, partitions in topics.items():
                for partition, committed in partitions.items():
                    yield group_id, topic, partition, committed

    def tombstones(self, group_id: str) -> tuple[CoordinatorRecord, ...]:
        """The records that remove all offsets of a group, pending ones included."""
        keys = {(topic, one): None for topic, partitions in self.of_group(group_id).items() for one in partitions}
        for producer_id in self._open.get(group_id, ()):
            for topic, partitions in self._pending[producer_id][group_id].items():
                keys.update(dict.fromkeys((topic, one) for one in partitions))
        return tuple(tombstone(group_id, topic, partition) for topic, partition in keys)

    # --- records ---

    def replay(self, key: Any, value: Any, record_offset: int, transaction: Transaction | None) -> None:
        """Apply a record of type OffsetCommit."""
        group_id, topic, partition = key.group, key.topic, key.partition
        if value is None:
            self._remove(group_id, topic, partition)
            return
        if type(key) is LegacyOffsetCommitKey:
            committed = Committed(
                value.offset, -1, value.metadata, value.commit_timestamp, NO_EXPIRY, ZERO_UUID, record_offset
            )
        else:
            committed = Committed(
                value.offset,
                value.leader_epoch,
                value.metadata,
                value.commit_timestamp,
                value.expire_timestamp,
                value.topic_id,
                record_offset,
            )
        if transaction is None:
            self._put(group_id, topic, partition, committed)
            return
        self._open.setdefault(group_id, set()).add(transaction.producer_id)
        groups = self._pending.setdefault(transaction.producer_id, {})
        groups.setdefault(group_id, {}).setdefault(topic, {})[partition] = committed

    def fill(
        self, records: dict[bytes, tuple[int, int, bytes | None]]
    ) -> tuple[int, list[tuple[int, int, bytes, bytes | None]]]:
        """Apply the newest committed records of a log to an empty state: 1 M of them in about a second."""
        count, rest = take_offsets(records, self.groups, MAKE_COMMITTED)
        self.count += count
        return count, list(rest)

    def complete(self, transaction: Transaction, *, committed: bool) -> None:
        """The producer's transaction has ended. A plain commit that came after its own stays."""
        for group_id, topics in self._pending.pop(transaction.producer_id, {}).items():
            self._close(group_id, transaction.producer_id)
            if not committed:
                continue
            for topic, partitions in topics.items():
                for partition, pending in partitions.items():
                    known = self.get(group_id, topic, partition)
                    if known is None or known.record_offset < pending.record_offset:
                        self._put(group_id, topic, partition, pending)

    def _put(self, group_id: str, topic: str, partition: int, committed: Committed) -> None:
        topics = self.groups.get(group_id)
        if topics is None:
            topics = self.groups[group_id] = {}
        partitions = topics.get(topic)
        if partitions is None:
            partitions = topics[topic] = {}
        if partition not in partitions:
            self.count += 1
        partitions[partition] = committed

    def _remove(self, group_id: str, topic: str, partition: int) -> None:
        """Remove an offset, also where a transaction has it pending: its commit must not bring it back."""
        for producer_id in tuple(self._open.get(group_id, ())):
            groups = self._pending[producer_id]
            if _take(groups, group_id, topic, partition):
                if group_id not in groups:
                    self._close(group_id, producer_id)
                if not groups:
                    del self._pending[producer_id]
        if _take(self.groups, group_id, topic, partition):
            self.count -= 1

    def _close(self, group_id: str, producer_id: int) -> None:
        producers = self._open[group_id]
        producers.discard(producer_id)
        if not producers:
            del self._open[group_id]


def _take(groups: dict[str, ByTopic], group_id: str, topic: str, partition: int) -> bool:
    """Remove one entry and what is empty without it; whether it was there."""
    topics = groups.get(group_id)
    partitions = None if topics is None else topics.get(topic)
    if topics is None or partitions is None or partitions.pop(partition, None) is None:
        return False
    if not partitions:
        del topics[topic]
        if not topics:
            del groups[group_id]
    return True


def tombstone(group_id: str, topic: str, partition: int) -> CoordinatorRecord:
    """The record that removes an offset."""
    return CoordinatorRecord(OffsetCommitKey(group=group_id, topic=topic, partition=partition), None)


def commit_record(group_id: str, topic: str, partition: int, committed: Committed) -> CoordinatorRecord:
    """The record of a commit. An expiry fits version 1 only, which knows no leader epoch."""
    key = OffsetCommitKey(group=group_id, topic=topic, partition=partition)
    value = OffsetCommitValue(
        offset=committed.offset,
        leader_epoch=committed.leader_epoch,
        metadata=committed.metadata,
        commit_timestamp=committed.commit_timestamp_ms,
        expire_timestamp=committed.expire_timestamp_ms,
        topic_id=committed.topic_id,
    )
    if committed.expire_timestamp_ms != NO_EXPIRY:
        return CoordinatorRecord(key, value, WITH_EXPIRY)
    return CoordinatorRecord(key, value, WITH_EPOCH if committed.topic_id == ZERO_UUID else WITH_TOPIC_ID)
