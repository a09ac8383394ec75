"""Clients that lie, stall or speak something else: a clear error or a closed connection, and nobody else notices."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import create_topic, make_broker, until
from tests.integration.raw import (
    API_VERSIONS,
    FETCH,
    METADATA,
    PRODUCE,
    Raw,
    array,
    back_to_base_line,
    batch,
    bomb,
    descriptors,
    fetch_body,
    fetched_bytes,
    header,
    produce_body,
    produced,
    string,
)
from tests.reference.process import Broker

TOPIC = "bad-clients"
HANDSHAKE_MS = 1500
MAX_REQUEST = 100 << 20
MOST = b"\x80\x80\x80\x80\x08"  # 2^31 as an unsigned varint: a compact array of 2^31 - 1
GET_HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One broker for all of them: what one leaves behind, the next would find."""
    with make_broker(
        Path(tmp_path_factory.mktemp("bad") / "data"), {"network.handshake_timeout_ms": HANDSHAKE_MS}
    ) as made:
        # What the first HTTP request brings in for good belongs to the base line.
        with Raw(made.port) as raw:
            raw.send(GET_HEALTH)
            read_all(raw)
        create_topic(made.address, TOPIC)
        create_topic(made.address, "wide", 1000)
        create_topic(made.address, "unpacked", config={"compression.type": "uncompressed"})
        yield made


@pytest.mark.parametrize("length", [-1, 0, -(2**31), 2**31 - 1, MAX_REQUEST + 1])
def test_lengths_that_no_frame_has(broker: Broker, length: int) -> None:
    with back_to_base_line(broker, TOPIC), Raw(broker.port) as raw:
        raw.send(struct.pack(">i", length) + header(API_VERSIONS, 0))
        assert raw.closed()


def test_bad_length_after_a_good_request(broker: Broker) -> None:
    with back_to_base_line(broker, TOPIC), Raw(broker.port) as raw:
        raw.call(API_VERSIONS, 0, b"")
        raw.send(struct.pack(">i", 2**31 - 1))
        assert raw.closed()


def test_large_frames_that_never_come_take_no_memory(broker: Broker) -> None:
    with back_to_base_line(broker, TOPIC):
        before = broker.rss_bytes()
        raws = [Raw(broker.port) for _ in range(20)]
        for raw in raws:
            raw.send(struct.pack(">i", MAX_REQUEST) + header(PRODUCE, 8) + b"x" * 1000)
        time.sleep(0.3)  # what is being measured would happen at once
        grown = broker.rss_bytes() - before
        for raw in raws:
            raw.socket.close()
        assert grown < 200 << 20, f"{grown >> 20} MiB for 20 frames of which 1 KB came"


@pytest.mark.pyralog_only
def test_slow_loris_is_ended_by_the_handshake_timeout(broker: Broker) -> None:
    with back_to_base_line(broker, TOPIC), contextlib.ExitStack() as stack:
        raws = [stack.enter_context(Raw(broker.port)) for _ in range(5)]
        started = time.monotonic()
        for byte in struct.pack(">i", 200) + header(API_VERSIONS, 0, client_id=b"x" * 180):
            if all(raw.closed(0.02) for raw in raws):
                break
            for raw in raws:
                with contextlib.suppress(ConnectionError):
                    raw.send(bytes([byte]))
        assert all(raw.closed(HANDSHAKE_MS / 1000 * 3) for raw in raws)
        assert time.monotonic() - started < HANDSHAKE_MS / 1000 * 4


@pytest.mark.pyralog_only
def test_silent_connections_are_ended_by_the_handshake_timeout(broker: Broker) -> None:
    with back_to_base_line(broker, TOPIC):
        raws = [Raw(broker.port) for _ in range(50)]
        assert all(raw.closed(HANDSHAKE_MS / 1000 * 3) for raw in raws)
        for raw in raws:
            raw.socket.close()


@pytest.mark.parametrize(
    ("key", "version", "body"),
    [
        (METADATA, 1, struct.pack(">i", 1)),
        (METADATA, 1, array([b"\0\x10abc"])),
        (PRODUCE, 8, produce_body(TOPIC, {0: batch([b"x"])})[:-5]),
        (PRODUCE, 8, struct.pack(">hh", -1, -1)),
        (FETCH, 4, fetch_body(TOPIC, [0])[:-3]),
        (API_VERSIONS, 3, b"\0\x05ab"),
    ],
    ids=["no items", "short string", "short batch", "short head", "short fetch", "short compact string"],
)
def test_body_shorter_than_its_contents_closes(broker: Broker, key: int, version: int, body: bytes) -> None:
    with back_to_base_line(broker, TOPIC), Raw(broker.port) as raw:
        raw.send_frame(header(key, version) + body)
        assert raw.closed()


