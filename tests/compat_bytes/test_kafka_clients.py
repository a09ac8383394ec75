"""Byte equality with kafka-clients 4.4.0, by golden messages: every API, version and direction."""

import itertools

import pytest

from tests.compat_bytes import values
from tests.compat_bytes.golden import Golden, load


def by_key() -> list[object]:
    rows = sorted(load(), key=lambda row: str(row.key))
    return [pytest.param(list(group), id=str(key)) for key, group in itertools.groupby(rows, key=lambda row: row.key)]


@pytest.mark.parametrize("rows", by_key())
def test_same_bytes_and_same_values(rows: list[Golden]) -> None:
    for row in rows:
        spec, loaded = values.schema_of(row.key, row.section)
        message = values.to_message(spec, loaded, row.value())
        program = row.program()
        assert program.encode(message) == row.data, row
        assert program.decode_from(row.data) == (message, len(row.data)), row


def test_every_version_is_there() -> None:
    seen = {(row.key, row.section, row.version) for row in load()}
    wanted = {*values.all_messages(), *((name, "data", version) for name, version in values.all_blobs())}
    assert seen == wanted


@pytest.mark.parametrize(("key", "version"), [(18, 5), (28, 6), (42, 3), (88, 1), (89, 1)])
def test_versions_new_in_4_4_have_several_values(key: int, version: int) -> None:
    assert len([row for row in load() if (row.key, row.version) == (key, version)]) >= 6
