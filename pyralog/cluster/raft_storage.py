"""The metadata log on disk: segments, snapshots, and the quorum-state file. Blocking; used by one thread at a time.

data_dir/__cluster_metadata-0/
    00000000000000000042.log                    record batches from offset 42 on; offset = index, leader epoch = term
    00000000000000000042-0000000007.checkpoint  a snapshot: the state before offset 42, whose last record had term 7
    quorum-state                                term, vote, and how far the log is known to be committed

Every batch that is appended has been through fsync before append() returns. One append is one batch, so that a power
cut can damage only the last batch of the last segment: that one is cut off (its bytes are kept in a .torn file). Any
other damage refuses the start, and nothing is deleted.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pyralog.cluster.batches import DamagedBatch, build_batch, chunked, find_batch, read_batch
from pyralog.cluster.image import EMPTY, ClusterImage, ImageBuilder
from pyralog.cluster.records import MetadataFormatError, Record, SnapshotRecord
from pyralog.cluster.snapshot import snapshot_records

log = logging.getLogger(__name__)

METADATA_DIRECTORY = "__cluster_metadata-0"
QUORUM_STATE = "quorum-state"
RECORDS_PER_BATCH = 1000  # in snapshots
KEPT_SNAPSHOTS = 2  # the newest and the one before it, in case the newest turns out to be unreadable
_SEGMENT = re.compile(r"(\d{20})\.log")
_SNAPSHOT = re.compile(r"(\d{20})-(\d{10})\.checkpoint")


class MetadataCorrupt(Exception):
    """The metadata cannot be trusted; the node must not start. The text says what is wrong and where."""


class VoterState(NamedTuple):
    """What a voter must never forget: its term and vote; and the offset up to which its log was once committed."""

    term: int = 0
    voted_for: int = -1
    committed: int = -1


class Recovered(NamedTuple):
    """What a start found: the state, the vote, and the offset of the snapshot it began with (-1: none)."""

    image: ClusterImage
    state: VoterState
    snapshot_offset: int


def write_all(fd: int, data: bytes) -> None:
    """Write everything at the file's position."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def fsync_directory(path: Path) -> None:
    """Make created, renamed and deleted names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def replace_file(path: Path, parts: Iterator[bytes]) -> None:
    """Replace a file so that a power cut leaves the old one or the new one, whole."""
    temporary = path.with_name(path.name + ".tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        for part in parts:
            write_all(fd, part)
        os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(temporary, path)
    fsync_directory(path.parent)


class MetadataLog:
    """The files of one voter."""

    def __init__(self, data_dir: Path) -> None:
        self.directory = data_dir / METADATA_DIRECTORY
        self._fd = -1
        self._size = 0
        self._next_offset = 0

    @property
    def next_offset(self) -> int:
        """The index of the next record."""
        return self._next_offset

    @property
    def segment_bytes(self) -> int:
        """Size of the segment that is written to."""
        return self._size

    def load(self) -> Recovered:
        """Read everything, cut a torn tail, and open the log for appending."""
        created = not self.directory.exists()
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if created:
            fsync_directory(self.directory.parent)
        for left_over in self.directory.glob("*.tmp"):
            left_over.unlink()
        segments = self._segments()
        image = self._newest_snapshot(segments)
        state = self._load_state()
        builder = ImageBuilder(image)
        offset, epoch, end = image.offset, image.epoch, -1
        # What lies wholly before the snapshot is there for the one before it.
        needed = [b for b, following in itertools.pairwise(segments) if following > image.offset + 1] + segments[-1:]
        for base in needed:
            data = self._segment_path(base).read_bytes()
            end, epoch = self._replay(builder, base, data, base == segments[-1], (offset, epoch), state)
            offset = max(offset, end)
        if offset < state.committed:
            raise MetadataCorrupt(
                f"{self.directory}: the metadata log ends at offset {offset}, but it was committed up to "
                f"{state.committed}; it has been cut or replaced by an older copy. Restore it; nothing was changed."
            )
        if epoch > state.term:
            # Only a lost quorum-state leads here: terms are written before any record that carries them.
            log.warning("%s is missing or old; going on from term %d of the log", QUORUM_STATE, epoch)
            state = VoterState(epoch, -1, state.committed)
        builder.at(offset, epoch, -1)
        self._next_offset = offset + 1
        # A snapshot may be all that is left of the newest records: then the last segment does not lead up to them.
        self._open(segments[-1] if segments and end == offset else self._next_offset)
        return Recovered(builder.freeze()[0], state, image.offset)

    def append(self, epoch: int, records: Sequence[Record], timestamp_ms: int) -> int:
        """Append one batch and make it durable; its last offset. After an OSError call revert() or stop.

        A failed write can be reverted. A failed fsync cannot: what is on the disk is then unknown.
        """
        batch = build_batch(self._next_offset, epoch, records, timestamp_ms)
        write_all(self._fd, batch)
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            raise MetadataCorrupt(f"fdatasync of the metadata log failed: {error}") from error
        self._size += len(batch)
        self._next_offset += len(records)
        return self._next_offset - 1

    def revert(self) -> None:
        """Take back what a failed append has written."""
        os.ftruncate(self._fd, self._size)
        os.lseek(self._fd, self._size, os.SEEK_SET)
        os.fsync(self._fd)

    def roll(self) -> None:
        """Begin a new segment, so that the old ones can go when a snapshot covers them."""
        if self._size:
            os.close(self._fd)
            self._open(self._next_offset)

    def save_state(self, state: VoterState) -> None:
        """Write quorum-state: file, fsync, rename, fsync of the directory."""
        text = json.dumps(
            {"version": 1, "term": state.term, "voted_for": state.voted_for, "committed": state.committed}
        )
        replace_file(self.directory / QUORUM_STATE, iter((text.encode() + b"\n",)))

    def save_snapshot(self, image: ClusterImage) -> int:
        """Write a snapshot of a committed state, then delete what the snapshot before it makes superfluous; its bytes.

        May run beside append() on another thread.
        """
        target = self.directory / f"{image.offset + 1:020d}-{image.epoch:010d}.checkpoint"
        count = sum(1 for _ in snapshot_records(image))
        written = 0

        def parts() -> Iterator[bytes]:
            nonlocal written
            base = 0
            header: list[Record] = [SnapshotRecord(image.offset, image.epoch, count)]
            for records in (header, *chunked(snapshot_records(image), RECORDS_PER_BATCH)):
                batch = build_batch(base, image.epoch, records, 0)
                base += len(records)
                written += len(batch)
                yield batch

        replace_file(target, parts())
        self._drop_covered()
        return written

    def close(self) -> None:
        """Close the log file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _segment_path(self, base: int) -> Path:
        return self.directory / f"{base:020d}.log"

    def _segments(self) -> list[int]:
        matches = (_SEGMENT.fullmatch(path.name) for path in self.directory.iterdir())
        return sorted(int(match[1]) for match in matches if match)

    def _snapshots(self) -> list[Path]:
        """Newest first."""
        return sorted((p for p in self.directory.iterdir() if _SNAPSHOT.fullmatch(p.name)), reverse=True)

    def _open(self, base: int) -> None:
        path = self._segment_path(base)
        created = not path.exists()
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._size = os.lseek(self._fd, 0, os.SEEK_END)
        if created:
            fsync_directory(self.directory)

    def _load_state(self) -> VoterState:
        path = self.directory / QUORUM_STATE
        if not path.exists():
            return VoterState()
        try:
            found = json.loads(path.read_bytes())
            if found["version"] != 1:
                raise MetadataCorrupt(f"{path}: version {found['version']} is of a newer Pyralog.")
            return VoterState(int(found["term"]), int(found["voted_for"]), int(found["committed"]))
        except (ValueError, KeyError, TypeError) as error:
            raise MetadataCorrupt(
                f"{path} is damaged ({error}). Restore it from a backup. If this is the only node of its cluster, "
                "removing the file is safe as well."
            ) from error

    def _newest_snapshot(self, segments: list[int]) -> ClusterImage:
        """The state of the newest readable snapshot that the log goes on from."""
        snapshots = self._snapshots()
        problems = []
        for path in snapshots:
            try:
                image = load_snapshot(path)
            except (DamagedBatch, MetadataFormatError, AssertionError) as error:
                log.error("snapshot %s is damaged: %s", path, error)
                problems.append(f"{path.name}: {error}")
                continue
            if not segments or segments[0] <= image.offset + 1:
                return image
            problems.append(f"{path.name}: the log begins only at {segments[0]}")
        if problems:
            raise MetadataCorrupt(
                f"{self.directory}: no usable snapshot ({'; '.join(problems)}). Restore the folder; nothing was "
                "changed."
            )
        if segments and segments[0] > 0:
            raise MetadataCorrupt(
                f"{self.directory}: the log begins at offset {segments[0]} and there is no snapshot. Restore the "
                "folder; nothing was changed."
            )
        return EMPTY

    def _replay(
        self,
        builder: ImageBuilder,
        base: int,
        data: bytes,
        last: bool,
        position: tuple[int, int],
        state: VoterState,
    ) -> tuple[int, int]:
        """Apply one segment: its last offset, and the term reached."""
        path = self._segment_path(base)
        offset, reached = position
        epoch = 0  # of this segment, which may begin before the snapshot
        expected, at = base, 0
        if base > offset + 1:
            raise MetadataCorrupt(f"{path}: offsets {offset + 1} to {base - 1} are missing. Nothing was changed.")
        while at < len(data):
            try:
                batch = read_batch(data, at)
            except DamagedBatch as damage:
                self._check_torn(path, data, at, expected, last, damage, state)
                self._cut(path, data, at)
                break
            except MetadataFormatError as error:
                raise MetadataCorrupt(f"{path} at byte {at}: {error}. Nothing was changed.") from error
            # The checksum holds, so this is no torn write; but it covers neither offset nor term.
            if batch.base_offset != expected or batch.epoch < epoch:
                raise MetadataCorrupt(
                    f"{path} at byte {at}: offset {batch.base_offset} of term {batch.epoch} where offset {expected} of "
                    f"term {epoch} or later should be. Restore the file from a backup; nothing was changed."
                )
            expected, at, epoch = batch.last_offset + 1, batch.end, batch.epoch
            if batch.last_offset > offset:
                for record in batch.records:
                    self._apply(builder, record, path, at)
        return expected - 1, max(epoch, reached)

    def _apply(self, builder: ImageBuilder, record: Record, path: Path, at: int) -> None:
        try:
            builder.apply(record)
        except (AssertionError, LookupError) as error:
            raise MetadataCorrupt(f"{path} before byte {at}: {record!r} does not fit: {error}.") from error

    def _check_torn(
        self, path: Path, data: bytes, at: int, offset: int, last: bool, damage: DamagedBatch, state: VoterState
    ) -> None:
        """MetadataCorrupt unless the damage can be the last, never answered write before a power cut."""
        follows = find_batch(data, at + 1, offset)
        if last and follows is None and offset > state.committed:
            return
        behind = "" if follows is None else f", valid batches follow at byte {follows}"
        raise MetadataCorrupt(
            f"{path} is damaged at byte {at} (offset {offset}): {damage}{behind}. These records were committed, so "
            "the log cannot be cut there. Restore the file from a backup; nothing was changed."
        )

    def _cut(self, path: Path, data: bytes, at: int) -> None:
        torn = path.with_name(f"{path.name}.{at}.torn")
        log.warning("%s: the last write was torn; cutting %d bytes at %d, kept in %s", path, len(data) - at, at, torn)
        replace_file(torn, iter((data[at:],)))
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            os.ftruncate(fd, at)
            os.fsync(fd)
        finally:
            os.close(fd)

    def _drop_covered(self) -> None:
        """Delete snapshots but the newest two, and segments that lie wholly before the older of these."""
        snapshots = self._snapshots()
        if len(snapshots) < KEPT_SNAPSHOTS:
            return
        covered = int(snapshots[KEPT_SNAPSHOTS - 1].name[:20])
        segments = self._segments()
        for base, following in itertools.pairwise(segments):
            if following <= covered:
                self._segment_path(base).unlink()
        for path in snapshots[KEPT_SNAPSHOTS:]:
            path.unlink()
        fsync_directory(self.directory)


def load_snapshot(path: Path) -> ClusterImage:
    """The state in a snapshot file; DamagedBatch or MetadataFormatError when it is not whole."""
    data = path.read_bytes()
    builder = ImageBuilder(EMPTY)
    header: SnapshotRecord | None = None
    at = seen = 0
    while at < len(data):
        batch = read_batch(data, at)
        at = batch.end
        for record in batch.records:
            if isinstance(record, SnapshotRecord):
                header = record
                continue
            builder.apply(record)
            seen += 1
    if header is None or header.records != seen:
        raise DamagedBatch(f"holds {seen} records, {'no header' if header is None else f'not {header.records}'}")
    builder.at(header.offset, header.epoch, -1)
    return builder.freeze()[0]
