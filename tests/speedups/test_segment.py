"""The log against a naive model: append, roll, locate, start, truncate, reopen."""

import errno
import itertools
import os
from bisect import bisect_right

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyralog._speedups.faultfiles import FaultFiles
from pyralog.storage.log_config import LogConfig
from pyralog.storage.recovery import close_partition, open_partition
from tests.log_batches import make_batch

OK, COLD, OUT_OF_RANGE = 0, 1, 2
SMALL = LogConfig(segment_bytes=3000, index_interval_bytes=200)
BATCHES = {(n, size): make_batch(0, n, value=b"x" * size) for n in (1, 2, 5) for size in (1, 100, 700)}


def at(batch, base_offset):
    return base_offset.to_bytes(8, "big") + batch[8:]


@pytest.fixture
def log(tmp_path):
    return open_partition(tmp_path / "t-0", config=SMALL, now_ms=0)


def fill(log, n=60, *, now_ms=1000, start=0):
    """n batches of 3 records; their (base offset, bytes)."""
    written = []
    for i in range(n):
        batch = make_batch(log.log_end, 3, timestamp=start + i * 10, value=b"x" * (i * 37 % 300))
        written.append((log.log_end, batch))
        log.append([batch], now_ms)
    return written


class Model:
    """A list of batches; segments by the rule of segment.bytes alone."""

    def __init__(self, segment_bytes):
        self.segment_bytes = segment_bytes
        self.segments = [(0, [])]  # (base offset, [(base, next, bytes)])
        self.end = self.start = 0

    def append(self, batches):
        for data, n in batches:
            inside = self.segments[-1][1]
            size = sum(len(batch[2]) for batch in inside)
            if size and size + len(data) > self.segment_bytes:
                self.roll()
            self.segments[-1][1].append((self.end, self.end + n, data))
            self.end += n

    def roll(self):
        if self.segments[-1][1]:
            self.segments.append((self.end, []))

    def truncate(self, offset):
        if offset >= self.end:
            return
        while len(self.segments) > 1 and self.segments[-1][0] >= offset:
            self.segments.pop()
        base, inside = self.segments[-1]
        if offset < base:
            self.segments = [(offset, [])]
            self.end = self.start = offset
            return
        inside[:] = [batch for batch in inside if batch[1] <= offset]
        self.end = inside[-1][1] if inside else base
        self.start = min(self.start, self.end)

    def set_start(self, offset):
        self.start = max(self.start, min(offset, self.end))
        while len(self.segments) > 1 and self.segments[1][0] <= self.start:
            self.segments.pop(0)

    def read(self, offset, end_offset, max_bytes, at_least_one):
        """What one slice may hold: whole batches of one segment."""
        if offset >= min(end_offset, self.end):
            return b""
        out = b""
        bases = [base for base, _ in self.segments]
        for _, next_offset, data in self.segments[bisect_right(bases, offset) - 1][1]:
            if next_offset <= offset:
                continue
            if next_offset > end_offset or (len(out) + len(data) > max_bytes and (out or not at_least_one)):
                break
            out += data
        return out


OFFSETS = st.integers(0, 250)
STEP = st.one_of(
    st.tuples(st.just("append"), st.lists(st.sampled_from(sorted(BATCHES)), min_size=1, max_size=4)),
    st.tuples(st.just("append"), st.lists(st.sampled_from(sorted(BATCHES)), min_size=1, max_size=4)),
    st.tuples(st.just("roll")),
    st.tuples(st.just("truncate"), OFFSETS),
    st.tuples(st.just("start"), OFFSETS),
    st.tuples(st.just("indexes")),
    st.tuples(st.just("idle")),
    st.tuples(st.just("reopen"), st.booleans(), OFFSETS),
    st.tuples(st.just("read"), OFFSETS, OFFSETS, st.sampled_from([0, 1, 150, 400, 1000, 10_000]), st.booleans()),
    st.tuples(st.just("sequential"), st.sampled_from([1, 400, 2500])),
)


