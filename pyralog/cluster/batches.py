"""Record batches of the metadata log: records.batch with metadata records inside, and what damage to them means."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from pyralog.cluster.records import MetadataFormatError, Record, decode, encode
from pyralog.errors import CorruptRecordError
from pyralog.records.batch import BatchHeader, build, crc_ok, iterate_records, parse_header
from pyralog.records.batch import Record as LogRecord

_MAGIC = 2
_MAGIC_AT = 16
# How far offsets may jump before a batch is taken for noise when damage is looked at.
_PLAUSIBLE_JUMP = 1 << 32


class MetadataBatch(NamedTuple):
    """A batch read from a file: its offsets, term, records, and the position of the byte behind it."""

    base_offset: int
    last_offset: int
    epoch: int
    records: tuple[Record, ...]
    end: int


class DamagedBatch(ValueError):
    """No whole, valid batch begins at this position."""


def build_batch(base_offset: int, epoch: int, records: Sequence[Record], timestamp_ms: int) -> bytes:
    """One batch with these records from `base_offset` on."""
    entries = [LogRecord(offset, timestamp_ms, None, encode(r)) for offset, r in enumerate(records, base_offset)]
    return build(entries, leader_epoch=epoch)


def read_batch(data: bytes, at: int) -> MetadataBatch:
    """The batch at this position; DamagedBatch when it is cut or damaged, MetadataFormatError when it is too new."""
    header = _check(data, at)
    end = at + header.size
    try:
        values = [record.value or b"" for record in iterate_records(memoryview(data)[at:end])]
    except CorruptRecordError as error:
        raise MetadataFormatError(str(error)) from error
    records = tuple(decode(value) for value in values)
    return MetadataBatch(header.base_offset, header.base_offset + len(records) - 1, header.leader_epoch, records, end)


def _check(data: bytes, at: int) -> BatchHeader:
    try:
        header = parse_header(data, at)
        if not crc_ok(memoryview(data)[at : at + header.size]):
            raise DamagedBatch("the checksum does not match")
    except CorruptRecordError as error:
        raise DamagedBatch(str(error)) from error
    if header.base_offset < 0 or header.record_count < 1:
        raise DamagedBatch("a batch without records, or of a negative offset")
    return header


def find_batch(data: bytes, at: int, offset: int) -> int | None:
    """The first position from `at` on where a valid batch of offsets from `offset` on begins, or None.

    A power cut damages the end of a log and nothing follows it; a valid batch behind the damage means that the
    damaged bytes had once been committed.
    """
    probe = data.find(_MAGIC, at + _MAGIC_AT)
    while probe != -1:
        start = probe - _MAGIC_AT
        try:
            header = _check(data, start)
        except DamagedBatch:
            pass
        else:
            if offset <= header.base_offset <= offset + _PLAUSIBLE_JUMP:
                return start
        probe = data.find(_MAGIC, probe + 1)
    return None


def chunked(records: Iterable[Record], size: int) -> Iterator[list[Record]]:
    """The records in lists of at most `size`."""
    chunk: list[Record] = []
    for record in records:
        chunk.append(record)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
