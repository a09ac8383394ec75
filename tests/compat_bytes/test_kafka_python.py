"""Byte equality with kafka-python 3.0.12 in both directions: the 52 APIs that it knows."""

import itertools
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyralog.wire import protocol
from tests.compat_bytes import kafka_python_oracle as oracle
from tests.compat_bytes import values

KNOWN = [row for row in values.all_messages() if oracle.message_class(*row)]


def check(key: int, section: str, version: int, value: dict[str, Any]) -> None:
    cls = oracle.message_class(key, section, version)
    spec, loaded = values.schema_of(key, section)
    message = values.to_message(spec, loaded, value)
    program = protocol.program(key, version, section)
    data = program.encode(message)
    assert data == bytes(oracle.build(cls, spec, version, value).encode()), (key, section, version, value)
    # Theirs reads an ApiVersions answer with an error as version 0, whatever was asked for.
    if (key, section) != (18, "response") or not value["error_code"]:
        assert oracle.plain(cls._struct, spec, version, cls.decode(data, version=version)) == value, (key, version)
    assert program.decode(data) == message, (key, section, version, value)


def test_52_apis_are_compared() -> None:
    assert len({key for key, _, _ in KNOWN}) == 52


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
