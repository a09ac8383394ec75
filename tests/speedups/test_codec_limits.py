"""Hostile input (trap 7): what the codec refuses, and that it allocates nothing on the word of a length field."""

import contextlib
import random
import sys
import time
import tracemalloc

import pytest

from pyralog.wire import messages as m
from pyralog.wire import protocol
from pyralog.wire.protocol import ProtocolError
from tests.compat_bytes.golden import load
from tests.fuzz import codec as fuzz


def uvarint(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out += bytes((value & 0x7F | 0x80,))
        value >>= 7
    return out + bytes((value,))


def test_trap_7_every_prefix_of_every_message_is_refused() -> None:
    rows = [row for row in load() if len(row.data) < 400]
    for row in random.Random(7).sample(rows, 400):
        program = row.program()
        for cut in range(len(row.data)):
            with pytest.raises(ProtocolError):
                program.decode(row.data[:cut])


def test_trap_7_mutated_messages_raise_nothing_but_protocol_errors() -> None:
    rng = random.Random(11)
    seeds = list(fuzz.seeds())
    for seed in seeds:
        fuzz.one(seed)
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        for _ in range(200):
            fuzz.one(fuzz.mutate(rng.choice(seeds), rng))


def test_trap_7_arbitrary_bytes() -> None:
    rng = random.Random(12)
    for _ in range(20_000):
        fuzz.one(rng.randbytes(rng.randrange(60)))


@pytest.mark.parametrize("count", [2**31 - 1, 1_000_001, 5000])
def test_trap_7_a_count_beyond_the_bytes_costs_nothing(count: int) -> None:
    data = count.to_bytes(4, "big") + bytes(100)
    protocol.program(3, 1, "request")
    tracemalloc.start()
    with pytest.raises(ProtocolError, match="topics is cut short, or its length is not possible"):
        protocol.decode_request(3, 1, data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000


def test_trap_7_arrays_have_at_most_a_million_elements() -> None:
    def body(count: int) -> bytes:
        return count.to_bytes(4, "big") + b"\0\0" * count

    assert len(protocol.decode_request(3, 1, body(1_000_000)).topics) == 1_000_000  # type: ignore[attr-defined]
    with pytest.raises(ProtocolError):
        protocol.decode_request(3, 1, body(1_000_001))


def test_trap_7_all_arrays_of_a_message_together_are_bounded() -> None:
    topic = b"\0\0" + (900_000).to_bytes(4, "big") + bytes(4 * 900_000)
    protocol.decode_request(9, 2, b"\0\0" + (2).to_bytes(4, "big") + topic * 2)
    with pytest.raises(ProtocolError, match="partition_indexes has too many elements"):
        protocol.decode_request(9, 2, b"\0\0" + (3).to_bytes(4, "big") + topic * 3)


@pytest.mark.parametrize(
    ("key", "head"),
    [(18, b"\x02c\x02v"), (1, protocol.encode_request(1, 12, m.FetchRequest())[:-1])],
    ids=["no tagged fields", "tagged fields"],
)
def test_trap_7_at_most_ten_thousand_tags(key: int, head: bytes) -> None:
    version = {18: 3, 1: 12}[key]
    protocol.decode_request(key, version, head + uvarint(10_000) + b"\x7f\x00" * 10_000)
    with pytest.raises(ProtocolError):
        protocol.decode_request(key, version, head + uvarint(10_001) + b"\x7f\x00" * 10_001)


def test_strings_have_at_most_32767_bytes_in_compact_form_too() -> None:
    def body(size: int) -> bytes:
        return uvarint(size + 1) + b"x" * size + b"\x01\0"

    assert len(protocol.decode_request(18, 3, body(32767)).client_software_name) == 32767  # type: ignore[attr-defined]
    with pytest.raises(ProtocolError):
        protocol.decode_request(18, 3, body(32768))


def test_failures_leak_nothing() -> None:
    rows = random.Random(3).sample(load(), 300)

    def run() -> None:
        rng = random.Random(5)
        for row in rows:
            program = row.program()
            message = program.decode(row.data)
            program.encode(message)
            for _ in range(4):
                with contextlib.suppress(ProtocolError):
                    program.decode(fuzz.mutate(b"  " + row.data, rng), 2)

    run()
    before = sys.getallocatedblocks()
    for _ in range(5):
        run()
    assert sys.getallocatedblocks() - before < 200