class Driver:
    """Applies one step to the log and to the model, and compares them."""

    def __init__(self, directory, use_mmap):
        self.config = LogConfig(segment_bytes=3000, index_interval_bytes=200, use_mmap=use_mmap)
        self.directory = directory
        self.log = open_partition(directory, config=self.config, now_ms=0)
        self.model = Model(3000)

    def append(self, kinds):
        batches, offset = [], self.model.end
        for n, size in kinds:
            batches.append((at(BATCHES[n, size], offset), n))
            offset += n
        self.log.append([data for data, _ in batches], 1000)
        self.model.append(batches)

    def roll(self):
        self.log.roll(1000)
        self.model.roll()

    def truncate(self, offset):
        self.log.truncate(offset)
        self.model.truncate(offset)

    def start(self, offset):
        for base in self.log.set_start(offset):
            for suffix in (".log", ".index", ".timeindex"):
                (self.directory / f"{base:020d}{suffix}").unlink(missing_ok=True)
        self.model.set_start(offset)

    def indexes(self):
        self.log.write_indexes()

    def idle(self):
        self.log.close_idle(1)
        self.log.close_idle(2**40)

    def reopen(self, clean, recovery_point):
        if clean:
            close_partition(self.log)
        self.log = open_partition(
            self.directory,
            config=self.config,
            clean=clean,
            recovery_point=min(recovery_point, self.model.end),
            log_start=self.model.start,
            now_ms=0,
        )

    def read(self, offset, end_offset, max_bytes, at_least_one):
        if not self.model.start <= offset <= self.model.end:
            with pytest.raises(IndexError):
                self.log.read(offset)
            assert self.log.locate(offset)[0] == OUT_OF_RANGE
            return
        expected = self.model.read(offset, end_offset, max_bytes, at_least_one)
        assert self.log.read(offset, end_offset, max_bytes, at_least_one) == expected

    def sequential(self, max_bytes):
        offset, out = self.model.start, b""
        while offset < self.model.end:
            result, _, _, length, following = self.log.locate(offset, max_bytes=max_bytes)
            assert result == OK
            assert length > 0
            out += self.log.read(offset, max_bytes=max_bytes)
            offset = following
        batches = itertools.chain.from_iterable(inside for _, inside in self.model.segments)
        assert out == b"".join(data for _, end, data in batches if end > self.model.start)

    def check(self):
        assert (self.log.log_start, self.log.log_end) == (self.model.start, self.model.end)
        found = [(base, following, size) for base, following, size, *_ in self.log.segments()]
        assert found == [
            (base, inside[-1][1] if inside else base, sum(len(data) for *_, data in inside))
            for base, inside in self.model.segments
        ]
        assert self.log.size_bytes == sum(size for *_, size in found)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEP, max_size=40), st.booleans())
def test_agrees_with_the_model(tmp_path_factory, steps, use_mmap):
    driver = Driver(tmp_path_factory.mktemp("log") / "t-0", use_mmap)
    for name, *arguments in steps:
        getattr(driver, name)(*arguments)
        driver.check()
    driver.sequential(700)


def test_every_offset_every_limit(log):
    written = fill(log)
    for offset in range(log.log_end):
        i = next(i for i, (base, _) in enumerate(written) if base + 3 > offset)
        first = written[i][1]
        assert log.read(offset, max_bytes=0) == first
        assert log.read(offset, max_bytes=0, at_least_one=False) == b""
        assert log.read(offset, max_bytes=len(first), at_least_one=False) == first
        assert log.read(offset, max_bytes=len(first) - 1, at_least_one=False) == b""
        assert log.read(offset, end_offset=written[i][0] + 2) == b""  # never half a batch
        assert log.read(offset, end_offset=written[i][0] + 3) == first


def test_two_consumers_in_turn(log):
    fill(log)
    ends = [0, 30]
    for _ in range(100):
        for who in (0, 1):
            if ends[who] < log.log_end:
                ends[who] = log.locate(ends[who], max_bytes=250)[4]
    assert ends == [log.log_end] * 2


def test_a_tailing_consumer_reads_no_header(tmp_path):
    files = FaultFiles()
    log = open_partition(tmp_path / "t-0", config=LogConfig(), files=files, now_ms=0)
    fill(log, 30)
    offset = log.locate(0, max_bytes=1 << 20)[4]
    before = files.counts["read"]
    for _ in range(10):
        assert log.locate(offset)[3] == 0
        log.append([make_batch(log.log_end)], 1)
        result, _, _, length, following = log.locate(offset)
        assert (result, length, following) == (OK, len(make_batch(0)), log.log_end)
        offset = following
    assert files.counts["read"] == before
    assert files.broken == []


def test_a_long_slice_does_not_walk(tmp_path):
    files = FaultFiles()
    log = open_partition(tmp_path / "t-0", config=LogConfig(), files=files, now_ms=0)
    log.append([make_batch(i, value=b"x" * 100) for i in range(5000)], 1)
    before = files.counts["read"]
    result, _, _, length, _ = log.locate(0, max_bytes=500_000)
    assert result == OK
    assert 499_000 < length <= 500_000
    assert files.counts["read"] - before <= 2


