"""Retention by time and size, as Kafka does it."""

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from pyralog.storage.retention import retain


class Segment(NamedTuple):
    base_offset: int
    next_offset: int
    size_bytes: int
    max_timestamp: int
    created_ms: int


def segments(*sizes_and_times, active=(0, -1)):
    found = []
    for i, (size, timestamp) in enumerate([*sizes_and_times, active]):
        found.append(Segment(i * 10, i * 10 + (10 if size else 0), size, timestamp, 1000))
    return found


def ask(found, *, ms=-1, size=-1, now=10_000, hw=None, start=0):
    high_watermark = found[-1].next_offset if hw is None else hw
    return retain(
        found, log_start=start, high_watermark=high_watermark, retention_ms=ms, retention_bytes=size, now_ms=now
    )


def test_no_limits():
    assert ask(segments((100, 0), (100, 0))) == (0, False)


def test_by_time_from_the_oldest_on():
    found = segments((100, 1000), (100, 6000), (100, 2000), active=(50, 9000))
    assert ask(found, ms=8999) == (10, False)
    assert ask(found, ms=9000) == (0, False)  # exactly that old may stay
    assert ask(found, ms=5000) == (10, False)  # the third is old enough, the second is not
    assert ask(found, ms=3000) == (30, False)


def test_the_active_segment_is_rolled_when_all_has_expired():
    found = segments((100, 1000), active=(50, 2000))
    assert ask(found, ms=1000) == (20, True)
    empty = segments((100, 1000))
    assert ask(empty, ms=1000) == (10, False)


def test_without_timestamps_the_age_of_the_file_counts():
    assert ask(segments((100, -1), active=(10, 9999)), ms=8000) == (10, False)
    assert ask(segments((100, -1), active=(10, 9999)), ms=9500) == (0, False)


def test_by_size_whole_segments_only():
    found = segments((100, 0), (100, 0), (100, 0), active=(50, 0))
    assert ask(found, size=350) == (0, False)
    assert ask(found, size=251) == (0, False)
    assert ask(found, size=250) == (10, False)
    assert ask(found, size=149) == (20, False)
    assert ask(found, size=50) == (30, False)
    assert ask(found, size=0) == (40, True)


def test_never_beyond_the_high_watermark():
    found = segments((100, 0), (100, 0), (100, 0))
    assert ask(found, ms=1, hw=20) == (20, False)
    assert ask(found, ms=1, hw=19) == (10, False)
    assert ask(found, ms=1, hw=5, start=3) == (3, False)


@given(
    st.lists(st.tuples(st.integers(1, 100), st.integers(0, 100)), min_size=1, max_size=8),
    st.integers(-1, 120),
    st.integers(-1, 400),
    st.integers(0, 80),
)
def test_what_stays_is_a_suffix_within_the_limits(rows, ms, size, hw):
    found = segments(*rows)
    start, roll = ask(found, ms=ms, size=size, now=100, hw=hw)
    assert not roll  # the active one is empty
    gone = [s for s in found if s.next_offset <= start and s.size_bytes]
    assert all(s.next_offset <= hw for s in gone)
    left = [s for s in found if s not in gone]
    removable = left[0].size_bytes and left[0].next_offset <= hw
    total = sum(s.size_bytes for s in left)
    assert not (removable and ms >= 0 and 100 - left[0].max_timestamp > ms)
    assert not (removable and size >= 0 and total - left[0].size_bytes >= size)
