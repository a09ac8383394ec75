"""Log compaction of one partition: the last value of each key stays (Kafka's Cleaner), bounded memory, closed segments.

It blocks: it runs on the compaction thread. The order is survey (which batches producer state hangs on), map (keys of
the dirty part, as many as fit), then group by group: a cleaned segment is written, made ready, decided and swapped by
the caller.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from pyralog._speedups import compact
from pyralog._speedups.compact import Cleaner
from pyralog._speedups.facts import Facts
from pyralog._speedups.fileops import Files
from pyralog._speedups.keymap import KeyMap
from pyralog._speedups.mapper import Mapper
from pyralog._speedups.survey import Survey
from pyralog.errors import CorruptRecordError
from pyralog.records.batch import HEADER_BYTES
from pyralog.records.compression import Codec, Scratch, compress
from pyralog.storage.cleaned import AbortedLike, CleanedFiles
from pyralog.storage.names import INDEX, LOG, TIMEINDEX, segment_name
from pyralog.storage.retention import SegmentLike

_CHUNK_BYTES = 1 << 20
_MOST_SEGMENTS = 64  # in one swap, which is one step of the plane
_MOST_OFFSETS = 0x7FFFFFFF  # Kafka's indexes of a segment hold 32-bit offsets
_INDEX_ENTRY = 16
_LENGTH = struct.Struct(">i")  # of a batch, at 8: without what stands before
_AT_CODEC = 22

Pause = Callable[[int], None]


class Cleanable(NamedTuple):
    """What may be cleaned: closed segments, of which the first `clean` lie wholly below the first dirty offset."""

    segments: tuple[SegmentLike, ...]
    first_dirty: int
    clean_bytes: int
    dirty_bytes: int
    overdue: bool  # max.compaction.lag.ms is over

    @property
    def dirty_ratio(self) -> float:
        total = self.clean_bytes + self.dirty_bytes
        return self.dirty_bytes / total if total else 0.0


class Rules(NamedTuple):
    """A topic's settings for one pass; times in ms, sizes in bytes."""

    delete_retention_ms: int
    segment_bytes: int
    segment_index_bytes: int
    index_interval_bytes: int
    max_batch_bytes: int


class Written(NamedTuple):
    """A cleaned segment on disk, for those in [base, end); the last entry of each index, -1 where it has none."""

    old_bases: tuple[int, ...]
    aborted: tuple[AbortedLike, ...]  # of which there are batches left
    end: int
    crc: int  # CRC-32C of its log file
    base_offset: int
    size_bytes: int
    max_timestamp: int
    max_timestamp_offset: int
    created_ms: int
    offset_entries: int
    last_offset_key: int
    last_offset_value: int
    time_entries: int
    last_time_key: int
    last_time_value: int

    def packed(self) -> bytes:
        """As _speedups.swap.Swap wants it, with base offsets and aborted transactions behind."""
        fields = [*self[4:], len(self.old_bases), len(self.aborted), *self.old_bases]
        for entry in self.aborted:
            fields += (entry.producer_id, entry.first_offset, entry.last_offset, entry.last_stable)
        return struct.pack(f"{len(fields)}q", *fields)


def cleanable(
    segments: Sequence[SegmentLike],
    *,
    log_start: int,
    checkpoint: int,
    last_stable: int,
    synced: int,
    min_lag_ms: int,
    max_lag_ms: int,
    now_ms: int,
) -> Cleanable:
    """Closed segments up to the first that may not be touched: unstable, not on disk for good, or too young."""
    found: list[SegmentLike] = []
    for segment in segments[:-1]:
        newest = segment.max_timestamp if segment.max_timestamp >= 0 else segment.created_ms
        young = min_lag_ms > 0 and newest > now_ms - min_lag_ms
        if segment.next_offset > min(last_stable, synced) or young:
            break
        found.append(segment)
    # A checkpoint above the log (it was truncated) or below its start says nothing.
    first_dirty = checkpoint if log_start <= checkpoint <= segments[-1].next_offset else log_start
    clean = sum(s.size_bytes for s in found if s.next_offset <= first_dirty)
    dirty = sum(s.size_bytes for s in found if s.next_offset > first_dirty)
    oldest = next((s for s in found if s.next_offset > first_dirty and s.size_bytes), None)
    # Its first record is what matters (KIP-354): appended when the segment began, or older where clients set the time.
    begun = min((t for t in (oldest.created_ms, oldest.max_timestamp) if t >= 0), default=-1) if oldest else -1
    return Cleanable(tuple(found), first_dirty, clean, dirty, 0 <= begun < now_ms - max_lag_ms)


