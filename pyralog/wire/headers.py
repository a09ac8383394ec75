"""Request and response headers, and frames.

A request header is v2 (with a tagged section) for flexible versions, else v1; the client id stays an old-style nullable
string in both (trap 6). A response header is v1 for flexible versions, else v0; that of ApiVersions is v0 for ever, so
that a client can read the answer to a version that the broker does not know (trap 2).
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from pyralog._speedups.codec import ProtocolError, skip_tagged
from pyralog.wire.protocol import API

_API_VERSIONS = 18
_REQUEST = struct.Struct(">hhih")
_RESPONSE = struct.Struct(">ii")
_FLEXIBLE_FROM = {key: spec.flexible_from for key, spec in API.items()}
_NEVER = 1 << 15


class RequestHeader(NamedTuple):
    """A request's header, and where its body starts in the frame."""

    api_key: int
    api_version: int
    correlation_id: int
    client_id: str | None
    body_offset: int


def _flexible(api_key: int, version: int) -> bool:
    """Also of versions beyond ours: flexible versions never end. Keys that the schemas lack count as not flexible."""
    return version >= _FLEXIBLE_FROM.get(api_key, _NEVER)


def parse_request_header(frame: bytes | bytearray | memoryview) -> RequestHeader:
    """The header of a request frame (without its length prefix). Raises ProtocolError."""
    if len(frame) < _REQUEST.size:
        raise ProtocolError(f"a request header takes at least {_REQUEST.size} bytes, there are {len(frame)}")
    api_key, version, correlation_id, size = _REQUEST.unpack_from(frame)
    offset = _REQUEST.size
    client_id = None
    if size >= 0:
        if size > len(frame) - offset:
            raise ProtocolError("the client id is cut short")
        client_id = bytes(frame[offset : offset + size]).decode("utf-8", "replace")
        offset += size
    if _flexible(api_key, version):
        offset = skip_tagged(frame, offset)
    return RequestHeader(api_key, version, correlation_id, client_id, offset)


def frame_response(header: RequestHeader, body: bytes) -> bytes:
    """The whole response to the request: length, correlation id, tagged section where there is one, body."""
    if header.api_key != _API_VERSIONS and _flexible(header.api_key, header.api_version):
        return b"%b\0%b" % (_RESPONSE.pack(len(body) + 5, header.correlation_id), body)
    return _RESPONSE.pack(len(body) + 4, header.correlation_id) + body


def frame_request(api_key: int, version: int, correlation_id: int, client_id: str | None, body: bytes) -> bytes:
    """The whole request: length, header, body. For tools and tests."""
    name = b"" if client_id is None else client_id.encode()
    head = _REQUEST.pack(api_key, version, correlation_id, -1 if client_id is None else len(name)) + name
    if _flexible(api_key, version):
        head += b"\0"
    return struct.pack(">i", len(head) + len(body)) + head + body


def parse_response_header(api_key: int, version: int, frame: bytes | bytearray | memoryview) -> tuple[int, int]:
    """Correlation id, and the offset of the body, of a response frame (without its length prefix)."""
    if len(frame) < 4:
        raise ProtocolError("a response header takes at least 4 bytes")
    correlation_id = int.from_bytes(frame[:4], "big", signed=True)
    if api_key != _API_VERSIONS and _flexible(api_key, version):
        return correlation_id, skip_tagged(frame, 4)
    return correlation_id, 4
