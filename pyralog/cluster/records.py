"""Records of the metadata log and their encoding: type, version, fields, then skippable tagged fields.

The batch that carries a record protects it by its CRC. Integers are big-endian and of fixed size, lengths are unsigned
varints. A field added later is a tagged one: what a reader does not know it skips, what a writer left out takes the
default. A record type or version that is not known refuses the log: it was written by a newer Pyralog.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pyralog.model import Uuid


class MetadataFormatError(ValueError):
    """The bytes are not a metadata record that this release understands."""


class ClusterRecord(NamedTuple):
    """The first record of a cluster: its id."""

    cluster_id: str


class BrokerRecord(NamedTuple):
    """A node has registered: a new incarnation, with the epoch it was given (the index of this record)."""

    node_id: int
    broker_epoch: int
    incarnation: Uuid
    directory_id: Uuid
    host: str
    port: int
    rack: str | None = None
    fenced: bool = False


class LeadershipRecord(NamedTuple):
    """Every partition that this node leads gets the next leader epoch: no leadership survives a restart."""

    node_id: int


class TopicRecord(NamedTuple):
    """A topic has been created; its partitions follow as PartitionRecords in the same batch."""

    name: str
    topic_id: Uuid


class PartitionRecord(NamedTuple):
    """A partition in full: at creation, and in snapshots."""

    topic_id: Uuid
    partition: int
    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    leader: int
    leader_epoch: int
    partition_epoch: int = 0


class PartitionChangeRecord(NamedTuple):
    """What has changed in the registration of a partition; the partition epoch rises by one."""

    topic_id: Uuid
    partition: int
    leader: int
    leader_epoch: int
    isr: tuple[int, ...]
    replicas: tuple[int, ...]


class RemoveTopicRecord(NamedTuple):
    """A topic has been deleted, with its configuration; its name keeps a floor for later leader epochs."""

    topic_id: Uuid


class ConfigRecord(NamedTuple):
    """A configuration value of a resource (Kafka's resource types), or its removal (value None)."""

    resource_type: int
    resource_name: str
    name: str
    value: str | None


class ProducerIdsRecord(NamedTuple):
    """A block of producer ids went to a node; the next block starts here."""

    node_id: int
    broker_epoch: int
    next_producer_id: int


class FeatureLevelRecord(NamedTuple):
    """A finalized feature has this level; 0 = it is switched off."""

    name: str
    level: int


class EpochFloorRecord(NamedTuple):
    """Snapshots only: leader epochs of a topic of this name start here; an empty name means any other name."""

    name: str
    floor: int


class SnapshotRecord(NamedTuple):
    """The first record of a snapshot: the state after the record at `offset`; `records` others follow."""

    offset: int
    epoch: int
    records: int


Record = (
    ClusterRecord
    | BrokerRecord
    | LeadershipRecord
    | TopicRecord
    | PartitionRecord
    | PartitionChangeRecord
    | RemoveTopicRecord
    | ConfigRecord
    | ProducerIdsRecord
    | FeatureLevelRecord
    | EpochFloorRecord
    | SnapshotRecord
)

_I8 = struct.Struct(">b")
_I32 = struct.Struct(">i")
_I64 = struct.Struct(">q")

Write = Callable[[bytearray, Any], None]
Read = Callable[[bytes, int], tuple[Any, int]]
Codec = tuple[Write, Read]


def write_uvarint(out: bytearray, value: int) -> None:
    """Append an unsigned LEB128 number."""
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def read_uvarint(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned LEB128 number of at most five bytes, and the position behind it."""
    value = shift = 0
    while shift < 35:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise MetadataFormatError("a length of more than five bytes")


def _take(data: bytes, at: int, size: int) -> tuple[bytes, int]:
    end = at + size
    if end > len(data):
        raise MetadataFormatError(f"{size} bytes wanted, {len(data) - at} left")
    return data[at:end], end


def _number(layout: struct.Struct) -> Codec:
    size = layout.size

    def write(out: bytearray, value: int) -> None:
        out += layout.pack(value)

    def read(data: bytes, at: int) -> tuple[int, int]:
        value: int = layout.unpack_from(data, at)[0]
        return value, at + size

    return write, read


def _write_bool(out: bytearray, value: bool) -> None:
    out += _I8.pack(value)


def _read_bool(data: bytes, at: int) -> tuple[bool, int]:
    return data[at] != 0, at + 1


def _write_uuid(out: bytearray, value: Uuid) -> None:
    if len(value) != 16:
        raise MetadataFormatError(f"not a UUID: {value!r}")
    out += value


def _read_uuid(data: bytes, at: int) -> tuple[Uuid, int]:
    return _take(data, at, 16)


def _write_text(out: bytearray, value: str) -> None:
    raw = value.encode()
    write_uvarint(out, len(raw))
    out += raw


def _read_text(data: bytes, at: int) -> tuple[str, int]:
    size, at = read_uvarint(data, at)
    raw, at = _take(data, at, size)
    return raw.decode(), at


def _write_optional_text(out: bytearray, value: str | None) -> None:
    if value is None:
        out.append(0)
        return
    raw = value.encode()
    write_uvarint(out, len(raw) + 1)
    out += raw


def _read_optional_text(data: bytes, at: int) -> tuple[str | None, int]:
    size, at = read_uvarint(data, at)
    if size == 0:
        return None, at
    raw, at = _take(data, at, size - 1)
    return raw.decode(), at


def _write_ids(out: bytearray, value: tuple[int, ...]) -> None:
    write_uvarint(out, len(value))
    out += struct.pack(f">{len(value)}i", *value)


def _read_ids(data: bytes, at: int) -> tuple[tuple[int, ...], int]:
    count, at = read_uvarint(data, at)
    if count * 4 > len(data) - at:
        raise MetadataFormatError(f"{count} node ids in {len(data) - at} bytes")
    return struct.unpack_from(f">{count}i", data, at), at + 4 * count


INT32 = _number(_I32)
INT64 = _number(_I64)
BOOL: Codec = (_write_bool, _read_bool)
UUID: Codec = (_write_uuid, _read_uuid)
TEXT: Codec = (_write_text, _read_text)
OPTIONAL_TEXT: Codec = (_write_optional_text, _read_optional_text)
IDS: Codec = (_write_ids, _read_ids)


class Layout(NamedTuple):
    """How a record class is written: its type number, its version, and the codec of each field in order.

    Fields in `tagged` come last, are written only when they differ from the class's default, and may be unknown to
    the reader.
    """

    number: int
    version: int
    fields: Mapping[str, Codec]
    tagged: Mapping[str, tuple[int, Codec, Any]]


def _layout(number: int, *, tagged: Mapping[str, tuple[int, Codec, Any]] | None = None, **fields: Codec) -> Layout:
    return Layout(number, 0, fields, tagged or {})


# Numbers are never reused. A new mandatory field needs a new version, an optional one a new tag.
LAYOUTS: Mapping[type[Any], Layout] = {
    ClusterRecord: _layout(1, cluster_id=TEXT),
    BrokerRecord: _layout(
        2,
        node_id=INT32,
        broker_epoch=INT64,
        incarnation=UUID,
        directory_id=UUID,
        host=TEXT,
        port=INT32,
        tagged={"rack": (0, OPTIONAL_TEXT, None), "fenced": (1, BOOL, False)},
    ),
    LeadershipRecord: _layout(3, node_id=INT32),
    TopicRecord: _layout(4, name=TEXT, topic_id=UUID),
    PartitionRecord: _layout(
        5,
        topic_id=UUID,
        partition=INT32,
        replicas=IDS,
        isr=IDS,
        leader=INT32,
        leader_epoch=INT32,
        partition_epoch=INT32,
    ),
    PartitionChangeRecord: _layout(
        6, topic_id=UUID, partition=INT32, leader=INT32, leader_epoch=INT32, isr=IDS, replicas=IDS
    ),
    RemoveTopicRecord: _layout(7, topic_id=UUID),
    ConfigRecord: _layout(8, resource_type=INT32, resource_name=TEXT, name=TEXT, value=OPTIONAL_TEXT),
    ProducerIdsRecord: _layout(9, node_id=INT32, broker_epoch=INT64, next_producer_id=INT64),
    FeatureLevelRecord: _layout(10, name=TEXT, level=INT32),
    EpochFloorRecord: _layout(11, name=TEXT, floor=INT32),
    SnapshotRecord: _layout(12, offset=INT64, epoch=INT32, records=INT64),
}
_BY_NUMBER = {layout.number: (cls, layout) for cls, layout in LAYOUTS.items()}


def encode(record: Record) -> bytes:
    """The bytes of one record."""
    layout = LAYOUTS[type(record)]
    out = bytearray((layout.number, layout.version))
    for name, (write, _) in layout.fields.items():
        write(out, getattr(record, name))
    present = [
        (tag, codec[0], getattr(record, name))
        for name, (tag, codec, default) in layout.tagged.items()
        if getattr(record, name) != default
    ]
    write_uvarint(out, len(present))
    for tag, write, value in present:
        body = bytearray()
        write(body, value)
        write_uvarint(out, tag)
        write_uvarint(out, len(body))
        out += body
    return bytes(out)


def decode(data: bytes) -> Record:
    """The record in `data`; MetadataFormatError when it is not one, or one of a newer release."""
    try:
        return _decode(data)
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise MetadataFormatError(f"a metadata record that ends early or is damaged: {error}") from error


def _decode(data: bytes) -> Record:
    number, version = data[0], data[1]
    known = _BY_NUMBER.get(number)
    if known is None or version > known[1].version:
        raise MetadataFormatError(f"metadata record type {number} version {version} is of a newer Pyralog")
    cls, layout = known
    at = 2
    values = []
    for _, read in layout.fields.values():
        value, at = read(data, at)
        values.append(value)
    count, at = read_uvarint(data, at)
    if count == 0:
        if at != len(data):
            raise MetadataFormatError(f"{len(data) - at} bytes behind a metadata record")
        return cls(*values)  # type: ignore[no-any-return]
    return cls(*values, **_decode_tags(layout, data, at, count))  # type: ignore[no-any-return]


def _decode_tags(layout: Layout, data: bytes, at: int, count: int) -> dict[str, Any]:
    by_tag = {tag: (name, codec) for name, (tag, codec, _) in layout.tagged.items()}
    found: dict[str, Any] = {}
    for _ in range(count):
        tag, at = read_uvarint(data, at)
        size, at = read_uvarint(data, at)
        body, at = _take(data, at, size)
        if tag in by_tag:
            name, codec = by_tag[tag]
            found[name], _ = codec[1](body, 0)
    if at != len(data):
        raise MetadataFormatError(f"{len(data) - at} bytes behind a metadata record")
    return found
