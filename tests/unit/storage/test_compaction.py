"""Compaction against a slow model of Kafka's rules, and rule by rule; the swap killed at every step."""

import itertools
import os
import random
import shutil
import struct
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest
from kafka.record.memory_records import MemoryRecords

from pyralog._speedups import swap
from pyralog._speedups.faultfiles import FaultFiles
from pyralog._speedups.fileops import Files
from pyralog._speedups.keymap import KeyMap
from pyralog._speedups.partition_log import PartitionLog
from pyralog.errors import CorruptRecordError
from pyralog.net.plane_types import SegmentInfo
from pyralog.records.batch import (
    CONTROL,
    DELETE_HORIZON,
    TRANSACTIONAL,
    Record,
    build,
    crc_ok,
    iterate_batches,
    iterate_records,
)
from pyralog.records.compression import Codec
from pyralog.storage import swapping
from pyralog.storage.compaction import Compaction, Rules, Written, cleanable, groups
from pyralog.storage.log_config import LogConfig
from pyralog.storage.names import CLEANED, COMPACTED_FILE, INDEX, LOG, SWAP, TIMEINDEX, segment_name
from pyralog.storage.recovery import close_partition, open_partition
from pyralog.storage.recovery_report import RecoveryReport

CONFIG = LogConfig(segment_bytes=3000, index_interval_bytes=200)
RULES = Rules(
    delete_retention_ms=1000,
    segment_bytes=3000,
    segment_index_bytes=1 << 20,
    index_interval_bytes=200,
    max_batch_bytes=1 << 20,
)
NOW = 1_000_000


class Aborted(NamedTuple):
    producer_id: int
    first_offset: int
    last_offset: int
    last_stable: int


def marker(offset: int, pid: int, commit: bool, epoch: int = 0, timestamp: int = NOW) -> bytes:
    record = Record(offset, timestamp, struct.pack(">hh", 0, int(commit)), struct.pack(">hi", 0, 1))
    attributes = TRANSACTIONAL | CONTROL
    return build([record], producer_id=pid, producer_epoch=epoch, attributes=attributes)


class Bench:
    """A log, closed segment by closed segment, and what is needed to clean it."""

    def __init__(self, folder: Path, files: Files | None = None) -> None:
        self.folder = folder
        self.files = files or Files()
        self.log = open_partition(folder, config=CONFIG, now_ms=NOW, files=self.files)
        self.checkpoint = 0

    @property
    def end(self) -> int:
        return self.log.log_end

    def put(self, *rows: tuple[bytes | None, bytes | None], codec: Codec = Codec.NONE, **options: int) -> int:
        base = self.end
        timestamp = options.pop("timestamp", NOW)
        records = [Record(base + i, timestamp + i, key, value) for i, (key, value) in enumerate(rows)]
        self.log.append([build(records, codec=codec, leader_epoch=3, **options)], NOW)
        return base

    def mark(self, pid: int, commit: bool, epoch: int = 0) -> None:
        self.log.append([marker(self.end, pid, commit, epoch)], NOW)

    def segments(self) -> list[SegmentInfo]:
        return [SegmentInfo(*row) for row in self.log.segments()]

    def begin(
        self, now_ms: int = NOW, keys: KeyMap | None = None, files: Files | None = None, **options: int
    ) -> Compaction:
        self.log.sync()
        self.log.write_indexes()
        work = cleanable(
            self.segments(),
            log_start=self.log.log_start,
            checkpoint=self.checkpoint,
            last_stable=options.get("last_stable", self.end),
            synced=self.log.synced,
            min_lag_ms=0,
            max_lag_ms=1 << 62,
            now_ms=now_ms,
        )
        producers = {row[0] for row in self.log.producer_states()}
        return Compaction(
            self.folder,
            work,
            RULES,
            keys or KeyMap(1 << 16, b"0123456789abcdef"),
            aborted=[Aborted(*row) for row in self.log.aborted(0, work.segments[-1].next_offset)],
            producers=options.get("producers", producers),  # type: ignore[arg-type]
            now_ms=now_ms,
            files=self.files,
        )

    def swap(self, written: Written) -> None:
        files, base = self.files, written.base_offset
        swapping.note_compacted(files, self.folder, written.end)
        swapping.ready(files, self.folder, base)
        swapping.decide(files, self.folder, base, written.end, written.size_bytes, written.crc)
        assert swap.swap(self.log, written.packed())
        for path in swapping.retire(files, self.folder, base, written.old_bases):
            files.unlink(os.fsencode(path))

    def clean(self, now_ms: int = NOW, keys: KeyMap | None = None, **options: int) -> Compaction:
        self.log.roll(NOW)
        job = self.begin(now_ms, keys, **options)
        for group in job.build_map():
            written = job.write(group)
            if written is not None:
                self.swap(written)
        self.checkpoint = max(job.end_offset, self.checkpoint)
        return job

    def batches(self) -> list[bytes]:
        return everything(self.log)

    def rows(self) -> list[tuple[int, bytes | None, bytes | None]]:
        return [(r.offset, r.key, r.value) for b in self.batches() if not is_control(b) for r in iterate_records(b)]


