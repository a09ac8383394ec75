import pytest

from pyralog.errors import ErrorCode
from pyralog.records.batch import Record, build, parse_header
from pyralog.records.compression import Codec
from pyralog.records.validate import BadRecord, Rules, validate

CODECS = list(Codec)
NOW = 1_000_000


def batch(codec: Codec, *records: tuple[int, bytes | None, bytes]) -> bytes:
    return build([Record(i, ts, key, value) for i, (ts, key, value) in enumerate(records)], codec=codec)


@pytest.mark.parametrize("codec", CODECS)
def test_a_good_batch_passes_with_its_true_maximum(codec: Codec) -> None:
    data = batch(codec, (5, b"a", b"1"), (NOW, b"b", b"2"), (7, b"c", b"3"))
    verdict = validate(data, Rules(compacted=True, before_max_ms=NOW, after_max_ms=0), NOW)
    assert verdict.error == ErrorCode.NONE
    assert verdict.max_timestamp == NOW
    assert parse_header(verdict.plain).codec == Codec.NONE


@pytest.mark.parametrize("codec", CODECS)
def test_keyless_records_of_a_compacted_topic_are_named(codec: Codec) -> None:
    data = batch(codec, (5, b"a", b"1"), (6, None, b"2"), (7, None, b"3"))
    assert validate(data, Rules(), NOW).error == ErrorCode.NONE
    verdict = validate(data, Rules(compacted=True), NOW)
    assert verdict.error == ErrorCode.INVALID_RECORD
    assert [bad.position for bad in verdict.records] == [1, 2]


@pytest.mark.parametrize("codec", CODECS)
def test_timestamps_out_of_range_are_named(codec: Codec) -> None:
    data = batch(codec, (NOW - 11, b"", b""), (NOW, b"", b""), (NOW + 21, b"", b""))
    assert validate(data, Rules(before_max_ms=11, after_max_ms=21), NOW).error == ErrorCode.NONE
    verdict = validate(data, Rules(before_max_ms=10), NOW)
    assert verdict.error == ErrorCode.INVALID_TIMESTAMP
    assert [bad.position for bad in verdict.records] == [0]
    verdict = validate(data, Rules(after_max_ms=20), NOW)
    assert verdict.records == (BadRecord(2, "Timestamp 1000021 of message with offset 2 is out of range."),)


@pytest.mark.parametrize("codec", CODECS)
def test_a_record_above_the_limit_is_named(codec: Codec) -> None:
    data = batch(codec, (1, b"", bytes(100)), (1, b"", bytes(10_000)))
    assert validate(data, Rules(max_record_bytes=20_000), NOW).error == ErrorCode.NONE
    verdict = validate(data, Rules(max_record_bytes=9_000), NOW)
    assert verdict.error == ErrorCode.INVALID_RECORD
    assert [bad.position for bad in verdict.records] == [1]


@pytest.mark.parametrize("codec", CODECS[1:])
def test_bombs_lies_and_garbage_are_invalid_records(codec: Codec) -> None:
    data = batch(codec, (1, b"", bytes(1 << 20)))
    assert validate(data, Rules(limit_bytes=1 << 19), NOW).error == ErrorCode.INVALID_RECORD
    lying = bytearray(batch(codec, (1, b"", b"a"), (1, b"", b"b")))
    lying[60] = 3
    assert validate(bytes(lying), Rules(), NOW).error == ErrorCode.INVALID_RECORD
    assert validate(bytes(lying[:61]) + bytes(len(lying) - 61), Rules(), NOW).error == ErrorCode.INVALID_RECORD
    unknown = bytearray(data)
    unknown[22] |= 7
    assert validate(bytes(unknown), Rules(), NOW).error == ErrorCode.INVALID_RECORD
