"""Record batches of the metadata log: built, read and checked, in the format of every other log (magic 2)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from pyralog._speedups.crc32c import checksum
from pyralog.cluster.records import MetadataFormatError, Record, decode, encode, read_uvarint, write_uvarint

# base offset, length, leader epoch, magic, CRC | attributes, last offset delta, timestamps, producer, sequence, count
_HEADER = struct.Struct(">qiibI")
_BODY = struct.Struct(">hiqqqhii")
_OVERHEAD = 12
HEADER_BYTES = _HEADER.size + _BODY.size
_CRC_FROM = _HEADER.size
_MAGIC = 2
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
    body = bytearray()
    for delta, record in enumerate(records):
        value = encode(record)
        entry = bytearray((0, 0))  # attributes, timestamp delta
        write_uvarint(entry, delta << 1)  # zigzag, as every number inside a record
        entry.append(1)  # null key: -1
        write_uvarint(entry, len(value) << 1)
        entry += value
        entry.append(0)  # no headers
        write_uvarint(body, len(entry) << 1)
        body += entry
    checked = _BODY.pack(0, len(records) - 1, timestamp_ms, timestamp_ms, -1, -1, -1, len(records)) + body
    length = HEADER_BYTES - _OVERHEAD + len(body)
    return _HEADER.pack(base_offset, length, epoch, _MAGIC, checksum(checked)) + checked


def read_batch(data: bytes, at: int) -> MetadataBatch:
    """The batch at this position; DamagedBatch when it is cut or damaged, MetadataFormatError when it is too new."""
    base_offset, epoch, last_delta, count, end = _check(data, at)
    records = tuple(decode(value) for value in _values(data[at + HEADER_BYTES : end], count))
    return MetadataBatch(base_offset, base_offset + last_delta, epoch, records, end)


def _check(data: bytes, at: int) -> tuple[int, int, int, int, int]:
    if at + HEADER_BYTES > len(data):
        raise DamagedBatch("ends inside the header of a batch")
    base_offset, length, epoch, magic, crc = _HEADER.unpack_from(data, at)
    end = at + _OVERHEAD + length
    if magic != _MAGIC or length < HEADER_BYTES - _OVERHEAD:
        raise DamagedBatch("not a batch header")
    if end > len(data):
        raise DamagedBatch("ends inside a batch")
    if checksum(memoryview(data)[at + _CRC_FROM : end]) != crc:
        raise DamagedBatch("the checksum does not match")
    _, last_delta, _, _, _, _, _, count = _BODY.unpack_from(data, at + _CRC_FROM)
    if last_delta + 1 != count or base_offset < 0 or count < 1:
        raise DamagedBatch("counts that contradict each other")
    return base_offset, epoch, last_delta, count, end


def _values(body: bytes, count: int) -> Iterator[bytes]:
    """The value of each record in the body of a batch whose checksum holds."""
    at = 0
    try:
        for _ in range(count):
            size, at = read_uvarint(body, at)
            end = at + (size >> 1)
            _, at = read_uvarint(body, at + 2)  # behind attributes and timestamp delta: the offset delta
            size, at = read_uvarint(body, at + 1)  # behind the null key
            value = body[at : at + (size >> 1)]
            if len(value) != size >> 1:
                raise MetadataFormatError("a record that leaves its batch")
            yield value
            at = end
    except IndexError as error:
        raise MetadataFormatError("a record that leaves its batch") from error
    if at != len(body):
        raise MetadataFormatError("bytes behind the last record of a batch")


def find_batch(data: bytes, at: int, offset: int) -> int | None:
    """The first position from `at` on where a valid batch of offsets above `offset` begins, or None.

    A power cut damages the end of a log and nothing follows it; a valid batch behind the damage means that the
    damaged bytes had once been committed.
    """
    magic_at = 16
    probe = data.find(_MAGIC, at + magic_at)
    while probe != -1:
        start = probe - magic_at
        try:
            base_offset, _, _, _, _ = _check(data, start)
        except DamagedBatch:
            pass
        else:
            if offset <= base_offset <= offset + _PLAUSIBLE_JUMP:
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