def is_control(batch: bytes) -> bool:
    return bool(batch[22] & CONTROL)


def everything(log: PartitionLog) -> list[bytes]:
    """By walking from offset to offset, as a consumer does."""
    found, offset = [], log.log_start
    while offset < log.log_end:
        data = log.read(offset, max_bytes=700)
        if not data:
            break
        for header, raw in iterate_batches(data):
            assert crc_ok(raw)
            found.append(bytes(raw))
            assert header.last_offset >= offset
            offset = header.last_offset + 1
    return found


def check_walks(log: PartitionLog) -> None:
    """From every offset the batch that holds it, or the first after it; also where compaction has made a gap."""
    batches = everything(log)
    spans = [(struct.unpack_from(">q", b)[0], struct.unpack_from(">i", b, 23)[0], b) for b in batches]
    for offset in range(log.log_start, log.log_end):
        expected = next((b for base, delta, b in spans if base + delta >= offset), b"")
        assert log.read(offset, max_bytes=1) == expected, offset
    for timestamp in range(NOW - 2, NOW + 40):
        first = next((base for base, _, b in spans if struct.unpack_from(">q", b, 35)[0] >= timestamp), None)
        place = log.locate_time(timestamp)
        assert (place is None) == (first is None)
        if place is not None:
            data = Path(os.fsdecode(log.directory), segment_name(place[0], LOG)).read_bytes()
            found = data[place[1] : place[1] + place[2]]
            bases = [header.base_offset for header, _ in iterate_batches(found)]
            assert bases
            assert bases[0] <= first
            assert any(header.max_timestamp >= timestamp for header, _ in iterate_batches(found))


# --- the model ---


@dataclass
class Model:
    """Kafka's Cleaner on lists of decoded batches."""

    aborted: list[Aborted]
    last: set[int]
    now_ms: int
    ends_at: int
    newest: dict[bytes, int]
    seen: set[int] = field(default_factory=set)

    def clean(self, raw: bytes) -> tuple | None:
        header, _ = next(iterate_batches(raw))
        records = list(iterate_records(raw)) if header.record_count else []
        horizon = header.base_timestamp if header.attributes & DELETE_HORIZON else None
        empty_transaction = gone = False
        if header.control:
            empty_transaction = header.record_count == 0 or header.producer_id not in self.seen
            self.seen.discard(header.producer_id)
            gone = empty_transaction and horizon is not None and horizon <= self.now_ms
        elif header.transactional:
            self.seen.add(header.producer_id)
            gone = any(
                a.producer_id == header.producer_id and a.first_offset <= header.base_offset <= a.last_offset
                for a in self.aborted
            )
        kept = [] if gone else [r for r in records if header.control or self.keep(r, horizon)]
        survives = header.base_offset in self.last or header.last_offset + 1 == self.ends_at
        if not kept and not survives:
            return None
        tombstones = not header.control and any(r.value is None for r in kept)
        if kept and horizon is None and (tombstones or empty_transaction):
            horizon = self.now_ms + RULES.delete_retention_ms
        if not kept:
            horizon = None
        fields = (
            header.base_offset,
            header.last_offset,
            header.producer_id,
            header.producer_epoch,
            header.base_sequence,
        )
        marks = (header.leader_epoch, header.control, header.transactional, horizon)
        return fields, marks, kept

    def keep(self, record: Record, horizon: int | None) -> bool:
        if record.offset >= self.ends_at:
            return True
        if record.key is None or self.newest.get(record.key, -1) > record.offset:
            return False
        return record.value is not None or horizon is None or self.now_ms < horizon


