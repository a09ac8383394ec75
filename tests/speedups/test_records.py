"""The record walk against kafka-python's builder; what it refuses and what it lets pass (trap 10)."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.record.default_records import DefaultRecordBatchBuilder

from pyralog._speedups import records

HEADER = 61
KEYS = st.none() | st.binary(max_size=10)


def varint(value):
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def record(delta=0, *, timestamp=0, key=b"k", value=b"v", headers=b"\x00", extra=b""):
    def sized(data):
        return varint(-1) if data is None else varint(len(data)) + data

    body = b"\x00" + varint(timestamp) + varint(delta) + sized(key) + sized(value) + headers + extra
    return varint(len(body)) + body


def batch_of(body, count, last_delta=None, base_timestamp=1000):
    header = bytearray(HEADER)
    struct.pack_into(">i", header, 8, HEADER + len(body) - 12)
    header[16] = 2
    struct.pack_into(">i", header, 23, count - 1 if last_delta is None else last_delta)
    struct.pack_into(">q", header, 27, base_timestamp)
    struct.pack_into(">i", header, 57, count)
    return bytes(header) + body


@given(
    st.lists(
        st.tuples(
            st.integers(0, 2**40),
            KEYS,
            st.none() | st.binary(max_size=300),
            st.lists(st.tuples(st.text(max_size=5), KEYS), max_size=3),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_agrees_with_kafka_python(rows):
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 30)
    for i, (timestamp, key, value, headers) in enumerate(rows):
        builder.append(i, timestamp=timestamp, key=key, value=value, headers=headers)
    times = [row[0] for row in rows]
    assert records.walk(bytes(builder.build())) == {
        "error": 0,
        "max_timestamp": max(times),
        "min_timestamp": min(times),
        "max_timestamp_offset_delta": times.index(max(times)),
        "null_key": any(row[1] is None for row in rows),
    }


def test_trap_10_swapped_and_repeated_deltas_and_early_timestamps_pass():
    found = records.walk(batch_of(record(2, timestamp=-1005) + record(0) + record(0), 3))
    assert found["error"] == 0
    assert found["min_timestamp"] == -5


@pytest.mark.parametrize(
    "data",
    [
        batch_of(record(0), 2),  # a lying count
        batch_of(record(0) + record(1), 1),
        batch_of(record(0) + b"\x00", 1),  # bytes behind the last record
        batch_of(record(0)[:-1], 1),
        batch_of(record(1), 1),  # a delta above the last one
        batch_of(record(-1), 1),
        batch_of(record(0, extra=b"\x00"), 1),
        batch_of(record(0, headers=varint(-1)), 1),
        batch_of(record(0, headers=varint(1)), 1),
        batch_of(record(0, headers=varint(2**31 - 1)), 1),
        batch_of(record(0, headers=varint(1) + varint(-1) + varint(0)), 1),  # a header without a key
        batch_of(record(0, headers=varint(1) + varint(1) + b"a" + varint(5)), 1),
        batch_of(b"\x00", 1),
        batch_of(b"\xff" * 20, 1),  # a varint without an end
        batch_of(varint(2**31 - 1) + b"\x00" * 20, 1),
        batch_of(b"", 2**31 - 1),  # a count far beyond the bytes
        batch_of(b"", -1, last_delta=0),
    ],
)
def test_refused(data):
    assert records.walk(data)["error"] == 87


@given(st.binary(max_size=120), st.integers(0, 12))
def test_any_bytes(body, count):
    assert records.walk(batch_of(body, count))["error"] in (0, 87)


@given(st.data())
def test_any_damage(data):
    body = bytearray(record(0, headers=varint(1) + varint(1) + b"a" + varint(1) + b"b") + record(1, key=None))
    for at, byte in data.draw(st.dictionaries(st.integers(0, len(body) - 1), st.integers(0, 255), max_size=3)).items():
        body[at] = byte
    assert records.walk(batch_of(bytes(body), 2))["error"] in (0, 87)
