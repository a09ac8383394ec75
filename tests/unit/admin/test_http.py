"""HTTP on the client port: /health, what is refused, and that aiohttp comes with the first connection only."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from pyralog.admin import http as http_module
from pyralog.admin.http import HttpFront
from pyralog.runtime import TaskScope, WorkPool


@pytest.fixture
async def front() -> AsyncIterator[HttpFront]:
    scope, work = TaskScope("test"), WorkPool("work", 1)
    yield_front = HttpFront(scope, work, lambda: {"node_id": 7}, frozenset({"broker.example.com"}), 300)
    try:
        yield yield_front
        await yield_front.close()
    finally:
        await scope.close()
        work.close()


class Client:
    """One end of a connection whose other end is handed over after `prefix` has been read from it."""

    def __init__(self, front: HttpFront, prefix: bytes) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._sock = ours
        front.adopt(theirs, prefix)

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._sock, data)

    async def receive_all(self) -> bytes:
        found = b""
        with self._sock:
            while data := await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self._sock, 65536), 5):
                found += data
        return found

    async def receive_answer(self) -> tuple[bytes, bytes]:
        """Head and body of one answer with a Content-Length."""
        found = b""
        while b"\r\n\r\n" not in found:
            found += await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self._sock, 65536), 5)
        head, _, body = found.partition(b"\r\n\r\n")
        size = next(
            int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
        )
        while len(body) < size:
            body += await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self._sock, 65536), 5)
        return head, body

    def close(self) -> None:
        self._sock.close()


def request(path: str = "/health", host: str = "localhost:9092", extra: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{extra}\r\n".encode()


async def test_health_with_keep_alive_and_any_split(front: HttpFront) -> None:
    whole = request()
    for split in (0, 4, len(whole)):
        client = Client(front, whole[:split])
        if whole[split:]:
            await client.send(whole[split:])
        head, body = await client.receive_answer()
        assert b" 200 " in head.split(b"\r\n")[0]
        assert json.loads(body) == {"status": "ok", "node_id": 7}
        await client.send(request())
        assert (await client.receive_answer())[1] == body
        client.close()
    async with asyncio.timeout(5):
        while front.connections:
            await asyncio.sleep(0.001)


@pytest.mark.parametrize(
    ("path", "host", "status"),
    [
        ("/", "localhost", 404),
        ("/metrics", "localhost", 404),
        ("/health", "127.0.0.1:9092", 200),
        ("/health", "[::1]:9092", 200),
        ("/health", "10.1.2.3", 200),
        ("/health", "broker.example.com:9092", 200),
        ("/health", "BROKER.example.com.", 200),
        ("/health", "evil.example.com", 421),
        ("/health", "localhost.evil.example.com", 421),
        ("/health", "", 421),
    ],
)
async def test_routes_and_hosts(front: HttpFront, path: str, host: str, status: int) -> None:
    client = Client(front, request(path, host, "Connection: close\r\n"))
    answer = await client.receive_all()
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())


async def test_http_2_is_refused_before_aiohttp_sees_it(front: HttpFront) -> None:
    client = Client(front, b"PRI * HTTP/2.0\r\n\r\n")
    assert (await client.receive_all()).startswith(b"HTTP/1.1 505 ")
    assert front.refused == 1


async def test_tls_is_refused_and_logged_once(front: HttpFront, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        client = Client(front, b"\x16\x03\x01\x02\x00\x01")
        assert await client.receive_all() == b""
    assert front.refused == 3
    assert caplog.text.count("TLS is not configured") == 1


async def test_connections_are_limited(front: HttpFront, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_module, "MAX_CONNECTIONS", 2)
    kept = [Client(front, request()) for _ in range(2)]
    for client in kept:
        await client.receive_answer()
    assert (await Client(front, request()).receive_all()).startswith(b"HTTP/1.1 503 ")
    for client in kept:
        client.close()
    async with asyncio.timeout(5):
        while front.connections:
            await asyncio.sleep(0.001)


async def test_a_request_that_never_ends_is_cut_off(front: HttpFront) -> None:
    client = Client(front, b"GET /health HTTP/1.1\r\n")
    with contextlib.suppress(ConnectionResetError):
        assert await client.receive_all() == b""
    async with asyncio.timeout(5):
        while front.connections:
            await asyncio.sleep(0.001)


async def test_a_peer_that_is_gone_does_no_harm(front: HttpFront) -> None:
    for prefix in (b"GET ", b"PRI ", b"\x16\x03\x01"):
        Client(front, prefix).close()
    async with asyncio.timeout(5):
        while front.connections:
            await asyncio.sleep(0.001)


def test_aiohttp_is_not_imported_at_start() -> None:
    code = "import pyralog.app, sys; print('aiohttp' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
