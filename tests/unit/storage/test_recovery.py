"""Recovery: after a crash nothing acknowledged is lost, nothing torn is kept, and what can be derived is rebuilt."""

import errno
import functools
import os
import random
import shutil
import struct
import tempfile
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka.record.memory_records import MemoryRecords

from pyralog._speedups import batch as batches
from pyralog._speedups.faultfiles import FaultFiles
from pyralog.errors import StorageError
from pyralog.replication.opening import epochs_in_log
from pyralog.storage.log_config import LogConfig
from pyralog.storage.recovery import close_partition, open_partition
from pyralog.storage.recovery_report import RecoveryReport
from tests.log_batches import make_batch

CONFIG = LogConfig(segment_bytes=4000, index_interval_bytes=300)
LOG, INDEX, TIMEINDEX, SNAPSHOT = ".log", ".index", ".timeindex", ".snapshot"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "topic-0"


def reopen(folder, **options):
    report = RecoveryReport()
    log = open_partition(folder, config=CONFIG, now_ms=5, report=report, **options)
    return log, report


def fill(folder, n=60, *, files=None, close=False, sync_at=None, timestamp=1000):
    """A log of n batches of 1-4 records by two producers, as a crash (or a clean stop) leaves it."""
    log = open_partition(folder, config=CONFIG, now_ms=0, files=files)
    written = []
    sequences = [0, 0]
    for i in range(n):
        count, who = i % 4 + 1, i % 2
        data = make_batch(
            log.log_end,
            count,
            timestamp=timestamp + i * 10,
            value=b"v" * (i * 53 % 400),
            producer_id=70 + who,
            epoch=1,
            sequence=sequences[who],
            leader_epoch=i // 25,
        )
        sequences[who] += count
        written.append(data)
        log.append([data], 9)
        if sync_at == i:
            log.sync()
    if close:
        close_partition(log, files=files)
    else:
        log.write_indexes()
    return log, written


def name(folder, base, suffix):
    return folder / f"{base:020d}{suffix}"


def bases(folder):
    return sorted(int(path.stem) for path in folder.glob("*" + LOG))


def everything(log):
    offset, out = log.log_start, b""
    while offset < log.log_end:
        out += log.read(offset, max_bytes=1000)
        offset = log.locate(offset, max_bytes=1000)[4]
    return out


def same(log, other):
    """Equal in all that clients can see."""
    assert (log.log_start, log.log_end, log.size_bytes) == (other.log_start, other.log_end, other.size_bytes)
    assert [s[:4] for s in log.segments()] == [s[:4] for s in other.segments()]
    assert sorted(log.producer_states()) == sorted(other.producer_states())
    assert everything(log) == everything(other)
    for timestamp in range(900, 1700, 7):
        assert (log.locate_time(timestamp) is None) == (other.locate_time(timestamp) is None)


# --- clean ---


def test_a_new_partition(folder):
    log, report = reopen(folder, log_start=500)
    assert (log.log_start, log.log_end) == (500, 500)
    assert report.quiet
    assert os.listdir(folder) == [f"{500:020d}{LOG}"]
    assert folder.stat().st_mode & 0o777 == 0o700


