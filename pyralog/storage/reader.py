"""Reads segment files from Python: batches of a range, the first record at or after a timestamp, the newest record."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from pyralog._speedups.fileops import Files
from pyralog.errors import CorruptRecordError
from pyralog.records.batch import HEADER_BYTES, Record, crc_ok, iterate_records

_FIELDS = struct.Struct(">qiibIhiqq")  # base offset ... max timestamp
_OVERHEAD = 12
_WINDOW_BYTES = 1 << 16


class BatchPosition(NamedTuple):
    """Where a batch lies in its file, and what its header says; last_offset is inclusive, timestamps in ms."""

    position: int
    size: int
    base_offset: int
    last_offset: int
    leader_epoch: int
    max_timestamp: int


class TimestampOffset(NamedTuple):
    """A record by offset, with its timestamp in ms and the leader epoch of its batch."""

    offset: int
    timestamp: int
    leader_epoch: int


class SegmentReader:
    """An open segment file. Reading blocks: use it on the work pool."""

    def __init__(self, path: Path, files: Files | None = None) -> None:
        self.path = path
        self._files = files or Files()
        self._fd = self._files.open(os.fsencode(path), os.O_RDONLY)

    def __enter__(self) -> SegmentReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._fd >= 0:
            self._files.close(self._fd)
            self._fd = -1

    def positions(self, position: int, end: int) -> Iterator[BatchPosition]:
        """Headers from a batch boundary on, up to `end`. CorruptRecordError where no batch lies."""
        window, start = b"", 0
        while position < end:
            if position + HEADER_BYTES > start + len(window):
                window, start = self._files.pread(self._fd, min(_WINDOW_BYTES, end - position), position), position
            if len(window) - (position - start) < HEADER_BYTES:
                raise CorruptRecordError(f"{self.path}: {end - position} bytes at {position} are no batch")
            base, length, epoch, magic, _, _, delta, _, newest = _FIELDS.unpack_from(window, position - start)
            size = length + _OVERHEAD
            if magic != 2 or size < HEADER_BYTES or size > end - position or delta < 0:
                raise CorruptRecordError(f"{self.path}: no batch at {position}")
            yield BatchPosition(position, size, base, base + delta, epoch, newest)
            position += size

    def batch(self, at: BatchPosition) -> bytes:
        """The bytes of a batch. CorruptRecordError when its checksum is wrong."""
        data = self._files.pread(self._fd, at.size, at.position)
        if len(data) != at.size or not crc_ok(data):
            raise CorruptRecordError(f"{self.path}: the batch at {at.position} (offset {at.base_offset}) is corrupt")
        return data

    def records(self, at: BatchPosition) -> Iterator[Record]:
        return iterate_records(self.batch(at))


def first_at_or_after(
    path: Path, position: int, length: int, timestamp: int, log_start: int = 0, files: Files | None = None
) -> TimestampOffset | None:
    """The first record in the range, not below the log start, whose timestamp is >= `timestamp`.

    Where to begin is what the log's time index says (PartitionLog.locate_time); batches too old are skipped by their
    headers, so at most one is decompressed when the headers tell the truth.
    """
    with SegmentReader(path, files) as reader:
        for at in reader.positions(position, position + length):
            if at.max_timestamp < timestamp or at.last_offset < log_start:
                continue
            for record in reader.records(at):
                if record.timestamp >= timestamp and record.offset >= log_start:
                    return TimestampOffset(record.offset, record.timestamp, at.leader_epoch)
    return None


def newest_record(
    path: Path, position: int, length: int, log_start: int = 0, files: Files | None = None
) -> TimestampOffset | None:
    """The record with the largest timestamp in the range, the first of equals: ListOffsets with timestamp -3."""
    best: TimestampOffset | None = None
    with SegmentReader(path, files) as reader:
        for at in reader.positions(position, position + length):
            if at.last_offset < log_start or (best is not None and at.max_timestamp <= best.timestamp):
                continue
            for record in reader.records(at):
                if record.offset >= log_start and (best is None or record.timestamp > best.timestamp):
                    best = TimestampOffset(record.offset, record.timestamp, at.leader_epoch)
    return best


def verify_range(path: Path, position: int, length: int, files: Files | None = None) -> int:
    """Checks every batch of the range and its checksum; their number. CorruptRecordError at the first bad one."""
    n = 0
    with SegmentReader(path, files) as reader:
        for at in reader.positions(position, position + length):
            reader.batch(at)
            n += 1
    return n
