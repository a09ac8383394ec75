"""Fuzz target: a partition folder of arbitrary files.

Byte 0: bit 0 = the stop was clean; byte 1: the recovery point; then files: a byte that names one, a length (2 bytes),
the content. The log opens, cuts or refuses; it never crashes; what it scanned it does not serve with a wrong checksum;
it takes appends and survives being opened again. StorageError and ValueError are refusals, all else is a finding.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pyralog._speedups.partition_log import PartitionLog
from pyralog.errors import StorageError
from pyralog.records.batch import Record, build, crc_ok, iterate_batches
from pyralog.storage.log_config import LogConfig
from pyralog.storage.names import SEGMENT_SUFFIXES, segment_name
from pyralog.storage.recovery import close_partition, open_partition

CONFIG = LogConfig(segment_bytes=600, index_interval_bytes=100)
NAMES = [segment_name(base, suffix) for base in (0, 4, 9) for suffix in SEGMENT_SUFFIXES]

logging.getLogger("pyralog.storage.recovery").setLevel(logging.ERROR)


def one(data: bytes) -> None:
    """A single run."""
    with tempfile.TemporaryDirectory(prefix="pyralog-fuzz-") as parent:
        folder = Path(parent) / "fuzz-0"
        folder.mkdir()
        for name, content in _files(data):
            (folder / name).write_bytes(content)
        clean, point = bool(data[:1] and data[0] & 1), data[1] if len(data) > 1 else 0
        with contextlib.suppress(StorageError):
            log = open_partition(folder, config=CONFIG, recovery_point=point, clean=clean, now_ms=1)
            _read(log, checked=not clean and point == 0)
            end = log.log_end
            batch = build([Record(end, 5, None, b"appended")])
            log.append([batch], 1)
            assert log.read(end) == batch
            close_partition(log)
            again = open_partition(folder, config=CONFIG, clean=True, now_ms=1)
            assert again.log_end == end + 1
            assert again.read(end) == batch


def _files(data: bytes) -> Iterator[tuple[str, bytes]]:
    at = 2
    while at + 3 <= len(data):
        size = int.from_bytes(data[at + 1 : at + 3], "big")
        yield NAMES[data[at] % len(NAMES)], data[at + 3 : at + 3 + size]
        at += 3 + size


def _read(log: PartitionLog, *, checked: bool) -> None:
    offset = log.log_start
    steps = 0
    while offset < log.log_end and steps < 1000:  # a header may claim any number of offsets
        steps += 1
        try:
            found = log.read(offset, max_bytes=300)
            following = log.locate(offset, max_bytes=300)[4]
        except ValueError:
            offset += 1
            continue
        if checked:
            assert all(crc_ok(batch) for _, batch in iterate_batches(found))
        assert following > offset
        offset = following
    log.locate_time(3)


def seeds() -> Iterator[bytes]:
    for n in (1, 3, 12):
        with tempfile.TemporaryDirectory(prefix="pyralog-fuzz-") as parent:
            folder = Path(parent) / "fuzz-0"
            log = open_partition(folder, config=CONFIG, now_ms=1)
            for i in range(n):
                rows = [Record(log.log_end, i, b"k", b"v" * (i * 20)), Record(log.log_end + 1, i, None, b"")]
                log.append([build(rows, producer_id=7, producer_epoch=0, base_sequence=i * 2, leader_epoch=i // 5)], 1)
            close_partition(log)
            contents = {path.name: path.read_bytes() for path in folder.iterdir()}
        for head in (b"\x00\x00", b"\x01\x00", b"\x00\x05"):
            yield head + b"".join(
                bytes((NAMES.index(name),)) + len(content).to_bytes(2, "big") + content
                for name, content in contents.items()
                if name in NAMES
            )
