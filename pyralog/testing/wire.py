"""One connection to a broker, for what a test asks of it before it has a client of its own: topics."""

from __future__ import annotations

import itertools
import socket
import struct
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Self

from pyralog.errors import ErrorCode, KafkaError
from pyralog.wire.headers import frame_request, parse_response_header
from pyralog.wire.protocol import decode_response, encode_request

METADATA, METADATA_VERSION = 3, 12
CREATE_TOPICS, CREATE_TOPICS_VERSION = 19, 7
DELETE_TOPICS, DELETE_TOPICS_VERSION = 20, 6
TIMEOUT_S = 30


class Wire:
    """Sends a request, waits for its answer."""

    client_id = "pyralog-testing"

    def __init__(self, host: str, port: int, timeout_s: float = TIMEOUT_S) -> None:
        self._socket = socket.create_connection((host, port), timeout_s)
        self._correlations = itertools.count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def ask(self, key: int, version: int, request: Any) -> Any:
        """The decoded answer; ConnectionError when the broker closes instead."""
        number = next(self._correlations)
        body = encode_request(key, version, request)
        self._socket.sendall(frame_request(key, version, number, self.client_id, body))
        (size,) = struct.unpack(">i", self._read(4))
        frame = self._read(size)
        answered, offset = parse_response_header(key, version, frame)
        assert answered == number, f"the answer to request {answered}, not {number}"
        return decode_response(key, version, frame, offset)

    def _read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            piece = self._socket.recv(size - len(data))
            if not piece:
                raise ConnectionError("the broker has closed the connection")
            data += piece
        return bytes(data)

    def create_topics(
        self, names: Iterable[str], partitions: int, replication_factor: int, config: Mapping[str, object]
    ) -> None:
        """Make topics; KafkaError names the first that could not be made."""
        from pyralog.wire.messages import CreatableTopic, CreatableTopicConfig, CreateTopicsRequest

        configs = [CreatableTopicConfig(name=key, value=_text(value)) for key, value in config.items()]
        topics = [
            CreatableTopic(name=n, num_partitions=partitions, replication_factor=replication_factor, configs=configs)
            for n in names
        ]
        request = CreateTopicsRequest(topics=topics, timeout_ms=TIMEOUT_S * 1000)
        for each in self.ask(CREATE_TOPICS, CREATE_TOPICS_VERSION, request).topics:
            if each.error_code:
                raise _refused(each)

    def delete_topics(self, names: Iterable[str]) -> None:
        """Delete topics; those that are gone already are no error."""
        from pyralog.wire.messages import DeleteTopicsRequest, DeleteTopicState

        topics = [DeleteTopicState(name=name) for name in names]
        request = DeleteTopicsRequest(topics=topics, timeout_ms=TIMEOUT_S * 1000)
        for each in self.ask(DELETE_TOPICS, DELETE_TOPICS_VERSION, request).responses:
            if each.error_code not in (ErrorCode.NONE, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION):
                raise _refused(each)

    def topics(self) -> dict[str, int]:
        """Every topic that is not internal, and its number of partitions."""
        from pyralog.wire.messages import MetadataRequest

        request = MetadataRequest(topics=None, allow_auto_topic_creation=False)
        found = self.ask(METADATA, METADATA_VERSION, request).topics
        return {each.name: len(each.partitions) for each in found if not each.is_internal}


def _refused(answer: Any) -> KafkaError:
    known = {int(code): code for code in ErrorCode}
    code = known.get(answer.error_code, ErrorCode.UNKNOWN_SERVER_ERROR)
    return KafkaError(code, f"{answer.name}: {answer.error_message or code.message}")


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
