"""Opens a partition's log: at once after a clean stop, by scanning what was not flushed after a crash.

What can be derived (indexes, producer state) is rebuilt. Above the recovery point a log is what it is up to the first
bad batch, gap or falling leader epoch: it is cut there, and what leaves it is kept in files of its own, save a torn
tail. A leader epoch that a flipped bit has changed is no falling one, and is mended. Below, what is bad stays, reading
it is an error, and the rest is served. What the file system fails to read is left alone and raised.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from pyralog._speedups import recover, scan
from pyralog._speedups.fileops import Files
from pyralog._speedups.partition_log import PartitionLog
from pyralog.errors import StorageError
from pyralog.storage import quarantine
from pyralog.storage.checkpoints import write_atomically
from pyralog.storage.log_config import LogConfig
from pyralog.storage.names import (
    DELETED,
    INDEX,
    LOG,
    SNAPSHOT,
    TEMPORARY,
    TIMEINDEX,
    TXNINDEX,
    parse_segment,
    segment_name,
)
from pyralog.storage.recovery_report import RecoveryReport
from pyralog.storage.snapshots import Snapshots
from pyralog.storage.swapping import compacted_to, recover_swaps

log = logging.getLogger(__name__)

_NO_LIMIT = 1 << 62  # of offsets: twice what a segment's name may say
_NO_EPOCH_LIMIT = 0x7FFFFFFF
_INDEX_ENTRY = 16
_BATCH_OVERHEAD = 12  # offset and length, which the length does not count
_BATCH_HEADER = 61
_AT_MAGIC = 16
_BATCHES_WITHOUT_ENTRY = 1000


def open_partition(
    directory: Path,
    *,
    config: LogConfig,
    recovery_point: int = 0,
    log_start: int = 0,
    epoch_limit: int = _NO_EPOCH_LIMIT,
    clean: bool = False,
    files: Files | None = None,
    now_ms: int,
    report: RecoveryReport | None = None,
) -> PartitionLog:
    """The log in `directory`, created when there is none, ready to be handed to a plane.

    `recovery_point`: every record below it was flushed. `clean`: the node was stopped cleanly, nothing need be scanned.
    `epoch_limit`: the newest leader epoch of the partition that this node has heard of, or promised.
    Runs in the calling thread and releases the GIL while it reads. StorageError when the file system fails.
    """
    report = RecoveryReport() if report is None else report
    try:
        opened = _Opening(directory, config, files or Files(), now_ms, report, epoch_limit).run(
            recovery_point, log_start, clean
        )
    except OSError as error:
        raise StorageError("recover", str(directory), error.errno or 0) from error
    if not report.quiet:
        log.warning("Recovered %s up to offset %d: %s", directory, opened.log_end, report.described())
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
    def __init__(
        self, directory: Path, config: LogConfig, files: Files, now_ms: int, report: RecoveryReport, epoch_limit: int
    ) -> None:
        self.directory = directory
        self.files = files
        self.now_ms = now_ms
        self.report = report
        self.epoch_limit = epoch_limit
        self.log = PartitionLog(os.fsencode(directory), files, config)
        self.interval_bytes = config.index_interval_bytes
        self.bases: list[int] = []
        self.sizes: dict[str, int] = {}
        self.snapshots = Snapshots(files, directory)
        self.leader_epoch = -1  # of the last batch that was looked at

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
            self.leader_epoch = -1
        for i in range(last if first is None else first):
            if not clean:
                self._verify_closed(i)
        covered = self._load_snapshot(self.log.log_end if first is None else self._scan_start(first, recovery_point))
        if first is not None:
            gaps_below = min(compacted_to(self.files, self.directory), self.bases[-1])
            self._scan(first, recovery_point, max(recovery_point, log_start, gaps_below), covered)
        elif covered < self.log.log_end:
            scan.replay_producers(self.log, covered, self.log.log_end, self.now_ms)
        if log_start > self.log.log_end:
            self._begin_at(log_start)
        durable = recovery_point if first is not None else self.log.log_end
        recover.finish(self.log, log_start, durable)
        # What one above the recovery point knows may be lost: a producer that repeats it would hear that it is there.
        if first is not None and self.snapshots.drop_above(recovery_point):
            self.files.fsync_dir(os.fsencode(self.directory))
        self.snapshots.drop_old(self.log.log_end)
        if first is not None or self.report.rebuilt:
            self.log.write_indexes()
            self.log.sync()
            self.log.mark_dirty()  # so that a clean stop writes a producer snapshot and what else it owes
        self.log.close()
        return self.log

    # --- what is there ---

    def _list(self) -> None:
        self.directory.mkdir(mode=0o700, exist_ok=True)
        recover_swaps(self.files, self.directory)
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
                    self.snapshots.add(parsed.offset)
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
        self._attach_aborted(i)

    def _attach_aborted(self, i: int) -> None:
        """The aborted transactions that end in a segment: from their index, or from the records where it is damaged."""
        size = self._size(i, TXNINDEX)
        if size == 0 or recover.load_aborted(self.log, i, size):
            return
        self.report.rebuilt.append(segment_name(self.bases[i], TXNINDEX))
        recover.cut_aborted(self.log, i, -1)
        # From before the first record: the last segment ends where it begins, as long as nobody has walked it.
        scan.replay_producers(self.log, -1, self._limit(i), self.now_ms, aborted_of=i)
        recover.clear_producers(self.log)

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
        end = self._walk(i)
        return end == size

    def _verify_closed(self, i: int) -> None:
        """A closed and flushed segment: are its indexes there, and do they reach its end?"""
        size = self._size(i)
        if size == 0:
            return
        _, _, _, max_timestamp, _, _ = self.log.segments()[i]
        if max_timestamp >= 0 and recover.rewind_to_last(self.log, i) and self._walk(i) == size:
            recover.set_next(self.log, i, self._limit(i))
            return
        self._rebuild(i)

    def _rebuild(self, i: int) -> None:
        """Indexes of a closed segment from its headers, over what cannot be read."""
        self.report.rebuilt.append(segment_name(self.bases[i], INDEX))
        recover.rewind(self.log, i, -1)
        recover.cut_indexes(self.log, i)
        self._walk(i, resync=True)
        self._seal_closed(i)

    def _walk(self, i: int, resync: bool = False) -> int:
        """Takes what is left of a segment by its headers alone; the position where it ends."""
        size, limit = self._size(i), self._limit(i)
        end, _, self.leader_epoch, _ = scan.scan(
            self.log, i, size, limit, crc_from=_NO_LIMIT, resync=resync, epoch_limit=self.epoch_limit
        )
        return end

    def _seal_closed(self, i: int) -> None:
        recover.set_next(self.log, i, self._limit(i))
        recover.seal_times(self.log, i)
        self._note_unreadable(i)

    def _note_unreadable(self, i: int) -> None:
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
            recover.cut_aborted(self.log, i, self.log.segments()[i][1])
        return self.log.segments()[first][1]

    def _scan(self, first: int, recovery_point: int, prefix_from: int, covered: int) -> None:
        """Takes what is good from the recovery point on. Above `prefix_from` what is bad ends the log."""
        start = self.log.segments()[first][1]
        if covered < start:
            scan.replay_producers(self.log, covered, start, self.now_ms)
        for i in range(first, len(self.bases)):
            size, limit = self._size(i), self._limit(i)
            self.report.scanned_bytes += size - self.log.segments()[i][2]
            end, next_offset, self.leader_epoch, mended = scan.scan(
                self.log,
                i,
                size,
                limit,
                crc_from=recovery_point,
                producers=True,
                producers_from=covered,
                now_ms=self.now_ms,
                resync=True,
                prefix_from=prefix_from,
                leader_epoch=self.leader_epoch,
                epoch_limit=self.epoch_limit,
            )
            self.report.mended_epochs += mended
            closed = i < len(self.bases) - 1
            if end < size or (closed and next_offset < limit and limit > prefix_from):
                self._mend(i, end, next_offset)
                closed = False
            if not closed:
                self._note_unreadable(i)
                return
            self._seal_closed(i)

    def _mend(self, i: int, end: int, next_offset: int) -> None:
        """Ends the log at a position of a segment.

        The segment is cut last, when all that leaves the log is on disk under its other name: until then the next
        recovery finds the same end again.
        """
        size = self._size(i)
        self.report.cut_bytes += size - end
        if end < size:
            path = self.directory / segment_name(self.bases[i], LOG)
            filled = quarantine.filled(self.files, path, end, size)
            if filled > end and (i < len(self.bases) - 1 or not self._torn(i, end, filled)):
                self.report.quarantined.append(quarantine.keep_range(self.files, path, end, filled, size))
        while len(self.bases) - 1 > i:
            self._leave_last()
        self.snapshots.drop_above(next_offset)
        self.files.fsync_dir(os.fsencode(self.directory))
        recover.cut_file(self.log, i)
        self.sizes[segment_name(self.bases[i], LOG)] = end

    def _leave_last(self) -> None:
        """Takes the last segment out of the log. It has no index files: they went before the scan."""
        i = len(self.bases) - 1
        path = self.directory / segment_name(self.bases[i], LOG)
        self.report.cut_bytes += self._size(i)
        recover.leave_last(self.log)
        if quarantine.filled(self.files, path, 0, self._size(i)):
            self.report.quarantined.append(quarantine.keep_file(self.files, path))
        else:
            self.files.unlink(os.fsencode(path))
        self.bases.pop()

    def _torn(self, i: int, begin: int, filled: int) -> bool:
        """Whether nothing lies behind a position but the beginning of one batch, or one that was never whole."""
        size = self._size(i)
        if filled - begin < _BATCH_HEADER:
            return True
        with quarantine.opened(self.files, self.directory / segment_name(self.bases[i], LOG), os.O_RDONLY) as fd:
            head = self.files.pread(fd, _BATCH_HEADER, begin)
        end = begin + _BATCH_OVERHEAD + int.from_bytes(head[8:_BATCH_OVERHEAD], "big", signed=True)
        return head[_AT_MAGIC] == 2 and end >= filled and not scan.intact(self.log, i, begin, size)

    # --- producers ---

    def _load_snapshot(self, not_above: int) -> int:
        """Loads the newest good producer snapshot; the offset up to which producers are known."""

        def load(data: bytes, offset: int) -> bool:
            if self.log.load_producers(data) == offset:
                return True
            recover.clear_producers(self.log)
            return False

        offset, bad = self.snapshots.newest(self.bases[0], not_above, load)
        self.report.rebuilt += bad
        return self.bases[0] if offset is None else offset
