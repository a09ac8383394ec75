"""Batch headers against kafka-python's builder and reader; trap 10 of compatibility.md."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.record.default_records import DefaultRecordBatch

from pyralog._speedups import batch
from tests.log_batches import make_batch

LENGTH, MAGIC, CRC, ATTRIBUTES, DELTA, COUNT = 8, 16, 17, 21, 23, 57


def changed(data, at, form, value):
    data = bytearray(data)
    struct.pack_into(form, data, at, value)
    return data


def test_parses_what_kafka_python_builds():
    found = batch.parse(make_batch(70, 5, timestamp=900, producer_id=8, epoch=3, sequence=11, leader_epoch=6))
    assert found.pop("crc")
    assert found == {
        "error": 0,
        "crc_ok": True,
        "client_error": 0,
        "base_offset": 70,
        "size": len(make_batch(0, 5)),
        "leader_epoch": 6,
        "attributes": 0,
        "last_offset_delta": 4,
        "base_timestamp": 900,
        "max_timestamp": 904,
        "producer_id": 8,
        "producer_epoch": 3,
        "base_sequence": 11,
        "count": 5,
    }


@pytest.mark.parametrize(("magic", "error"), [(0, 87), (1, 87), (3, 2), (-1, 2), (127, 2)])
def test_trap_10_other_magic(magic, error):
    assert batch.parse(changed(make_batch(0), MAGIC, ">b", magic))["error"] == error


@pytest.mark.parametrize("length", [-(2**31), -1, 0, 13, 14, 48, 10_000, 2**31 - 1])
def test_trap_10_lengths_that_lie_are_corrupt(length):
    assert batch.parse(changed(make_batch(0), LENGTH, ">i", length))["error"] == 2


def test_trap_10_one_flipped_bit_breaks_the_crc():
    data = make_batch(0, 3)
    for at in range(ATTRIBUTES, len(data)):
        broken = bytearray(data)
        broken[at] ^= 1
        assert not batch.parse(broken)["crc_ok"]


@pytest.mark.parametrize(
    ("at", "form", "value"),
    [
        (ATTRIBUTES, ">h", 0x20),  # control
        (ATTRIBUTES, ">h", 5),  # codecs that are none
        (ATTRIBUTES, ">h", 7),
        (COUNT, ">i", 0),
        (COUNT, ">i", -1),
        (COUNT, ">i", 4),
        (DELTA, ">i", -1),
        (DELTA, ">i", 3),
        (DELTA, ">i", 2**31 - 1),
        (43, ">q", 5),  # a producer id, but no sequence
    ],
)
def test_trap_10_what_a_client_may_not_send(at, form, value):
    assert batch.parse(changed(make_batch(0, 3), at, form, value))["client_error"] == 87


@pytest.mark.parametrize("bits", [0x40, 0x80, 1, 2, 3, 4, 0x08, 0x10])
def test_trap_10_attributes_that_are_accepted(bits):
    assert batch.parse(changed(make_batch(0, 3), ATTRIBUTES, ">h", bits))["client_error"] == 0


def test_assigning_offsets_leaves_the_crc_alone():
    data = bytearray(make_batch(0, 3))
    batch.assign(data, 2**40, 77)
    found = batch.parse(data)
    assert (found["base_offset"], found["leader_epoch"], found["crc_ok"]) == (2**40, 77, True)
    assert DefaultRecordBatch(bytes(data)).base_offset == 2**40


def test_log_append_time_is_what_a_reader_then_sees():
    data = bytearray(make_batch(0, 3, timestamp=5))
    batch.set_append_time(data, 123_456)
    read = DefaultRecordBatch(bytes(data))
    assert read.validate_crc()
    assert read.timestamp_type == 1
    assert [record.timestamp for record in read] == [123_456] * 3


def test_max_timestamp_is_corrected():
    data = bytearray(make_batch(0, 3, timestamp=5))
    batch.set_max_timestamp(data, 99)
    read = DefaultRecordBatch(bytes(data))
    assert read.validate_crc()
    assert read.max_timestamp == 99
    assert [record.timestamp for record in read] == [5, 6, 7]


@given(st.binary(max_size=200))
def test_any_bytes(data):
    found = batch.parse(data)
    assert found["error"] in (0, 2, 87)


@given(st.data())
def test_any_damage_to_a_batch(data):
    damaged = bytearray(make_batch(3, 2))
    for at, byte in data.draw(
        st.dictionaries(st.integers(0, len(damaged) - 1), st.integers(0, 255), max_size=4)
    ).items():
        damaged[at] = byte
    found = batch.parse(damaged)
    if found["error"] == 0 and found["crc_ok"]:
        assert damaged[ATTRIBUTES : found["size"]] == make_batch(3, 2)[ATTRIBUTES : found["size"]]


def test_patching_refuses_what_is_no_batch():
    for short in (bytearray(), bytearray(60), bytearray(100)):
        with pytest.raises(ValueError):
            batch.assign(short, 1, 1)
