"""Opens a partition's log: at once after a clean stop, by scanning what was not flushed after a crash.

What can be derived (indexes, producer state) is rebuilt. A torn or corrupt tail is cut. What is bad between good
batches is taken out of segments that had not been flushed, and kept in a file of its own; in flushed ones it stays,
reading it is an error, and the rest is served. What the file system fails to read is left alone and raised.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from pyralog._speedups import recover, scan
from pyralog._speedups.fileops import Files
from pyralog._speedups.segment import PartitionLog
from pyralog.errors import StorageError
from pyralog.storage.checkpoints import read_small, write_atomically
from pyralog.storage.log_config import LogConfig
from pyralog.storage.names import (
    DELETED,
    INDEX,
    LOG,
    QUARANTINE,
    SNAPSHOT,
    TEMPORARY,
    TIMEINDEX,
    parse_segment,
    segment_name,
)

log = logging.getLogger(__name__)

_NO_LIMIT = 1 << 61
_INDEX_ENTRY = 16
_COPY_BYTES = 1 << 20
_SNAPSHOTS_KEPT = 2
_BATCH_OVERHEAD = 12  # offset and length, which the length does not count
_BATCHES_WITHOUT_ENTRY = 1000


@dataclass(slots=True)
class RecoveryReport:
    """What opening a log found and did; sizes in bytes."""

    scanned_bytes: int = 0
    cut_bytes: int = 0
    rebuilt: list[str] = field(default_factory=list)
    quarantined: list[str] = field(default_factory=list)
    unreadable: list[tuple[int, int]] = field(default_factory=list)  # offsets [first, next) of closed segments

    @property
    def quiet(self) -> bool:
        return not (self.cut_bytes or self.rebuilt or self.quarantined or self.unreadable)


def open_partition(
    directory: Path,
    *,
    config: LogConfig,
    recovery_point: int = 0,
    log_start: int = 0,
    clean: bool = False,
    files: Files | None = None,
    now_ms: int,
    report: RecoveryReport | None = None,
) -> PartitionLog:
    """The log in `directory`, created when there is none, ready to be handed to a plane.

    `recovery_point`: every record below it was flushed. `clean`: the node was stopped cleanly, nothing need be scanned.
    Runs in the calling thread and releases the GIL while it reads. StorageError when the file system fails.
    """
    report = RecoveryReport() if report is None else report
    try:
        opened = _Opening(directory, config, files or Files(), now_ms, report).run(recovery_point, log_start, clean)
    except OSError as error:
        raise StorageError("recover", str(directory), error.errno or 0) from error
    if not report.quiet:
        log.warning(
            "Recovered %s up to offset %d: %d bytes scanned, %d cut; rebuilt %s; set aside %s; unreadable offsets %s",
            directory,
            opened.log_end,
            report.scanned_bytes,
            report.cut_bytes,
            report.rebuilt or "nothing",
            report.quarantined or "nothing",
            report.unreadable or "none",
        )
    return opened


def close_partition(opened: PartitionLog, *, files: Files | None = None) -> None:
    """A clean close: records, indexes and producer state are on disk for good, preallocated blocks given back."""
    files = files or Files()
    directory = Path(os.fsdecode(opened.directory))
    try:
        if opened.dirty:
            opened.seal()
            opened.sync()
            name = segment_name(opened.log_end, SNAPSHOT)
            write_atomically(files, directory / name, opened.producer_snapshot())
            opened.mark_clean()
        opened.close()
    except OSError as error:
        raise StorageError("close", str(directory), error.errno or 0) from error


class _Opening:
    def __init__(self, directory: Path, config: LogConfig, files: Files, now_ms: int, report: RecoveryReport) -> None:
        self.directory = directory
        self.files = files
        self.now_ms = now_ms
        self.report = report
        self.log = PartitionLog(os.fsencode(directory), files, config)
        self.interval_bytes = config.index_interval_bytes
        self.bases: list[int] = []
        self.sizes: dict[str, int] = {}
        self.snapshots: list[int] = []

    def run(self, recovery_point: int, log_start: int, clean: bool) -> PartitionLog:
        self._list()
        if not self.bases:
            self._create(log_start)
        for i in range(len(self.bases)):
            self._attach(i, clean)
        last = len(self.bases) - 1
        if clean and self._tail_is_whole(last):
            first = None
        else:
            first = self._first_to_scan(recovery_point)
            self.report.unreadable.clear()
        for i in range(last if first is None else first):
            if not clean:
                self._verify_closed(i)
        covered = self._load_snapshot(self.log.log_end if first is None else self._scan_start(first, recovery_point))
        if first is not None:
            self._scan(first, recovery_point, covered)
        elif covered < self.log.log_end:
            scan.replay_producers(self.log, covered, self.log.log_end, self.now_ms)
        if log_start > self.log.log_end:
            self._begin_at(log_start)
        durable = recovery_point if first is not None else self.log.log_end
        recover.finish(self.log, log_start, durable)
        if first is not None:
            self._drop_snapshots_above(recovery_point)
        self._drop_old_snapshots()
        if first is not None or self.report.rebuilt:
            self.log.write_indexes()
            self.log.sync()
            self.log.mark_dirty()  # so that a clean stop writes a producer snapshot and what else it owes
        self.log.close()
        return self.log

    # --- what is there ---

    def _list(self) -> None:
        self.directory.mkdir(mode=0o700, exist_ok=True)
        orphans = []
        with os.scandir(self.directory) as entries:
            for entry in entries:
                if entry.name.endswith((DELETED, TEMPORARY)):
                    self.files.unlink(os.fsencode(entry.path))
                    continue
                parsed = parse_segment(entry.name)
                if parsed is None or not entry.is_file(follow_symlinks=False):
                    continue
                self.sizes[entry.name] = entry.stat().st_size
                if parsed.suffix == LOG:
                    self.bases.append(parsed.offset)
                elif parsed.suffix == SNAPSHOT:
                    self.snapshots.append(parsed.offset)
                else:
                    orphans.append((parsed.offset, entry))
        self.bases.sort()
        known = set(self.bases)
        for offset, entry in orphans:
            if offset not in known:
                self.files.unlink(os.fsencode(entry.path))

    def _create(self, base: int) -> None:
        path = self.directory / segment_name(base, LOG)
        self.files.close(self.files.open(os.fsencode(path), os.O_RDWR | os.O_CREAT))
        self.files.fsync_dir(os.fsencode(self.directory))
        self.bases.append(base)

    def _begin_at(self, log_start: int) -> None:
        """Records that had been deleted were lost with the crash; their offsets must not be given out again."""
        self._create(log_start)
        recover.attach(self.log, log_start, log_start, 0, 0, 0)

    def _size(self, i: int, suffix: str = LOG) -> int:
        return self.sizes.get(segment_name(self.bases[i], suffix), 0)

    def _limit(self, i: int) -> int:
        return self.bases[i + 1] if i + 1 < len(self.bases) else _NO_LIMIT

    # --- segments ---

    def _attach(self, i: int, clean: bool) -> None:
        size = self._size(i)
        last = i == len(self.bases) - 1
        next_offset = self.bases[i] if last else self.bases[i + 1]
        offset_bytes, time_bytes = self._size(i, INDEX), self._size(i, TIMEINDEX)
        # A closed segment ends its time index with its maximum: an empty one was lost, or no record has a time.
        missing = not last and size > 0 and (time_bytes == 0 or (offset_bytes == 0 and self._wants_entries(i, size)))
        torn = bool(offset_bytes % _INDEX_ENTRY or time_bytes % _INDEX_ENTRY)
        entries = (0, 0) if missing or torn else (offset_bytes // _INDEX_ENTRY, time_bytes // _INDEX_ENTRY)
        whole = recover.attach(self.log, self.bases[i], next_offset, size, *entries)
        if clean and not last and (missing or torn or not whole):
            self._rebuild(i)

    def _wants_entries(self, i: int, size: int) -> bool:
        """Whether a batch begins so far behind the start of the file that the index must have an entry."""
        if size <= 4 * self.interval_bytes:
            return False
        fd = self.files.open(os.fsencode(self.directory / segment_name(self.bases[i], LOG)), os.O_RDONLY)
        try:
            position = 0
            for _ in range(_BATCHES_WITHOUT_ENTRY):
                head = self.files.pread(fd, _BATCH_OVERHEAD, position)
                position += _BATCH_OVERHEAD + max(0, int.from_bytes(head[8:], "big", signed=True))
                if position >= size or position > self.interval_bytes:
                    break
            return position < size
        finally:
            self.files.close(fd)

    def _tail_is_whole(self, i: int) -> bool:
        """True when headers lead from the last index entry exactly to the end of the file."""
        size = self._size(i)
        if not recover.rewind_to_last(self.log, i):
            return False
        end, _, _ = scan.scan(self.log, i, size, self._limit(i), crc_from=_NO_LIMIT)
        return end == size

    def _verify_closed(self, i: int) -> None:
        """A closed and flushed segment: are its indexes there, and do they reach its end?"""
        size = self._size(i)
        if size == 0:
            return
        _, _, _, max_timestamp, _, _ = self.log.segments()[i]
        if max_timestamp >= 0 and recover.rewind_to_last(self.log, i):
            end, _, _ = scan.scan(self.log, i, size, self._limit(i), crc_from=_NO_LIMIT)
            if end == size:
                recover.set_next(self.log, i, self._limit(i))
                return
        self._rebuild(i)

    def _rebuild(self, i: int) -> None:
        """Indexes of a closed segment from its headers, over what cannot be read."""
        self.report.rebuilt.append(segment_name(self.bases[i], INDEX))
        recover.rewind(self.log, i, -1)
        recover.cut_indexes(self.log, i)
        scan.scan(self.log, i, self._size(i), self._limit(i), crc_from=_NO_LIMIT, resync=True)
        self._seal_closed(i)

    def _seal_closed(self, i: int) -> None:
        recover.set_next(self.log, i, self._limit(i))
        recover.seal_times(self.log, i)
        self.report.unreadable += [(first, after) for _, _, first, after in recover.bad_ranges(self.log, i)]

    # --- the scan after a crash ---

    def _first_to_scan(self, recovery_point: int) -> int:
        last = len(self.bases) - 1
        return next((i for i in range(last) if self._limit(i) > recovery_point), last)

    def _scan_start(self, first: int, recovery_point: int) -> int:
        """Takes the segments that are to be scanned back to where the scan begins; the offset of that."""
        for i in range(first, len(self.bases)):
            recover.rewind(self.log, i, recovery_point if i == first else -1)
            recover.cut_indexes(self.log, i)
        return self.log.segments()[first][1]

    def _scan(self, first: int, recovery_point: int, covered: int) -> None:
        start = self.log.segments()[first][1]
        if covered < start:
            scan.replay_producers(self.log, covered, start, self.now_ms)
        last = len(self.bases) - 1
        for i in range(first, last + 1):
            begin = self.log.segments()[i][2]
            self.report.scanned_bytes += self._size(i) - begin
            if self._scan_on(i, recovery_point, covered) < self._size(i):
                self._mend(i)
                self._scan_on(i, recovery_point, covered)
            if i < last:
                self._seal_closed(i)

    def _scan_on(self, i: int, recovery_point: int, covered: int) -> int:
        """Takes good batches from the segment's end on; where the first bad one lies."""
        end, _, _ = scan.scan(
            self.log,
            i,
            self._size(i),
            self._limit(i),
            crc_from=recovery_point,
            producers=True,
            producers_from=covered,
            now_ms=self.now_ms,
        )
        return end

    def _mend(self, i: int) -> None:
        """Takes bad ranges out of a segment that was not flushed; behind its last good batch there is nothing to keep.

        Good batches behind a hole stay: they are as durable as they were meant to be. The bytes of the hole are kept
        in a file of their own, the offsets that were in it are missing from the log, as after compaction.
        """
        size = self._size(i)
        bad = scan.holes(self.log, i, size, self._limit(i))
        inside = [(begin, end) for begin, end in bad if end < size]
        if inside or i < len(self.bases) - 1:
            for begin, end in bad:
                self._set_aside(i, begin, end)
        if inside:
            self._rewrite(i, bad)
        else:
            recover.cut_file(self.log, i)
        lost = sum(end - begin for begin, end in bad)
        self.report.cut_bytes += lost
        self.sizes[segment_name(self.bases[i], LOG)] = size - lost

    def _rewrite(self, i: int, bad: list[tuple[int, int]]) -> None:
        """Replaces the segment's file by one without the bad ranges."""
        path = self.directory / segment_name(self.bases[i], LOG)
        good = zip([0, *(end for _, end in bad)], [*(begin for begin, _ in bad), self._size(i)], strict=True)
        self._copy(path, Path(f"{path}{TEMPORARY}"), good)
        self.log.close()  # its descriptor shows the old file
        self.files.rename(os.fsencode(f"{path}{TEMPORARY}"), os.fsencode(path))
        self.files.fsync_dir(os.fsencode(self.directory))

    def _set_aside(self, i: int, begin: int, end: int) -> None:
        """Keeps bytes that leave the log, for the operator."""
        path = self.directory / segment_name(self.bases[i], LOG)
        name = f"{path.name}.{begin}{QUARANTINE}"
        self._copy(path, self.directory / name, [(begin, end)])
        self.files.fsync_dir(os.fsencode(self.directory))
        self.report.quarantined.append(name)

    def _copy(self, source: Path, target: Path, ranges: Iterable[tuple[int, int]]) -> None:
        """Copies ranges of a file into a new one, and syncs it."""
        with ExitStack() as stack:
            reading = self.files.open(os.fsencode(source), os.O_RDONLY)
            stack.callback(self.files.close, reading)
            writing = self.files.open(os.fsencode(target), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            stack.callback(self.files.close, writing)
            written = 0
            for begin, end in ranges:
                for position in range(begin, end, _COPY_BYTES):
                    data = self.files.pread(reading, min(_COPY_BYTES, end - position), position)
                    written += self.files.pwrite(writing, data, written)
            self.files.fdatasync(writing)

    # --- producers ---

    def _load_snapshot(self, not_above: int) -> int:
        """Loads the newest good producer snapshot; the offset up to which producers are known."""
        for offset in sorted((offset for offset in self.snapshots if offset <= not_above), reverse=True):
            data = read_small(self.files, self.directory / segment_name(offset, SNAPSHOT))
            if data and self.log.load_producers(data) == offset:
                return offset
            recover.clear_producers(self.log)
            self.report.rebuilt.append(segment_name(offset, SNAPSHOT))
        return self.bases[0]

    def _drop_snapshots_above(self, recovery_point: int) -> None:
        """After a crash: what a snapshot above the recovery point knows may have been lost.

        A producer that repeats such a batch would be told that it is there.
        """
        lost = [offset for offset in self.snapshots if offset > recovery_point]
        for offset in lost:
            self.files.unlink(os.fsencode(self.directory / segment_name(offset, SNAPSHOT)))
        if lost:
            self.files.fsync_dir(os.fsencode(self.directory))
        self.snapshots = [offset for offset in self.snapshots if offset <= recovery_point]

    def _drop_old_snapshots(self) -> None:
        """Keeps the two newest at or below the log end; one above it speaks of records that are gone."""
        usable = sorted(offset for offset in self.snapshots if offset <= self.log.log_end)
        for offset in set(self.snapshots) - set(usable[-_SNAPSHOTS_KEPT:]):
            self.files.unlink(os.fsencode(self.directory / segment_name(offset, SNAPSHOT)))
