"""What the benchmarks ask of a broker besides load: topics, the first acknowledged record, log end offsets."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Mapping

from kafka import KafkaAdminClient
from kafka.admin import NewTopic

from tests.reference.process import HOST, Broker

# Deleted data must be gone before the next load, or the disk and the page cache fill with it.
DELETE_SOON: Mapping[str, str] = {"file.delete.delay.ms": "1000"}
CREATE_AT_ONCE = 200  # topics in one CreateTopics request
GROUPS_TO_TRY = 100  # consecutive names: they reach each of the 50 partitions of __consumer_offsets
FIND_COORDINATOR, OFFSET_COMMIT = 10, 8


class NotServed(RuntimeError):
    """A partition answers with an error."""


def _admin(broker: Broker, timeout_ms: int = 120_000) -> KafkaAdminClient:
    return KafkaAdminClient(bootstrap_servers=broker.address, request_timeout_ms=timeout_ms)


def create_topics(
    broker: Broker, names: list[str], partitions: int = 1, configs: Mapping[str, str] | None = None
) -> None:
    """Create topics alike and wait until the last one takes requests."""
    wanted = {**DELETE_SOON, **(configs or {})}
    admin = _admin(broker)
    try:
        for at in range(0, len(names), CREATE_AT_ONCE):
            some = names[at : at + CREATE_AT_ONCE]
            admin.create_topics([NewTopic(name, partitions, 1, topic_configs=dict(wanted)) for name in some])
    finally:
        admin.close()
    await_topic(broker, names[-1], partitions)


def create_topic(broker: Broker, name: str, partitions: int = 1, configs: Mapping[str, str] | None = None) -> None:
    """Create one topic and wait until it takes requests."""
    create_topics(broker, [name], partitions, configs)


def await_topic(broker: Broker, name: str, partitions: int, limit_s: float = 60) -> None:
    """Wait until every partition answers for itself (Kafka shows leaders before it serves them)."""
    deadline = time.monotonic() + limit_s
    while True:
        try:
            end_offsets(broker.port, name, partitions)
            return
        except NotServed:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def delete_topics(broker: Broker, names: list[str]) -> None:
    """Delete topics; their files go a second later."""
    admin = _admin(broker)
    try:
        for at in range(0, len(names), CREATE_AT_ONCE):
            admin.delete_topics(names[at : at + CREATE_AT_ONCE])
    finally:
        admin.close()


# -- the first request of a client, in raw bytes: a client library's own start would be what is measured


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">h", len(data)) + data


def _call(connection: socket.socket, key: int, version: int, body: bytes) -> bytes:
    """One request and its response body (header v1 both ways)."""
    header = struct.pack(">hhi", key, version, 1) + _string("bench")
    connection.sendall(struct.pack(">i", len(header) + len(body)) + header + body)
    length = struct.unpack(">i", _read(connection, 4))[0]
    return _read(connection, length)[4:]


def _read(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise ConnectionError("closed by broker")
        data += piece
    return data


CRC_TABLE = []
for _byte in range(256):
    _crc = _byte
    for _ in range(8):
        _crc = _crc >> 1 ^ (0x82F63B78 if _crc & 1 else 0)
    CRC_TABLE.append(_crc)


def _one_record_batch() -> bytes:
    record = b"\x00\x00\x00\x01\x0ahello\x00"
    now = int(time.time() * 1000)
    rest = struct.pack(">hiqqqhii", 0, 0, now, now, -1, -1, -1, 1) + bytes([len(record) * 2]) + record
    crc = 0xFFFFFFFF
    for byte in rest:
        crc = CRC_TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return struct.pack(">qiibI", 0, len(rest) + 9, -1, 2, crc ^ 0xFFFFFFFF) + rest


def first_acked_record(port: int, topic: str, deadline: float) -> None:
    """Connect, let the topic be created as a producer does, and return once one record is acknowledged by all."""
    metadata = struct.pack(">i", 1) + _string(topic) + b"\x01"
    batch = _one_record_batch()
    produce = struct.pack(">hhii", -1, -1, 30000, 1) + _string(topic) + struct.pack(">iii", 1, 0, len(batch)) + batch
    while time.monotonic() < deadline:
        try:
            with socket.create_connection((HOST, port), timeout=10) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while time.monotonic() < deadline:
                    _call(connection, 3, 4, metadata)
                    answer = _call(connection, 0, 7, produce)
                    error_at = 4 + 2 + len(topic) + 4 + 4
                    if struct.unpack_from(">h", answer, error_at)[0] == 0:
                        return
                    time.sleep(0.002)
        except OSError:
            time.sleep(0.002)
    raise TimeoutError(f"no record acknowledged on port {port}")


def end_offsets(port: int, topic: str, partitions: int) -> list[int]:
    """The latest offset of each partition, by ListOffsets v1."""
    body = struct.pack(">ii", -1, 1) + _string(topic) + struct.pack(">i", partitions)
    body += b"".join(struct.pack(">iq", partition, -1) for partition in range(partitions))
    with socket.create_connection((HOST, port), timeout=60) as connection:
        answer = _call(connection, 2, 1, body)
    at = 4 + 2 + len(topic) + 4
    offsets = {}
    for _ in range(partitions):
        partition, error, _, offset = struct.unpack_from(">ihqq", answer, at)
        if error:
            raise NotServed(f"ListOffsets of {topic}-{partition}: error {error}")
        offsets[partition] = offset
        at += 22
    return [offsets[partition] for partition in range(partitions)]


def await_group_coordinator(broker: Broker, topic: str, limit_s: float = 60) -> None:
    """Have the topic of committed offsets made, and return once all of its partitions take commits for `topic`."""
    deadline = time.monotonic() + limit_s
    with socket.create_connection((HOST, broker.port), timeout=60) as connection:
        for number in range(GROUPS_TO_TRY):
            group = _string(f"await-group-{number:04}")
            commit = group + struct.pack(">ihqi", -1, 0, -1, 1) + _string(topic) + struct.pack(">iiqh", 1, 0, 1, 0)
            while True:
                found = _call(connection, FIND_COORDINATOR, 0, group)
                error = struct.unpack(">h", _call(connection, OFFSET_COMMIT, 2, commit)[-2:])[0]
                if not error:
                    break
                if time.monotonic() > deadline:
                    raise NotServed(f"{broker.name}: error {error} of OffsetCommit, FindCoordinator said {found!r}")
                time.sleep(0.05)
