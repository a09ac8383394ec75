"""One log directory: its lock, its partition folders, its checkpoints and the mark of a clean stop."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import uuid
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pyralog._speedups.fileops import Files
from pyralog.errors import StorageError
from pyralog.model import ZERO_UUID, TopicPartition, Uuid, uuid_from_text, uuid_text
from pyralog.storage import names
from pyralog.storage.checkpoints import (
    CorruptCheckpointError,
    OffsetCheckpoint,
    encode_lines,
    parse_lines,
    read_small,
    write_atomically,
)
from pyralog.storage.epochs import LeaderEpochs, parse_epochs

log = logging.getLogger(__name__)


_CHECKSUM = "crc32"


def _metadata(topic_id: str) -> bytes:
    """A partition's metadata file. A flipped bit in the id would make the partition that of an unknown topic."""
    text = f"version: 0\ntopic_id: {topic_id}\n"
    return f"{text}{_CHECKSUM}: {zlib.crc32(text.encode()):08x}\n".encode()


class LogDirInUseError(Exception):
    """Another process works on this directory."""


@dataclass(frozen=True, slots=True)
class PartitionFolder:
    """A partition's folder as found; topic_id is ZERO_UUID where its metadata file is missing or unreadable."""

    tp: TopicPartition
    topic_id: Uuid
    path: Path


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """What the last run left: offsets per partition (`cleaned`: up to where the log cleaner came), and whether it
    stopped cleanly."""

    recovery_points: Mapping[TopicPartition, int]
    log_starts: Mapping[TopicPartition, int]
    clean: bool
    cleaned: Mapping[TopicPartition, int] = field(default_factory=dict)