def decoded(raw: bytes) -> tuple:
    header, _ = next(iterate_batches(raw))
    records = list(iterate_records(raw)) if header.record_count else []
    horizon = header.base_timestamp if header.attributes & DELETE_HORIZON else None
    fields = (header.base_offset, header.last_offset, header.producer_id, header.producer_epoch, header.base_sequence)
    if records and not header.control:
        assert header.max_timestamp == max(record.timestamp for record in records)
    return fields, (header.leader_epoch, header.control, header.transactional, horizon), records


def expected(bench: Bench, now_ms: int) -> list[tuple]:
    """What the model makes of the whole log, whose map holds everything."""
    bench.log.roll(NOW)
    closed = bench.end
    batches = bench.batches()
    aborted = [Aborted(*row) for row in bench.log.aborted(0, closed)]
    newest: dict[bytes, int] = {}
    data: dict[int, int] = {}
    controls: dict[int, int] = {}
    epochs: dict[int, int] = {}
    for raw in batches:
        header, _ = next(iterate_batches(raw))
        if header.producer_id >= 0:
            if header.producer_epoch > epochs.get(header.producer_id, -1):  # sequences begin anew
                epochs[header.producer_id] = header.producer_epoch
                data.pop(header.producer_id, None)
                controls.pop(header.producer_id, None)
            (controls if header.control else data)[header.producer_id] = header.base_offset
        if header.control or (
            header.transactional
            and any(
                a.producer_id == header.producer_id and a.first_offset <= header.base_offset <= a.last_offset
                for a in aborted
            )
        ):
            continue
        for record in iterate_records(raw) if header.record_count else ():
            if record.key is not None and record.offset >= bench.checkpoint:
                newest[record.key] = record.offset
    active = {row[0] for row in bench.log.producer_states()}
    last = {data.get(pid, controls.get(pid)) for pid in active if pid in data or pid in controls}
    model = Model(aborted, last, now_ms, closed, newest)
    return [found for raw in batches if (found := model.clean(raw)) is not None]


CODECS = [Codec.NONE, Codec.NONE, Codec.NONE, Codec.GZIP, Codec.SNAPPY, Codec.LZ4, Codec.ZSTD]


def fill(bench: Bench, rng: random.Random, steps: int, state: dict) -> None:
    """Random batches: plain, idempotent and transactional, with tombstones, keys that repeat, short segments."""
    sequences = state.setdefault("sequences", defaultdict(int))
    epochs = state.setdefault("epochs", defaultdict(int))
    open_txns = state.setdefault("open", set())

    def end(pid: int) -> None:
        """Producers 12 and 13 end transactions as KIP-890 does: the marker has the next epoch."""
        if pid >= 12:
            epochs[pid] += 1
            sequences[pid] = 0
        bench.mark(pid, rng.random() < 0.5, epochs[pid])

    def rows() -> list[tuple[bytes | None, bytes | None]]:
        return [
            (b"k%d" % rng.randrange(25), None if rng.random() < 0.2 else b"v" * rng.randrange(60))
            for _ in range(rng.randrange(1, 5))
        ]

    for _ in range(steps):
        kind = rng.random()
        made = rows()
        stamp = NOW + rng.randrange(20)
        codec = rng.choice(CODECS)
        if kind < 0.4:
            bench.put(*made, codec=codec, timestamp=stamp)
        elif kind < 0.55:
            pid = rng.randrange(3)
            bench.put(
                *made, codec=codec, timestamp=stamp, producer_id=pid, producer_epoch=0, base_sequence=sequences[pid]
            )
            sequences[pid] += len(made)
        elif kind < 0.8:
            pid = 10 + rng.randrange(4)
            options = {"producer_id": pid, "producer_epoch": epochs[pid], "base_sequence": sequences[pid]}
            bench.put(*made, codec=codec, timestamp=stamp, attributes=TRANSACTIONAL, **options)
            sequences[pid] += len(made)
            open_txns.add(pid)
        elif open_txns:
            pid = rng.choice(sorted(open_txns))
            open_txns.discard(pid)
            end(pid)
        if rng.random() < 0.05:
            bench.log.roll(NOW)
    for pid in sorted(open_txns):
        end(pid)
    open_txns.clear()


