"""Offsets of groups: what a shard does with commits, fetches and deletions, and with those that are too old."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from pyralog.coordinator.group.offsets import NO_EXPIRY, Committed, commit_record, tombstone
from pyralog.coordinator.outcome import (
    NOTHING,
    ClientRequest,
    CoordinatorRecord,
    Outcome,
    Reply,
    Timer,
    Transaction,
)
from pyralog.errors import ErrorCode, KafkaError
from pyralog.model import ZERO_UUID
from pyralog.wire.messages import (
    OffsetCommitRequest,
    OffsetCommitResponse,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
    OffsetDeleteRequest,
    OffsetDeleteResponse,
    OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
    OffsetFetchResponseGroup,
    OffsetFetchResponsePartitions,
    OffsetFetchResponseTopics,
    TxnOffsetCommitRequest,
    TxnOffsetCommitResponse,
    TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
)

if TYPE_CHECKING:
    from pyralog.cluster.image import ImageDelta
    from pyralog.coordinator.group.shard import GroupShard

EPOCHS_FROM = 9  # OffsetCommit: member epochs (KIP-848), and GROUP_ID_NOT_FOUND
# Tombstones of one outcome; what is left is done in the next turn of the loop.
SWEEP_RECORDS = 1000


class FetchOffsets(NamedTuple):
    """One group of an OffsetFetch. `topics` is None for all; `member_id` is None where nobody claims to be a member."""

    group_id: str
    member_id: str | None
    member_epoch: int
    topics: tuple[tuple[str, tuple[int, ...]], ...] | None
    require_stable: bool


class ExpireOffsets(NamedTuple):
    """The event that looks for offsets that have not been used for too long; `after` is the group that was last."""

    after: str | None = None


class ForgetTopics(NamedTuple):
    """The event that removes the offsets of topics that are gone."""


def commit_offsets(shard: GroupShard, request: ClientRequest, ticket: int, now_ms: int) -> Outcome:
    """OffsetCommit: one record for each partition that passes."""
    message: Any = request.message
    timers = _admit_commit(shard, message, request.version, now_ms)
    retention_ms = message.retention_time_ms
    expire_ms = NO_EXPIRY if retention_ms < 0 else now_ms + retention_ms
    records, topics = _committed(
        shard, message, now_ms, expire_ms, OffsetCommitResponseTopic, OffsetCommitResponsePartition
    )
    return Outcome(records, (Reply(ticket, OffsetCommitResponse(topics=topics)),), timers)


def _committed(
    shard: GroupShard, message: Any, now_ms: int, expire_ms: int, answer_topic: Any, answer_partition: Any
) -> tuple[tuple[CoordinatorRecord, ...], list[Any]]:
    """A record for each partition of a commit that passes, and the topics of its answer, made of these classes."""
    group_id, most = message.group_id, shard.settings.offset_metadata_max_bytes
    records, topics = [], []
    for topic in message.topics:
        name, topic_id = topic.name, topic.topic_id
        results = []
        for one in topic.partitions:
            index, metadata = one.partition_index, one.committed_metadata or ""
            if 2 * len(metadata) > most and _java_length(metadata) > most:
                code = ErrorCode.OFFSET_METADATA_TOO_LARGE
            else:
                code = ErrorCode.NONE
                committed = Committed(
                    one.committed_offset, one.committed_leader_epoch, metadata, now_ms, expire_ms, topic_id, -1
                )
                records.append(commit_record(group_id, name, index, committed))
            results.append(answer_partition(partition_index=index, error_code=code))
        topics.append(answer_topic(name=name, topic_id=topic_id, partitions=results))
    return tuple(records), topics


def _java_length(text: str) -> int:
    """As Kafka counts what offset.metadata.max.bytes limits: UTF-16 code units."""
    return len(text) + sum(char > "\uffff" for char in text)


def _admit_commit(shard: GroupShard, message: Any, version: int, now_ms: int) -> tuple[Timer, ...]:
    """KafkaError unless the group takes this commit; the timers of the member that it is a sign of life of."""
    group = shard.groups.get(message.group_id)
    if group is None:
        if message.generation_id_or_member_epoch < 0:
            return ()  # a consumer that uses no group but its offsets, or an admin
        if shard.knows(message.group_id):
            raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID)
        if version >= EPOCHS_FROM:
            raise KafkaError(ErrorCode.GROUP_ID_NOT_FOUND)
        raise KafkaError(ErrorCode.ILLEGAL_GENERATION)
    code = group.validate_offset_commit(message, version)
    if code is not ErrorCode.NONE:
        if code is ErrorCode.STALE_MEMBER_EPOCH and version < EPOCHS_FROM:
            code = ErrorCode.UNSUPPORTED_VERSION  # clients of that version do not know the error
        raise KafkaError(code)
    timers: tuple[Timer, ...] = group.commit_timers(message, now_ms)
    return timers


def commit_transactional_offsets(shard: GroupShard, request: ClientRequest, ticket: int, now_ms: int) -> Outcome:
    """TxnOffsetCommit: records that count when the transaction commits (KIP-98, group metadata by KIP-447)."""
    message: Any = request.message
    group_id = message.group_id
    timers: tuple[Timer, ...] = ()
    group = shard.groups.get(group_id)
    if group is not None:
        code = group.validate_offset_commit(message, request.version)
        if code is not ErrorCode.NONE:
            raise KafkaError(ErrorCode.ILLEGAL_GENERATION if code is ErrorCode.STALE_MEMBER_EPOCH else code)
        timers = group.commit_timers(message, now_ms)
    elif message.generation_id_or_member_epoch >= 0:
        raise KafkaError(ErrorCode.UNKNOWN_MEMBER_ID if shard.knows(group_id) else ErrorCode.ILLEGAL_GENERATION)
    records, topics = _committed(
        shard, message, now_ms, NO_EXPIRY, TxnOffsetCommitResponseTopic, TxnOffsetCommitResponsePartition
    )
    return Outcome(
        records,
        (Reply(ticket, TxnOffsetCommitResponse(topics=topics)),),
        timers,
        Transaction(message.producer_id, message.producer_epoch),
    )


def fetch_offsets(shard: GroupShard, request: FetchOffsets, ticket: int, now_ms: int) -> Outcome:
    """One group of an OffsetFetch. A partition without offset says -1, never 0."""
    group_id = request.group_id
    group = shard.groups.get(group_id)
    if group is not None:
        code = group.validate_offset_fetch(request.member_id, request.member_epoch)
        if code is not ErrorCode.NONE:
            return Outcome(replies=(Reply(ticket, OffsetFetchResponseGroup(group_id=group_id, error_code=code)),))
    known = shard.offsets.of_group(group_id)
    wanted = request.topics
    if wanted is None:
        wanted = tuple((topic, tuple(partitions)) for topic, partitions in known.items())
    stable = not (request.require_stable and shard.offsets.has_pending(group_id))
    topics = []
    for topic, indexes in wanted:
        committed = known.get(topic, {})
        results = []
        for index in indexes:
            if not stable and shard.offsets.pending(group_id, topic, index):
                results.append(_no_offset(index, ErrorCode.UNSTABLE_OFFSET_COMMIT))
                continue
            found = committed.get(index)
            if found is None:
                results.append(_no_offset(index, ErrorCode.NONE))
                continue
            results.append(
                OffsetFetchResponsePartitions(
                    partition_index=index,
                    committed_offset=found.offset,
                    committed_leader_epoch=found.leader_epoch,
                    metadata=found.metadata,
                )
            )
        topics.append(OffsetFetchResponseTopics(name=topic, partitions=results))
    return Outcome(replies=(Reply(ticket, OffsetFetchResponseGroup(group_id=group_id, topics=topics)),))


def _no_offset(index: int, code: ErrorCode) -> OffsetFetchResponsePartitions:
    return OffsetFetchResponsePartitions(partition_index=index, committed_offset=-1, metadata="", error_code=code)


def delete_offsets(shard: GroupShard, request: ClientRequest, ticket: int, now_ms: int) -> Outcome:
    """OffsetDelete: tombstones, save for topics that members consume."""
    message: Any = request.message
    group_id = message.group_id
    group = shard.groups.get(group_id)
    if group is None and not shard.knows(group_id):
        raise KafkaError(ErrorCode.GROUP_ID_NOT_FOUND)
    if group is not None:
        code = group.validate_offset_delete()
        if code is not ErrorCode.NONE:
            raise KafkaError(code)
    records, topics = [], []
    for topic in message.topics:
        subscribed = group is not None and group.subscribed_to(topic.name)
        code = ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC if subscribed else ErrorCode.NONE
        results = []
        for one in topic.partitions:
            index = one.partition_index
            if not subscribed and shard.offsets.get(group_id, topic.name, index) is not None:
                records.append(tombstone(group_id, topic.name, index))
            results.append(OffsetDeleteResponsePartition(partition_index=index, error_code=code))
        topics.append(OffsetDeleteResponseTopic(name=topic.name, partitions=results))
    return Outcome(tuple(records), (Reply(ticket, OffsetDeleteResponse(topics=topics)),))


# --- what becomes of offsets by themselves ---


def start_offsets(shard: GroupShard, now_ms: int) -> Outcome:
    """Look for expired offsets from now on, and once for topics that went while nobody looked."""
    gone = () if not shard.offsets.count else (Timer(("forget",), now_ms, ForgetTopics()),)
    return Outcome(timers=(next_check(shard, now_ms), *gone))


def next_check(shard: GroupShard, now_ms: int) -> Timer:
    """When expired offsets are looked for next."""
    return Timer(("expire",), now_ms + shard.settings.offsets_retention_check_interval_ms, ExpireOffsets())


def forget_topics(shard: GroupShard, delta: ImageDelta, now_ms: int) -> Outcome:
    """Topics were deleted: so are their offsets, also if one of that name comes back."""
    if not shard.offsets.count or not any(True for _ in delta.deleted):
        return NOTHING
    return Outcome(timers=(Timer(("forget",), now_ms, ForgetTopics()),))


def sweep_topics(shard: GroupShard, event: ForgetTopics, ticket: int, now_ms: int) -> Outcome:
    """Tombstones for offsets of topics that are not there, or not the ones that were meant."""
    topics = shard.image.topics
    records: list[CoordinatorRecord] = []
    for group_id, topic, partition, committed in shard.offsets:
        there = topics.get(topic)
        if there is None or (committed.topic_id != ZERO_UUID and committed.topic_id != there.topic_id):
            records.append(tombstone(group_id, topic, partition))
            if len(records) == SWEEP_RECORDS:
                return Outcome(tuple(records), timers=(Timer(("forget",), now_ms, event),))
    return Outcome(tuple(records))


def expire_offsets(shard: GroupShard, event: ExpireOffsets, ticket: int, now_ms: int) -> Outcome:
    """Kafka's rules: see Group.expires_from. A group that has lost its last offset and has no members goes too."""
    records: list[CoordinatorRecord] = []
    names = sorted({*shard.offsets.groups, *shard.groups})
    for group_id in names:
        if event.after is not None and group_id <= event.after:
            continue
        records += _expired(shard, group_id, now_ms)
        if len(records) >= SWEEP_RECORDS:
            return Outcome(tuple(records), timers=(Timer(("expire",), now_ms, ExpireOffsets(group_id)),))
    return Outcome(tuple(records), timers=(next_check(shard, now_ms),))


