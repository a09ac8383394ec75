"""Validates the inside of a record batch, compressed or not, and says which records break which rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from pyralog._speedups import records as walker
from pyralog.errors import CorruptRecordError, ErrorCode
from pyralog.records.batch import iterate_records, parse_header, recompress, record_sizes
from pyralog.records.compression import DECOMPRESSED_LIMIT_BYTES, Codec

_REJECTED = "One or more records have been rejected."


@dataclass(frozen=True, slots=True)
class Rules:
    """What a topic demands of records. Timestamp limits are distances to now in ms; None = no limit.

    A topic with LogAppendTime has none: its records get the broker's time. `max_record_bytes` bounds a single record
    (max.decompressed.message.bytes), `limit_bytes` the whole batch, both without compression.
    """

    compacted: bool = False
    before_max_ms: int | None = None
    after_max_ms: int | None = None
    max_record_bytes: int = 2**31 - 1
    limit_bytes: int = DECOMPRESSED_LIMIT_BYTES


class BadRecord(NamedTuple):
    """A record's place in its batch and what is wrong with it."""

    position: int
    why: str


class Verdict(NamedTuple):
    """error NONE: the batch may be appended. `plain` is the batch without compression, for whoever re-compresses it;
    `max_timestamp` the true maximum, which the header must carry when the topic keeps the producer's time."""

    error: ErrorCode
    why: str | None = None
    records: tuple[BadRecord, ...] = ()
    plain: bytes = b""
    max_timestamp: int = -1


def validate(batch: bytes | memoryview, rules: Rules, now_ms: int) -> Verdict:
    """The verdict on the batch at the start of the data. Its checksum is the caller's to check."""
    try:
        plain = recompress(batch, Codec.NONE, limit_bytes=rules.limit_bytes)
    except CorruptRecordError as error:
        return Verdict(ErrorCode.INVALID_RECORD, str(error))
    found = walker.walk(plain)
    if found["error"]:
        return Verdict(ErrorCode.INVALID_RECORD, "The records do not fit the header of their batch.")
    low = None if rules.before_max_ms is None else now_ms - rules.before_max_ms
    high = None if rules.after_max_ms is None else now_ms + rules.after_max_ms
    if rules.compacted and found["null_key"]:
        bad = tuple(
            BadRecord(i, "Compacted topic cannot accept message without key.")
            for i, record in enumerate(iterate_records(plain))
            if record.key is None
        )
        return Verdict(ErrorCode.INVALID_RECORD, _REJECTED, bad)
    if (low is not None and found["min_timestamp"] < low) or (high is not None and found["max_timestamp"] > high):
        return _bad_timestamps(plain, low, high)
    if len(plain) > rules.max_record_bytes:
        bad = tuple(
            BadRecord(i, f"The record takes {size} bytes, more than max.decompressed.message.bytes.")
            for i, size in enumerate(record_sizes(plain))
            if size > rules.max_record_bytes
        )
        if bad:
            return Verdict(ErrorCode.INVALID_RECORD, _REJECTED, bad)
    return Verdict(ErrorCode.NONE, plain=plain, max_timestamp=int(found["max_timestamp"]))


def _bad_timestamps(plain: bytes, low: int | None, high: int | None) -> Verdict:
    base_offset = parse_header(plain).base_offset
    bad = tuple(
        BadRecord(
            i, f"Timestamp {record.timestamp} of message with offset {record.offset - base_offset} is out of range."
        )
        for i, record in enumerate(iterate_records(plain))
        if (low is not None and record.timestamp < low) or (high is not None and record.timestamp > high)
    )
    return Verdict(ErrorCode.INVALID_TIMESTAMP, _REJECTED, bad)