@pytest.mark.parametrize("seed", range(int(os.environ.get("PYRALOG_COMPACTION_SEEDS", "25"))))
def test_against_the_model(tmp_path, seed):
    rng = random.Random(seed)
    bench = Bench(tmp_path / "t-0")
    state: dict = {}
    now = NOW
    for _ in range(4):
        fill(bench, rng, rng.randrange(5, 60), state)
        now += rng.choice((0, 600, 2000))
        model = expected(bench, now)
        before = {row[0]: row for row in bench.log.producer_states()}
        newest = latest(bench)
        bench.clean(now)
        assert [decoded(raw) for raw in bench.batches()] == model
        assert latest(bench) == newest
        check_walks(bench.log)
        check_reopened(bench, before, clean=rng.random() < 0.5)


def latest(bench: Bench) -> dict[bytes | None, bytes | None]:
    """What a read_committed consumer makes of the topic."""
    found = {key: value for _, key, value in committed(bench)}
    return {key: value for key, value in found.items() if value is not None}


def committed(bench: Bench) -> list[tuple[int, bytes | None, bytes | None]]:
    aborted = [Aborted(*row) for row in bench.log.aborted(0, bench.end)]
    found = []
    for raw in bench.batches():
        header, _ = next(iterate_batches(raw))
        if header.control or not header.record_count:
            continue
        if header.transactional and any(
            a.producer_id == header.producer_id and a.first_offset <= header.base_offset <= a.last_offset
            for a in aborted
        ):
            continue
        found += [(r.offset, r.key, r.value) for r in iterate_records(raw)]
    return found


def check_reopened(bench: Bench, producers: dict, *, clean: bool) -> None:
    """The next start finds the same log, and the producers where they were."""
    batches, segments, end = bench.batches(), bench.segments(), bench.end
    point = bench.log.synced
    if clean:
        close_partition(bench.log)
    else:
        bench.log.write_indexes()
        bench.log.close()
        for path in bench.folder.glob("*.snapshot"):
            path.unlink()
    report = RecoveryReport()
    bench.log = open_partition(
        bench.folder, config=CONFIG, now_ms=NOW, recovery_point=point, clean=clean, report=report
    )
    assert report.rebuilt == report.quarantined == []
    assert report.cut_bytes == 0
    assert (bench.log.log_end, bench.batches()) == (end, batches)
    assert [s[:3] for s in bench.segments()] == [s[:3] for s in segments]
    again = {row[0]: row for row in bench.log.producer_states()}
    for pid, row in producers.items():
        assert again[pid][:3] == row[:3]  # epoch and last sequence
    assert not any(first >= 0 for _, _, first in bench.log.transactions()), "a transaction that has ended is open again"
    check_walks(bench.log)


# --- rule by rule ---


def values(bench: Bench) -> list[tuple[int, bytes | None, bytes | None]]:
    return [(r.offset, r.key, r.value) for b in bench.batches() if b[57:61] != bytes(4) for r in iterate_records(b)]


def test_the_last_value_of_each_key_stays_at_its_offset(tmp_path):
    bench = Bench(tmp_path / "t-0")
    bench.put((b"a", b"1"), (b"b", b"1"), (b"a", b"2"))
    bench.put((b"c", b"1"))
    bench.put((b"b", b"2"))
    bench.clean()
    assert values(bench) == [(2, b"a", b"2"), (3, b"c", b"1"), (4, b"b", b"2")]
    assert bench.end == 5


def test_a_tombstone_stays_for_delete_retention_after_the_pass_that_saw_it(tmp_path):
    bench = Bench(tmp_path / "t-0")
    bench.put((b"a", b"1"))
    bench.put((b"a", None), (b"z", b"1"))
    bench.clean(NOW)
    (batch,) = bench.batches()
    assert struct.unpack_from(">q", batch, 27)[0] == NOW + 1000  # the delete horizon, KIP-534
    assert struct.unpack_from(">h", batch, 21)[0] & DELETE_HORIZON
    assert [r.timestamp for r in iterate_records(batch)] == [NOW, NOW + 1]
    bench.put((b"b", b"1"))
    bench.clean(NOW + 999)
    assert (1, b"a", None) in values(bench)
    bench.put((b"b", b"2"))
    bench.clean(NOW + 1000)
    assert values(bench) == [(2, b"z", b"1"), (4, b"b", b"2")]


