"""Fuzz targets of log compaction: any bytes as a segment that is cleaned, any bytes as the order to swap segments."""

from __future__ import annotations

import itertools
import shutil
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from crc32c import crc32c

from pyralog._speedups import batch as headers
from pyralog._speedups.keymap import KeyMap
from pyralog._speedups.swap import swap
from pyralog.errors import CorruptRecordError
from pyralog.records.batch import TRANSACTIONAL, Record, build, crc_ok, iterate_batches, iterate_records
from pyralog.records.compression import Codec
from pyralog.storage.compaction import Cleanable, Compaction, Rules, Written
from pyralog.storage.log_config import LogConfig
from pyralog.storage.names import CLEANED, INDEX, LOG, segment_name
from pyralog.storage.recovery import open_partition
from tests.log_batches import make_batch

NOW = 5_000
LAST = 1 << 40
RULES = Rules(
    delete_retention_ms=1000,
    segment_bytes=1 << 20,
    segment_index_bytes=1 << 20,
    index_interval_bytes=100,
    max_batch_bytes=1 << 20,
)


class Segment(NamedTuple):
    base_offset: int
    next_offset: int
    size_bytes: int
    max_timestamp: int = -1
    created_ms: int = -1


class Aborted(NamedTuple):
    producer_id: int
    first_offset: int
    last_offset: int
    last_stable: int


ABORTED = Aborted(9, 20, 23, 24)


def sealed(data: bytes) -> bytes:
    """Every batch with a checksum that holds, so that what is behind it is reached."""
    out, at = bytearray(data), 0
    while at + 61 <= len(out):
        size = int.from_bytes(out[at + 8 : at + 12], "big", signed=True) + 12
        if not 61 <= size <= len(out) - at:
            break
        struct.pack_into(">I", out, at + 17, crc32c(bytes(out[at + 21 : at + size])))
        at += size
    return bytes(out)


def live(data: bytes) -> dict[bytes, tuple[int, bytes]] | None:
    """Offset and value of the newest record of each key that was not aborted; None when the bytes are no log."""
    found: dict[bytes, tuple[int, bytes | None]] = {}
    end = at = 0
    try:
        for header, raw in iterate_batches(data):
            at += header.size
            if header.base_offset < end or not crc_ok(raw) or header.last_offset_delta < 0:
                return None
            end = header.last_offset + 1
            records = list(iterate_records(raw, 1 << 20)) if header.record_count else []
            offsets = [record.offset for record in records]
            if offsets != sorted(set(offsets)) or any(not header.base_offset <= one < end for one in offsets):
                return None
            aborted = (
                header.transactional
                and header.producer_id == ABORTED.producer_id
                and ABORTED.first_offset <= header.base_offset <= ABORTED.last_offset
            )
            if not header.control and not aborted:
                found.update({r.key: (r.offset, r.value) for r in records if r.key is not None})
    except CorruptRecordError:
        return None
    if at != len(data):
        return None
    return {key: (offset, value) for key, (offset, value) in found.items() if value is not None}


def open_compaction() -> Callable[[bytes], None]:
    folder = Path(tempfile.mkdtemp(prefix="pyralog-fuzz-"))
    keys = KeyMap(1 << 16, bytes(16))

    def run(data: bytes) -> None:
        """The first byte: whether checksums are put right, where the dirty part begins, which producers are known."""
        if not data:
            return
        raw = sealed(data[1:]) if data[0] & 1 else data[1:]
        (folder / segment_name(0, LOG)).write_bytes(raw)
        first_dirty = (0, 0, 12, 1 << 20)[data[0] >> 1 & 3]
        work = Cleanable((Segment(0, LAST, len(raw)),), first_dirty, 0, len(raw), False)
        producers = {7, 9} if data[0] & 8 else set()
        job = Compaction(folder, work, RULES, keys, aborted=[ABORTED], producers=producers, now_ms=NOW)
        try:
            (group,) = job.build_map() or [()]
            written = job.write(group) if group else None
        except (CorruptRecordError, ValueError):
            return
        if written is not None:
            judge(folder, raw, written, first_dirty)

    return run


def judge(folder: Path, raw: bytes, written: Written, first_dirty: int) -> None:
    """What was written is a log with an index of it, and has the newest values of the old one."""
    clean = (folder / (segment_name(0, LOG) + CLEANED)).read_bytes()
    assert len(clean) == written.size_bytes
    starts, at = {}, 0
    for header, batch in iterate_batches(clean):
        assert crc_ok(batch)
        starts[at] = header.base_offset
        at += header.size
    assert at == len(clean)
    index = (folder / (segment_name(0, INDEX) + CLEANED)).read_bytes()
    for base, position in struct.iter_unpack(">qq", index):
        assert starts[position] == base
    before = live(raw)
    if before is not None and first_dirty == 0:
        assert live(clean) == before


def compaction_seeds() -> list[bytes]:
    many = [Record(10 + i, 1000 + i, b"k%d" % (i % 2), b"value" * 5, (("h", b"x"),)) for i in range(4)]
    transactional = {"producer_id": 9, "producer_epoch": 0, "attributes": TRANSACTIONAL}
    log = (
        make_batch(0, 3, key=b"k0")
        + build([Record(3, 1000, b"k1", None), Record(4, 1000, b"k2", b"x")])
        + make_batch(5, 2, key=b"k0", producer_id=7, epoch=1, sequence=0)
        + build(many)
        + build([Record(20, 1000, b"k0", b"no")], base_sequence=0, **transactional)
        + _at(headers.marker(9, 1, 0, False, 1000), 23)
        + build([Record(24, 1000, b"k2", None)], base_sequence=0, **transactional)
        + _at(headers.marker(9, 1, 0, True, 1000), 25)
    )
    found = [log, log[: len(log) // 2]]
    found += [build(many, codec=codec) + build([Record(14, 9, b"k1", None)], codec=codec) for codec in Codec]
    return [bytes([flag]) + data for data in found for flag in (0, 1, 3, 5, 9)]


def _at(batch: bytes, offset: int) -> bytes:
    return offset.to_bytes(8, "big") + batch[8:]


def open_swap() -> Callable[[bytes], None]:
    root = Path(tempfile.mkdtemp(prefix="pyralog-fuzz-"))
    rounds = itertools.count()

    def run(data: bytes) -> None:
        folder = root / str(next(rounds))
        log = open_partition(folder, config=LogConfig(), now_ms=1)
        for i in range(4):
            log.append([make_batch(i, 1, key=b"k")], 1)
            log.roll(1)
        log.sync()
        log.write_indexes()
        swapped = folder / (segment_name(0, LOG) + ".swap")
        shutil.copy(folder / segment_name(0, LOG), swapped)
        try:
            done = swap(log, data)
        except (
            ValueError,
            FileNotFoundError,
        ):  # FileNotFoundError: only the first segment has something to take its place
            done = False
        assert done != swapped.exists()
        log.close()
        shutil.rmtree(folder)

    return run


def swap_seeds() -> list[bytes]:
    written = Written((0, 1, 2), (ABORTED,), 3, 0, 0, 100, 1, 0, 1, 0, -1, -1, 0, -1, -1)
    return [
        made.packed()
        for made in (
            written,
            written._replace(old_bases=(0,), aborted=()),
            written._replace(old_bases=(0, 1, 2, 3), aborted=(ABORTED, ABORTED)),
            written._replace(base_offset=1, old_bases=(1, 2)),
        )
    ]
