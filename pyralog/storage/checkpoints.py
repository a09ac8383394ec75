"""Small text files that survive a crash whole: written beside, synced, renamed, and the directory synced."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from pyralog._speedups.fileops import Files
from pyralog.errors import CorruptRecordError
from pyralog.model import TopicPartition
from pyralog.storage.names import TEMPORARY

# Kafka's version, which has no checksum, and ours, which has one behind it in the first line.
_KAFKA_VERSION = "0"
_VERSION = "1"
_MAX_BYTES = 64 << 20


class CorruptCheckpointError(CorruptRecordError):
    """A checkpoint file that does not say what it must."""


def write_atomically(files: Files, path: Path, data: bytes) -> None:
    """Replaces the file at once and for good; whoever reads it sees the old or the new content, never a mixture."""
    target = os.fsencode(path)
    temporary = target + TEMPORARY.encode()
    fd = files.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        files.pwrite(fd, data, 0)
        files.fdatasync(fd)
    finally:
        files.close(fd)
    files.rename(temporary, target)
    files.fsync_dir(os.fsencode(path.parent))


def read_small(files: Files, path: Path) -> bytes | None:
    """The whole file, None when it is not there."""
    try:
        fd = files.open(os.fsencode(path), os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        parts = []
        position = 0
        while chunk := files.pread(fd, 1 << 16, position):
            parts.append(chunk)
            position += len(chunk)
            if position > _MAX_BYTES:
                raise CorruptCheckpointError(f"{path}: larger than {_MAX_BYTES} bytes")
        return b"".join(parts)
    finally:
        files.close(fd)


def encode_lines(entries: Iterable[str]) -> bytes:
    """Kafka's checkpoint format with a checksum: a version, the number of entries, an entry a line.

    One flipped bit in an offset would hide records, or have them taken for flushed.
    """
    lines = list(entries)
    body = "\n".join([str(len(lines)), *lines, ""]).encode()
    return b"%b %08x\n%b" % (_VERSION.encode(), zlib.crc32(body), body)


def parse_lines(data: bytes, where: object) -> list[list[str]]:
    """The entries of a checkpoint, split at spaces. CorruptCheckpointError when checksum, count or version is wrong."""
    try:
        head, _, body = data.partition(b"\n")
        version, *checksum = head.decode("ascii").split(" ")
        lines = body.decode("ascii").splitlines()
        count, entries = int(lines[0]), [line for line in lines[1:] if line]
    except (ValueError, IndexError) as error:
        raise CorruptCheckpointError(f"{where}: not a checkpoint") from error
    expected = [f"{zlib.crc32(body):08x}"] if version == _VERSION else []
    if version not in (_KAFKA_VERSION, _VERSION) or checksum != expected:
        raise CorruptCheckpointError(f"{where}: the checksum does not match ({head.decode('ascii')!r})")
    if count != len(entries):
        raise CorruptCheckpointError(f"{where}: {len(entries)} entries instead of {count}")
    return [entry.split(" ") for entry in entries]


class OffsetCheckpoint:
    """An offset per partition: recovery points, log start offsets."""

    def __init__(self, path: Path, files: Files) -> None:
        self.path = path
        self._files = files

    def read(self) -> dict[TopicPartition, int]:
        """Empty when there is no file; CorruptCheckpointError when it cannot be understood."""
        data = read_small(self._files, self.path)
        if data is None:
            return {}
        found = {}
        for entry in parse_lines(data, self.path):
            try:
                topic, partition, offset = entry
                found[TopicPartition(topic, int(partition))] = int(offset)
            except ValueError as error:
                raise CorruptCheckpointError(f"{self.path}: {' '.join(entry)!r}") from error
            if found[TopicPartition(topic, int(partition))] < 0:
                raise CorruptCheckpointError(f"{self.path}: {' '.join(entry)!r}")
        return found

    def write(self, offsets: Mapping[TopicPartition, int]) -> None:
        lines = (f"{tp.topic} {tp.partition} {offset}" for tp, offset in sorted(offsets.items()))
        write_atomically(self._files, self.path, encode_lines(lines))