def groups(segments: Sequence[SegmentLike], rules: Rules) -> list[list[SegmentLike]]:
    """Neighbours that together fit one segment: each group becomes one."""
    found: list[list[SegmentLike]] = []
    size = entries = 0
    for segment in segments:
        more = segment.size_bytes // max(rules.index_interval_bytes, 1) * _INDEX_ENTRY
        group = found[-1] if found else None
        if (
            group is not None
            and len(group) < _MOST_SEGMENTS
            and size + segment.size_bytes <= rules.segment_bytes
            and entries + more <= rules.segment_index_bytes
            and segment.next_offset - group[0].base_offset <= _MOST_OFFSETS
        ):
            group.append(segment)
            size, entries = size + segment.size_bytes, entries + more
        else:
            found.append([segment])
            size, entries = segment.size_bytes, more
    return found


def _batch(data: memoryview) -> memoryview:
    """The first batch of some, whose length has been looked at."""
    return data[: _LENGTH.unpack_from(data, 8)[0] + 12]


def _codec(batch: memoryview) -> Codec:
    return Codec(batch[_AT_CODEC] & 0x07)


class Compaction:
    """One pass over a partition. `pause` is told how many bytes were read, and may sleep."""

    def __init__(
        self,
        folder: Path,
        work: Cleanable,
        rules: Rules,
        keys: KeyMap,
        *,
        aborted: Sequence[AbortedLike],
        producers: Collection[int],
        now_ms: int,
        files: Files | None = None,
        pause: Pause = lambda _: None,
    ) -> None:
        self._folder = folder
        self._work = work
        self._rules = rules
        self._keys = keys
        self._aborted = sorted(aborted, key=lambda entry: entry.last_offset)
        self._producers = producers
        self._now_ms = now_ms
        self._files = files or Files()
        self._pause = pause
        self._cleaner: Cleaner | None = None
        self._scratch = Scratch(rules.max_batch_bytes)
        self.read_bytes = 0

    @property
    def end_offset(self) -> int:
        """The first offset that this pass leaves dirty."""
        return self._keys.end_offset

    @property
    def records(self) -> tuple[int, int]:
        """Looked at; kept."""
        return (0, 0) if self._cleaner is None else (self._cleaner.records_in, self._cleaner.records_out)

    def build_map(self) -> list[list[SegmentLike]]:
        """Survey and map; the groups of segments that are to be cleaned. CorruptRecordError for a damaged segment."""
        survey = Survey()
        for segment in self._work.segments:
            self._walk(segment, survey.feed)
        survey.choose(self._producers)
        self._keys.clear()
        facts = Facts([(entry.producer_id, entry.first_offset, entry.last_offset) for entry in self._aborted])
        mapper = Mapper(self._keys, facts)
        cleaner = self._cleaner = Cleaner(
            self._keys,
            facts,
            survey,
            self._now_ms,
            self._rules.delete_retention_ms,
            -1,
            self._rules.index_interval_bytes,
        )
        for segment in self._work.segments:
            if segment.next_offset > self._work.first_dirty and self._map(mapper, segment):
                break
        cleaner.end_at(self._keys.end_offset)
        if self._keys.end_offset <= self._work.first_dirty:
            if any(s.size_bytes for s in self._work.segments if s.next_offset > self._work.first_dirty):
                raise CorruptRecordError(
                    f"{self._folder}: the memory of the cleaner does not hold the keys of the batch at "
                    f"{self._work.first_dirty}"
                )
            return []
        return groups([s for s in self._work.segments if s.base_offset < self._keys.end_offset], self._rules)

    def _map(self, mapper: Mapper, segment: SegmentLike) -> bool:
        """True when the map is full."""
        first = self._work.first_dirty
        full = False

        def step(data: memoryview) -> tuple[int, int]:
            nonlocal full
            at = 0
            while True:
                taken, code = mapper.map(data[at:], first, segment.next_offset)
                at += taken
                if code == compact.COMPRESSED:
                    batch = _batch(data[at:])
                    code = mapper.map_body(batch, self._plain(batch), first)
                    if code == compact.MORE:
                        at += len(batch)
                        continue
                full = code == compact.FULL
                return at, compact.DONE if full else code

        self._walk(segment, step)
        return full

    def write(self, group: Sequence[SegmentLike]) -> Written | None:
        """Writes the cleaned segment of a group, synced, as `.cleaned` files. None when nothing would change."""
        cleaner = self._cleaner
        if cleaner is None:
            raise RuntimeError("the map comes first")
        base, end = group[0].base_offset, group[-1].next_offset
        cleaner.begin_segment()
        output = CleanedFiles(self._files, self._folder, base)
        try:
            for segment in group:
                self._walk(segment, lambda data: self._clean(cleaner, data), lambda: output.add(*cleaner.take()))
            cleaner.finish_segment()
            output.add(*cleaner.take())
            if len(group) == 1 and not cleaner.changed:
                output.discard()
                return None
            ended = [entry for entry in self._aborted if base <= entry.last_offset < end]
            aborted = tuple(e for e in ended if cleaner.has_batches(e.producer_id, e.first_offset))
            if ended:  # an empty file too: it takes the place of one that has them
                output.add_aborted(aborted)
            output.sync()
        except BaseException:
            output.discard()
            raise
        finally:
            output.close()
        born = [segment.created_ms for segment in group if segment.created_ms >= 0]
        return Written(
            tuple(segment.base_offset for segment in group),
            aborted,
            end,
            output.crc,
            base,
            cleaner.position,
            cleaner.max_timestamp,
            cleaner.max_timestamp_offset,
            max(born, default=-1),
            cleaner.offset_entries,
            *output.last_entry(INDEX),
            cleaner.time_entries,
            *output.last_entry(TIMEINDEX),
        )

    def _clean(self, cleaner: Cleaner, data: memoryview) -> tuple[int, int]:
        at = 0
        while True:
            taken, code = cleaner.clean(data[at:])
            at += taken
            if code != compact.COMPRESSED:
                return at, code
            batch = _batch(data[at:])
            kept = cleaner.clean_body(batch, self._plain(batch))
            if kept is not None:
                cleaner.emit(kept[0], compress(_codec(batch), kept[1]))
            at += len(batch)

    def _plain(self, batch: memoryview) -> bytes | memoryview:
        """Its records, good until the next batch is decompressed."""
        return self._scratch.decompress(_codec(batch), batch[HEADER_BYTES:])

    def _walk(
        self,
        segment: SegmentLike,
        step: Callable[[memoryview], tuple[int, int]],
        after: Callable[[], None] = lambda: None,
    ) -> None:
        """Feeds a segment file to `step` piece by piece, from one batch boundary to another."""
        path = self._folder / segment_name(segment.base_offset, LOG)
        fd = self._files.open(os.fsencode(path), os.O_RDONLY)
        try:
            position, want = 0, _CHUNK_BYTES
            while position < segment.size_bytes:
                data = self._files.pread(fd, min(want, segment.size_bytes - position), position)
                taken, code = step(memoryview(data))
                after()
                self._pause(taken)
                self.read_bytes += taken
                position += taken
                if code == compact.DONE:
                    return
                if code != compact.MORE:
                    raise CorruptRecordError(f"{path}: the batch at {position} is corrupt")
                want = _CHUNK_BYTES
                if taken == 0:
                    want = int.from_bytes(data[8:12], "big", signed=True) + 12 if len(data) >= HEADER_BYTES else 0
                    if not len(data) < want <= segment.size_bytes - position:
                        raise CorruptRecordError(f"{path}: no whole batch at {position}")
        finally:
            self._files.close(fd)
