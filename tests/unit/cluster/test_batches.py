"""Batches of the metadata log: they are Kafka's format, and damage is noticed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka.record.memory_records import MemoryRecords

from pyralog.cluster.batches import DamagedBatch, build_batch, chunked, find_batch, read_batch
from pyralog.cluster.records import MetadataFormatError, ProducerIdsRecord, Record, TopicRecord, encode

RECORDS: list[Record] = [TopicRecord(f"topic-{i}" * (i + 1), bytes([i]) * 16) for i in range(20)]


def test_round_trip() -> None:
    data = b"before" + build_batch(40, 3, RECORDS, 1_700_000_000_000) + b"behind"
    batch = read_batch(data, 6)
    assert (batch.base_offset, batch.last_offset, batch.epoch) == (40, 59, 3)
    assert batch.records == tuple(RECORDS)
    assert batch.end == len(data) - 6


def test_another_implementation_reads_them() -> None:
    data = build_batch(40, 3, RECORDS, 1_700_000_000_000)
    found = MemoryRecords(data)
    batch = found.next_batch()
    assert batch is not None
    assert batch.validate_crc()
    records = list(batch)
    assert [r.offset for r in records] == list(range(40, 60))
    assert [bytes(r.value) for r in records] == [encode(r) for r in RECORDS]
    assert {r.timestamp for r in records} == {1_700_000_000_000}
    assert {r.key for r in records} == {None}


@pytest.mark.parametrize("size", range(0, 150, 7))
def test_a_cut_batch_is_noticed(size: int) -> None:
    with pytest.raises(DamagedBatch):
        read_batch(build_batch(0, 1, RECORDS, 0)[:size], 0)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_flipped_bit_behind_the_offset_is_noticed(data: st.DataObject) -> None:
    # Base offset and leader epoch are outside the checksum (trap 10); the log checks offsets by their order.
    damaged = bytearray(build_batch(0, 1, RECORDS[:3], 0))
    at = data.draw(st.integers(0, len(damaged) - 1).filter(lambda i: not (i < 8 or 12 <= i < 16)))
    damaged[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(DamagedBatch):
        read_batch(bytes(damaged), 0)


def test_a_valid_batch_of_other_content_is_refused() -> None:
    from kafka.record.default_records import DefaultRecordBatchBuilder

    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=False,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1000,
    )
    builder.append(0, timestamp=0, key=None, value=b"\xff\x00 no metadata", headers=[])
    with pytest.raises(MetadataFormatError):
        read_batch(bytes(builder.build()), 0)


def test_find_batch_looks_behind_damage() -> None:
    first = build_batch(0, 1, RECORDS, 0)
    second = build_batch(20, 1, [ProducerIdsRecord(1, 1, 1000)], 0)
    damaged = bytearray(first + second)
    damaged[100] ^= 1
    assert find_batch(bytes(damaged), 1, 0) == len(first)
    assert find_batch(bytes(damaged[:-1]), 1, 0) is None
    # An older batch behind the end is left over from something else, not proof of a loss.
    assert find_batch(bytes(damaged), 1, 21) is None


def test_chunked() -> None:
    assert [len(c) for c in chunked(RECORDS, 8)] == [8, 8, 4]
    assert list(chunked([], 8)) == []
