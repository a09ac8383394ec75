"""Metadata records: what is written is read back, unknown tags are skipped, unknown records refuse."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyralog.cluster import records as r

INT32 = st.integers(-(2**31), 2**31 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(max_size=300)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "int": INT32,
    "str": TEXT,
    "str | None": st.none() | TEXT,
    "Uuid": st.binary(min_size=16, max_size=16),
    "bool": st.booleans(),
    "tuple[int, ...]": st.lists(INT32, max_size=5).map(tuple),
}
LONG = {"broker_epoch", "next_producer_id", "offset", "records"}


def any_record(cls: type[Any]) -> st.SearchStrategy[Any]:
    types = {name: kind.__forward_arg__ for name, kind in cls.__annotations__.items()}
    arguments = {name: INT64 if name in LONG else VALUES[kind] for name, kind in types.items()}
    return st.builds(cls, **arguments)


RECORDS = st.one_of([any_record(cls) for cls in r.LAYOUTS])


@settings(deadline=None)
@given(RECORDS)
def test_round_trip(record: r.Record) -> None:
    assert r.decode(r.encode(record)) == record


@settings(deadline=None)
@given(RECORDS, st.data())
def test_cut_records_are_refused(record: r.Record, data: st.DataObject) -> None:
    encoded = r.encode(record)
    size = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(r.MetadataFormatError):
        r.decode(encoded[:size])


@settings(deadline=None)
@given(st.binary(max_size=80))
def test_noise_is_a_record_or_refused(noise: bytes) -> None:
    with contextlib.suppress(r.MetadataFormatError):
        r.decode(noise)


def test_every_field_has_a_layout_and_numbers_are_unique() -> None:
    numbers = [layout.number for layout in r.LAYOUTS.values()]
    assert len(set(numbers)) == len(numbers)
    for cls, layout in r.LAYOUTS.items():
        assert [*cls._fields] == [*layout.fields, *layout.tagged]


def test_unknown_tags_are_skipped() -> None:
    record = r.BrokerRecord(1, 7, bytes(16), bytes(16), "host", 9092, rack="r")
    encoded = bytearray(r.encode(record))
    # One tag is there (the rack); add tag 99 with three bytes.
    at = len(encoded) - 5
    assert encoded[at] == 1
    encoded[at] = 2
    encoded += bytes((99, 3, 1, 2, 3))
    assert r.decode(bytes(encoded)) == record


def test_optional_fields_cost_nothing_at_their_default() -> None:
    plain = r.encode(r.BrokerRecord(1, 7, bytes(16), bytes(16), "host", 9092))
    assert len(r.encode(r.BrokerRecord(1, 7, bytes(16), bytes(16), "host", 9092, fenced=True))) > len(plain)
    assert plain[-1] == 0


@pytest.mark.parametrize("head", [bytes((200, 0)), bytes((4, 1))])
def test_newer_types_and_versions_are_refused(head: bytes) -> None:
    with pytest.raises(r.MetadataFormatError, match="newer"):
        r.decode(head + r.encode(r.TopicRecord("t", bytes(16)))[2:])
