"""Which segments may go: retention by time and by size, as Kafka does it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class SegmentLike(Protocol):
    """What retention and compaction look at; timestamps in ms, -1 where no record has one."""

    @property
    def base_offset(self) -> int: ...
    @property
    def next_offset(self) -> int: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def max_timestamp(self) -> int: ...
    @property
    def created_ms(self) -> int: ...


class Retention(NamedTuple):
    """The new log start, and whether the active segment must be rolled first because all of it is to go."""

    log_start: int
    roll: bool


def retain(
    segments: Sequence[SegmentLike],
    *,
    log_start: int,
    high_watermark: int,
    retention_ms: int,
    retention_bytes: int,
    now_ms: int,
) -> Retention:
    """What retention.ms and retention.bytes ask of the log; -1 = no limit.

    Segments go from the oldest on, whole, as long as each is wholly below the high watermark. The active one goes only
    when everything before it does, and then a new one has to be begun first.
    """
    n = _count(segments, high_watermark, _size_limit(segments, retention_bytes))
    n += _count(segments[n:], high_watermark, _time_limit(retention_ms, now_ms))
    if n == 0:
        return Retention(log_start, False)
    return Retention(max(log_start, segments[n - 1].next_offset), n == len(segments))


class _Limit(Protocol):
    def __call__(self, segment: SegmentLike) -> bool: ...


def _count(segments: Sequence[SegmentLike], high_watermark: int, may_go: _Limit) -> int:
    n = 0
    for segment in segments:
        last_and_empty = n == len(segments) - 1 and segment.size_bytes == 0
        if last_and_empty or segment.next_offset > high_watermark or not may_go(segment):
            break
        n += 1
    return n


def _size_limit(segments: Sequence[SegmentLike], retention_bytes: int) -> _Limit:
    excess = sum(segment.size_bytes for segment in segments) - retention_bytes if retention_bytes >= 0 else -1

    def may_go(segment: SegmentLike) -> bool:
        nonlocal excess
        excess -= segment.size_bytes
        return excess >= 0

    return may_go


def _time_limit(retention_ms: int, now_ms: int) -> _Limit:
    def may_go(segment: SegmentLike) -> bool:
        if segment.size_bytes == 0:  # compaction has left nothing of it
            return retention_ms >= 0
        newest = segment.max_timestamp if segment.max_timestamp >= 0 else segment.created_ms
        return retention_ms >= 0 and newest >= 0 and now_ms - newest > retention_ms

    return may_go
