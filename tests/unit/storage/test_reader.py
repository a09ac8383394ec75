"""Reading segments from Python; trap 13: a timestamp is looked for inside the batch."""

import pytest

from pyralog.errors import CorruptRecordError
from pyralog.records.batch import Record, build, iterate_records
from pyralog.records.compression import Codec
from pyralog.storage.log_config import LogConfig
from pyralog.storage.reader import SegmentReader, TimestampOffset, first_at_or_after, newest_record, verify_range
from pyralog.storage.recovery import open_partition
from tests.log_batches import make_batch


@pytest.fixture
def log(tmp_path):
    return open_partition(tmp_path / "t-0", config=LogConfig(index_interval_bytes=200), now_ms=0)


def path_of(log):
    return f"{log.directory.decode()}/{0:020d}.log"


def search(log, timestamp, log_start=0):
    found = log.locate_time(timestamp)
    if found is None:
        return None
    _, position, length = found
    return first_at_or_after(path_of(log), position, length, timestamp, log_start)


def test_trap_13_the_first_record_inside_the_batch(log):
    for i in range(40):
        log.append([make_batch(i * 5, 5, timestamp=i * 100, step_ms=10, value=b"x" * 50, leader_epoch=i // 10)], 1)
    for timestamp in range(0, 3941, 7):
        offset = next(o for o in range(200) if o // 5 * 100 + o % 5 * 10 >= timestamp)
        assert search(log, timestamp) == TimestampOffset(offset, offset // 5 * 100 + offset % 5 * 10, offset // 50)
    assert search(log, 3941) is None


@pytest.mark.parametrize("codec", [1, 2, 3, 4])
def test_trap_13_inside_a_compressed_batch(log, codec):
    rows = [Record(i, 1000 + i * 10, None, b"x" * 50) for i in range(20)]
    log.append([build(rows, codec=Codec(codec), leader_epoch=0)], 1)
    assert search(log, 1005) == (1, 1010, 0)
    assert search(log, 1190) == (19, 1190, 0)
    assert newest_record(path_of(log), 0, log.size_bytes) == (19, 1190, 0)


def test_records_below_the_log_start_do_not_count(log):
    log.append([make_batch(0, 5, timestamp=100, step_ms=10), make_batch(5, 5, timestamp=50, step_ms=10)], 1)
    assert search(log, 60, log_start=0) == (0, 100, 0)
    assert search(log, 60, log_start=3) == (3, 130, 0)
    assert search(log, 60, log_start=5) == (6, 60, 0)
    assert search(log, 120, log_start=5) is None


def test_the_newest_record(log):
    log.append(
        [make_batch(0, 3, timestamp=100), make_batch(3, 3, timestamp=500, step_ms=-1), make_batch(6, 1, timestamp=500)],
        1,
    )
    size = log.size_bytes
    assert newest_record(path_of(log), 0, size) == (3, 500, 0)
    assert newest_record(path_of(log), 0, size, log_start=4) == (6, 500, 0)
    assert newest_record(path_of(log), 0, 0) is None


def test_reads_and_verifies(log):
    batches = [make_batch(i, value=b"x" * i * 400) for i in range(60)]
    log.append(batches, 1)
    with SegmentReader(path_of(log)) as reader:
        found = list(reader.positions(0, log.size_bytes))
        assert [reader.batch(at) for at in found] == batches
        assert [record.offset for at in found for record in reader.records(at)] == list(range(60))
    assert verify_range(path_of(log), 0, log.size_bytes) == 60
    assert [record.value for record in iterate_records(batches[2])] == [b"x" * 800]


@pytest.mark.parametrize("at", [8, 16, 23, 61])
def test_corruption_is_one_error(log, at):
    log.append([make_batch(0), make_batch(1), make_batch(2)], 1)
    position = len(make_batch(0)) + at
    with open(path_of(log), "r+b") as file:
        file.seek(position)
        file.write(b"\xfe")
    with pytest.raises(CorruptRecordError):
        verify_range(path_of(log), 0, log.size_bytes)
    with pytest.raises(CorruptRecordError):
        verify_range(path_of(log), 0, log.size_bytes - 5)