def test_header_cut_short_closes(broker: Broker) -> None:
    for cut in range(1, 8):
        with Raw(broker.port) as raw:
            raw.send_frame(header(METADATA, 1)[:cut])
            assert raw.closed(), cut


def test_client_that_goes_away_inside_a_frame(broker: Broker) -> None:
    with back_to_base_line(broker, TOPIC):
        for size in range(0, 60, 3):
            with Raw(broker.port) as raw:
                raw.send((struct.pack(">i", 80) + header(PRODUCE, 8) + b"x" * 80)[:size])


def test_trailing_bytes_are_ignored(broker: Broker) -> None:
    with Raw(broker.port) as raw:
        answer = raw.call(API_VERSIONS, 0, b"garbage behind the body")
        assert struct.unpack_from(">h", answer)[0] == 0


@pytest.mark.parametrize(("key", "version"), [(999, 0), (-1, 0), (4, 0), (METADATA, 99), (METADATA, -1), (PRODUCE, 99)])
def test_unknown_apis_and_versions_close(broker: Broker, key: int, version: int) -> None:
    with back_to_base_line(broker, TOPIC), Raw(broker.port) as raw:
        raw.send_frame(header(key, version) + struct.pack(">i", 0))
        assert raw.closed()


@pytest.mark.parametrize("version", [99, 32767, -1])
def test_unknown_version_of_api_versions_is_answered(broker: Broker, version: int) -> None:
    """Trap 2: a v0 body with error 35 and the range of ApiVersions itself."""
    with Raw(broker.port) as raw:
        answer = raw.call(API_VERSIONS, version, b"\0")  # an empty tag section, as a newer header has
        error, count = struct.unpack_from(">hi", answer)
        ranges = {key: (low, high) for key, low, high in struct.iter_unpack(">hhh", answer[6:])}
        assert error == 35
        assert count == len(ranges)
        assert API_VERSIONS in ranges
        assert struct.unpack_from(">h", raw.call(API_VERSIONS, ranges[API_VERSIONS][0], b""))[0] == 0


@pytest.mark.parametrize(
    ("key", "version", "body"),
    [
        (METADATA, 1, struct.pack(">i", 2**31 - 1)),
        (PRODUCE, 8, struct.pack(">hhii", -1, -1, 1000, 2**31 - 1)),
        (FETCH, 4, struct.pack(">iiiibi", -1, 0, 1, 1 << 20, 0, 2**31 - 1)),
        (METADATA, 9, b"\0" + MOST),
        (PRODUCE, 9, b"\0\0" + struct.pack(">hi", -1, 1000) + MOST),
        (METADATA, 9, MOST),
        (2, 1, struct.pack(">ii", -1, 2**31 - 1)),
        (19, 2, struct.pack(">i", 2**31 - 1)),
        (32, 1, struct.pack(">i", 2**31 - 1)),
    ],
    ids=["metadata", "produce", "fetch", "compact", "compact produce", "tags", "offsets", "create", "configs"],
)
def test_arrays_that_claim_everything_take_nothing(broker: Broker, key: int, version: int, body: bytes) -> None:
    with back_to_base_line(broker, TOPIC):
        for _ in range(10):
            with Raw(broker.port) as raw:
                raw.send_frame(header(key, version) + body + b"\0" * 50)
                assert raw.closed()


@pytest.mark.parametrize("name", ["..", ".", "x" * 250, "a/b", "", "a b", "ü"])
def test_topic_names_that_cannot_be(broker: Broker, name: str) -> None:
    with Raw(broker.port) as raw:
        answer = raw.call(METADATA, 4, array([string(name)]) + b"\1")
        assert struct.pack(">h", 17) + string(name) in answer


def test_names_that_are_not_utf8(broker: Broker) -> None:
    """Kafka replaces what it cannot read and refuses the name; closing is as good. Nothing may be created."""
    with back_to_base_line(broker, TOPIC), Raw(broker.port) as raw:
        raw.send_frame(header(METADATA, 4) + array([string(b"\xff\xfe\x80")]) + b"\1")
        with contextlib.suppress(EOFError, ConnectionError):
            assert struct.pack(">h", 17) in raw.frame()