def test_keyless_records_go(tmp_path):
    bench = Bench(tmp_path / "t-0")
    bench.put((None, b"1"), (b"a", b"1"))
    bench.put((b"b", b"1"))
    bench.clean()
    assert values(bench) == [(1, b"a", b"1"), (2, b"b", b"1")]


def test_the_last_batch_of_a_producer_stays_empty_until_it_is_forgotten(tmp_path):
    bench = Bench(tmp_path / "t-0")
    bench.put((b"a", b"1"), producer_id=7, producer_epoch=1, base_sequence=0)
    bench.put((b"a", b"2"), (b"a", b"3"), producer_id=7, producer_epoch=1, base_sequence=1)
    bench.put((b"a", b"4"))
    bench.clean()
    empty = next(iterate_batches(bench.batches()[0]))[0]
    assert (empty.base_offset, empty.last_offset, empty.record_count) == (1, 2, 0)
    assert (empty.producer_id, empty.producer_epoch, empty.base_sequence) == (7, 1, 1)
    bench.put((b"b", b"1"))
    bench.clean(producers=set())
    assert [next(iterate_batches(b))[0].base_offset for b in bench.batches()] == [3, 4]


def test_markers_go_when_their_data_is_gone_and_the_retention_over(tmp_path):
    bench = Bench(tmp_path / "t-0")
    options = {"producer_epoch": 0, "base_sequence": 0, "attributes": TRANSACTIONAL}
    bench.put((b"a", b"aborted"), producer_id=7, **options)
    bench.mark(7, commit=False)
    bench.put((b"a", b"1"), producer_id=8, **options)
    bench.mark(8, commit=True)
    bench.put((b"a", b"2"))

    def markers() -> list[int]:
        return [next(iterate_batches(b))[0].base_offset for b in bench.batches() if is_control(b)]

    bench.clean(NOW, producers=set())
    assert values(bench)[-1] == (4, b"a", b"2")
    assert b"aborted" not in b"".join(bench.batches())
    assert markers() == [1, 3]  # their data was seen in this pass
    bench.put((b"b", b"1"))
    assert bench.log.aborted(0, bench.end) == [(7, 0, 1, 2)], "a fetch may still be at its batches"
    bench.clean(NOW, producers=set())
    assert markers() == [1, 3]  # now they have a horizon
    assert bench.log.aborted(0, bench.end) == [], "no reader needs to know any more"
    check_reopened(bench, {}, clean=True)
    assert bench.log.aborted(0, bench.end) == []
    bench.put((b"b", b"2"))
    bench.clean(NOW + 999, producers=set())
    assert markers() == [1, 3]
    bench.put((b"b", b"3"))
    bench.clean(NOW + 1000, producers=set())
    assert markers() == []


def test_a_producer_that_a_marker_has_fenced_stays_fenced(tmp_path):
    """KIP-890: the marker has the next epoch; when all of it is gone, its empty batch still says so."""
    bench = Bench(tmp_path / "t-0")
    bench.put((b"a", b"1"), producer_id=7, producer_epoch=4, base_sequence=0, attributes=TRANSACTIONAL)
    bench.mark(7, commit=True, epoch=5)
    for turn in range(4):
        bench.put((b"a", b"2"))
        bench.clean(NOW + 2000 * turn)
        before = {row[0]: row for row in bench.log.producer_states()}
        assert before[7][:3] == (7, 5, -1)
        check_reopened(bench, before, clean=False)
        assert bench.log.transactions() == [(7, 1 if turn < 2 else -1, -1)]
    header, _ = next(iterate_batches(bench.batches()[0]))
    assert (header.base_offset, header.control, header.record_count, header.producer_epoch) == (1, True, 0, 5)