def _expired(shard: GroupShard, group_id: str, now_ms: int) -> list[CoordinatorRecord]:
    group = shard.groups.get(group_id)
    records: list[CoordinatorRecord] = []
    left = shard.offsets.has_pending(group_id)
    for topic, partitions in shard.offsets.of_group(group_id).items():
        used = group is not None and group.subscribed_to(topic)
        for partition, committed in partitions.items():
            if (
                not used
                and _is_expired(shard, group, committed, now_ms)
                and not shard.offsets.pending(group_id, topic, partition)
            ):
                records.append(tombstone(group_id, topic, partition))
            else:
                left = True
    if group is not None and not left and group.is_empty:
        records += group.tombstones()
    return records


def _is_expired(shard: GroupShard, group: Any, committed: Committed, now_ms: int) -> bool:
    since = committed.commit_timestamp_ms if group is None else group.expires_from(committed.commit_timestamp_ms)
    if since is None:
        return False
    if committed.expire_timestamp_ms != NO_EXPIRY:
        return now_ms >= committed.expire_timestamp_ms
    return bool(now_ms - since >= shard.settings.offsets_retention_ms)


OFFSET_HANDLERS: Mapping[type, Callable[[GroupShard, Any, int, int], Outcome]] = {
    OffsetCommitRequest: commit_offsets,
    TxnOffsetCommitRequest: commit_transactional_offsets,
    OffsetDeleteRequest: delete_offsets,
    FetchOffsets: fetch_offsets,
    ExpireOffsets: expire_offsets,
    ForgetTopics: sweep_topics,
}