@pytest.mark.parametrize("codec", [1, 2, 3, 4], ids=["gzip", "snappy", "lz4", "zstd"])
def test_decompression_bombs(broker: Broker, codec: int) -> None:
    """A topic that unpacks has to look inside; it does so up to a limit of 128 MiB (old and new buffer meet)."""
    payload = bomb(codec, 512 << 20)
    peak = 0
    with back_to_base_line(broker, TOPIC, rss_slack_bytes=16 << 20), Raw(broker.port, timeout_s=30) as raw:
        before = broker.rss_bytes()
        data = batch([b""], codec=codec, payload=payload[: 900 << 10], count=1)
        raw.send_frame(header(PRODUCE, 8, 7) + produce_body("unpacked", {0: data}))
        raw.socket.settimeout(0.01)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            peak = max(peak, broker.rss_bytes() - before)
            try:
                assert raw.socket.recv(4, socket.MSG_PEEK)
                break
            except TimeoutError:
                continue
        raw.socket.settimeout(10)
        assert produced(raw.frame()[4:])[0][0] in (2, 10, 87)
        assert peak < 300 << 20, f"{peak >> 20} MiB"


def test_a_thousand_partitions_of_one_byte(broker: Broker) -> None:
    with Raw(broker.port) as raw:
        for _ in range(3):
            answer = raw.call(PRODUCE, 8, produce_body("wide", {index: batch([b"x"]) for index in range(1000)}))
            found = produced(answer)
            assert len(found) == 1000
            assert {error for error, _ in found} == {0}
        sizes = fetched_bytes(raw.call(FETCH, 4, fetch_body("wide", list(range(1000)), max_bytes=1)))
        assert len(sizes) == 1000
        # Every partition may give its first batch, and none more than what it holds.
        assert sizes[0] > 0
        assert max(sizes.values()) <= 3 * len(batch([b"x"]))


def test_consumers_that_never_read(broker: Broker) -> None:
    big = batch([b"x" * 900_000])
    with Raw(broker.port) as raw:
        for _ in range(20):
            assert produced(raw.call(PRODUCE, 8, produce_body(TOPIC, {0: big})))[0][0] == 0
    with back_to_base_line(broker, TOPIC, rss_slack_bytes=16 << 20):
        before = broker.rss_bytes()
        raws = [Raw(broker.port, receive_buffer=4096) for _ in range(20)]
        request = header(FETCH, 4) + fetch_body(TOPIC, [0], max_bytes=20 << 20)
        for raw in raws:
            for _ in range(50):
                raw.send_frame(request)
        time.sleep(1)  # 20 x 50 answers of 18 MB are due by now
        grown = broker.rss_bytes() - before
        for raw in raws:
            raw.socket.close()
        assert grown < 100 << 20, f"{grown >> 20} MiB for answers nobody reads"


def test_requests_without_end_from_a_client_that_never_reads(broker: Broker) -> None:
    """Its input is no longer read once its output is full; it gets no memory for more."""
    with back_to_base_line(broker, TOPIC, rss_slack_bytes=16 << 20):
        before = broker.rss_bytes()
        raw = Raw(broker.port, timeout_s=0.5, receive_buffer=4096)
        frame = header(METADATA, 1) + struct.pack(">i", -1)
        block = (struct.pack(">i", len(frame)) + frame) * 1000
        sent = 0
        try:
            for _ in range(500):
                raw.send(block)
                sent += len(block)
        except (TimeoutError, ConnectionError):
            pass
        grown = broker.rss_bytes() - before
        raw.socket.close()
        assert grown < 100 << 20, f"{grown >> 20} MiB after {sent >> 20} MiB of requests"


def test_half_closed_connections_are_given_back(broker: Broker) -> None:
    with back_to_base_line(broker, TOPIC):
        raws = [Raw(broker.port) for _ in range(50)]
        for raw in raws:
            raw.send_frame(header(FETCH, 4) + fetch_body(TOPIC, [0], offset=10**6, wait_ms=500))
            raw.socket.shutdown(socket.SHUT_WR)
        for raw in raws:
            raw.socket.settimeout(10)
            with raw:
                while raw.socket.recv(65536):
                    pass


def test_requests_that_were_sent_before_the_end_are_served(broker: Broker) -> None:
    """acks=0 and gone: what arrived is written, with or without a cached decision on the topic."""
    for number in range(20):
        topic = f"gone-{number}"
        create_topic(broker.address, topic)
        for sender in range(2):
            with Raw(broker.port) as raw:
                for _ in range(3):
                    raw.send_frame(header(PRODUCE, 8) + produce_body(topic, {0: batch([b"x"])}, acks=0))
            wanted = 3 * (sender + 1)

            def there(topic: str = topic, wanted: int = wanted) -> bool:
                with Raw(broker.port) as reader:
                    sizes = fetched_bytes(reader.call(FETCH, 4, fetch_body(topic, [0])))
                    return sizes[0] == wanted * len(batch([b"x"]))

            until(there, f"{wanted} records in {topic}", timeout_s=5)


