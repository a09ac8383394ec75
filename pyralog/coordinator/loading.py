"""Rebuilds a machine from its partition of the log; all of it blocks, for the work pool."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from pyralog._speedups.fileops import Files
from pyralog._speedups.statelog import newest
from pyralog.coordinator.outcome import Machine, Transaction
from pyralog.errors import CorruptRecordError
from pyralog.records.batch import HEADER_BYTES, BatchHeader, crc_ok, iterate_batches, iterate_records
from pyralog.records.compression import DECOMPRESSED_LIMIT_BYTES, Codec, decompress
from pyralog.storage.names import LOG, segment_name
from pyralog.wire.coordinator_records import decode_key, decode_value

READ_BYTES = 8 << 20
_CONTROL_KEY = struct.Struct(">hh")  # version, type
_ABORT, _COMMIT = 0, 1


class Piece(NamedTuple):
    """A segment and how much of it to read."""

    base_offset: int
    size_bytes: int


# Offset, timestamp and value of the newest record of a key; no value = a tombstone.
Newest = tuple[int, int, bytes | None]


_Row = tuple[int, int, bytes, bytes | None]


@runtime_checkable
class BulkMachine(Protocol):
    """A machine that replays some of its records faster than one by one."""

    def replay_bulk(self, records: dict[bytes, Newest]) -> tuple[int, list[_Row]]:
        """Apply what is committed; how many that were, and (offset, timestamp, key, value) of the others."""
        ...


class Last:
    """The newest record of each key, as compaction would leave them, and what open transactions have written.

    A machine is as well rebuilt from these as from all records, since compaction may leave no more than these.
    """

    def __init__(self, log_start: int = 0) -> None:
        self.records: dict[bytes, Newest] = {}
        self.open: dict[Transaction, dict[bytes, Newest]] = {}
        self.next_offset = log_start
        self._log_start = log_start

    def add(self, header: BatchHeader, batch: memoryview) -> None:
        """Take a batch. CorruptRecordError when it is damaged."""
        if header.last_offset < self._log_start:
            return
        if not crc_ok(batch):
            raise CorruptRecordError(f"the batch at offset {header.base_offset} is corrupt")
        self.next_offset = header.last_offset + 1
        producer = Transaction(header.producer_id, header.producer_epoch)
        if header.control:
            self._end(producer, batch)
            return
        into = self.open.setdefault(producer, {}) if header.transactional else self.records
        removed: list[bytes] | None = [] if self.open and not header.transactional else None
        body = batch[HEADER_BYTES:]
        newest(
            body if header.codec is Codec.NONE else decompress(header.codec, body, DECOMPRESSED_LIMIT_BYTES),
            header.base_offset,
            header.base_timestamp,
            header.max_timestamp if header.append_time else -1,
            header.record_count,
            self._log_start,
            into,
            removed,
        )
        for key in removed or ():
            # What is removed after a transaction has written it does not come back with the commit.
            for pending in self.open.values():
                pending.pop(key, None)

    def _end(self, producer: Transaction, batch: memoryview) -> None:
        """A marker. What is newer than what it commits stays: that rule is the machines' too."""
        for record in iterate_records(batch):
            if record.key is None or len(record.key) < _CONTROL_KEY.size:
                raise CorruptRecordError(f"the control record at offset {record.offset} has no type")
            _, kind = _CONTROL_KEY.unpack_from(record.key)
            if kind not in (_ABORT, _COMMIT):
                continue
            for ended in [one for one in self.open if one.producer_id == producer.producer_id]:
                pending = self.open.pop(ended)
                if kind == _COMMIT:
                    for key, found in pending.items():
                        known = self.records.get(key)
                        if known is None or known[0] < found[0]:
                            self.records[key] = found


def read(folder: Path, pieces: Sequence[Piece], log_start: int = 0, files: Files | None = None) -> Last:
    """Read segments. CorruptRecordError for damage, OSError when a file is gone or cannot be read."""
    files = files or Files()
    last = Last(log_start)
    opened: list[tuple[Piece, int]] = []
    try:
        # All are opened first: what is deleted meanwhile can still be read.
        for piece in pieces:
            path = os.fsencode(folder / segment_name(piece.base_offset, LOG))
            opened.append((piece, files.open(path, os.O_RDONLY)))
        for piece, fd in opened:
            _read_file(files, fd, piece, last)
    finally:
        for _, fd in opened:
            files.close(fd)
    return last


def _read_file(files: Files, fd: int, piece: Piece, last: Last) -> None:
    position, want = 0, READ_BYTES
    while position < piece.size_bytes:
        data = files.pread(fd, min(want, piece.size_bytes - position), position)
        used = 0
        for header, batch in iterate_batches(data):
            last.add(header, batch)
            used += header.size
        if used == 0:
            if len(data) < want:
                raise CorruptRecordError(f"no batch at {position} of segment {piece.base_offset}")
            want *= 2
            continue
        position += used
        want = READ_BYTES


def apply(last: Last, machine: Machine, types: Mapping[int, str]) -> int:
    """Replay what was read, in order of offsets; the number of records.

    A machine that is a `BulkMachine` takes what it can by itself. Records of unknown types stay in the log and are
    left alone.
    """
    if isinstance(machine, BulkMachine):
        count, records = machine.replay_bulk(last.records)
    else:
        count, records = 0, [(*found[:2], key, found[2]) for key, found in last.records.items()]
    count += _replay(machine, types, records, None)
    for transaction, pending in last.open.items():
        kept = [(*found[:2], key, found[2]) for key, found in pending.items()]
        count += _replay(machine, types, kept, transaction)
    return count


def _replay(machine: Machine, types: Mapping[int, str], records: list[_Row], transaction: Transaction | None) -> int:
    count = 0
    records.sort(key=itemgetter(0))
    for offset, timestamp_ms, raw_key, raw_value in records:
        if raw_value is None and transaction is None:
            continue
        key = decode_key(raw_key, types)
        if key is None:
            continue
        value = None if raw_value is None else decode_value(key, raw_value)
        machine.replay(key, value, offset=offset, timestamp_ms=timestamp_ms, transaction=transaction)
        count += 1
    return count