class LogDir:
    """A directory with one folder per partition. Its methods block: call them from the work pool."""

    def __init__(self, path: Path, files: Files | None = None) -> None:
        self.path = path
        self.files = files or Files()
        self._lock_fd: int | None = None
        self._recovery_points = OffsetCheckpoint(path / names.RECOVERY_POINTS_FILE, self.files)
        self._log_starts = OffsetCheckpoint(path / names.LOG_STARTS_FILE, self.files)
        self._cleaned = OffsetCheckpoint(path / names.CLEANED_FILE, self.files)

    # --- lock ---

    def lock(self) -> None:
        """Creates the directory if need be and keeps every other process out until unlock() or death."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self.path / names.LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 32, 0).decode(errors="replace").strip()
            os.close(fd)
            raise LogDirInUseError(
                f"{self.path} is in use by another process (pid {holder or 'unknown'}); "
                "stop it, or give this node a data_dir of its own"
            ) from None
        except OSError:
            os.close(fd)
            raise
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self._lock_fd = fd

    def unlock(self) -> None:
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None

    # --- start and stop ---

    def begin(self) -> Checkpoints:
        """Reads what the last run left and takes the mark of its clean stop away: from now on a crash is a crash.

        A checkpoint that cannot be read costs a full scan (recovery points) or brings deleted records back (log
        starts), but never a record; it is kept under another name.
        """
        mark = read_small(self.files, self.path / names.CLEAN_FILE)
        clean = mark is not None and mark == _mark_of(read_small(self.files, self._recovery_points.path))
        if mark is not None:
            self.files.unlink(os.fsencode(self.path / names.CLEAN_FILE))
            self.files.fsync_dir(os.fsencode(self.path))
        points, starts = self._read(self._recovery_points), self._read(self._log_starts)
        usable = points is not None and starts is not None
        return Checkpoints(points or {}, starts or {}, clean and usable, self._read(self._cleaned) or {})

    def _read(self, checkpoint: OffsetCheckpoint) -> dict[TopicPartition, int] | None:
        try:
            return checkpoint.read()
        except CorruptCheckpointError as error:
            aside = f"{checkpoint.path.name}.{uuid.uuid4().hex}{names.QUARANTINE}"
            log.warning("%s; it is kept as %s and every log is scanned", error, aside)
            self.files.rename(os.fsencode(checkpoint.path), os.fsencode(self.path / aside))
            return None

    def write_recovery_points(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Records below these offsets are flushed. It must be true before this is called."""
        self._recovery_points.write(offsets)

    def write_cleaned(self, offsets: Mapping[TopicPartition, int]) -> None:
        self._cleaned.write(offsets)

    def write_log_starts(self, offsets: Mapping[TopicPartition, int]) -> None:
        self._log_starts.write(offsets)

    def mark_clean(self) -> None:
        """After every log is closed and the checkpoints are written: the next start need not scan."""
        points = read_small(self.files, self._recovery_points.path)
        if points is None:
            raise ValueError("recovery points must be written before the mark of a clean stop")
        write_atomically(self.files, self.path / names.CLEAN_FILE, _mark_of(points) or b"")

    # --- partition folders ---

    def folder(self, tp: TopicPartition) -> Path:
        return self.path / names.partition_folder(tp)

    def scan(self) -> list[PartitionFolder]:
        """Every partition folder. Folders whose deletion was begun are removed on the way."""
        found = []
        with os.scandir(self.path) as entries:
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    continue
                path = self.path / entry.name
                if names.is_retired(entry.name, names.DELETE_FOLDER):
                    self.remove(path)
                elif tp := names.parse_partition(entry.name):
                    found.append(PartitionFolder(tp, self.topic_id(path), path))
        return found

    def topic_id(self, folder: Path) -> Uuid:
        """The topic id in a partition folder; ZERO_UUID where it is missing or unreadable."""
        data = read_small(self.files, folder / names.METADATA_FILE) or b""
        try:
            fields = dict(line.split(": ", 1) for line in data.decode("ascii").splitlines() if line)
            intact = data == _metadata(fields["topic_id"]) if _CHECKSUM in fields else fields["version"] == "0"
            return uuid_from_text(fields["topic_id"]) if intact else ZERO_UUID
        except (ValueError, KeyError):
            return ZERO_UUID

    def create(self, tp: TopicPartition, topic_id: Uuid) -> Path:
        """Makes the folder of a new partition, for good: the entry is synced before this returns."""
        path = self.folder(tp)
        path.mkdir(mode=0o700, exist_ok=True)
        self.record_topic_id(path, topic_id)
        self.files.fsync_dir(os.fsencode(self.path))
        return path

    def record_topic_id(self, folder: Path, topic_id: Uuid) -> None:
        write_atomically(self.files, folder / names.METADATA_FILE, _metadata(uuid_text(topic_id)))

    def retire(self, folder: Path) -> Path:
        """Renames a partition's folder so that its name is free at once; remove() deletes what the answer names."""
        return self._rename(folder, names.DELETE_FOLDER)

    def quarantine(self, folder: Path) -> Path:
        """Puts a folder aside that the metadata does not know, or that cannot be opened. Nothing deletes it."""
        target = self._rename(folder, names.STRAY_FOLDER)
        log.warning("%s is set aside as %s", folder, target.name)
        return target

    def _rename(self, folder: Path, suffix: str) -> Path:
        target = folder.with_name(names.retired_folder(folder.name, uuid.uuid4().hex, suffix))
        self.files.rename(os.fsencode(folder), os.fsencode(target))
        self.files.fsync_dir(os.fsencode(self.path))
        return target

    def remove(self, folder: Path) -> None:
        """Deletes a retired folder and all in it."""
        if not names.is_retired(folder.name, names.DELETE_FOLDER) or folder.parent != self.path:
            raise ValueError(f"{folder} is not a retired partition folder")
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageError("remove", str(folder), error.errno or 0) from error

    # --- segment files and epochs of a partition ---

    def retire_segments(self, folder: Path, base_offsets: list[int]) -> list[Path]:
        """Renames the files of segments that left the log; remove_files() them after file.delete.delay.ms."""
        retired = []
        for base_offset in base_offsets:
            for suffix in names.SEGMENT_SUFFIXES:
                source = folder / names.segment_name(base_offset, suffix)
                target = source.with_name(source.name + names.DELETED)
                try:
                    self.files.rename(os.fsencode(source), os.fsencode(target))
                except FileNotFoundError:
                    continue
                retired.append(target)
        return retired

    def remove_files(self, paths: list[Path]) -> None:
        for path in paths:
            try:
                self.files.unlink(os.fsencode(path))
            except FileNotFoundError:
                continue

    def read_epochs(self, folder: Path) -> LeaderEpochs | None:
        """The leader epochs of a log; None where the file is missing or unreadable (rebuild them from the batches)."""
        path = folder / names.EPOCHS_FILE
        try:
            data = read_small(self.files, path)
            return None if data is None else parse_epochs(parse_lines(data, path))
        except ValueError as error:
            log.warning("%s: %s; rebuilt from the log", path, error)
            return None

    def write_epochs(self, folder: Path, epochs: LeaderEpochs) -> None:
        write_atomically(self.files, folder / names.EPOCHS_FILE, encode_lines(epochs.lines()))


def _mark_of(points: bytes | None) -> bytes | None:
    """Bound to the recovery points: a mark that stays behind when other files are restored vouches for nothing."""
    return None if points is None else f"{zlib.crc32(points):08x} {len(points)}\n".encode()