def test_clean_stop_and_start_without_a_scan(folder):
    before, written = fill(folder, close=True)
    files = FaultFiles()
    log, report = reopen(folder, clean=True, files=files)
    assert report == RecoveryReport()
    same(log, before)
    assert everything(log) == b"".join(written)
    assert not log.dirty
    assert files.counts["write"] == files.counts["sync"] == 0
    stamps = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    close_partition(log)
    assert stamps == {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_a_clean_idle_log_is_opened_with_few_operations(folder):
    fill(folder, 3, close=True)
    files = FaultFiles()
    reopen(folder, clean=True, files=files)
    assert sum(files.counts.values()) < 16


def test_appending_goes_on_after_each_start(folder):
    log, written = fill(folder, 20, close=True)
    for i in range(10):
        log, _ = reopen(folder, clean=i % 3 != 2, recovery_point=log.log_end)
        for _ in range(7):
            written.append(make_batch(log.log_end, 2, timestamp=2000 + i, value=b"w" * 90))
            log.append([written[-1]], 9)
        if i % 3 != 1:
            close_partition(log)
    log, report = reopen(folder, recovery_point=log.log_end)
    assert everything(log) == b"".join(written)
    assert report.cut_bytes == 0


def test_a_mark_of_a_clean_stop_that_lies_costs_a_scan_not_a_record(folder):
    _, written = fill(folder, close=True)
    last = name(folder, bases(folder)[-1], LOG)
    with open(last, "ab") as file:
        file.write(b"torn")
    log, report = reopen(folder, clean=True)
    assert report.cut_bytes == 4
    assert everything(log) == b"".join(written)


# --- crashes ---


@pytest.mark.parametrize("recovery_point", [0, 1, 40, 10**6])
def test_after_a_crash_all_is_there(folder, recovery_point):
    before, written = fill(folder)
    log, report = reopen(folder, recovery_point=min(recovery_point, before.log_end))
    same(log, before)
    assert everything(log) == b"".join(written)
    assert log.synced == log.log_end
    assert report.cut_bytes == 0


def test_only_what_was_not_flushed_is_scanned(folder):
    before, _ = fill(folder)
    _, report = reopen(folder, recovery_point=before.log_end - 1)
    assert 0 < report.scanned_bytes < 2000
    _, report = reopen(folder, recovery_point=0)
    assert report.scanned_bytes == before.size_bytes


def test_torn_at_every_byte_of_the_last_batches(folder, tmp_path):
    before, written = fill(folder, 5)
    for value in (b"", b"x" * 40, b"y"):
        written.append(make_batch(before.log_end, 1, value=value))
        before.append([written[-1]], 9)
    last = name(folder, 0, LOG)
    whole = last.read_bytes()
    tail = sum(len(data) for data in written[-3:])
    ends = [len(b"".join(written[: i + 1])) for i in range(-4 + len(written), len(written))]
    for cut in range(1, tail + 1):
        copy = tmp_path / "copy-0"
        shutil.copytree(folder, copy)
        os.truncate(copy / last.name, len(whole) - cut)
        log, report = reopen(copy, recovery_point=10)
        expected = max(end for end in ends if end <= before.size_bytes - cut)
        assert log.size_bytes == expected
        assert report.cut_bytes == before.size_bytes - cut - expected
        assert everything(log) == b"".join(written)[:expected]
        shutil.rmtree(copy)


def test_one_bad_byte_in_the_last_batch(folder, tmp_path):
    before, written = fill(folder, 5)
    written.append(make_batch(before.log_end, 2, value=b""))
    before.append([written[-1]], 9)
    last = name(folder, bases(folder)[-1], LOG).name
    size = (folder / last).stat().st_size
    for at in range(size - len(written[-1]) + 8, size):
        if at - (size - len(written[-1])) in range(12, 16):
            continue  # the leader epoch: nothing protects it
        copy = tmp_path / "copy-0"
        shutil.copytree(folder, copy)
        damage(copy / last, at)
        log, report = reopen(copy)
        assert everything(log) == b"".join(written[:-1])
        assert report.cut_bytes == len(written[-1])
        a_batch = at - (size - len(written[-1])) not in (8, 9, 10, 11, 16)  # by its length and magic
        assert not (a_batch and report.quarantined)
        shutil.rmtree(copy)


def damage(path, at, byte=None):
    with open(path, "r+b") as file:
        file.seek(at)
        old = file.read(1)
        file.seek(at)
        file.write(bytes([old[0] ^ 0x55 if byte is None else byte]))


@pytest.mark.parametrize("zeros", [1, 60, 61, 4096, 100_000])
def test_a_tail_of_zeros_is_cut(folder, zeros):
    before, written = fill(folder)
    last = name(folder, bases(folder)[-1], LOG)
    os.truncate(last, last.stat().st_size + zeros)
    log, report = reopen(folder, recovery_point=before.log_end)
    assert everything(log) == b"".join(written)
    assert report.cut_bytes == zeros
    assert last.stat().st_size == log.segments()[-1][2]


def kept(folder):
    """All that is set aside, in the order of the log."""
    return b"".join(path.read_bytes() for path in sorted(folder.glob("*.quarantine")))


def spoil(folder, data):
    """Makes the CRC of one batch wrong."""
    for path in folder.glob("*" + LOG):
        at = path.read_bytes().find(data)
        if at >= 0:
            damage(path, at + 61 + (len(data) - 61) // 3)


@pytest.mark.parametrize("segment", [0, 1, -1])
@pytest.mark.parametrize("torn", [0, 33])
def test_a_log_ends_at_its_first_hole(folder, segment, torn):
    """What is behind it must not count as replicated: it goes, but is kept for the operator."""
    _, written = fill(folder, 68)
    inside = within(folder, written, segment)
    whole = written[: written.index(inside[1])]
    for hole in (inside[1], inside[3]):
        spoil(folder, hole)
    last = name(folder, bases(folder)[-1], LOG)
    with open(last, "ab") as file:
        file.write(b"?" * torn)
    behind = b"".join(path.read_bytes() for path in sorted(folder.glob("*" + LOG)))[len(b"".join(whole)) :]
    later = [f"{base:020d}{LOG}.quarantine" for base in bases(folder) if base > int.from_bytes(inside[0][:8], "big")]
    log, report = reopen(folder)
    assert everything(log) == b"".join(whole)
    assert log.log_end == log.synced == int.from_bytes(inside[1][:8], "big")
    assert report.cut_bytes == len(behind)
    assert kept(folder) == behind
    assert set(later) < set(report.quarantined)
    assert sorted(report.quarantined) == sorted(path.name for path in folder.glob("*.quarantine"))
    assert {path.stem for path in folder.glob("*index")} <= {path.stem for path in folder.glob("*" + LOG)}
    model, _ = fill(folder.parent / "model-0", len(whole))
    assert sorted(log.producer_states()) == sorted(model.producer_states())
    data = make_batch(log.log_end, 2, leader_epoch=9)
    log.append([data], 9)
    log.write_indexes()
    again, report = reopen(folder)
    assert report.quiet
    assert everything(again) == b"".join(whole) + data
    assert kept(folder) == behind


def test_a_second_hole_at_the_same_place_writes_over_nothing(folder):
    first = None
    for i in range(3):
        _, written = (None, []) if i else fill(folder, 60)
        if i:
            log, _ = reopen(folder)
            for _ in range(20):
                written.append(make_batch(log.log_end, 2, value=b"%d" % i * 150, leader_epoch=9 + i))
                log.append([written[-1]], 9)
            log.write_indexes()
        hole = written[3 if i else 5]
        spoil(folder, hole)
        log, report = reopen(folder)
        assert log.log_end == int.from_bytes(hole[:8], "big")
        before = {} if first is None else first
        first = {path.name: path.read_bytes() for path in folder.glob("*.quarantine")}
        assert before.items() <= first.items()
        assert set(first) - set(before) == set(report.quarantined)
        log.truncate(int.from_bytes(written[0][:8], "big") if i else log.log_end)


@pytest.mark.parametrize("kind", ["epoch", "gap"])
@pytest.mark.parametrize("at", [10, 58, 59])
def test_a_falling_epoch_or_a_gap_ends_the_log(folder, kind, at):
    """Every batch of it has a right CRC, so the last one is kept too."""
    log = open_partition(folder, config=CONFIG, now_ms=0)
    written = []
    for i in range(60):
        base = log.log_end + (3 if kind == "gap" and i >= at else 0)
        written.append(make_batch(i + (base - log.log_end), 1, leader_epoch=1 if kind == "epoch" and i == at else 2))
    path = name(folder, 0, LOG)
    path.write_bytes(b"".join(written))
    log, report = reopen(folder)
    assert log.log_end == at
    assert everything(log) == b"".join(written[:at])
    assert kept(folder) == b"".join(written[at:])
    path.write_bytes(b"".join(written))
    log, report = reopen(folder, recovery_point=at + 3)  # below the recovery point it stays
    assert log.log_end == (60 if kind == "epoch" else 63)
    assert report.quarantined == []


def test_a_segment_that_is_missing_ends_the_log(folder):
    _, written = fill(folder)
    gone, after = bases(folder)[2:4]
    name(folder, gone, LOG).unlink()
    log, _ = reopen(folder)
    assert log.log_end == gone
    assert everything(log) == b"".join(data for data in written if int.from_bytes(data[:8], "big") < gone)
    assert kept(folder) == b"".join(data for data in written if int.from_bytes(data[:8], "big") >= after)


def test_what_is_bad_below_the_recovery_point_stays_in_the_last_segment_too(folder):
    before, written = fill(folder, 68)
    inside = within(folder, written, -1)
    damage(name(folder, bases(folder)[-1], LOG), len(inside[0]) + 8, 0x7F)
    bad = int.from_bytes(inside[1][:8], "big")
    log, report = reopen(folder, recovery_point=int.from_bytes(inside[2][:8], "big"))
    assert report.unreadable == [(bad, last_offset(inside[1]) + 1)]
    assert report.cut_bytes == 0
    assert (log.log_end, log.size_bytes) == (before.log_end, before.size_bytes)
    with pytest.raises(ValueError, match="no record batch"):
        log.read(bad)
    assert log.read(last_offset(inside[1]) + 1, max_bytes=1) == inside[2]


def test_a_gap_below_the_log_start_is_none(folder):
    fill(folder, 10)
    log, _ = reopen(folder, log_start=1000)
    log.append([make_batch(1000)], 1)
    log, report = reopen(folder, log_start=1000)
    assert (log.log_start, log.log_end) == (1000, 1001)
    assert report.quarantined == []


@pytest.mark.parametrize("seed", [None, 1, 2])
@pytest.mark.parametrize("kind", ["write", "sync", "sync_dir", "truncate", "rename", "unlink"])
def test_a_crash_while_the_log_is_cut(folder, tmp_path, kind, seed):
    """At every operation; the next recovery does the same."""
    _, written = fill(folder, 68)
    hole = within(folder, written, 1)[2]
    whole = written[: written.index(hole)]
    spoil(folder, hole)
    behind = b"".join(path.read_bytes() for path in sorted(folder.glob("*" + LOG)))[len(b"".join(whole)) :]
    for after in range(100):
        copy = tmp_path / f"copy{after}-0"
        shutil.copytree(folder, copy)
        files = FaultFiles(forgetful=True)
        files.fail(kind, errno=errno.EIO, after=after, times=-1)
        try:
            reopen(copy, files=files)
            failed = False
        except StorageError:
            failed = True
        for every in ("write", "sync", "sync_dir", "truncate", "rename", "unlink"):
            files.fail(every, times=-1)
        files.heal()
        files.power_loss(seed=seed)
        log, _ = reopen(copy)
        assert everything(log) == b"".join(whole)
        for path in copy.glob("*-1.quarantine"):  # of a cut that took place in part: what was kept before is all
            path.unlink()
        assert kept(copy) == behind
        shutil.rmtree(copy)
        if not failed:
            assert after
            return
    raise AssertionError("it always fails")


def within(folder, written, segment):
    """The batches of one segment."""
    ends = [*bases(folder), 1 << 62]
    at = segment % (len(ends) - 1)
    return [data for data in written if ends[at] <= int.from_bytes(data[:8], "big") < ends[at + 1]]


def test_batches_with_offsets_that_go_back_are_cut(folder):
    _, written = fill(folder, 5)
    with open(name(folder, 0, LOG), "ab") as file:
        file.write(written[2])
    log, report = reopen(folder)
    assert everything(log) == b"".join(written)
    assert report.cut_bytes == len(written[2])


@pytest.mark.parametrize("wrong", [0, 9, 10**6])
def test_a_base_offset_that_lies_ends_the_log(folder, wrong):
    """No checksum covers it; were it believed, all that follows would be out of order."""
    _, written = fill(folder, 6)
    with open(name(folder, 0, LOG), "r+b") as file:
        file.seek(len(b"".join(written[:2])))
        file.write(wrong.to_bytes(8, "big"))
    log, _ = reopen(folder)
    assert everything(log) == b"".join(written[:2])
    assert kept(folder)[8:] == b"".join(written[2:])[8:]


def test_the_cut_is_synced_before_anything_is_appended(folder):
    _, written = fill(folder, 5)
    with open(name(folder, 0, LOG), "ab") as file:
        file.write(b"x" * 99)
    files = FaultFiles()
    files.fail("sync")
    with pytest.raises(StorageError):
        reopen(folder, files=files)
    files = FaultFiles(forgetful=True)
    log, _ = reopen(folder, files=files)
    assert files.unsynced() == [str(name(folder, 0, suffix)) for suffix in (INDEX, TIMEINDEX)] or files.unsynced() == []
    assert everything(log) == b"".join(written)


def test_log_start_beyond_the_end_that_is_left(folder):
    fill(folder, 10)
    log, _ = reopen(folder, log_start=1000)
    assert (log.log_start, log.log_end) == (1000, 1000)  # deleted offsets are not given out again
    log.append([make_batch(1000)], 1)
    close_partition(log)
    log, _ = reopen(folder, log_start=1000, clean=True)
    assert (log.log_start, log.log_end) == (1000, 1001)


@pytest.mark.parametrize("seed", range(12))
def test_power_loss(folder, seed):
    """Everything below the last sync survives; what is left behind it is whole batches, in order."""
    files = FaultFiles(forgetful=True)
    _, written = fill(folder, 60, files=files, sync_at=20 + seed)
    files.power_loss(seed=seed if seed else None)
    log, _ = reopen(folder)
    data = everything(log)
    whole = b"".join(written)
    safe = len(b"".join(written[: 21 + seed]))
    assert len(data) >= safe
    assert data[:safe] == whole[:safe]
    assert seed or data == whole[:safe]
    assert all(record.validate_crc() for record in batches_of(data))
    assert files.broken == []


def batches_of(data):
    records = MemoryRecords(data)
    while (found := records.next_batch()) is not None:
        yield found


# --- what can be derived is rebuilt ---


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize(
    "lost", [(INDEX,), (TIMEINDEX,), (SNAPSHOT,), (TIMEINDEX, SNAPSHOT), (INDEX, TIMEINDEX, SNAPSHOT)]
)
def test_a_copy_without_some_files(folder, lost, clean):
    """BR-2, BR-3: *.log and *.index, and even *.log alone, are a log."""
    before, written = fill(folder, close=True)
    for suffix in lost:
        for path in folder.glob("*" + suffix):
            path.unlink()
    log, report = reopen(folder, clean=clean, recovery_point=before.log_end if clean else 0)
    same(log, before)
    assert everything(log) == b"".join(written)
    assert report.cut_bytes == 0
    close_partition(log)
    log, _ = reopen(folder, clean=True)
    same(log, before)


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("suffix", [INDEX, TIMEINDEX])
@pytest.mark.parametrize("kind", ["short", "empty", "odd", "zero", "random", "swapped"])
def test_indexes_that_are_wrong(folder, suffix, kind, clean):
    before, written = fill(folder, close=True)
    rng = random.Random(7)
    paths = sorted(folder.glob("*" + suffix))
    for path in paths:
        size = path.stat().st_size
        if kind == "short":
            os.truncate(path, size // 32 * 16)
        elif kind == "empty":
            os.truncate(path, 0)
        elif kind == "odd":
            os.truncate(path, size + 5)
        elif kind == "zero":
            path.write_bytes(bytes(size))
        elif kind == "random":
            path.write_bytes(rng.randbytes(size))
    if kind == "swapped":
        for one, other in zip(paths[::2], paths[1::2], strict=False):
            one.rename(folder / "x")
            other.rename(one)
            (folder / "x").rename(other)
    log, _ = reopen(folder, clean=clean, recovery_point=before.log_end)
    assert everything(log) == b"".join(written)
    for offset in range(log.log_end):
        assert log.read(offset, max_bytes=1) == next(data for data in written if last_offset(data) >= offset)
    log.append([make_batch(log.log_end)], 1)


def last_offset(data):
    return int.from_bytes(data[:8], "big") + int.from_bytes(data[23:27], "big")


def test_indexes_not_yet_written_are_completed(folder):
    log = open_partition(folder, config=CONFIG, now_ms=0)
    for i in range(100):
        log.append([make_batch(i, timestamp=i, value=b"v" * 100)], 1)
    assert list(folder.glob("*" + INDEX)) == []
    again, report = reopen(folder, recovery_point=100)
    assert len(report.rebuilt) == len(log.segments()) - 1
    assert [s[:4] for s in again.segments()] == [s[:4] for s in log.segments()]
    assert sorted(path.stat().st_size for path in folder.glob("*" + INDEX))[-1] >= 16 * 8
    for i in range(100):
        assert again.locate_time(i)[0] == log.locate_time(i)[0]


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("first", [(), (10, 20)])
def test_large_batches_need_no_index_entries(folder, clean, first):
    """A closed segment without entries is whole when no batch of it begins where there would be one."""
    log = open_partition(folder, config=CONFIG, now_ms=0)
    for size in (*first, 3500, 5000, 3900, 10):
        log.append([make_batch(log.log_end, 1, value=b"v" * size)], 9)
    close_partition(log)
    assert len(bases(folder)) == 4
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    log, report = reopen(folder, clean=clean, recovery_point=log.log_end)
    assert report.quiet
    if clean:
        assert before == {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert log.log_end == 4 + len(first)


def test_producers_after_a_crash_are_those_before(folder):
    """I19, with the newest good snapshot in the middle of the log, and damaged ones after it."""
    log, _ = fill(folder, 20, close=True)
    snapshot = name(folder, log.log_end, SNAPSHOT)
    log, _ = reopen(folder, clean=True)
    data = make_batch(log.log_end, 3, producer_id=99, epoch=0, sequence=2**31 - 2)
    log.append([data], 1)
    data = make_batch(log.log_end, 1, producer_id=99, epoch=0, sequence=1)
    log.append([data], 1)
    states = sorted(log.producer_states())
    for recovery_point in (log.log_end - 2, log.log_end):
        again, _ = reopen(folder, recovery_point=recovery_point)
        assert sorted(again.producer_states()) == states
    damage(snapshot, 30)
    again, report = reopen(folder, recovery_point=log.log_end)
    assert sorted(again.producer_states()) == states
    assert report.rebuilt == [snapshot.name]
    again, _ = reopen(folder, recovery_point=0)
    assert sorted(again.producer_states()) == states
    assert not snapshot.exists()  # it is above the recovery point: what it knows might have been lost


def test_a_snapshot_of_lost_records_is_not_believed(folder):
    _, written = fill(folder, 6, close=True)
    path = name(folder, 0, LOG)
    os.truncate(path, len(b"".join(written[:5])))
    again, _ = reopen(folder)
    model, _ = fill(folder.parent / "model-0", 5)
    assert again.log_end == model.log_end
    assert sorted(again.producer_states()) == sorted(model.producer_states())
    assert list(folder.glob("*" + SNAPSHOT)) == []


def test_old_snapshots_go(folder):
    for i in range(6):
        log, _ = reopen(folder, clean=True)
        log.append([make_batch(log.log_end, 1, producer_id=9, epoch=0, sequence=i)], 1)
        close_partition(log)
    log, _ = reopen(folder, clean=True)
    assert sorted(int(path.stem) for path in folder.glob("*" + SNAPSHOT))[-1] == log.log_end
    assert len(list(folder.glob("*" + SNAPSHOT))) == 2


def test_leader_epochs_from_the_batches(folder):
    log, written = fill(folder, 60)
    found = epochs_in_log(log)
    assert list(found.entries) == [(epoch, int.from_bytes(written[epoch * 25][:8], "big")) for epoch in range(3)]


def with_epochs(folder, epochs, per_segment=5):
    """A log of a batch for each leader epoch, in short segments; the batches."""
    log = open_partition(folder, config=CONFIG, now_ms=0)
    written = []
    for i, epoch in enumerate(epochs):
        if i and i % per_segment == 0:
            log.roll(0)
        written.append(make_batch(log.log_end, 2, leader_epoch=epoch))
        log.append(written[-1:], 0)
    log.close()
    return written


def set_epoch(folder, written, at, epoch):
    base = max(base for base in bases(folder) if base <= int.from_bytes(written[at][:8], "big"))
    data = bytearray(name(folder, base, LOG).read_bytes())
    position = data.index(written[at])
    data[position + 12 : position + 16] = struct.pack(">I", epoch & 0xFFFFFFFF)
    name(folder, base, LOG).write_bytes(data)


@pytest.mark.parametrize("limit", [6, 0x7FFFFFFF])
@pytest.mark.parametrize("recovery_point", [0, 6, 13])
def test_one_flipped_bit_in_a_leader_epoch_costs_nothing(tmp_path, limit, recovery_point):
    epochs = [0, 0, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5]
    for at in range(len(epochs) - 1 if limit > 6 else len(epochs)):  # nothing contradicts the last one but the limit
        for bit in range(32):
            folder = tmp_path / f"{at}-{bit}"
            written = with_epochs(folder, epochs)
            set_epoch(folder, written, at, epochs[at] ^ 1 << bit)
            log, report = reopen(folder, recovery_point=recovery_point, epoch_limit=limit)
            assert (log.log_end, report.quarantined) == (24, []), (at, bit)
            log.append([make_batch(log.log_end, 1, leader_epoch=6)], 1)
            log.close()
            log, report = reopen(folder, recovery_point=recovery_point, epoch_limit=7)
            assert (log.log_end, report.quarantined) == (25, []), (at, bit)
            shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("epochs", "kept"),
    [([3, 3, 5, 5, 3, 3, 3], 4), ([3, 5, 5, 3, 5, 5], 3), ([1, 6, 6, 3, 3], 3), ([5, 5, 5, 5, 5, 2, 2, 2], 5)],
)
def test_a_log_that_diverges_is_cut_where_the_epoch_falls(folder, epochs, kept):
    with_epochs(folder, epochs)
    log, report = reopen(folder, epoch_limit=9)
    assert log.log_end == 2 * kept
    assert report.quarantined
    assert report.mended_epochs == 0


def test_no_epoch_above_that_of_the_metadata_is_believed(folder):
    with_epochs(folder, [1, 1, 8, 8, 2])
    log, report = reopen(folder, epoch_limit=2)
    assert (log.log_end, report.mended_epochs) == (10, 2)
    assert epochs_in_log(log).entries == ((1, 0), (2, 8))


def test_a_lone_epoch_above_both_neighbours_is_damaged(folder):
    with_epochs(folder, [3, 3, 0xFF0100, 3, 3, 3])
    log, report = reopen(folder)
    assert (log.log_end, report.mended_epochs) == (12, 1)
    assert epochs_in_log(log).entries == ((3, 0),)


def test_a_damaged_epoch_is_mended_in_the_file(folder):
    written = with_epochs(folder, [1] * 8)
    set_epoch(folder, written, 4, 1 | 1 << 20)  # the last of its segment
    log, report = reopen(folder, epoch_limit=2)
    assert (everything(log), report.mended_epochs) == (b"".join(written), 1)


def test_a_log_named_for_an_offset_that_no_log_reaches(folder):
    fill(folder, 3)
    source = name(folder, 0, LOG)
    for offset in ((1 << 61) - 1, 1 << 61, (1 << 62) - 1):
        source.rename(name(folder, offset, LOG))
        source = name(folder, offset, LOG)
        log, _ = reopen(folder)
        log.append([make_batch(log.log_end, 2)], 1)
        end = log.log_end
        log.close()
        log, report = reopen(folder)
        assert (log.log_end, report.cut_bytes) == (end, 0)


@pytest.mark.parametrize("offsets", [(28, 12, 4), (10,), (12, 11)])
def test_truncation_of_an_active_segment_with_an_unreadable_range(folder, offsets):
    config = LogConfig(index_interval_bytes=200)
    log = open_partition(folder, config=config, now_ms=0)
    written = [make_batch(i, 1, timestamp=i, value=b"v" * 60) for i in range(30)]
    for data in written:
        log.append([data], 0)
    log.close()
    size = len(written[0])
    damage(name(folder, 0, LOG), 10 * size + 8, 0x7F)
    for offset in offsets:
        log = open_partition(folder, config=config, now_ms=0, recovery_point=30)
        log.truncate(offset)
        assert (log.log_end, log.size_bytes) == (offset, offset * size)
        assert log.segments()[0][3] == (offset - 1 if offset != 11 else 9)
        log.append([make_batch(offset, 1, timestamp=offset)], 0)
        log.truncate(offset)
        log.write_indexes()
        log.close()


# --- corrupt closed segments ---


def test_a_bad_batch_in_a_flushed_segment_is_reported_and_the_rest_served(folder):
    before, written = fill(folder, close=True)
    second = bases(folder)[1]
    inside = within(folder, written, 1)
    damage(name(folder, second, LOG), len(inside[0]) + len(inside[1]) + 8, 0x7F)
    name(folder, second, INDEX).unlink()
    log, report = reopen(folder, recovery_point=before.log_end)
    bad = (int.from_bytes(inside[2][:8], "big"), last_offset(inside[2]) + 1)
    assert report.unreadable == [bad]
    assert (log.log_end, log.size_bytes) == (before.log_end, before.size_bytes)
    for offset in range(log.log_end):
        if bad[0] <= offset < bad[1]:
            with pytest.raises(ValueError, match="no record batch"):
                log.read(offset)
        else:
            data = log.read(offset, max_bytes=2000)
            assert all(found.validate_crc() for found in batches_of(data))
            assert int.from_bytes(data[:8], "big") <= offset <= last_offset(data)


@pytest.mark.parametrize("at", [8, 9, 16, 23])
@pytest.mark.parametrize("indexes", [True, False])
def test_a_bad_header_in_a_closed_segment(folder, at, indexes):
    _, written = fill(folder)
    second = bases(folder)[1]
    inside = within(folder, written, 1)
    damage(name(folder, second, LOG), len(inside[0]) + at, 0xFF)
    if not indexes:
        for path in list(folder.glob("*" + INDEX)) + list(folder.glob("*" + TIMEINDEX)):
            path.unlink()
    log, _ = reopen(folder, recovery_point=bases(folder)[-1])
    for data in written:
        offset = int.from_bytes(data[:8], "big")
        if data in inside[1:] and indexes:
            continue  # reachable from the next index entry on
        if data == inside[1]:
            with pytest.raises(ValueError, match="no record batch"):
                log.read(offset)
        else:
            assert log.read(offset, max_bytes=1) == data
    assert log.read(int.from_bytes(inside[-1][:8], "big"), max_bytes=1) == inside[-1]


def test_a_closed_segment_that_lost_its_tail(folder):
    _, written = fill(folder)
    second, third = bases(folder)[1:3]
    path = name(folder, second, LOG)
    os.truncate(path, path.stat().st_size - 30)
    log, report = reopen(folder, recovery_point=10**6)
    assert report.cut_bytes == 0
    assert len(report.unreadable) == 1
    with pytest.raises(ValueError, match="no record batch"):
        log.read(third - 1)
    assert log.read(third, max_bytes=1) == next(data for data in written if int.from_bytes(data[:8], "big") == third)


def test_an_unreadable_disk_is_left_alone(folder):
    fill(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for kind in ("open", "read"):
        files = FaultFiles()
        files.fail(kind, errno=errno.EIO, after=3, times=-1)
        with pytest.raises(StorageError) as caught:
            reopen(folder, files=files)
        assert caught.value.errno == errno.EIO
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {n: data for n, data in after.items() if n.endswith(LOG)} == {
        n: d for n, d in before.items() if n.endswith(LOG)
    }


def test_a_failing_close_is_an_error(folder):
    files = FaultFiles()
    log, _ = fill(folder, 5, files=files)
    files.fail("sync", times=-1)
    with pytest.raises(StorageError):
        close_partition(log, files=files)


# --- fuzz ---


@functools.cache
def sample():
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "topic-0"
        fill(folder, 25, close=True)
        return {path.name: path.read_bytes() for path in folder.iterdir()}


DAMAGE = st.lists(
    st.tuples(
        st.integers(0, 20),
        st.sampled_from(["flip", "cut", "zero", "random", "double", "remove", "append"]),
        st.integers(0, 2**32),
        st.binary(min_size=1, max_size=120),
    ),
    min_size=1,
    max_size=4,
)


@settings(deadline=None, max_examples=200)
@given(damages=DAMAGE, clean=st.booleans(), recovery_point=st.integers(0, 80))
def test_any_damage(tmp_path_factory, damages, clean, recovery_point):
    """It opens, cuts or refuses; it never crashes; what it scanned it never serves with a bad checksum."""
    folder = tmp_path_factory.mktemp("fuzz") / "topic-0"
    folder.mkdir()
    contents = dict(sample())
    for which, kind, position, data in damages:
        target = sorted(sample())[which % len(sample())]
        content = contents.get(target)
        if content is None:
            continue
        at = position % max(len(content), 1)
        contents[target] = {
            "flip": lambda c, at, d: c[:at] + bytes([c[at] ^ d[0]]) + c[at + 1 :] if c else c,
            "cut": lambda c, at, d: c[:at],
            "zero": lambda c, at, d: c[:at] + bytes(len(c) - at),
            "random": lambda c, at, d: c[:at] + d + c[at + len(d) :],
            "double": lambda c, at, d: c[:at] + c,
            "remove": lambda c, at, d: None,
            "append": lambda c, at, d: c + d,
        }[kind](content, at, data)
    for target, content in contents.items():
        if content is not None:
            (folder / target).write_bytes(content)
    point = recovery_point if clean or recovery_point > 40 else 0
    log, _ = reopen(folder, clean=clean, recovery_point=point)
    offset = log.log_start
    while offset < log.log_end:
        try:
            result, _, _, length, following = log.locate(offset, max_bytes=500)
            assert result == 0
            if length == 0:
                break
            data = log.read(offset, max_bytes=500)
            assert len(data) == length
        except ValueError:
            offset += 1
            continue
        if point == 0 and not clean:
            assert all(found.validate_crc() for found in batches_of(data))
        assert following > offset
        offset = following
    log.locate_time(1100)
    end = log.log_end
    log.append([make_batch(end)], 1)
    assert log.read(end) == make_batch(end)
    close_partition(log)


@settings(deadline=None, max_examples=60)
@given(
    st.dictionaries(
        st.sampled_from([f"{0:020d}{s}" for s in (LOG, INDEX, TIMEINDEX, SNAPSHOT)]), st.binary(max_size=400)
    )
)
def test_random_files(tmp_path_factory, contents):
    folder = tmp_path_factory.mktemp("fuzz") / "topic-0"
    folder.mkdir()
    for target, content in contents.items():
        (folder / target).write_bytes(content)
    log, _ = reopen(folder)
    log.append([make_batch(log.log_end)], 1)


def test_segments_and_offsets_ascend(folder):
    log, _ = fill(folder)
    for one, other in pairwise(log.segments()):
        assert one[1] == other[0]
    assert struct.unpack_from(">q", log.read(0))[0] == 0
    assert batches.parse(log.read(0))["crc_ok"]
