"""Records of coordinator topics in bulk, against the batches and schemas in Python."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import pytest

from pyralog._speedups import statelog
from pyralog.coordinator.group.offsets import Committed, commit_record
from pyralog.records.batch import HEADER_BYTES, Record, build, iterate_records, parse_header
from pyralog.wire.coordinator_records import encode_key, encode_value
from pyralog.wire.messages import GroupMetadataKey, LegacyOffsetCommitKey, LegacyOffsetCommitValue, OffsetCommitValue

MAKE = partial(tuple.__new__, Committed)


def gathered(raw: bytes, log_start: int = 0) -> dict[bytes, Any]:
    header = parse_header(raw)
    into: dict[bytes, Any] = {}
    statelog.newest(
        raw[HEADER_BYTES:], header.base_offset, header.base_timestamp, -1, header.record_count, log_start, into
    )
    return into


@pytest.mark.parametrize("seed", range(10))
def test_newest_is_what_the_reader_in_python_finds(seed: int) -> None:
    rng = random.Random(seed)
    keys = [rng.randbytes(5) for _ in range(5)] + [b""]
    records = [Record(100 + i, 50 + i, rng.choice(keys), rng.choice((None, b"", b"v"))) for i in range(50)]
    raw = build(records)
    expected = {
        record.key: (record.offset, record.timestamp, record.value)
        for record in iterate_records(raw)
        if record.offset >= 110
    }
    assert gathered(raw, 110) == expected


def test_a_record_without_key_is_no_state() -> None:
    assert gathered(build([Record(0, 0, None, b"v"), Record(1, 0, b"k", b"v")])) == {b"k": (1, 0, b"v")}


def test_append_time_is_that_of_all() -> None:
    raw = build([Record(0, 5, b"k", b"v")])
    into: dict[bytes, Any] = {}
    statelog.newest(raw[HEADER_BYTES:], 0, 5, 99, 1, 0, into)
    assert into == {b"k": (0, 99, b"v")}


COMMITS = [
    ("g", "t", 0, Committed(5, -1, "", 10, -1, bytes(16), 3)),
    ("g", "t", 1, Committed(2**62, 7, "méta ☃", 10, -1, bytes(range(16)), 4)),
    ("g", "other", 0, Committed(0, -1, "x" * 200, 10, 99, bytes(16), 5)),
    ("", "t", 2**31 - 1, Committed(1, 1, "", 0, -1, bytes(16), 6)),
    ("g2", "t", 0, Committed(1, 1, "", 0, -1, bytes(16), 7)),
]


def as_records(commits: list[Any]) -> dict[bytes, Any]:
    found = {}
    for group, topic, partition, committed in commits:
        record = commit_record(group, topic, partition, committed)
        assert record.value is not None
        value = encode_value(record.value, record.value_version)
        found[encode_key(record.key)] = (committed.record_offset, 1, value)
    return found


def test_take_offsets() -> None:
    records = as_records(COMMITS)
    other = encode_key(GroupMetadataKey(group="g"))
    records[other] = (8, 1, b"value")
    records[encode_key(GroupMetadataKey(group="gone"))] = (9, 1, None)
    legacy = encode_key(LegacyOffsetCommitKey(group="old", topic="t", partition=0))
    records[legacy] = (10, 2, encode_value(LegacyOffsetCommitValue(offset=4, metadata="m", commit_timestamp=3), 0))
    groups: dict[str, Any] = {}
    count, rest = statelog.take_offsets(records, groups, MAKE)
    assert (count, rest) == (6, [(8, 1, other, b"value")])
    for group, topic, partition, committed in COMMITS:
        # Version 1, that of an expiry, has no leader epoch.
        assert groups[group][topic][partition] == committed
    assert groups["old"]["t"][0] == Committed(4, -1, "m", 3, -1, bytes(16), 10)
    assert type(groups["g"]["t"][0]) is Committed


@pytest.mark.parametrize("version", range(5))
def test_take_offsets_of_every_version(version: int) -> None:
    value = OffsetCommitValue(offset=5, leader_epoch=2, metadata="m", commit_timestamp=8, expire_timestamp=9)
    raw = as_records(COMMITS[:1])
    records = {key: (0, 1, encode_value(value, version)) for key in raw}
    groups: dict[str, Any] = {}
    statelog.take_offsets(records, groups, MAKE)
    assert groups["g"]["t"][0] == Committed(
        5, 2 if version >= 3 else -1, "m", 8, 9 if version == 1 else -1, bytes(16), 0
    )


@pytest.mark.parametrize("seed", range(200))
def test_damage_is_a_value_error_and_nothing_else(seed: int) -> None:
    """Fuzz: cut, changed and random bytes never read past their buffer (the sanitizer build runs this, too)."""
    rng = random.Random(seed)
    raw = bytearray(build([Record(i, 1, *pair) for i, pair in enumerate(commit_pairs())]))
    body = raw[HEADER_BYTES:]
    for _ in range(rng.randint(1, 6)):
        body[rng.randrange(len(body))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    if rng.random() < 0.5:
        del body[rng.randrange(len(body)) :]
    into: dict[bytes, Any] = {}
    try:
        statelog.newest(bytes(body), 0, 1, -1, len(COMMITS), 0, into)
    except ValueError:
        return
    try:
        statelog.take_offsets(into, {}, MAKE)
    except ValueError:
        return


def commit_pairs() -> list[tuple[bytes, bytes]]:
    return [(key, value) for key, (_, _, value) in as_records(COMMITS).items()]
