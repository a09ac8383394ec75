"""What the plane is told of topics, and what it tells of partitions, connections and the requests that it forwards."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from pyralog.model import TopicPartition

ANONYMOUS = "User:ANONYMOUS"
PERMIT_READ, PERMIT_WRITE, DENY_READ, DENY_WRITE = 1, 2, 4, 8

# Why the plane forwarded a request (Forwarded.reason); the values of state.pxd.
FORWARD_API, FORWARD_TOPIC, FORWARD_RECORDS, FORWARD_TRANSACTION = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class PartitionSettings:
    """What the plane must know of a topic's configuration; names follow Kafka's topic configs.

    `compression` is -1 for `producer`, else the codec 0-4; `append_time` is message.timestamp.type=LogAppendTime.
    """

    max_message_bytes: int
    append_time: bool
    timestamp_before_max_ms: int
    timestamp_after_max_ms: int
    compression: int
    compacted: bool
    min_insync_replicas: int
    flush_messages: int
    flush_ms: int
    segment_bytes: int
    segment_ms: int
    segment_jitter_ms: int
    index_interval_bytes: int
    segment_index_bytes: int
    preallocate: bool
    use_mmap: bool


class PartitionSnapshot(NamedTuple):
    """Offsets of a partition as the plane has them now."""

    leader_epoch: int
    log_start: int
    high_watermark: int
    last_stable: int
    log_end: int
    synced: int
    size_bytes: int
    failed: bool


class SegmentInfo(NamedTuple):
    """One segment; max_timestamp is -1 when it is empty."""

    base_offset: int
    next_offset: int
    size_bytes: int
    max_timestamp: int
    max_timestamp_offset: int
    created_ms: int


class ProducerInfo(NamedTuple):
    """One idempotent producer of a partition; -1 = no marker yet, no open transaction."""

    producer_id: int
    epoch: int
    last_sequence: int
    last_timestamp: int
    coordinator_epoch: int = -1
    txn_start_offset: int = -1


class AbortedTransaction(NamedTuple):
    """One entry of a transaction index (KIP-98); `last_offset` is that of its marker."""

    producer_id: int
    first_offset: int
    last_offset: int
    last_stable: int


class ConnectionInfo(NamedTuple):
    """A client connection as Python sees it; addresses are textual, without a zone."""

    id: int
    peer_host: str
    peer_port: int
    local_host: str
    local_port: int
    principal: str


class Forwarded(NamedTuple):
    """A request that the plane could not serve; `frame` has no length prefix."""

    token: int
    frame: bytes
    connection: ConnectionInfo
    reason: int


class PlaneEvents:
    """What the plane has to say to the rest of the node; app.py sets these before the plane starts."""

    def __init__(self) -> None:
        self.request: Callable[[Forwarded], None] = lambda _: None
        self.closed: Callable[[int], None] = lambda _: None
        self.handover: Callable[[socket.socket, bytes], None] = lambda taken, _: taken.close()
        self.rolled: Callable[[TopicPartition, int], None] = lambda *_: None
        self.detached: Callable[[TopicPartition, list[int]], None] = lambda *_: None
        self.failed: Callable[[int, TopicPartition | None], None] = lambda *_: None