def test_cold_pages_are_reported_and_warming_helps(tmp_path):
    files = FaultFiles()
    log = open_partition(tmp_path / "t-0", config=SMALL, files=files, now_ms=0)
    written = fill(log, 10)
    files.fail("read", errno=errno.EAGAIN, times=1)
    result, base, position, length, _ = log.locate(1, blocking=False, max_bytes=500)
    assert (result, base, position) == (COLD, 0, 0)
    assert length >= 500
    assert log.locate(1, blocking=False, max_bytes=500)[0] == OK
    files.fail("read", errno=errno.EAGAIN, times=-1)
    assert log.read(1, max_bytes=1) == written[0][1]  # a blocking read does not mind


def test_time_search_starts_at_or_before_the_answer(log):
    fill(log, 80)
    for timestamp in range(0, 80 * 10 + 3):
        expected = next(
            (o for o in range(log.log_end) if (o // 3) * 10 + o % 3 >= timestamp),
            None,
        )
        found = log.locate_time(timestamp)
        if expected is None:
            assert found is None
            continue
        base, position, length = found
        segment = next(s for s in log.segments() if s[0] == base)
        assert position + length == segment[2]
        assert base <= expected < segment[1]
        assert log.locate(expected, max_bytes=0)[2] >= position
    assert log.locate_time(10_000) is None
    assert log.locate_time(-5)[:2] == (0, 0)


def test_time_search_with_times_out_of_order(log):
    for timestamp in [500, 100, 900, 200, 50, 950, 10] * 8:
        log.append([make_batch(log.log_end, timestamp=timestamp, value=b"x" * 150)], 1)
    for timestamp in (0, 100, 101, 500, 501, 900, 901, 950):
        expected = next(o for o in range(log.log_end) if [500, 100, 900, 200, 50, 950, 10][o % 7] >= timestamp)
        base, position, _ = log.locate_time(timestamp)
        assert (base, position) <= (base, log.locate(expected, max_bytes=0)[2])
        assert base == log.locate(expected, max_bytes=0)[1]


def test_maximum_and_its_offset(log):
    for timestamp in [5, 90, 7]:
        log.append([make_batch(log.log_end, timestamp=timestamp)], 1)
    assert log.segments()[0][3:5] == (90, 1)


@pytest.mark.parametrize("jitter", [0, 400])
def test_rolls_by_time(tmp_path, jitter):
    config = LogConfig(segment_ms=1000, segment_jitter_ms=jitter)
    log = open_partition(tmp_path / "t-0", config=config, now_ms=0)
    log.append([make_batch(0)], 5000)
    log.append([make_batch(1)], 5000 + 1000 - jitter)
    assert len(log.segments()) == 1
    log.append([make_batch(2)], 6001)
    assert len(log.segments()) == 2


def test_rolls_when_the_index_is_full(tmp_path):
    config = LogConfig(segment_index_bytes=80, index_interval_bytes=100)  # ten entries, as Kafka counts
    log = open_partition(tmp_path / "t-0", config=config, now_ms=0)
    for i in range(25):
        log.append([make_batch(i, value=b"x" * 100)], 1)
    assert [segment[0] for segment in log.segments()] == [0, 11, 22]


def test_rolls_before_offsets_outgrow_32_bits(log):
    log.append([make_batch(0), make_batch(2**31 - 1), make_batch(2**31)], 1)
    assert [segment[0] for segment in log.segments()] == [0, 2**31]


def test_a_batch_larger_than_a_segment_gets_its_own(log):
    log.append([make_batch(0), make_batch(1, value=b"x" * 9000), make_batch(2)], 1)
    assert [segment[0] for segment in log.segments()] == [0, 1, 2]


def test_a_failed_append_changes_nothing(tmp_path):
    files = FaultFiles()
    log = open_partition(tmp_path / "t-0", config=SMALL, files=files, now_ms=0)
    written = fill(log, 3)
    before = (log.log_end, log.size_bytes, log.segments())
    batches = [make_batch(9), make_batch(10)]
    for keep in (0, 1, len(batches[0]), len(batches[0]) + 5):
        files.tear(keep=keep, errno=errno.ENOSPC)
        with pytest.raises(OSError, match="No space"):
            log.append(batches, 1)
        assert (log.log_end, log.size_bytes, log.segments()) == before
        assert os.path.getsize(tmp_path / "t-0" / f"{0:020d}.log") == log.size_bytes
    log.append(batches, 1)
    assert log.read(0) == b"".join([data for _, data in written] + batches)


def test_short_writes_are_gone_on_with(tmp_path):
    files = FaultFiles()
    log = open_partition(tmp_path / "t-0", config=LogConfig(), files=files, now_ms=0)
    batches = [make_batch(i, value=b"y" * i) for i in range(700)]  # more than one vector
    for after, keep in enumerate((1, 500, 77, 80)):
        files.tear(keep=keep, errno=0, after=after)
    log.append(batches, 1)
    assert log.read(0, max_bytes=1 << 30) == b"".join(batches)


@pytest.mark.parametrize("kind", ["open", "truncate"])
def test_a_failed_roll_leaves_the_log_usable(tmp_path, kind):
    files = FaultFiles()
    log = open_partition(tmp_path / "t-0", config=SMALL, files=files, now_ms=0)
    written = fill(log, 3)
    log.preallocate(100_000)
    files.fail(kind)
    with pytest.raises(OSError, match="Input/output"):
        log.roll(1)
    log.append([make_batch(9)], 1)
    assert log.read(0) == b"".join([data for _, data in written] + [make_batch(9)])
    log.roll(1)
    assert len(log.segments()) == 2


def test_preallocation(tmp_path):
    config = LogConfig(segment_bytes=64 << 20)
    log = open_partition(tmp_path / "t-0", config=config, now_ms=0)
    path = tmp_path / "t-0" / f"{0:020d}.log"
    batch = make_batch(0, value=b"x" * 100_000)
    assert log.wants_prealloc() == 0
    steps = []
    for i in range(300):
        log.append([at(batch, i)], 1)
        if wanted := log.wants_prealloc():
            steps.append(wanted)
            log.preallocate(wanted)
    assert steps[0] == 1 << 20
    assert steps == sorted(steps)
    assert sum(1 for _ in steps) < 40
    assert path.stat().st_size == log.size_bytes
    assert path.stat().st_blocks * 512 > log.size_bytes + (1 << 20)
    log.roll(1)
    assert path.stat().st_blocks * 512 < log.segments()[0][2] + 8192
    always = LogConfig(segment_bytes=1 << 20, preallocate=True)
    other = open_partition(tmp_path / "t-1", config=always, now_ms=0)
    assert other.wants_prealloc() == 1 << 20


def test_idle_logs_hold_no_descriptor(log):
    before = len(os.listdir("/proc/self/fd"))
    fill(log)
    log.read(0)
    assert len(os.listdir("/proc/self/fd")) > before
    log.close_idle(2000)  # used since the last look: they stay
    closed = log.close_idle(3000)
    assert closed > 0
    assert len(os.listdir("/proc/self/fd")) == before
    log.read(0)
    fill(log, 2)


def test_opening_takes_no_descriptor(tmp_path):
    before = len(os.listdir("/proc/self/fd"))
    logs = [open_partition(tmp_path / f"t-{i}", config=SMALL, now_ms=0) for i in range(20)]
    assert len(os.listdir("/proc/self/fd")) == before
    assert logs[3].log_end == 0


def test_out_of_descriptors_is_an_error_not_a_crash(tmp_path):
    files = FaultFiles()
    log = open_partition(tmp_path / "t-0", config=SMALL, files=files, now_ms=0)
    written = fill(log)
    log.close()
    files.fail("open", errno=errno.EMFILE, times=2)
    with pytest.raises(OSError, match="Too many open files"):
        log.read(0)
    with pytest.raises(OSError, match="Too many open files"):
        log.append([make_batch(log.log_end)], 1)
    assert log.read(0, max_bytes=1) == written[0][1]


def test_segments_beyond_four_gigabytes(tmp_path):
    log = open_partition(tmp_path / "t-0", config=LogConfig(segment_bytes=8 << 30), now_ms=0)
    log.append([make_batch(0)], 1)
    path = tmp_path / "t-0" / f"{0:020d}.log"
    hole = make_batch(1, value=b"x" * 100)
    size = 2**31 - 12 - 1
    with open(path, "r+b") as file:  # three batches of 2 GiB, sparse: only their headers are there
        position = path.stat().st_size
        for i in range(3):
            file.seek(position)
            file.write(at(hole, i + 1)[:8] + size.to_bytes(4, "big") + hole[12:61])
            position += size + 12
        file.truncate(position)
        file.seek(position)
        file.write(at(hole, 4))
    log = open_partition(tmp_path / "t-0", config=LogConfig(segment_bytes=8 << 30), recovery_point=4, now_ms=0)
    assert log.log_end == 5
    assert log.size_bytes > 6 << 30
    assert log.read(4) == at(hole, 4)
    log.append([at(hole, 5)], 1)
    assert log.read(5) == at(hole, 5)
    close_partition(log)
    log = open_partition(tmp_path / "t-0", config=LogConfig(segment_bytes=8 << 30), clean=True, now_ms=0)
    assert log.read(5) == at(hole, 5)
    assert log.locate(4)[2] > 6 << 30


def test_python_may_not_touch_what_it_must_not(log):
    with pytest.raises(ValueError, match="not one record batch"):
        log.append([b"nonsense"], 1)
    with pytest.raises(ValueError, match="not one record batch"):
        log.append([make_batch(0) + b"x"], 1)
