"""wire/coordinator_records: keys begin with their type, values with their version, as Kafka's own records do."""

import pytest

from pyralog._speedups.codec import ProtocolError
from pyralog.wire import coordinator_records as records
from pyralog.wire.messages import OffsetCommitKey, OffsetCommitValue, TransactionLogKey, TransactionLogValue


def test_a_committed_offset_has_kafkas_bytes() -> None:
    key = OffsetCommitKey(group="g", topic="t", partition=3)
    value = OffsetCommitValue(offset=7, leader_epoch=2, metadata="m", commit_timestamp=9)
    assert records.encode_key(key) == b"\0\1\0\1g\0\1t\0\0\0\3"
    assert records.encode_value(value, 3) == bytes.fromhex("0003 0000000000000007 00000002 0001 6d 0000000000000009")


@pytest.mark.parametrize("version", range(5))
def test_values_of_each_version_come_back(version: int) -> None:
    key = OffsetCommitKey(group="g", topic="t", partition=3)
    value = OffsetCommitValue(offset=7, metadata="m", commit_timestamp=9)
    assert records.decode_key(records.encode_key(key), records.GROUP_RECORDS) == key
    assert records.decode_value(key, records.encode_value(value, version)) == value


def test_the_same_type_means_another_record_in_the_other_topic() -> None:
    key = TransactionLogKey(transactional_id="x")
    value = TransactionLogValue(producer_id=5, transaction_partitions=None)
    assert records.decode_key(records.encode_key(key), records.TRANSACTION_RECORDS) == key
    assert records.decode_value(key, records.encode_value(value, 1)) == value


def test_a_type_of_a_later_release_is_no_error() -> None:
    assert records.decode_key(b"\0\x63rest", records.GROUP_RECORDS) is None


def test_damage_is_an_error() -> None:
    with pytest.raises(ProtocolError):
        records.decode_key(b"\0", records.GROUP_RECORDS)
    with pytest.raises(ProtocolError):
        records.decode_key(b"\0\1\0\x05g", records.GROUP_RECORDS)