@pytest.mark.parametrize("damaged", [False, True])
def test_gaps_cost_nothing_when_the_checkpoints_are_lost(tmp_path, damaged):
    bench = Bench(tmp_path / "t-0")
    for i in range(60):
        bench.put((b"k%d" % (i % 7), b"%d" % i * 20))
        if i % 8 == 7:
            bench.log.roll(NOW)
    bench.clean()
    bench.put((b"new", b"1"))
    bench.log.sync()
    bench.log.write_indexes()
    found = values(bench)
    bench.log.close()
    if damaged:
        (bench.folder / COMPACTED_FILE).write_bytes(b"1 00000000\n1\n60\n")
    report = RecoveryReport()
    bench.log = open_partition(bench.folder, config=CONFIG, now_ms=NOW, report=report)
    assert (report.cut_bytes, report.quarantined, report.unreadable) == (0, [], [])
    assert (values(bench), bench.end) == (found, 61)
    check_walks(bench.log)


def test_nothing_unstable_or_unsynced_or_active_is_touched(tmp_path):
    bench = Bench(tmp_path / "t-0")
    for _ in range(3):
        bench.put((b"a", b"1"))
        bench.log.roll(NOW)
    segments = bench.segments()

    def ends(**options: int) -> int:
        given = {"last_stable": 3, "synced": 3, "min_lag_ms": 0, "max_lag_ms": 1 << 62, "now_ms": NOW, **options}
        found = cleanable(segments, log_start=0, checkpoint=0, **given)  # type: ignore[arg-type]
        return len(found.segments)

    assert ends() == 3
    assert ends(last_stable=2) == 2
    assert ends(last_stable=1) == 1
    assert ends(synced=0) == 0
    assert ends(min_lag_ms=1, now_ms=NOW) == 0
    assert ends(min_lag_ms=1, now_ms=NOW + 1) == 3
    overdue = cleanable(
        segments, log_start=0, checkpoint=1, last_stable=3, synced=3, min_lag_ms=0, max_lag_ms=10, now_ms=NOW + 11
    )
    assert overdue.overdue
    old = [*segments[:1], segments[1]._replace(created_ms=NOW - 5), *segments[2:]]
    for now_ms, due in ((NOW + 5, False), (NOW + 6, True)):  # its first record came then
        found = cleanable(
            old, log_start=0, checkpoint=1, last_stable=3, synced=3, min_lag_ms=0, max_lag_ms=10, now_ms=now_ms
        )
        assert found.overdue == due
    assert (overdue.clean_bytes, overdue.dirty_bytes) == (segments[0].size_bytes, 2 * segments[0].size_bytes)
    assert overdue.dirty_ratio == pytest.approx(2 / 3)


def test_a_map_that_is_too_small_takes_several_passes(tmp_path):
    bench = Bench(tmp_path / "t-0")
    for i in range(300):
        bench.put((b"k%d" % (i % 100), b"%d" % i))
    newest = {b"k%d" % (i % 100): b"%d" % i for i in range(300)}
    keys = KeyMap(24 * 40, b"0" * 16)
    assert keys.capacity == 36
    passes = 0
    while bench.checkpoint < 300:
        before = bench.checkpoint
        bench.clean(keys=keys)
        assert bench.checkpoint > before
        passes += 1
    assert passes > 5
    assert {key: value for _, key, value in values(bench)} == newest
    check_walks(bench.log)


def test_a_batch_with_more_keys_than_the_map_holds_is_an_error(tmp_path):
    bench = Bench(tmp_path / "t-0")
    bench.put(*((b"k%d" % i, b"1") for i in range(60)))
    with pytest.raises(CorruptRecordError, match="does not hold the keys"):
        bench.clean(keys=KeyMap(24 * 40, b"0" * 16))


@pytest.mark.parametrize("codec", [Codec.GZIP, Codec.SNAPPY, Codec.LZ4, Codec.ZSTD])
def test_compressed_batches_keep_their_codec(tmp_path, codec):
    bench = Bench(tmp_path / "t-0")
    bench.put(*((b"k%d" % (i % 3), b"v" * 50) for i in range(9)), codec=codec)
    bench.put((b"k0", b"new"))
    bench.clean()
    assert bench.batches()[0][22] & 7 == codec
    assert [row[0] for row in values(bench)] == [7, 8, 9]


