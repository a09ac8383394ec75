"""How pyralog-admin names errors and addresses."""

from __future__ import annotations

import urllib.error

import pytest
from click.testing import CliRunner
from kafka import errors

from pyralog.cli.admin.main import main
from pyralog.cli.admin.telling import answered, count, said, whole_address


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (errors.OffsetOutOfRangeError("p 3"), "OFFSET_OUT_OF_RANGE: p 3"),
        (errors.OffsetOutOfRangeError(), "OFFSET_OUT_OF_RANGE"),
        (errors.MessageSizeTooLargeError(None), "MESSAGE_TOO_LARGE"),
        (errors.InvalidConfigurationError("InvalidConfigurationError: no"), "INVALID_CONFIG: no"),
        (errors.KafkaTimeoutError("too long"), "KafkaTimeout: too long"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (urllib.error.URLError(ConnectionRefusedError(111, "Connection refused")), "Connection refused"),
        (TimeoutError("The read operation timed out"), "timed out"),
        (ValueError("nothing"), "Value: nothing"),
    ],
)
def test_errors_by_kafkas_names_and_systems_by_their_message(error: BaseException, text: str) -> None:
    assert said(error) == text


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ("OK", ""),
        ("GroupIdNotFoundError", "GROUP_ID_NOT_FOUND"),
        ("[Error 40] InvalidConfigurationError: Unknown\nname: x", "INVALID_CONFIG: Unknown\nname: x"),
        ("no answer", "no answer"),
    ],
)
def test_what_the_library_makes_of_an_answer(result: str, text: str) -> None:
    assert answered(result) == text


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("localhost", "localhost:9092"),
        ("localhost:19092", "localhost:19092"),
        ("[::1]", "[::1]:9092"),
        ("::1", "[::1]:9092"),
        ("[::1]:1", "[::1]:1"),
    ],
)
def test_addresses_get_their_port(text: str, address: str) -> None:
    assert whole_address(text) == address


@pytest.mark.parametrize(
    "text", ["", "localhost:", "localhost:abc", ":9092", "localhost:0", "localhost:70000", "http://localhost:9092"]
)
def test_what_is_no_address_is_wrong_usage(text: str) -> None:
    with pytest.raises(ValueError, match="is no address"):
        whole_address(text)
    result = CliRunner().invoke(main, ["--cluster", text, "topic", "list"])
    assert (result.exit_code, "is no address" in result.stderr) == (2, True)


def test_a_name_that_does_not_resolve_is_told_at_once() -> None:
    result = CliRunner().invoke(main, ["--cluster", "nowhere.invalid", "topic", "list"])
    assert result.exit_code == 3
    assert result.stderr.startswith("pyralog-admin: nowhere.invalid:9092 cannot be reached: ")
    assert "bootstrap" not in result.stderr


def test_one_record_is_one() -> None:
    assert [count(number, "record") for number in (0, 1, 2)] == ["0 records", "1 record", "2 records"]
