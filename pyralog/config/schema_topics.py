"""Keys of topics: how they are made, and the defaults of their configs."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from pyralog.config.endpoints import split_list
from pyralog.config.options import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    Bytes,
    Flag,
    Millis,
    Opt,
    Ratio,
    Section,
    Whole,
    group,
)
from pyralog.config.units import INT_MAX, LONG_MAX, shown, whole

CompressionType = Literal["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]
TimestampType = Literal["CreateTime", "LogAppendTime"]
GZIP_DEFAULT = -1


def _policies(value: object) -> tuple[str, ...]:
    policies = tuple(dict.fromkeys(str(item) for item in split_list(value)))
    for policy in policies:
        if policy not in ("compact", "delete"):
            raise ValueError(f"{shown(policy)} is not one of compact, delete")
    return policies


def _gzip_level(value: object) -> int:
    level = whole(value)
    if level == 0:
        raise ValueError(f"0 is out of range (1 to 9, or {GZIP_DEFAULT} for the library's own)")
    return level


class TopicDefaults(Section):
    """Values of topic configs that a topic does not set itself."""

    cleanup_policy: Annotated[
        tuple[str, ...],
        BeforeValidator(_policies),
        Opt(kafka=("log.cleanup.policy",), scope="cluster"),
    ] = Field(("delete",), description="What happens to old segments: delete, compact, both, or nothing.")
    compression_type: Annotated[CompressionType, Opt(kafka=("compression.type",), scope="cluster")] = Field(
        "producer", description="The codec batches are kept in; producer keeps what the producer sent."
    )
    compression_gzip_level: Annotated[
        int, BeforeValidator(_gzip_level), Opt(kafka=("compression.gzip.level",), scope="cluster")
    ] = Field(
        GZIP_DEFAULT, ge=-1, le=9, description="Level where the broker compresses with gzip; -1 is the library's own."
    )
    compression_lz4_level: Annotated[Whole, Opt(kafka=("compression.lz4.level",), scope="cluster")] = Field(
        9, ge=1, le=17, description="Level where the broker compresses with lz4."
    )
    compression_zstd_level: Annotated[Whole, Opt(kafka=("compression.zstd.level",), scope="cluster")] = Field(
        3, ge=-131072, le=22, description="Level where the broker compresses with zstd."
    )
    max_message_bytes: Annotated[Bytes, Opt(kafka=("message.max.bytes",), unit="bytes", scope="cluster")] = Field(
        1048588, ge=0, le=INT_MAX, description="Largest record batch accepted, as it is sent (compressed)."
    )
    max_decompressed_message_bytes: Annotated[
        Bytes, Opt(kafka=("max.decompressed.message.bytes",), unit="bytes", scope="cluster")
    ] = Field(2147483639, ge=1, le=2147483639, description="Largest single record accepted after decompression.")
    message_timestamp_type: Annotated[TimestampType, Opt(kafka=("log.message.timestamp.type",), scope="cluster")] = (
        Field("CreateTime", description="Whether records keep the producer's time or get the time of the append.")
    )
    message_timestamp_before_max_ms: Annotated[
        Millis, Opt(kafka=("log.message.timestamp.before.max.ms",), unit="ms", scope="cluster")
    ] = Field(LONG_MAX, ge=0, le=LONG_MAX, description="How far a record's time may lie behind the broker's clock.")
    message_timestamp_after_max_ms: Annotated[
        Millis, Opt(kafka=("log.message.timestamp.after.max.ms",), unit="ms", scope="cluster")
    ] = Field(HOUR_MS, ge=0, le=LONG_MAX, description="How far a record's time may lie ahead of the broker's clock.")
    retention_ms: Annotated[
        Millis,
        Opt(
            kafka=("log.retention.ms", ("log.retention.minutes", MINUTE_MS), ("log.retention.hours", HOUR_MS)),
            unit="ms",
            scope="cluster",
        ),
    ] = Field(7 * DAY_MS, ge=-1, le=LONG_MAX, description="Age at which a segment is deleted; -1 keeps it for ever.")
    retention_bytes: Annotated[Bytes, Opt(kafka=("log.retention.bytes",), unit="bytes", scope="cluster")] = Field(
        -1, ge=-(2**63), le=LONG_MAX, description="Size of a partition above which old segments go; -1 sets no limit."
    )
    segment_ms: Annotated[
        Millis, Opt(kafka=("log.roll.ms", ("log.roll.hours", HOUR_MS)), unit="ms", scope="cluster")
    ] = Field(7 * DAY_MS, ge=1, le=LONG_MAX, description="Age at which the active segment is closed.")
    segment_jitter_ms: Annotated[
        Millis, Opt(kafka=("log.roll.jitter.ms", ("log.roll.jitter.hours", HOUR_MS)), unit="ms", scope="cluster")
    ] = Field(0, ge=0, le=LONG_MAX, description="Random time taken off segment_ms, to spread the closing of segments.")
    segment_index_bytes: Annotated[Bytes, Opt(kafka=("log.index.size.max.bytes",), unit="bytes", scope="cluster")] = (
        Field(10485760, ge=4, le=INT_MAX, description="Largest offset index; a full one closes the segment.")
    )
    index_interval_bytes: Annotated[Bytes, Opt(kafka=("log.index.interval.bytes",), unit="bytes", scope="cluster")] = (
        Field(4096, ge=0, le=INT_MAX, description="Bytes of log between two index entries.")
    )
    flush_messages: Annotated[Whole, Opt(kafka=("log.flush.interval.messages",), scope="cluster")] = Field(
        LONG_MAX, ge=1, le=LONG_MAX, description="Records after which the log is synced to disk."
    )
    flush_ms: Annotated[Millis, Opt(kafka=("log.flush.interval.ms",), unit="ms", scope="cluster")] = Field(
        LONG_MAX, ge=0, le=LONG_MAX, description="Time after which written records are synced to disk."
    )
    file_delete_delay_ms: Annotated[Millis, Opt(kafka=("log.segment.delete.delay.ms",), unit="ms", scope="cluster")] = (
        Field(MINUTE_MS, ge=0, le=LONG_MAX, description="Time between taking a file out of use and deleting it.")
    )
    preallocate: Annotated[Flag, Opt(kafka=("log.preallocate",), scope="cluster")] = Field(
        False, description="Whether the whole segment is allocated when it is opened."
    )
    delete_retention_ms: Annotated[
        Millis, Opt(kafka=("log.cleaner.delete.retention.ms",), unit="ms", scope="cluster")
    ] = Field(DAY_MS, ge=0, le=LONG_MAX, description="How long a compacted topic keeps tombstones.")
    min_cleanable_dirty_ratio: Annotated[Ratio, Opt(kafka=("log.cleaner.min.cleanable.ratio",), scope="cluster")] = (
        Field(0.5, ge=0, le=1, description="Share of uncompacted log at which a compacted topic is cleaned.")
    )
    min_compaction_lag_ms: Annotated[
        Millis, Opt(kafka=("log.cleaner.min.compaction.lag.ms",), unit="ms", scope="cluster")
    ] = Field(0, ge=0, le=LONG_MAX, description="Age below which a record is not compacted.")
    max_compaction_lag_ms: Annotated[
        Millis, Opt(kafka=("log.cleaner.max.compaction.lag.ms",), unit="ms", scope="cluster")
    ] = Field(
        LONG_MAX,
        ge=1,
        le=LONG_MAX,
        description="Age at which a record must be compacted; closes the active segment.",
    )
    unclean_leader_election: Annotated[
        Flag, Opt(kafka=("unclean.leader.election.enable",), scope="cluster", effect="cluster")
    ] = Field(False, description="Whether a replica that may lack records can become leader when no other is left.")


class TopicsSection(Section):
    """Topics: creation, deletion and defaults."""

    num_partitions: Annotated[Whole, Opt(kafka=("num.partitions",), scope="controller")] = Field(
        1, ge=1, le=INT_MAX, description="Partitions of a topic whose creator names no number."
    )
    auto_create: Annotated[Flag, Opt(kafka=("auto.create.topics.enable",), scope="cluster")] = Field(
        True, description="Whether a topic is made when a client first asks for it."
    )
    allow_delete: Annotated[Flag, Opt(kafka=("delete.topic.enable",), scope="controller")] = Field(
        True, description="Whether topics may be deleted."
    )
    max_described_partitions: Annotated[Whole, Opt(kafka=("max.request.partition.size.limit",), scope="cluster")] = (
        Field(2000, ge=1, le=INT_MAX, description="Most partitions in one answer to DescribeTopicPartitions.")
    )
    defaults: TopicDefaults = group(TopicDefaults, "Values of topic configs that a topic does not set itself.")