def test_a_corrupt_segment_is_left_as_it_is(tmp_path):
    bench = Bench(tmp_path / "t-0")
    for i in range(40):
        bench.put((b"a", b"%d" % i * 20))
    bench.log.roll(NOW)
    path = bench.folder / segment_name(bench.segments()[1].base_offset, LOG)
    data = bytearray(path.read_bytes())
    data[150] ^= 1
    path.write_bytes(data)
    names = {p.name: p.read_bytes() for p in bench.folder.iterdir()}
    with pytest.raises(CorruptRecordError, match="corrupt"):
        bench.clean()
    assert {p.name: p.read_bytes() for p in bench.folder.iterdir() if p.name in names} == names


def test_small_segments_are_merged(tmp_path):
    bench = Bench(tmp_path / "t-0")
    for i in range(30):
        bench.put((b"k%d" % i, b"v" * 20))
        bench.log.roll(NOW)
    bench.clean()
    sizes = [segment.size_bytes for segment in bench.segments()[:-1]]
    assert len(sizes) == 1
    assert all(size <= RULES.segment_bytes for size in sizes)
    check_walks(bench.log)
    segments = [SegmentInfo(i, i + 1, 1000, 1, i, 1) for i in range(10)]
    assert [len(g) for g in groups(segments, RULES)] == [3, 3, 3, 1]
    assert [len(g) for g in groups(segments, RULES._replace(segment_index_bytes=200))] == [2] * 5
    far = [
        SegmentInfo(0, 1, 10, 1, 0, 1),
        SegmentInfo(1, 1 << 32, 10, 1, 1, 1),
        SegmentInfo(1 << 32, (1 << 32) + 1, 10, 1, 1 << 32, 1),
    ]
    assert [len(g) for g in groups(far, RULES)] == [1, 1, 1]


def test_a_segment_that_would_not_change_is_not_written(tmp_path):
    bench = Bench(tmp_path / "t-0")
    bench.put((b"a", b"1"), (b"b", b"1"))
    bench.log.roll(NOW)
    job = bench.begin()
    (group,) = job.build_map()
    assert job.write(group) is None
    assert not list(bench.folder.glob("*" + CLEANED))


def test_the_swap_is_refused_when_the_segments_have_changed(tmp_path):
    bench = Bench(tmp_path / "t-0")
    for i in range(40):
        bench.put((b"a", b"%d" % i * 20))
    bench.log.roll(NOW)
    job = bench.begin()
    written = job.write(job.build_map()[0])
    assert written is not None
    before = bench.batches()
    bench.log.set_start(bench.segments()[1].base_offset)
    swapping.ready(bench.files, bench.folder, written.base_offset)
    swapping.decide(bench.files, bench.folder, written.base_offset, written.end, written.size_bytes, written.crc)
    assert not swap.swap(bench.log, written.packed())
    swapping.withdraw(bench.files, bench.folder, written.base_offset)
    assert not [path for path in bench.folder.iterdir() if SWAP in path.name or CLEANED in path.name]
    assert bench.batches() == [b for b in before if struct.unpack_from(">q", b)[0] >= bench.log.log_start]


def test_an_order_to_swap_that_is_cut_short_is_none(tmp_path):
    bench = Bench(tmp_path / "t-0")
    whole = Written((0,), (), 1, 0, *range(11)).packed()
    for size in range(len(whole)):
        with pytest.raises(ValueError, match="not a swap"):
            swap.swap(bench.log, whole[:size])


# --- a crash at every step ---


