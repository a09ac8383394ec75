"""The engine on real sockets, turned by the test itself (cycle): partial sends, file ranges, hand-over, caps, ends."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time

import pytest

from pyralog._speedups.plane.delivery import EventKind
from pyralog.net.sockaddr import parse_sockaddr
from pyralog.wire.protocol import encode_request
from tests.speedups.plane_kit import (
    FETCH,
    PRODUCE,
    batch,
    decode_answer,
    fetch_request,
    frame_request,
    produce_request,
    records_of,
)

METADATA = 3


class Peer:
    """A client socket; `turn` keeps the engine going while it waits."""

    def __init__(self, rig, address, **options):
        self.rig = rig
        self.socket = socket.socket()
        for name, value in options.items():
            self.socket.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
        self.socket.connect(address)
        self.socket.setblocking(False)
        self.received = b""
        self.ended = False
        self.waiting = []

    def send(self, data: bytes) -> None:
        while data:
            with contextlib.suppress(BlockingIOError):
                data = data[self.socket.send(data) :]
            self.rig.engine.cycle(0)

    def ask(self, api, version, message, *, answered=True) -> None:
        correlation = next(self.rig.correlations)
        if answered:
            self.waiting.append((api, version, correlation))
        self.send(frame_request(api, version, correlation, "peer", encode_request(api, version, message)))

    def look(self) -> None:
        self.rig.engine.cycle(1)
        with contextlib.suppress(BlockingIOError):
            try:
                piece = self.socket.recv(1 << 16)
            except ConnectionResetError:
                piece = b""
            self.ended = piece == b""
            self.received += piece

    def until(self, done, seconds=10) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < deadline, "it did not happen"
            self.look()

    def answers(self, n: int) -> list[object]:
        found = []
        while len(found) < n:
            self.until(lambda: len(self.received) >= 4)
            size = int.from_bytes(self.received[:4], "big")
            self.until(lambda size=size: len(self.received) >= 4 + size)
            api, version, correlation = self.waiting.pop(0)
            got, message = decode_answer(api, version, self.received[4 : 4 + size])
            assert got == correlation
            found.append(message)
            self.received = self.received[4 + size :]
        return found

    def closed(self) -> bool:
        with contextlib.suppress(AssertionError):
            self.until(lambda: self.ended, 0.3)
        return self.ended


@pytest.fixture
def listening(rigs):
    sockets = []

    def make(**limits):
        rig = rigs(**limits)
        rig.topic("t", 2)
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        sockets.append(listener)
        assert rig.done("listen", listener.fileno())[0] == 0

        def connect(**options):
            peer = Peer(rig, listener.getsockname(), **options)
            sockets.append(peer.socket)
            return peer

        rig.peer = connect
        return rig

    yield make
    for one in sockets:
        one.close()


def test_produce_and_fetch(listening):
    rig = listening()
    peer = rig.peer()
    for i in range(5):
        peer.ask(PRODUCE, 9, produce_request({"t": {0: batch(value=b"%d" % i)}}))
    assert [a.responses[0].partition_responses[0].base_offset for a in peer.answers(5)] == list(range(5))
    peer.ask(FETCH, 12, fetch_request({"t": {0: 0}}))
    (answer,) = peer.answers(1)
    assert records_of(answer.responses[0].partitions[0].records) == [(i, b"%d" % i) for i in range(5)]


def test_one_byte_at_a_time(listening):
    rig = listening()
    peer = rig.peer()
    frame = frame_request(PRODUCE, 9, 1, "slow", encode_request(PRODUCE, 9, produce_request({"t": {0: batch()}})))
    for i in range(len(frame)):
        peer.send(frame[i : i + 1])
        rig.engine.cycle(0)
    peer.waiting.append((PRODUCE, 9, 1))
    assert peer.answers(1)[0].responses[0].partition_responses[0].base_offset == 0


@pytest.mark.parametrize("version", [4, 11, 12])
def test_large_answers_through_a_small_socket_buffer(listening, version):
    """Header, file range, header, file range, ...: partial sends at any place must not mix them up."""
    rig = listening()
    peer = rig.peer(SO_RCVBUF=4096)
    value = [os.urandom(200_000 + i) for i in range(6)]
    for i in range(6):
        peer.ask(PRODUCE, 9, produce_request({"t": {i % 2: batch(value=value[i])}}))
    peer.answers(6)
    small = os.urandom(300)
    peer.ask(PRODUCE, 9, produce_request({"t": {0: batch(value=small)}}))
    peer.answers(1)
    for _ in range(3):
        peer.ask(FETCH, version, fetch_request({"t": {0: 0, 1: 0}}))
        peer.ask(PRODUCE, 9, produce_request({"t": {0: None}}))
        peer.ask(FETCH, version, fetch_request({"t": {0: 3}}))
    for _ in range(3):
        both, refused, one = peer.answers(3)
        zero, first = both.responses[0].partitions
        assert [v for _, v in records_of(zero.records)] == [value[0], value[2], value[4], small]
        assert [v for _, v in records_of(first.records)] == [value[1], value[3], value[5]]
        assert refused.responses[0].partition_responses[0].error_code == 42
        assert records_of(one.responses[0].partitions[0].records) == [(3, small)]


def test_large_requests_in_pieces_beside_small_ones(listening):
    rig = listening()
    peers = [rig.peer() for _ in range(4)]
    value = os.urandom(900_000)
    large = frame_request(
        PRODUCE, 9, 7, "x", encode_request(PRODUCE, 9, produce_request({"t": {0: batch(value=value)}}))
    )
    small = frame_request(PRODUCE, 9, 8, "x", encode_request(PRODUCE, 9, produce_request({"t": {1: batch()}})))
    data = (large + small) * 3
    step = 70_001
    for at in range(0, len(data), step):
        for peer in peers:
            peer.send(data[at : at + step])
    for peer in peers:
        peer.waiting = [(PRODUCE, 9, 7), (PRODUCE, 9, 8)] * 3
        assert all(a.responses[0].partition_responses[0].error_code == 0 for a in peer.answers(6))
    assert rig.end("t", 0) == rig.end("t", 1) == 12
    rig.engine.cycle(0)
    assert rig.counter("buffered_bytes") == 0
    peers[0].ask(FETCH, 12, fetch_request({"t": {0: 5}}))
    (answer,) = peers[0].answers(1)
    assert records_of(answer.responses[0].partitions[0].records)[0] == (5, value)


def test_more_half_requests_than_memory_do_not_wait_for_each_other(listening):
    rig = listening(max_buffered_bytes=1 << 20)
    peers = [rig.peer() for _ in range(6)]
    body = b"\0\0\0\1" + bytes(700_000)
    frame = frame_request(METADATA, 0, 1, "x", body)
    half = len(frame) // 2
    for part in (frame[:half], frame[half:-1]):
        for peer in peers:
            rest = memoryview(part)
            for _ in range(400):
                with contextlib.suppress(BlockingIOError):
                    rest = rest[peer.socket.send(rest) :]
                rig.engine.cycle(0)
                if not rest:
                    break
            peer.rest = bytes(rest) + (peer.rest if hasattr(peer, "rest") else b"")
    # The cap, what the one that may exceed it takes, and what had been read of the others when it was reached.
    assert rig.counter("buffered_bytes") <= (1 << 20) + len(frame) + 4 * (128 << 10)
    assert rig.counter("memory_stalls") > 0
    got = []
    deadline = time.monotonic() + 20
    tail = {peer: peer.rest + frame[-1:] for peer in peers}
    while len(got) < len(peers):
        assert time.monotonic() < deadline
        for peer in peers:
            if tail[peer]:
                with contextlib.suppress(BlockingIOError):
                    tail[peer] = tail[peer][peer.socket.send(tail[peer]) :]
        rig.engine.cycle(1)
        for forwarded in rig.forwarded():
            assert forwarded.frame == frame[4:]
            got.append(forwarded)
            rig.engine.reply(forwarded.token, b"\0\0\0\4\0\0\0\1", False)
    rig.engine.cycle(0)
    rig.engine.cycle(0)
    assert rig.counter("buffered_bytes") == 0


def test_a_stalled_plane_sleeps(listening):
    """Waiting for memory is looked at every few ms, not without pause."""
    rig = listening(max_buffered_bytes=1 << 20)
    peers = [rig.peer() for _ in range(4)]
    for peer in peers:
        rest = struct.pack(">i", 50 << 20) + bytes(1_500_000)
        for _ in range(200):
            with contextlib.suppress(BlockingIOError):
                rest = rest[peer.socket.send(rest) :]
            rig.engine.cycle(0)
    stalls = rig.counter("memory_stalls")
    assert stalls > 0
    before = time.monotonic()
    for _ in range(20):
        rig.engine.cycle(-1)
    assert 0.04 < time.monotonic() - before < 2
    assert rig.counter("memory_stalls") - stalls <= 3 * 21
    for peer in peers[1:]:
        peer.socket.close()
    for _ in range(20):
        rig.engine.cycle(1)
    assert rig.counter("buffered_bytes") <= 4 << 20


def test_a_consumer_that_never_reads_is_read_no_further(listening):
    rig = listening(max_output_bytes=300_000)
    peer = rig.peer(SO_RCVBUF=4096)
    for _ in range(10):
        peer.ask(PRODUCE, 9, produce_request({"t": {0: batch(value=bytes(100_000))}}))
    peer.answers(10)
    frame = frame_request(FETCH, 4, 5, "x", encode_request(FETCH, 4, fetch_request({"t": {0: 0}})))
    served = rig.counter("requests_fetch")
    for _ in range(200):
        with contextlib.suppress(BlockingIOError):
            peer.socket.send(frame)
        rig.engine.cycle(0)
    assert rig.counter("requests_fetch") - served < 20
    before = rig.counter("cycles")
    started = time.monotonic()
    while time.monotonic() - started < 0.2:
        rig.engine.cycle(50)
    assert rig.counter("cycles") - before < 20  # and costs nothing meanwhile
    peer.waiting = [(FETCH, 4, 5)] * 30
    assert len(peer.answers(4)) == 4


@pytest.mark.parametrize("version", [4, 12])
def test_a_peer_that_goes_away_in_the_middle_of_an_answer(listening, version):
    rig = listening()
    peer = rig.peer(SO_RCVBUF=4096)
    peer.ask(PRODUCE, 9, produce_request({"t": {0: batch(value=bytes(900_000))}}))
    peer.answers(1)
    peer.ask(FETCH, version, fetch_request({"t": {0: 0}}))
    peer.until(lambda: len(peer.received) > 1000)
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.socket.close()
    for _ in range(20):
        rig.engine.cycle(5)
    assert rig.counter("open_connections") == 0
    assert rig.done("remove_partition", rig.handle()) == (0, b"")


def test_a_consumer_that_never_reads_does_not_hold_up_a_removal(listening):
    """The removal, and every change of the metadata behind it, would wait for as long as the consumer likes."""
    rig = listening()
    peer = rig.peer(SO_RCVBUF=4096)
    for _ in range(5):
        peer.ask(PRODUCE, 9, produce_request({"t": {0: batch(value=bytes(900_000))}}))
    peer.answers(5)
    for _ in range(20):
        peer.ask(FETCH, 12, fetch_request({"t": {0: 0}}))
        rig.engine.cycle(5)
    done = rig.begin("remove_partition", rig.handle())
    deadline = time.monotonic() + 5
    while (found := done()) is None:
        assert time.monotonic() < deadline
        rig.engine.cycle(100)
    assert found == (0, b"")
    assert rig.counter("open_connections") == 0


def test_a_peer_that_goes_away_while_it_waits(listening):
    rig = listening()
    peer = rig.peer()
    peer.ask(FETCH, 12, fetch_request({"t": {0: 0}}, max_wait_ms=100_000))
    for _ in range(5):
        rig.engine.cycle(5)
    assert rig.counter("parked") == 1
    peer.socket.close()
    for _ in range(5):
        rig.engine.cycle(5)
    assert rig.counter("parked") == rig.counter("open_connections") == 0


def test_a_peer_that_goes_away_while_it_waits_with_requests_behind(listening):
    """A wait may be as long as a client likes: its end is seen though nothing more is read of it."""
    rig = listening()
    peer = rig.peer()
    for wait_ms in (100_000, 0):
        peer.ask(FETCH, 12, fetch_request({"t": {0: 0}}, max_wait_ms=wait_ms))
    for _ in range(5):
        rig.engine.cycle(5)
    peer.ask(FETCH, 12, fetch_request({"t": {0: 0}}))
    for _ in range(5):
        rig.engine.cycle(5)
    assert rig.counter("parked") == 1
    peer.socket.close()
    for _ in range(10):
        rig.engine.cycle(5)
    assert rig.counter("parked") == rig.counter("open_connections") == 0


@pytest.mark.parametrize(
    "first",
    [b"GET /health HTTP/1.1\r\n\r\n", b"POST / HTTP/1.1\r\n\r\nbody", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
)
def test_http_and_tls_sockets_are_handed_over_with_what_was_read(listening, first):
    rig = listening()
    peer = rig.peer()
    peer.send(first[:3])
    for _ in range(3):
        rig.engine.cycle(5)
    assert rig.events(EventKind.HANDOVER) == []
    peer.send(first[3:])
    for _ in range(3):
        rig.engine.cycle(5)
    ((_, _, _, data, fd, _, _),) = rig.events(EventKind.HANDOVER)
    assert data == first
    with socket.socket(fileno=fd) as taken:
        taken.sendall(b"hello")
        peer.until(lambda: peer.received == b"hello")
    assert rig.counter("connections_handed_over") == 1
    assert rig.counter("open_connections") == 0


@pytest.mark.parametrize("first", [b"\0\0\0\7AAAAAAA", b"\xff\xff\xff\xff", b"SSH-2.0-x\r\n", b"\x16\x05AAAA"])
def test_what_is_nothing_known_is_closed(listening, first):
    rig = listening()
    peer = rig.peer()
    peer.send(first)
    assert peer.closed()


def test_more_connections_than_allowed(listening):
    rig = listening(max_connections=3)
    peers = [rig.peer() for _ in range(5)]
    for _ in range(5):
        rig.engine.cycle(5)
    assert rig.counter("open_connections") == 3
    assert rig.counter("connections_rejected") == 2
    assert sum(peer.closed() for peer in peers) == 2
    open_ones = [peer for peer in peers if not peer.ended]
    open_ones[0].socket.close()
    for _ in range(5):
        rig.engine.cycle(5)
    late = rig.peer()
    late.ask(PRODUCE, 9, produce_request({"t": {0: batch()}}))
    assert len(late.answers(1)) == 1


def test_silent_and_idle_connections_are_closed(listening):
    rig = listening(handshake_ms=100, idle_ms=300)
    silent, idle, waiting = rig.peer(), rig.peer(), rig.peer()
    idle.ask(PRODUCE, 9, produce_request({"t": {0: batch()}}))
    idle.answers(1)
    waiting.ask(FETCH, 12, fetch_request({"t": {0: 1}}, max_wait_ms=100_000))
    silent.until(lambda: silent.ended)
    idle.until(lambda: idle.ended)
    assert rig.counter("idle_closed") == 2
    waiting.look()
    assert not waiting.ended


def test_python_learns_the_addresses_before_the_first_request(listening):
    rig = listening()
    peer = rig.peer()
    peer.ask(PRODUCE, 9, produce_request({"unknown": {0: batch()}}))
    peer.look()
    events = rig.events()
    kinds = [event[0] for event in events]
    assert kinds.index(EventKind.CONNECTED) < kinds.index(EventKind.REQUEST)
    addresses = events[kinds.index(EventKind.CONNECTED)][3]
    assert parse_sockaddr(addresses[:28]) == peer.socket.getsockname()
    assert parse_sockaddr(addresses[28:]) == peer.socket.getpeername()


def test_draining_takes_no_new_connection(listening):
    rig = listening()
    peer = rig.peer()
    peer.ask(FETCH, 12, fetch_request({"t": {0: 0}}, max_wait_ms=100_000))
    peer.look()
    assert rig.done("drain")[0] == 1
    assert len(peer.answers(1)) == 1
    late = rig.peer()
    for _ in range(5):
        rig.engine.cycle(5)
    assert rig.counter("open_connections") == 1
    late.socket.close()


def test_deadlines_wake_the_plane(listening):
    rig = listening()
    peers = [rig.peer() for _ in range(10)]
    for i, peer in enumerate(peers):
        peer.ask(FETCH, 12, fetch_request({"t": {0: 0}}, max_wait_ms=20 + 7 * (i * 7 % 10)))
    begun = time.monotonic()
    for peer in peers:
        assert peer.answers(1)[0].responses[0].partitions[0].error_code == 0
    assert 0.06 < time.monotonic() - begun < 5


def test_a_failed_write_is_not_acknowledged_to_a_socket_that_becomes_writable(listening, monkeypatch):
    """The answer of a resubmitted produce stands in the output before the write of its cycle."""
    rig = listening()
    peer = rig.peer(SO_RCVBUF=4096)
    peer.ask(PRODUCE, 9, produce_request({"t": {0: batch(value=bytes(900_000))}}))
    peer.answers(1)
    peer.ask(FETCH, 4, fetch_request({"t": {0: 0}}))
    peer.ask(PRODUCE, 9, produce_request({"unknown": {0: batch()}, "t": {0: batch()}}))
    for _ in range(5):
        rig.engine.cycle(2)
    (forwarded,) = rig.forwarded()
    rig.engine.resubmit(forwarded.token, forwarded.frame)
    fetched, produced = peer.answers(2)
    assert len(fetched.responses[0].partitions[0].records) > 900_000
    assert [t.partition_responses[0].error_code for t in produced.responses] == [3, 0]
