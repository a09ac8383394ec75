"""Backups of a data directory: one folder each, a manifest with checksums, unchanged files shared by hard links.

A backup is a data directory as a crash would leave it, so that a plain copy of its `data` starts as well. It can be
taken while the node runs, since segment files only grow: what is cut off at the end of one is found by its checksums.
A partition whose segments compaction replaces meanwhile is copied again.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import shutil
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pyralog.storage import names
from pyralog.version import __version__

MANIFEST = "manifest.json"
DATA = "data"
FORMAT = 1
CHUNK = 1 << 20
SETTLED_MS = 2_000
TRIES = 3
METADATA_FOLDER = "__cluster_metadata-0"
# What only a running node needs, or what would vouch for more than was copied.
LEFT_OUT = (names.LOCK_FILE, names.CLEAN_FILE)
DERIVED = (".index", ".timeindex", ".snapshot")
# Copied before the logs: each may only promise what the copied logs hold.
FIRST = ("meta.properties", names.RECOVERY_POINTS_FILE, names.LOG_STARTS_FILE)

Moved = Callable[[int], None]


class BackupError(Exception):
    """A backup that cannot be made, trusted or restored; the text says why."""


class Entry(NamedTuple):
    """A file of a backup: its path below `data`, what it holds, and the time of the file that was copied."""

    path: str
    size: int
    crc32: int
    mtime_ns: int
    linked: bool


class Manifest(NamedTuple):
    """What a backup says of itself."""

    id: str
    created_at_ms: int
    cluster_id: str
    node_id: int
    version: str
    incremental: bool
    files: tuple[Entry, ...]

    @property
    def size_bytes(self) -> int:
        return sum(entry.size for entry in self.files)


def identity(data_dir: Path) -> tuple[str, int]:
    """Cluster and node that a data directory belongs to."""
    try:
        lines = (data_dir / "meta.properties").read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise BackupError(f"{data_dir} is no data directory: meta.properties: {error.strerror}") from error
    values = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return values.get("cluster.id", ""), int(values.get("node.id", -1))


def size_of(data_dir: Path) -> int:
    """Bytes that a backup will look at; what retention takes meanwhile is not counted."""
    total = 0
    for folder, _, files in os.walk(data_dir):
        for name in files:
            with contextlib.suppress(FileNotFoundError):
                total += os.stat(os.path.join(folder, name)).st_size
    return total


def create(data_dir: Path, target: Path, *, incremental: bool, moved: Moved, rate_bytes: int | None = None) -> Manifest:
    """Copy a data directory into a new backup below `target`; with `incremental` only what the last one lacks."""
    cluster_id, node_id = identity(data_dir)
    earlier = [each for each in manifests(target) if (each.cluster_id, each.node_id) == (cluster_id, node_id)]
    base = earlier[-1] if incremental and earlier else None
    now = datetime.datetime.now(datetime.UTC)
    name = now.strftime("%Y%m%dT%H%M%S.%fZ") + f"-node-{node_id}"
    partial = target / f".{name}.partial"
    partial.mkdir(mode=0o700, parents=True)
    try:
        copier = _Copier(data_dir, partial / DATA, target, base, moved, rate_bytes)
        copier.run()
        manifest = Manifest(
            name, int(now.timestamp() * 1000), cluster_id, node_id, __version__, base is not None, tuple(copier.entries)
        )
        _write(partial / MANIFEST, json.dumps(_as_json(manifest), indent=1).encode())
        sync_tree(partial)
        partial.rename(target / name)
        _sync_folder(target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return manifest


class _Copier:
    """Copies one data directory: checkpoints first, then logs, then the metadata, then what came meanwhile."""

    def __init__(
        self, source: Path, copy: Path, target: Path, base: Manifest | None, moved: Moved, rate_bytes: int | None
    ) -> None:
        self.source, self.copy, self.target = source, copy, target
        self.entries: list[Entry] = []
        self._base = base
        self._known = {entry.path: entry for entry in base.files} if base else {}
        self._moved = moved
        self._rate = rate_bytes
        self._began, self._copied = time.monotonic(), 0

    def run(self) -> None:
        self.copy.mkdir(mode=0o700)
        for name in FIRST:
            self._file(name)
        self._folders()
        # Metadata behind the logs: a topic that it names is a topic whose folder was copied, or is copied now.
        self._metadata()
        self._folders()

    def _folders(self) -> None:
        done = {entry.path.split("/", 1)[0] for entry in self.entries}
        for folder in sorted(self.source.iterdir()):
            hosted = folder.name != METADATA_FOLDER and names.parse_partition(folder.name) is not None
            if hosted and folder.name not in done and folder.is_dir():
                self._settled(folder)

    def _metadata(self) -> None:
        """The quorum state first: it must not know of more than the log that is copied behind it."""
        listed = sorted(path.name for path in (self.source / METADATA_FOLDER).iterdir() if path.is_file())
        for name in sorted(listed, key=lambda name: (name != "quorum-state", name)):
            if not name.endswith(".tmp"):
                self._file(f"{METADATA_FOLDER}/{name}", fresh=True)
        for path in sorted(self.source.iterdir()):
            if path.is_file() and path.name not in (*FIRST, *LEFT_OUT) and not path.name.endswith(names.TEMPORARY):
                self._file(path.name)

    def _settled(self, folder: Path) -> None:
        """Copy a partition; again, when it was made anew or compacted meanwhile: half of each would be neither."""
        for _ in range(TRIES):
            known, before, logs = len(self.entries), _content(folder / names.METADATA_FILE), _logs(folder)
            self._partition(folder)
            if _content(folder / names.METADATA_FILE) == before and not _replaced(logs, _logs(folder)):
                return
            del self.entries[known:]
            shutil.rmtree(self.copy / folder.name, ignore_errors=True)
        raise BackupError(f"{folder.name} is deleted and made anew, or compacted, all the time")

    def _partition(self, folder: Path) -> None:
        try:
            listed = sorted(path.name for path in folder.iterdir() if path.is_file())
        except FileNotFoundError:
            return  # its topic has just been deleted
        (self.copy / folder.name).mkdir(mode=0o700, exist_ok=True)
        logs = [name for name in listed if name.endswith(".log")]
        for name in listed:
            active = bool(logs) and name.split(".")[0] >= logs[-1].split(".")[0]
            # The index of the segment being written is rebuilt: it may know of batches that are not in the copy.
            if name.endswith((names.DELETED, names.TEMPORARY, names.CLEANED)) or (active and name.endswith(DERIVED)):
                continue
            self._file(f"{folder.name}/{name}")

    def _file(self, name: str, *, fresh: bool = False) -> None:
        source, copy = self.source / name, self.copy / name
        copy.parent.mkdir(mode=0o700, exist_ok=True)
        try:
            with source.open("rb") as stream:
                stat = os.fstat(stream.fileno())
                known = None if fresh else self._unchanged(name, stat)
                if known is not None and self._link(name, copy):
                    self.entries.append(known._replace(linked=True))
                    self._moved(stat.st_size)
                    return
                crc = self._bytes(stream, copy, stat.st_size)
        except FileNotFoundError:
            return  # retention took it, or its topic is gone
        self.entries.append(Entry(name, stat.st_size, crc, stat.st_mtime_ns, False))

    def _unchanged(self, name: str, stat: os.stat_result) -> Entry | None:
        """What the last backup has of a file, when it is the same still.

        A file that was written to shortly before that backup may have been written to again without a later time.
        """
        known = self._known.get(name)
        if known is None or self._base is None or (known.size, known.mtime_ns) != (stat.st_size, stat.st_mtime_ns):
            return None
        return known if stat.st_mtime_ns < (self._base.created_at_ms - SETTLED_MS) * 1_000_000 else None

    def _link(self, name: str, copy: Path) -> bool:
        assert self._base is not None
        try:
            os.link(self.target / self._base.id / DATA / name, copy)
        except OSError:
            return False  # a file system without links, or the earlier backup is damaged
        return True

    def _bytes(self, stream: Any, copy: Path, size: int) -> int:
        """Copy as much as there was when the file was opened."""
        crc, left = 0, size
        with _created(copy) as out:
            while left > 0 and (data := stream.read(min(CHUNK, left))):
                out.write(data)
                crc = zlib.crc32(data, crc)
                left -= len(data)
                self._copied += len(data)
                self._moved(len(data))
                if self._rate:
                    ahead = self._copied / self._rate - (time.monotonic() - self._began)
                    time.sleep(max(0.0, ahead))
        if left:
            raise BackupError(f"{copy.name} became shorter while it was copied; try again")
        return crc


def _logs(folder: Path) -> dict[str, int]:
    """The inode of each log file and of each that compaction has made ready to replace one."""
    with contextlib.suppress(FileNotFoundError):
        return {entry.name: entry.inode() for entry in os.scandir(folder) if ".log" in entry.name or _swap(entry.name)}
    return {}


def _swap(name: str) -> bool:
    return name.endswith(names.SWAP)


def _replaced(before: dict[str, int], after: dict[str, int]) -> bool:
    """Whether compaction has changed the segments in between. Retention alone only takes the first of them."""
    left = [name for name in before if name in after and not _swap(name)]
    gone = [name for name in before if name not in after and not name.endswith((names.DELETED, names.CLEANED))]
    return (
        any(_swap(name) for name in after.keys() - before.keys())
        or any(before[name] != after[name] for name in left)
        or any(_swap(name) or (left and name > min(left)) for name in gone)
    )


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def manifests(target: Path) -> list[Manifest]:
    """The backups below a folder, oldest first; what is not whole is left out."""
    found = []
    for path in sorted(target.glob(f"*/{MANIFEST}")):
        with contextlib.suppress(BackupError):
            found.append(read_manifest(path.parent))
    return found


def read_manifest(backup: Path) -> Manifest:
    """The manifest of a backup."""
    try:
        told = json.loads((backup / MANIFEST).read_bytes())
        checked = told.pop("crc32")
        if zlib.crc32(json.dumps(told, sort_keys=True).encode()) != checked:
            raise ValueError("its checksum does not match")
        if told.pop("format") != FORMAT:
            raise ValueError("its format is not known")
        return Manifest(**{**told, "files": tuple(Entry(*entry) for entry in told["files"])})
    except OSError as error:
        raise BackupError(f"{backup / MANIFEST} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BackupError(f"{backup / MANIFEST} cannot be used: {error}") from error


def _as_json(manifest: Manifest) -> dict[str, Any]:
    told = {"format": FORMAT, **manifest._asdict(), "files": [list(entry) for entry in manifest.files]}
    return {**told, "crc32": zlib.crc32(json.dumps(told, sort_keys=True).encode())}


def find(target: Path, name: str | None) -> Path:
    """The folder of a backup: the newest below `target`, the named one, or `target` itself when it is one."""
    if (target / MANIFEST).exists():
        return target
    if name is not None:
        return target / name
    known = manifests(target)
    if not known:
        raise BackupError(f"there is no backup in {target}")
    return target / known[-1].id


def check(backup: Path, moved: Moved) -> Iterator[tuple[str, str]]:
    """(path, what is wrong) for each file that is not as the manifest says."""
    manifest = read_manifest(backup)
    for entry in manifest.files:
        try:
            crc, size = _checksum(backup / DATA / entry.path, moved)
        except OSError as error:
            yield entry.path, error.strerror or str(error)
            continue
        if size != entry.size:
            yield entry.path, f"{size} bytes instead of {entry.size}"
        elif crc != entry.crc32:
            yield entry.path, "the checksum does not match"


def restore(backup: Path, data_dir: Path, moved: Moved) -> Manifest:
    """Copy a backup to a data directory that is empty or does not exist; every checksum is looked at on the way."""
    manifest = read_manifest(backup)
    if data_dir.exists() and (not data_dir.is_dir() or any(data_dir.iterdir())):
        raise BackupError(f"{data_dir} is not empty. Nothing was changed: move what is in it away first.")
    made = not data_dir.exists()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        for entry in manifest.files:
            target = data_dir / entry.path
            target.parent.mkdir(mode=0o700, exist_ok=True)
            crc = 0
            with (backup / DATA / entry.path).open("rb") as stream, _created(target) as out:
                while data := stream.read(CHUNK):
                    out.write(data)
                    crc = zlib.crc32(data, crc)
                    moved(len(data))
            if crc != entry.crc32:
                raise BackupError(f"{backup / DATA / entry.path} is damaged: the checksum does not match")
        sync_tree(data_dir)
    except BaseException:
        _empty(data_dir, remove=made)
        raise
    return manifest


def _empty(folder: Path, *, remove: bool) -> None:
    """Half a restore must not be started by mistake."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
    if remove:
        folder.rmdir()


def _checksum(path: Path, moved: Moved) -> tuple[int, int]:
    crc = size = 0
    with path.open("rb") as stream:
        while data := stream.read(CHUNK):
            crc = zlib.crc32(data, crc)
            size += len(data)
            moved(len(data))
    return crc, size


@contextlib.contextmanager
def _created(path: Path) -> Iterator[Any]:
    """A new file that only its owner may read, on disk when this ends."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as out:
        yield out
        out.flush()
        os.fsync(out.fileno())


def _write(path: Path, data: bytes) -> None:
    with _created(path) as out:
        out.write(data)


def sync_tree(folder: Path) -> None:
    """Make the names in a folder and below durable."""
    for path in (folder, *(each for each in folder.rglob("*") if each.is_dir())):
        _sync_folder(path)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
