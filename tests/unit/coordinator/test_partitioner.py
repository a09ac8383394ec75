"""The partition of a group, against values of java.lang.String.hashCode."""

from __future__ import annotations

import pytest

from pyralog.coordinator.partitioner import java_hash, partition_for


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("a", 97),
        ("group", 98629247),
        ("polygenelubricants", -(2**31)),
        ("😀", 1772899),
    ],
)
def test_java_hash(text: str, expected: int) -> None:
    def slowly(text: str) -> int:
        value = 0
        raw = text.encode("utf-16-be")
        for at in range(0, len(raw), 2):
            value = (31 * value + int.from_bytes(raw[at : at + 2], "big")) & 0xFFFFFFFF
        return value - (1 << 32) if value >> 31 else value

    assert java_hash(text) == slowly(text)
    assert java_hash(text) == expected
    assert java_hash("ünï" + text) == slowly("ünï" + text)


def test_partition_is_never_negative() -> None:
    assert partition_for("polygenelubricants", 50) == 0  # the hash without a positive counterpart
    assert partition_for("my-consumer-group", 50) == abs(java_hash("my-consumer-group")) % 50
    assert all(0 <= partition_for(f"g{i}", 7) < 7 for i in range(100))
