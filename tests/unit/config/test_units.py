"""Numbers, sizes, times and booleans as people write them."""

from __future__ import annotations

import pytest

from pyralog.config.units import boolean, duration, number, readable_duration, readable_size, shown, size, whole


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (4096, 4096),
        ("4096", 4096),
        ("2GiB", 2 * 1024**3),
        ("64MB", 64_000_000),
        ("64 MiB", 64 * 1024**2),
        ("1.5GiB", 1536 * 1024**2),
        ("1kb", 1000),
        ("10b", 10),
        (1e3, 1000),
        ("-1", -1),
    ],
)
def test_size(text: object, expected: int) -> None:
    assert size(text) == expected


@pytest.mark.parametrize("text", ["1G", "GiB", "1.0001KiB", "", "1 2", "0x10", True, None, 1.5, [], "1e3MB"])
def test_not_a_size(text: object) -> None:
    with pytest.raises(ValueError):
        size(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [(10, 10), ("10ms", 10), ("30s", 30_000), ("1.5s", 1500), ("5m", 300_000), ("2h", 7_200_000), ("7d", 604_800_000)],
)
def test_duration(text: object, expected: int) -> None:
    assert duration(text) == expected


@pytest.mark.parametrize("text", ["12:30:45", "10 years", "0.5ms", "s", False])
def test_not_a_duration(text: object) -> None:
    with pytest.raises(ValueError):
        duration(text)


@pytest.mark.parametrize("value", ["yes", "no", "on", "off", "1", 1, 0, None, "y"])
def test_only_true_and_false_are_booleans(value: object) -> None:
    with pytest.raises(ValueError, match="neither true nor false"):
        boolean(value)


def test_a_leading_zero_is_never_octal() -> None:
    with pytest.raises(ValueError, match="without the leading zero"):
        whole("010")
    assert whole("0") == 0


@pytest.mark.parametrize("value", ["nan", "inf", "x", True, None])
def test_not_a_number(value: object) -> None:
    with pytest.raises(ValueError):
        number(value)


def test_shown_and_readable() -> None:
    assert shown(["a", 1, None, True]) == '["a", 1, null, true]'
    assert (readable_size(64 * 1024**2), readable_size(1000)) == ("64 MiB", "1000 B")
    assert (readable_duration(604_800_000), readable_duration(1500)) == ("7 d", "1500 ms")
