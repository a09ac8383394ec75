"""The plane's latency arrays as buckets and quantiles, and what the last minute of them is."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyralog.admin.hdr import EMPTY, Hdr, Window, cumulative, lowest, middle, quantiles

SIZE = 2048
# A busy machine is no fault of these.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def index_of(value: int) -> int:
    """Written after plane/ring.pyx, histogram_add."""
    if value < 32:
        return value
    exponent = value.bit_length() - 5
    return exponent * 32 + (value >> (exponent - 1) & 31)


def array(values: list[int]) -> Hdr:
    buckets = [0] * SIZE
    for value in values:
        buckets[index_of(value)] += 1
    return Hdr(len(values), sum(values), buckets)


@PATIENT
@given(st.integers(0, 2**62))
def test_every_value_is_known_within_its_step(value: int) -> None:
    at = index_of(value)
    assert lowest(at) <= value < lowest(at + 1)
    assert middle(at) == pytest.approx(value, rel=0.032, abs=0.5)


@PATIENT
@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=60), st.sampled_from([0.0, 0.5, 0.9, 0.99, 1.0]))
def test_quantiles_are_those_of_the_sorted_values(values: list[int], wanted: float) -> None:
    (found,) = quantiles(array(values).buckets, [wanted])
    rank = max(1, -(-int(wanted * len(values) * 1000) // 1000))
    assert found == pytest.approx(sorted(values)[min(rank, len(values)) - 1], rel=0.032, abs=0.5)


def test_nothing_has_no_quantiles() -> None:
    assert quantiles([0] * SIZE, [0.5]) == [None]
    assert quantiles([], [0.5, 0.9]) == [None, None]


def test_buckets_count_up_to_their_bound() -> None:
    found = array([0, 1, 2, 5, 5, 1000])
    assert cumulative(found, [0, 1, 4, 5, 10, 2000], 1) == [1, 2, 3, 5, 5, 6]
    assert cumulative(EMPTY, [1, 2], 1) == [0, 0]


def test_the_window_is_what_came_in_the_last_minute() -> None:
    window = Window()
    assert window.gained(0, array([1, 1])).entries == 2  # everything since the start
    assert window.gained(30, array([1, 1, 5])).entries == 1
    assert window.gained(70, array([1, 1, 5, 7])).entries == 2  # since second 0: no younger sample is a minute old
    assert window.gained(100, array([1, 1, 5, 7, 9])).buckets[9] == 1
    assert window.gained(5000, array([1, 1, 5, 7, 9, 9])).entries == 1
