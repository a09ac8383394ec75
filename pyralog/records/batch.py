"""Record batches (magic 2, KIP-98) in Python: parse, iterate, build, re-compress; for tools and the cold paths."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pyralog._speedups.crc32c import checksum
from pyralog.errors import CorruptRecordError
from pyralog.records.compression import DECOMPRESSED_LIMIT_BYTES, Codec, compress, decompress

HEADER_BYTES = 61
_OVERHEAD = 12  # base offset and length, which the length does not count
_CRC_END = 21  # the checksum covers from here to the end
_CODEC_BITS = 0x07
_HEADER = struct.Struct(">qiibIhiqqqhii")
_AFTER_CRC = struct.Struct(">hiqqqhii")
_MAGIC = 2

APPEND_TIME = 0x08
TRANSACTIONAL = 0x10
CONTROL = 0x20
DELETE_HORIZON = 0x40

Header = tuple[str, bytes | None]


class BatchHeader(NamedTuple):
    """The fixed part of a batch. `length` counts from the leader epoch on; `size` is the whole batch."""

    base_offset: int
    length: int
    leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    record_count: int

    @property
    def size(self) -> int:
        return self.length + _OVERHEAD

    @property
    def last_offset(self) -> int:
        return self.base_offset + self.last_offset_delta

    @property
    def codec(self) -> Codec:
        try:
            return Codec(self.attributes & _CODEC_BITS)
        except ValueError as error:
            raise CorruptRecordError(str(error)) from None

    @property
    def append_time(self) -> bool:
        return bool(self.attributes & APPEND_TIME)

    @property
    def transactional(self) -> bool:
        return bool(self.attributes & TRANSACTIONAL)

    @property
    def control(self) -> bool:
        return bool(self.attributes & CONTROL)


class Record(NamedTuple):
    """One record, with its absolute offset and its timestamp in ms."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[Header] = ()


def parse_header(data: bytes | memoryview, offset: int = 0) -> BatchHeader:
    """The header of the batch at `offset`, all of whose bytes must be there. The checksum is not looked at."""
    if len(data) - offset < HEADER_BYTES:
        raise CorruptRecordError(f"a batch takes at least {HEADER_BYTES} bytes, there are {len(data) - offset}")
    header = BatchHeader(*_HEADER.unpack_from(data, offset))
    if header.magic != _MAGIC:
        raise CorruptRecordError(f"magic {header.magic}")
    if not HEADER_BYTES <= header.size <= len(data) - offset:
        raise CorruptRecordError(f"batch length {header.length}, there are {len(data) - offset} bytes")
    return header


def crc_ok(batch: bytes | memoryview) -> bool:
    """Whether the checksum of the batch at the start of the data holds."""
    header = parse_header(batch)
    return checksum(memoryview(batch)[_CRC_END : header.size]) == header.crc


def iterate_batches(data: bytes | memoryview) -> Iterator[tuple[BatchHeader, memoryview]]:
    """The whole batches of a file or of a fetched range; a last one that is cut short is left out."""
    view = memoryview(data)
    at = 0
    while len(view) - at >= HEADER_BYTES:
        length = int.from_bytes(view[at + 8 : at + _OVERHEAD], "big", signed=True)
        if length + _OVERHEAD > len(view) - at:
            return
        header = parse_header(view, at)
        yield header, view[at : at + header.size]
        at += header.size


