import io

import pytest
from kafka.protocol.api_header import RequestHeader as TheirRequestHeader
from kio.schema.request_header.v1.header import RequestHeader as KioV1
from kio.schema.request_header.v2.header import RequestHeader as KioV2
from kio.serial import entity_writer

from pyralog.wire import headers
from pyralog.wire.headers import RequestHeader, frame_response, parse_request_header
from pyralog.wire.protocol import API, ProtocolError


def kio_header(flexible: bool, key: int, version: int, correlation_id: int, client_id: str | None) -> bytes:
    buffer = io.BytesIO()
    cls = KioV2 if flexible else KioV1
    header = cls(request_api_key=key, request_api_version=version, correlation_id=correlation_id, client_id=client_id)
    entity_writer(cls)(buffer, header)
    return buffer.getvalue()


@pytest.mark.parametrize("client_id", [None, "", "c", "Grüße", "x" * 300])
def test_every_api_has_the_header_that_kio_writes(client_id: str | None) -> None:
    for key, spec in API.items():
        for version in range(spec.min_version, spec.max_version + 1):
            head = kio_header(spec.flexible(version), key, version, -7, client_id)
            assert parse_request_header(head + b"body") == RequestHeader(key, version, -7, client_id, len(head))
            frame = headers.frame_request(key, version, -7, client_id, b"body")
            assert frame == (len(head) + 4).to_bytes(4, "big") + head + b"body"


def test_trap_6_the_client_id_is_an_old_style_string_in_flexible_headers() -> None:
    theirs = TheirRequestHeader(request_api_key=3, request_api_version=12, correlation_id=1, client_id="abc")
    head = bytes(theirs.encode(flexible=True))
    assert head == b"\x00\x03\x00\x0c\x00\x00\x00\x01\x00\x03abc\x00"
    assert parse_request_header(head).client_id == "abc"


def test_a_client_id_length_below_minus_one_is_null_and_bad_utf8_is_replaced() -> None:
    assert parse_request_header(b"\0\0\0\3\0\0\0\1\xff\xfe").client_id is None
    assert parse_request_header(b"\0\0\0\3\0\0\0\1\0\2\xff\xff").client_id == "\ufffd\ufffd"


def test_unknown_keys_have_old_headers_and_versions_beyond_ours_are_flexible() -> None:
    assert parse_request_header(b"\x7f\xff\0\1\0\0\0\1\0\1a\5").body_offset == 11
    assert parse_request_header(b"\x00\x12\0\x63\0\0\0\1\0\1a\0").body_offset == 12


def test_tags_in_a_header_are_skipped() -> None:
    head = b"\x00\x03\x00\x0c\x00\x00\x00\x01\x00\x00\x02\x00\x01a\x05\x00"
    assert parse_request_header(head + b"x").body_offset == len(head)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\0\0\0\3\0\0\0\1\0",
        b"\0\0\0\3\0\0\0\1\0\5abc",
        b"\0\0\0\3\0\0\0\1\x7f\xffabc",
        b"\0\3\0\x0c\0\0\0\1\0\0",
        b"\0\3\0\x0c\0\0\0\1\0\0\2\0\1",
        b"\0\3\0\x0c\0\0\0\1\0\0\xff\xff\xff\xff\xff",
        b"\0\3\0\x0c\0\0\0\1\0\0\x80\x80\x80\x01",
    ],
)
def test_short_and_lying_headers_are_protocol_errors(frame: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_request_header(frame)


def test_responses_of_flexible_versions_have_a_tagged_section() -> None:
    assert frame_response(RequestHeader(3, 8, 9, None, 0), b"body") == b"\0\0\0\x08\0\0\0\x09body"
    assert frame_response(RequestHeader(3, 9, 9, None, 0), b"body") == b"\0\0\0\x09\0\0\0\x09\0body"
    assert headers.parse_response_header(3, 9, b"\0\0\0\x09\0body") == (9, 5)
    assert headers.parse_response_header(3, 8, b"\0\0\0\x09body") == (9, 4)


@pytest.mark.parametrize("version", [0, 2, 3, 5, 99])
def test_trap_2_the_header_of_an_api_versions_answer_is_v0_for_ever(version: int) -> None:
    assert frame_response(RequestHeader(18, version, -1, "c", 0), b"") == b"\0\0\0\x04\xff\xff\xff\xff"
    assert headers.parse_response_header(18, version, b"\0\0\0\x09body") == (9, 4)


@pytest.mark.parametrize("key", [17, 47])
def test_trap_6_sasl_handshake_and_offset_delete_are_never_flexible(key: int) -> None:
    assert not any(API[key].flexible(version) for version in range(100))
