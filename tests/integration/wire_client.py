"""A client that speaks single requests over one socket: what tests need where a real client would hide the answer."""

from __future__ import annotations

import itertools
import socket
from types import TracebackType
from typing import Any, Self

from pyralog.wire.headers import frame_request, parse_response_header
from pyralog.wire.protocol import decode_response, encode_request


class WireClient:
    """One connection; `ask` sends a request and waits for its answer."""

    def __init__(self, port: int, timeout_s: float = 20) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout_s)
        self._correlations = itertools.count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def ask(self, key: int, version: int, request: Any) -> Any:
        """The decoded answer; ConnectionError when the broker closes instead."""
        correlation = next(self._correlations)
        self._socket.sendall(frame_request(key, version, correlation, "wire", encode_request(key, version, request)))
        frame = self._read(int.from_bytes(self._read(4), "big"))
        answered, offset = parse_response_header(key, version, frame)
        assert answered == correlation
        return decode_response(key, version, frame, offset)

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self._socket.recv(size - len(data))
            if not piece:
                raise ConnectionError("the broker has closed the connection")
            data += piece
        return data