class _Reader:
    """Varints and byte strings of one record section."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def varint(self) -> int:
        data, at = self.data, self.at
        byte = data[at]
        value = byte & 0x7F
        shift = 7
        while byte >= 0x80:
            if shift > 63:
                raise CorruptRecordError("varint of more than ten bytes")
            at += 1
            byte = data[at]
            value |= (byte & 0x7F) << shift
            shift += 7
        self.at = at + 1
        return (value >> 1) ^ -(value & 1)

    def sized(self) -> bytes | None:
        """Bytes with their length in front; None for any negative length."""
        size = self.varint()
        if size < 0:
            return None
        end = self.at + size
        if end > len(self.data):
            raise CorruptRecordError("a field is longer than its batch")
        value = self.data[self.at : end]
        self.at = end
        return value


def _read_headers(reader: _Reader) -> tuple[Header, ...]:
    count = reader.varint()
    if not 0 <= count <= len(reader.data) - reader.at:
        raise CorruptRecordError(f"{count} headers")
    found = []
    for _ in range(count):
        key = reader.sized()
        if key is None:
            raise CorruptRecordError("a header without key")
        found.append((key.decode("utf-8", "replace"), reader.sized()))
    return tuple(found)


def _read_record(reader: _Reader, header: BatchHeader) -> Record:
    size = reader.varint()
    end = reader.at + size
    if size < 6 or end > len(reader.data):
        raise CorruptRecordError(f"record size {size}")
    reader.at += 1  # attributes, unused
    timestamp = header.base_timestamp + reader.varint()
    offset = header.base_offset + reader.varint()
    key, value = reader.sized(), reader.sized()
    headers = () if reader.data[reader.at] == 0 and reader.at + 1 == end else _read_headers(reader)
    if headers == ():
        reader.at = max(reader.at, end)
    if reader.at != end:
        raise CorruptRecordError("a record's fields do not fill its size")
    return Record(offset, header.max_timestamp if header.append_time else timestamp, key, value, headers)


def iterate_records(batch: bytes | memoryview, limit_bytes: int = DECOMPRESSED_LIMIT_BYTES) -> Iterator[Record]:
    """The records of the batch at the start of the data. CorruptRecordError for whatever is wrong with them."""
    header = parse_header(batch)
    reader = _Reader(decompress(header.codec, memoryview(batch)[HEADER_BYTES : header.size], limit_bytes))
    try:
        for _ in range(header.record_count):
            yield _read_record(reader, header)
    except IndexError:
        raise CorruptRecordError("the records are cut short") from None
    if reader.at != len(reader.data):
        raise CorruptRecordError("bytes are left behind the last record")


def record_sizes(plain: bytes | memoryview) -> Iterator[int]:
    """The size of each record of an uncompressed batch, its length prefix left out."""
    header = parse_header(plain)
    reader = _Reader(bytes(memoryview(plain)[HEADER_BYTES : header.size]))
    try:
        for _ in range(header.record_count):
            size = reader.varint()
            yield size
            reader.at += max(size, 0)
    except IndexError:
        raise CorruptRecordError("the records are cut short") from None


def _varint(value: int) -> bytes:
    value = (value << 1) ^ (value >> 63)
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _sized(value: bytes | None) -> bytes:
    return b"\x01" if value is None else _varint(len(value)) + value


def _record_bytes(record: Record, base_offset: int, base_timestamp: int) -> bytes:
    body = b"".join(
        (
            b"\0",
            _varint(record.timestamp - base_timestamp),
            _varint(record.offset - base_offset),
            _sized(record.key),
            _sized(record.value),
            _varint(len(record.headers)),
            *(_sized(key.encode()) + _sized(value) for key, value in record.headers),
        )
    )
    return _varint(len(body)) + body


def assemble(header: BatchHeader, body: bytes) -> bytes:
    """A batch of these fields; length, magic and checksum are computed."""
    tail = _AFTER_CRC.pack(*header[5:]) + body
    length = len(tail) + _CRC_END - _OVERHEAD
    return struct.pack(">qiibI", header.base_offset, length, header.leader_epoch, _MAGIC, checksum(tail)) + tail


def build(
    records: Sequence[Record],
    *,
    codec: Codec = Codec.NONE,
    level: int | None = None,
    leader_epoch: int = -1,
    producer_id: int = -1,
    producer_epoch: int = -1,
    base_sequence: int = -1,
    attributes: int = 0,
) -> bytes:
    """One batch of at least one record, in order of offsets; `attributes` are the bits above the codec."""
    first, last = records[0], records[-1]
    body = b"".join([_record_bytes(record, first.offset, first.timestamp) for record in records])
    header = BatchHeader(
        base_offset=first.offset,
        length=0,
        leader_epoch=leader_epoch,
        magic=_MAGIC,
        crc=0,
        attributes=attributes | codec,
        last_offset_delta=last.offset - first.offset,
        base_timestamp=first.timestamp,
        max_timestamp=max(record.timestamp for record in records),
        producer_id=producer_id,
        producer_epoch=producer_epoch,
        base_sequence=base_sequence,
        record_count=len(records),
    )
    return assemble(header, compress(codec, body, level))


def recompress(
    batch: bytes | memoryview,
    codec: Codec,
    level: int | None = None,
    limit_bytes: int = DECOMPRESSED_LIMIT_BYTES,
) -> bytes:
    """The same batch under another codec: only its attributes, length, checksum and body change."""
    header = parse_header(batch)
    body = decompress(header.codec, memoryview(batch)[HEADER_BYTES : header.size], limit_bytes)
    attributes = header.attributes & ~_CODEC_BITS | codec
    return assemble(header._replace(attributes=attributes), compress(codec, body, level))
