import pytest

from pyralog.errors import ErrorCode, KafkaError, StorageError

# Errors whose exception class is a RetriableException in kafka-clients 4.4.0.
RETRIABLE = {2, 3, 5, 6, 7, 9, 13, 14, 15, 16, 19, 20, 41, 51, 56, 70, 71, 72, 74, 75, 78, 80, 83, 84, 88, 89, 100, 103}
RETRIABLE |= {106, 122, 123, 133}


def test_every_code_of_kafka_4_4_once() -> None:
    assert sorted(ErrorCode) == list(range(-1, 137))
    assert len({code.name for code in ErrorCode}) == 138


def test_retriable_as_kafka_clients_has_it() -> None:
    assert {int(code) for code in ErrorCode if code.retriable} == RETRIABLE


def test_errors_say_what_happened() -> None:
    assert str(KafkaError(ErrorCode.INVALID_CONFIG, "no such key")) == "INVALID_CONFIG: no such key"
    assert str(KafkaError(ErrorCode.NOT_COORDINATOR)) == "NOT_COORDINATOR: This broker is not the coordinator"
    assert str(StorageError("fsync", "/data/a-0/0.log", 28)) == "fsync /data/a-0/0.log: ENOSPC"
    with pytest.raises(ValueError):
        ErrorCode(137)