@pytest.mark.parametrize("kind", ["write", "sync", "rename", "unlink", "sync_dir", "truncate", "open"])
@pytest.mark.parametrize("power", [None, 1, 2, 3])
def test_a_crash_at_any_step_of_the_swap(tmp_path, kind, power):
    for after in itertools.count():
        files = FaultFiles(forgetful=power is not None)
        bench = Bench(tmp_path / f"{after}-0", files)
        rng = random.Random(after // 4)
        fill(bench, rng, 60, {})
        bench.log.roll(NOW)
        bench.log.sync()
        bench.log.write_indexes(True)
        before = latest(bench)
        rows, bases = set(values(bench)), {struct.unpack_from(">q", b)[0] for b in bench.batches()}
        point = end = bench.end
        aborted = set(bench.log.aborted(0, end))
        files.fail(kind, after=after, times=-1)
        failed = False
        try:
            bench.clean()
        except OSError:
            failed = True
        files.heal()
        check_walks(bench.log)
        bench.log.close()
        if power is not None:
            files.power_loss(seed=power)
        for _ in range(2):
            report = RecoveryReport()
            log = bench.log = open_partition(
                bench.folder, config=CONFIG, now_ms=NOW, recovery_point=point, report=report
            )
            assert (report.quarantined, report.unreadable, log.log_end) == ([], [], end)
            assert latest(bench) == before
            assert set(values(bench)) <= rows
            assert {struct.unpack_from(">q", b)[0] for b in bench.batches()} <= bases
            assert set(log.aborted(0, end)) <= aborted
            check_walks(log)
            assert not [path for path in bench.folder.iterdir() if SWAP in path.name or CLEANED in path.name]
            log.close()
        shutil.rmtree(bench.folder)
        if not failed:
            return


def test_a_decision_without_its_rest_is_completed_and_a_damaged_one_undone(tmp_path):
    for step in range(5):
        bench = Bench(tmp_path / f"{step}-0")
        for i in range(60):
            bench.put((b"k%d" % (i % 7), b"%d" % i * 20))
            if i % 8 == 7:
                bench.log.roll(NOW)
        bench.log.roll(NOW)
        job = bench.begin()
        for group in job.build_map():
            written = job.write(group)
            if written is not None and len(group) > 1:
                break
        assert written is not None
        expected_values = {key: value for _, key, value in values(bench)}
        base = written.base_offset
        swapping.ready(bench.files, bench.folder, base)
        swapping.decide(bench.files, bench.folder, base, written.end, written.size_bytes, written.crc)
        bench.log.close()
        decision = bench.folder / segment_name(base, SWAP)
        for suffix in (LOG, INDEX, TIMEINDEX)[:step]:
            path = bench.folder / segment_name(base, suffix)
            path.with_name(path.name + SWAP).rename(path)
        if step == 4:
            shutil.rmtree(bench.folder)
            return
        if step == 0:
            decision.write_bytes(b"1 00000000\n1\n9\n")
        bench.log, _ = open_partition(bench.folder, config=CONFIG, now_ms=NOW, recovery_point=60), None
        assert (bench.segments()[0].next_offset == written.end) == (step > 0)
        assert {key: value for _, key, value in values(bench)} == expected_values
        assert bench.end == 60
        check_walks(bench.log)


def test_a_copy_with_a_decision_but_without_its_segment_keeps_all(tmp_path):
    """As `tar` may make one of a running node: the old first segment, then the swap, then the decision."""
    bench = Bench(tmp_path / "t-0")
    for i in range(60):
        bench.put((b"k%d" % (i % 7), b"%d" % i * 20))
        if i % 8 == 7:
            bench.log.roll(NOW)
    bench.log.roll(NOW)
    job = bench.begin()
    written = next(w for w in map(job.write, job.build_map()) if w is not None and len(w.old_bases) > 1)
    before = bench.batches()
    base = written.base_offset
    bench.log.close()
    swapping.decide(bench.files, bench.folder, base, written.end, written.size_bytes, written.crc)
    for path in bench.folder.glob("*" + CLEANED):
        path.unlink()
    bench.log = open_partition(bench.folder, config=CONFIG, now_ms=NOW, recovery_point=60)
    assert bench.batches() == before
    assert not [path for path in bench.folder.iterdir() if SWAP in path.name]


def test_kafka_reads_the_result(tmp_path):
    """kafka-python walks the cleaned files; Kafka's own DumpLogSegments is run by tests/integration."""
    bench = Bench(tmp_path / "t-0")
    fill(bench, random.Random(5), 80, {})
    bench.clean()
    found = []
    for segment in bench.segments():
        data = (bench.folder / segment_name(segment.base_offset, LOG)).read_bytes()
        records = MemoryRecords(data)
        while (batch := records.next_batch()) is not None:
            assert batch.validate_crc()
            found += [(record.offset, record.key, record.value) for record in batch]
    assert found == values(bench)
