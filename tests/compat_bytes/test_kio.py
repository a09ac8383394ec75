"""Byte equality with kio 0.6.5 in both directions: all APIs of the 4.3 table."""

import itertools
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyralog.wire import protocol
from tests.compat_bytes import kio_oracle, values

NEW_IN_4_4 = {(18, 5), (28, 6), (42, 3), (88, 1), (89, 1)}


def check(key: int, section: str, version: int, value: dict[str, Any]) -> None:
    cls = kio_oracle.entity_class(key, section, version)
    spec, loaded = values.schema_of(key, section)
    fitted, entity = kio_oracle.convert(cls, spec, version, value)
    message = values.to_message(spec, loaded, fitted)
    program = protocol.program(key, version, section)
    data = program.encode(message)
    assert data == kio_oracle.encode(entity), (key, section, version, value)
    assert kio_oracle.decode(cls, data) == entity, (key, section, version, value)
    assert program.decode(data) == message, (key, section, version, value)


KNOWN = [row for row in values.all_messages() if kio_oracle.entity_class(*row)]


def test_only_the_versions_of_4_4_are_left_out() -> None:
    assert {(key, version) for key, _, version in values.all_messages()} - {(k, v) for k, _, v in KNOWN} == NEW_IN_4_4


@pytest.mark.parametrize("key", sorted({key for key, _, _ in KNOWN}))
def test_golden_values(key: int) -> None:
    for (_, section, version), mode in itertools.product([row for row in KNOWN if row[0] == key], values.MODES):
        spec, _ = values.schema_of(key, section)
        check(key, section, version, values.struct_of(spec, version, mode, random.Random(1)))


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(row=st.sampled_from(KNOWN), rng=st.randoms(use_true_random=False))
def test_generated_values(row: tuple[int, str, int], rng: random.Random) -> None:
    key, section, version = row
    check(key, section, version, values.struct_of(values.schema_of(key, section)[0], version, "random", rng))
