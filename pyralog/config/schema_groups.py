"""Keys of consumer groups, their offsets, and transactions."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from pyralog.config.endpoints import split_list
from pyralog.config.options import DAY_MS, MINUTE_MS, Bytes, Millis, Opt, Section, Whole
from pyralog.config.units import INT_MAX, LONG_MAX

SHORT_MAX = 2**15 - 1
MIB = 1024**2


Assignor = Literal["uniform", "range"]
MigrationPolicy = Literal["disabled", "upgrade", "downgrade", "bidirectional"]


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _group_ms(name: str) -> Opt:
    return Opt(kafka=(name,), unit="ms", scope="cluster")


class GroupsSection(Section):
    """Consumer groups and their offsets."""

    initial_rebalance_delay_ms: Annotated[Millis, _group_ms("group.initial.rebalance.delay.ms")] = Field(
        3000, ge=0, le=INT_MAX, description="Wait for more members before a new group's first rebalance."
    )
    min_session_timeout_ms: Annotated[Millis, _group_ms("group.min.session.timeout.ms")] = Field(
        6000, ge=0, le=INT_MAX, description="Shortest session timeout a classic member may ask for."
    )
    max_session_timeout_ms: Annotated[Millis, _group_ms("group.max.session.timeout.ms")] = Field(
        1_800_000, ge=0, le=INT_MAX, description="Longest session timeout a classic member may ask for."
    )
    max_size: Annotated[Whole, Opt(kafka=("group.max.size",), scope="cluster")] = Field(
        INT_MAX, ge=1, le=INT_MAX, description="Most members in a classic group."
    )
    consumer_session_timeout_ms: Annotated[Millis, _group_ms("group.consumer.session.timeout.ms")] = Field(
        45000, ge=1, le=INT_MAX, description="Session timeout of groups of the newer protocol (KIP-848)."
    )
    consumer_min_session_timeout_ms: Annotated[Millis, _group_ms("group.consumer.min.session.timeout.ms")] = Field(
        45000, ge=1, le=INT_MAX, description="Shortest session timeout that a group of the newer protocol may set."
    )
    consumer_max_session_timeout_ms: Annotated[Millis, _group_ms("group.consumer.max.session.timeout.ms")] = Field(
        60000, ge=1, le=INT_MAX, description="Longest session timeout that a group of the newer protocol may set."
    )
    consumer_heartbeat_interval_ms: Annotated[Millis, _group_ms("group.consumer.heartbeat.interval.ms")] = Field(
        5000, ge=1, le=INT_MAX, description="Heartbeat interval given to members of the newer protocol."
    )
    consumer_min_heartbeat_interval_ms: Annotated[Millis, _group_ms("group.consumer.min.heartbeat.interval.ms")] = (
        Field(5000, ge=1, le=INT_MAX, description="Shortest heartbeat interval that a group may set.")
    )
    consumer_max_heartbeat_interval_ms: Annotated[Millis, _group_ms("group.consumer.max.heartbeat.interval.ms")] = (
        Field(15000, ge=1, le=INT_MAX, description="Longest heartbeat interval that a group may set.")
    )
    consumer_assignment_interval_ms: Annotated[Millis, _group_ms("group.consumer.assignment.interval.ms")] = Field(
        1000, ge=0, le=INT_MAX, description="Longest time that changes of a group gather for one assignment."
    )
    consumer_min_assignment_interval_ms: Annotated[Millis, _group_ms("group.consumer.min.assignment.interval.ms")] = (
        Field(0, ge=0, le=INT_MAX, description="Shortest assignment interval that a group may set.")
    )
    consumer_max_assignment_interval_ms: Annotated[Millis, _group_ms("group.consumer.max.assignment.interval.ms")] = (
        Field(15000, ge=0, le=INT_MAX, description="Longest assignment interval that a group may set.")
    )
    consumer_assignors: Annotated[
        tuple[Assignor, ...], BeforeValidator(split_list), Opt(kafka=("group.consumer.assignors",), scope="cluster")
    ] = Field(
        ("uniform", "range"),
        min_length=1,
        description="Assignors of the newer protocol; the first is that of groups that name none.",
    )
    consumer_migration_policy: Annotated[
        MigrationPolicy, BeforeValidator(_lower), Opt(kafka=("group.consumer.migration.policy",), scope="cluster")
    ] = Field(
        "bidirectional",
        description="Which groups may change their protocol while they have members: classic ones to the newer "
        "(upgrade), those of the newer to classic (downgrade), both or none.",
    )
    consumer_max_size: Annotated[Whole, Opt(kafka=("group.consumer.max.size",), scope="cluster")] = Field(
        INT_MAX, ge=1, le=INT_MAX, description="Most members in a group of the newer protocol."
    )
    offsets_num_partitions: Annotated[Whole, Opt(kafka=("offsets.topic.num.partitions",))] = Field(
        50, ge=1, le=INT_MAX, description="Partitions of __consumer_offsets; fixed once the topic exists."
    )
    offsets_replication_factor: Annotated[
        Whole, Opt(kafka=("offsets.topic.replication.factor",), default="min(3, nodes)")
    ] = Field(1, ge=1, le=SHORT_MAX, description="Replicas of __consumer_offsets.")
    offsets_segment_bytes: Annotated[Bytes, Opt(kafka=("offsets.topic.segment.bytes",), unit="bytes")] = Field(
        100 * MIB, ge=MIB, le=INT_MAX, description="Segment size of __consumer_offsets."
    )
    offsets_retention_ms: Annotated[
        Millis, Opt(kafka=(("offsets.retention.minutes", MINUTE_MS),), unit="ms", scope="cluster")
    ] = Field(7 * DAY_MS, ge=1, le=LONG_MAX, description="How long the offsets of an empty group are kept.")
    offsets_retention_check_interval_ms: Annotated[Millis, _group_ms("offsets.retention.check.interval.ms")] = Field(
        600_000, ge=1, le=LONG_MAX, description="How often expired offsets are looked for."
    )
    offset_metadata_max_bytes: Annotated[
        Bytes, Opt(kafka=("offset.metadata.max.bytes",), unit="bytes", scope="cluster")
    ] = Field(4096, ge=0, le=INT_MAX, description="Longest text that may be stored with a committed offset.")


def _transaction_ms(name: str) -> Opt:
    return Opt(kafka=(name,), unit="ms", scope="cluster")


class TransactionsSection(Section):
    """Transactions and their log."""

    state_num_partitions: Annotated[Whole, Opt(kafka=("transaction.state.log.num.partitions",))] = Field(
        50, ge=1, le=INT_MAX, description="Partitions of __transaction_state; fixed once the topic exists."
    )
    state_replication_factor: Annotated[
        Whole,
        Opt(kafka=("transaction.state.log.replication.factor",), default="min(3, nodes)"),
    ] = Field(1, ge=1, le=SHORT_MAX, description="Replicas of __transaction_state.")
    state_min_isr: Annotated[
        Whole,
        Opt(kafka=("transaction.state.log.min.isr",), default="min(2, state_replication_factor)"),
    ] = Field(1, ge=1, le=INT_MAX, description="In-sync replicas without which no transaction is written.")
    state_segment_bytes: Annotated[Bytes, Opt(kafka=("transaction.state.log.segment.bytes",), unit="bytes")] = Field(
        100 * MIB, ge=MIB, le=INT_MAX, description="Segment size of __transaction_state."
    )
    max_timeout_ms: Annotated[Millis, _transaction_ms("transaction.max.timeout.ms")] = Field(
        900_000, ge=1, le=INT_MAX, description="Longest transaction timeout a producer may ask for."
    )
    id_expiration_ms: Annotated[Millis, _transaction_ms("transactional.id.expiration.ms")] = Field(
        7 * DAY_MS, ge=1, le=INT_MAX, description="Idle time after which a transactional id is forgotten."
    )
    abort_check_interval_ms: Annotated[
        Millis, Opt(kafka=("transaction.abort.timed.out.transaction.cleanup.interval.ms",), unit="ms")
    ] = Field(10000, ge=1, le=INT_MAX, description="Not needed: a transaction is aborted at its timeout.")
    expiration_check_interval_ms: Annotated[
        Millis, _transaction_ms("transaction.remove.expired.transaction.cleanup.interval.ms")
    ] = Field(3_600_000, ge=1, le=INT_MAX, description="How often expired transactional ids are removed.")
