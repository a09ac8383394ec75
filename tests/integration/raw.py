"""Raw sockets for bad clients: frames by hand, so that anything can be wrong in them; and what a process uses."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

from crc32c import crc32c

from tests.integration.conftest import until
from tests.reference.process import HOST, Broker

PRODUCE, FETCH, METADATA, API_VERSIONS = 0, 1, 3, 18
CLIENT_ID = b"raw"


class Raw:
    """A TCP connection that speaks in frames."""

    def __init__(self, port: int, timeout_s: float = 10, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout_s)
        self.socket.connect((HOST, port))

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def send_frame(self, body: bytes) -> None:
        self.send(struct.pack(">i", len(body)) + body)

    def exactly(self, size: int) -> bytes:
        """This many bytes; EOFError when the connection ends before."""
        data = bytearray()
        while len(data) < size:
            piece = self.socket.recv(min(size - len(data), 1 << 20))
            if not piece:
                raise EOFError(f"closed after {len(data)} of {size} bytes")
            data += piece
        return bytes(data)

    def frame(self) -> bytes:
        """The next answer, without its length."""
        return self.exactly(struct.unpack(">i", self.exactly(4))[0])

    def call(self, key: int, version: int, body: bytes) -> bytes:
        """Send a request and return the answer's body."""
        self.send_frame(header(key, version, 7) + body)
        answer = self.frame()
        assert struct.unpack(">i", answer[:4])[0] == 7
        return answer[4:]

    def closed(self, within_s: float = 10) -> bool:
        """Whether the broker ends the connection, in whatever way, without an answer."""
        self.socket.settimeout(within_s)
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False


def header(key: int, version: int, correlation: int = 1, client_id: bytes = CLIENT_ID) -> bytes:
    """A request header v1."""
    return struct.pack(">hhih", key, version, correlation, len(client_id)) + client_id


def string(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return struct.pack(">h", len(data)) + data


def array(items: list[bytes]) -> bytes:
    return struct.pack(">i", len(items)) + b"".join(items)


def varint(value: int) -> bytes:
    """A zigzag varint."""
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def batch(values: list[bytes], *, codec: int = 0, payload: bytes | None = None, count: int | None = None) -> bytes:
    """A record batch of magic 2 without keys; `payload` replaces the records as they are sent."""
    records = b""
    for delta, value in enumerate(values):
        record = b"\0" + varint(0) + varint(delta) + varint(-1) + varint(len(value)) + value + varint(0)
        records += varint(len(record)) + record
    n = len(values) if count is None else count
    now = int(time.time() * 1000)
    body = struct.pack(">hiqqqhii", codec, n - 1, now, now, -1, -1, -1, n) + (records if payload is None else payload)
    return struct.pack(">qiibI", 0, len(body) + 9, 0, 2, crc32c(body)) + body


def produce_body(topic: str, batches: dict[int, bytes], acks: int = -1) -> bytes:
    """Produce v8 without a transactional id."""
    partitions = [struct.pack(">ii", index, len(data)) + data for index, data in batches.items()]
    return struct.pack(">hhi", -1, acks, 10_000) + array([string(topic) + array(partitions)])


def fetch_body(
    topic: str, partitions: list[int], *, offset: int = 0, max_bytes: int = 1 << 20, wait_ms: int = 0
) -> bytes:
    """Fetch v4, so without a session."""
    entries = [struct.pack(">iqi", index, offset, max_bytes) for index in partitions]
    return struct.pack(">iiiib", -1, wait_ms, 1, 50 << 20, 0) + array([string(topic) + array(entries)])


def produced(answer: bytes) -> list[tuple[int, int]]:
    """(error, base offset) of each partition of a Produce v8 answer for one topic."""
    at = 4 + 2 + struct.unpack_from(">h", answer, 4)[0]
    count = struct.unpack_from(">i", answer, at)[0]
    at += 4
    found = []
    for _ in range(count):
        _, error, base = struct.unpack_from(">ihq", answer, at)
        at += 4 + 2 + 8 + 8 + 8
        found.append((error, base))
        errors = struct.unpack_from(">i", answer, at)[0]
        at += 4
        for _ in range(max(0, errors)):
            at += 4 + 2 + max(0, struct.unpack_from(">h", answer, at + 4)[0])
        at += 2 + max(0, struct.unpack_from(">h", answer, at)[0])
    return found


def fetched_bytes(answer: bytes) -> dict[int, int]:
    """Bytes of records of each partition of a Fetch v4 answer for one topic."""
    at = 8
    at += 2 + struct.unpack_from(">h", answer, at)[0]
    count = struct.unpack_from(">i", answer, at)[0]
    at += 4
    found = {}
    for _ in range(count):
        index, error = struct.unpack_from(">ih", answer, at)
        assert error == 0, error
        at += 4 + 2 + 8 + 8
        aborted = struct.unpack_from(">i", answer, at)[0]
        at += 4 + 16 * max(0, aborted)
        size = struct.unpack_from(">i", answer, at)[0]
        at += 4 + max(0, size)
        found[index] = max(0, size)
    return found


def bomb(codec: int, size: int) -> bytes:
    """Compressed zeros that unpack to `size` bytes, in the form that the codec has in a batch."""
    import cramjam

    zeros = bytes(1 << 20)
    if codec == 1:
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        return b"".join(packer.compress(zeros) for _ in range(size >> 20)) + packer.flush()
    if codec == 2:
        return bytes(cramjam.snappy.compress_raw(bytes(size)))
    if codec == 3:
        return bytes(cramjam.lz4.compress(bytes(size)))
    return bytes(cramjam.zstd.compress(bytes(size)))


def healthy(broker: Broker, topic: str) -> None:
    """Another client is served: it writes a record and reads at least one."""
    with Raw(broker.port) as raw:
        error, _ = produced(raw.call(PRODUCE, 8, produce_body(topic, {0: batch([b"well"])})))[0]
        assert error == 0, error
        assert fetched_bytes(raw.call(FETCH, 4, fetch_body(topic, [0], max_bytes=1)))[0] > 0


def descriptors(broker: Broker) -> int:
    """Open files of the broker."""
    return len(list(Path(f"/proc/{broker.pid}/fd").iterdir()))


def threads(broker: Broker) -> int:
    """Threads of the broker."""
    return len(list(Path(f"/proc/{broker.pid}/task").iterdir()))


@contextlib.contextmanager
def back_to_base_line(broker: Broker, topic: str, *, rss_slack_bytes: int = 4 << 20) -> Iterator[None]:
    """I25: what a bad client took, the broker gives back; and it serves others meanwhile and afterwards."""
    healthy(broker, topic)
    files, rss = descriptors(broker), broker.rss_bytes()
    yield
    assert broker.process is not None
    assert broker.process.poll() is None, broker.log_tail()
    healthy(broker, topic)
    if broker.name == "kafka":
        return  # a JVM gives back when it likes
    until(lambda: descriptors(broker) <= files, f"{files} open files again", timeout_s=60)
    limit = int(rss * 1.05) + rss_slack_bytes
    until(lambda: broker.rss_bytes() <= limit, f"at most {limit >> 20} MiB again", timeout_s=60)