def test_parked_fetches_of_clients_that_left(broker: Broker) -> None:
    with back_to_base_line(broker, TOPIC):
        for _ in range(100):
            with Raw(broker.port) as raw:
                raw.send_frame(header(FETCH, 4) + fetch_body(TOPIC, [0], offset=10**6, wait_ms=60_000))
                raw.send_frame(header(FETCH, 4) + fetch_body(TOPIC, [0], offset=21, wait_ms=60_000))


def test_resets_in_the_middle(broker: Broker) -> None:
    with back_to_base_line(broker, TOPIC):
        for _ in range(100):
            with Raw(broker.port) as raw:
                raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                raw.send_frame(header(FETCH, 4) + fetch_body(TOPIC, [0], max_bytes=20 << 20))
                raw.send(struct.pack(">i", 1000) + b"part")


def test_random_bytes(broker: Broker) -> None:
    rng = random.Random(17)
    with back_to_base_line(broker, TOPIC, rss_slack_bytes=16 << 20):
        for _ in range(500):
            with Raw(broker.port) as raw:
                size = rng.choice([1, 4, 16, 100, 3000])
                raw.send(rng.randbytes(size) if rng.random() < 0.3 else framed(rng, size))


def framed(rng: random.Random, size: int) -> bytes:
    """A frame with a plausible header before random bytes."""
    key, version = rng.choice([0, 1, 2, 3, 18, 19, 20, 22, 32, 37, 44, 60, 75]), rng.randrange(14)
    body = header(key, version, rng.randrange(1000)) + rng.randbytes(size)
    return struct.pack(">i", len(body)) + body


# -- other protocols on the same port


@pytest.mark.pyralog_only
def test_health_over_http(broker: Broker) -> None:
    for _ in range(3):
        with Raw(broker.port) as raw:
            raw.send(GET_HEALTH)
            answer = read_all(raw)
            assert answer.startswith(b"HTTP/1.1 200"), answer
            assert b'"ok"' in answer


@pytest.mark.pyralog_only
def test_http_byte_by_byte(broker: Broker) -> None:
    with Raw(broker.port) as raw:
        for byte in GET_HEALTH:
            raw.send(bytes([byte]))
        assert read_all(raw).startswith(b"HTTP/1.1 200")


@pytest.mark.pyralog_only
@pytest.mark.parametrize(
    ("request_bytes", "wanted"),
    [
        (b"GET /no-such-page HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", b"HTTP/1.1 404"),
        (b"PUT /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", b"HTTP/1.1 405"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"HTTP/1.1 505"),
    ],
    ids=["404", "405", "http2"],
)
def test_http_that_is_not_served(broker: Broker, request_bytes: bytes, wanted: bytes) -> None:
    with back_to_base_line(broker, TOPIC, rss_slack_bytes=40 << 20), Raw(broker.port) as raw:
        raw.send(request_bytes)
        assert read_all(raw).startswith(wanted)


@pytest.mark.pyralog_only
def test_tls_hello_is_closed(broker: Broker) -> None:
    with back_to_base_line(broker, TOPIC, rss_slack_bytes=40 << 20), Raw(broker.port) as raw:
        raw.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500))
        answer = read_all(raw)
        assert not answer.startswith(b"HTTP"), answer  # at most a TLS alert


@pytest.mark.pyralog_only
def test_http_heads_without_end(broker: Broker) -> None:
    with back_to_base_line(broker, TOPIC, rss_slack_bytes=40 << 20), Raw(broker.port) as raw:
        raw.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")
        try:
            for _ in range(200):
                raw.send(b"X-Long: " + b"y" * 8000 + b"\r\n")
            answer = read_all(raw)
            assert not answer or answer[8:].startswith((b" 400", b" 431")), answer
        except ConnectionError:
            pass


def read_all(raw: Raw) -> bytes:
    data = b""
    try:
        while piece := raw.socket.recv(65536):
            data += piece
    except ConnectionError:
        pass
    return data


def test_the_broker_is_well_after_all_this(broker: Broker) -> None:
    assert descriptors(broker) > 0
    assert "Traceback" not in broker.log_tail(1 << 20)
