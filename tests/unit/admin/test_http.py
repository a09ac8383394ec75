"""HTTP on the client port: /health, what is refused, and that aiohttp comes with the first connection only."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import cast

import pytest

from pyralog.admin import http as http_module
from pyralog.admin.http import HttpFront
from pyralog.admin.sources import Sources
from pyralog.runtime import TaskScope, WorkPool


@pytest.fixture
async def front() -> AsyncIterator[HttpFront]:
    scope, work = TaskScope("test"), WorkPool("work", 1)
    made = HttpFront(scope, cast("Sources", Node(work)), {"broker.example.com"}, 300)
    try:
        yield made
        await made.close()
    finally:
        await scope.close()
        work.close()


class Node:
    """As much of a node as /health asks for."""

    def __init__(self, work: WorkPool) -> None:
        self.work = work
        self.draining = False
        self.broken: str | None = None
        self.directory = "/data"

    def identity(self) -> dict[str, object]:
        return {"node_id": 7}

    def failure(self) -> str | None:
        return self.broken


def node_of(front: HttpFront) -> Node:
    return cast("Node", front._sources)


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
        ("/", "localhost", 302),
        ("/nothing", "localhost", 404),
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
    assert front.refused == {"HTTP/2 is not served": 1}


async def test_tls_is_refused_and_logged_once(front: HttpFront, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        client = Client(front, b"\x16\x03\x01\x02\x00\x01")
        assert await client.receive_all() == b""
    assert front.refused == {"TLS is not configured on this port": 3}
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


async def test_one_address_does_not_get_all_of_them(front: HttpFront, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_module, "MAX_OF_ADDRESS", 1)
    kept = Client(front, request())
    await kept.receive_answer()
    assert (await Client(front, request()).receive_all()).startswith(b"HTTP/1.1 503 ")
    kept.close()
    async with asyncio.timeout(5):
        while front.connections:
            await asyncio.sleep(0.001)
    again = Client(front, request())
    assert (await again.receive_answer())[0].startswith(b"HTTP/1.1 200 ")
    again.close()


async def test_an_answer_that_nobody_reads_does_not_stay(front: HttpFront, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_module, "STALLED_S", 0.05)
    client = Client(front, request("/api/v1/openapi.json") * 400)
    async with asyncio.timeout(10):
        while front.connections:
            await asyncio.sleep(0.001)
    client.close()


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


async def test_what_is_unknown_or_not_allowed_is_refused_in_json(front: HttpFront) -> None:
    client = Client(front, request("/healt"))
    head, body = await client.receive_answer()
    assert b" 404 " in head.split(b"\r\n")[0]
    assert json.loads(body) == {"status": 404, "error": "there is nothing at /healt", "nearest": "/health"}
    await client.send(request().replace(b"GET", b"POST"))
    head, body = await client.receive_answer()
    assert b" 405 " in head.split(b"\r\n")[0]
    assert b"\r\nallow: get, head" in head.lower()
    assert json.loads(body)["allowed"] == ["GET", "HEAD"]
    client.close()


async def test_every_answer_keeps_browsers_in_their_place(front: HttpFront) -> None:
    for path in ("/health", "/nothing"):
        client = Client(front, request(path, extra="Connection: close\r\n"))
        head = (await client.receive_all()).lower()
        assert b"content-security-policy: default-src 'self'" in head
        assert b"x-content-type-options: nosniff" in head
        assert b"access-control-allow" not in head


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://localhost:9092", 200), ("http://localhost:9093", 403), ("https://evil.example", 403), ("null", 403)],
)
async def test_pages_of_other_sites_may_not_ask(front: HttpFront, origin: str, status: int) -> None:
    client = Client(front, request(extra=f"Origin: {origin}\r\nConnection: close\r\n"))
    assert (await client.receive_all()).startswith(f"HTTP/1.1 {status} ".encode())


async def test_a_target_in_absolute_form_names_a_host_too(front: HttpFront) -> None:
    client = Client(front, request("http://evil.example/health", extra="Connection: close\r\n"))
    assert (await client.receive_all()).startswith(b"HTTP/1.1 421 ")


async def test_health_follows_the_node(front: HttpFront) -> None:
    node_of(front).broken = "Input/output error"
    for path, status in (("/health", 503), ("/health/live", 200), ("/health/ready", 503)):
        client = Client(front, request(path, extra="Connection: close\r\n"))
        answer = await client.receive_all()
        assert answer.startswith(f"HTTP/1.1 {status} ".encode())
        assert b"Input/output error" in answer
    node_of(front).broken = None
    front.drain()
    client = Client(front, request("/health/ready", extra="Connection: close\r\n"))
    answer = await client.receive_all()
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'"draining"' in answer


def hello(*more: bytes, line: bytes = b"GET /health HTTP/1.1", body: bytes = b"") -> bytes:
    return b"\r\n".join((line, b"Host: localhost", *more, b"", body))


BAD = {
    "length and encoding": (hello(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"), 400),
    "two lengths": (hello(b"Content-Length: 5", b"Content-Length: 6", body=b"hello!"), 400),
    "the same length twice": (hello(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"), 400),
    "a length with a sign": (hello(b"Content-Length: +5", body=b"hello"), 400),
    "an unknown encoding": (hello(b"Transfer-Encoding: xchunked"), 400),
    "two encodings": (hello(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=b"0\r\n\r\n"), 400),
    "a bad chunk": (
        hello(b"Transfer-Encoding: chunked", line=b"POST /health HTTP/1.1", body=b"zz\r\nabc\r\n0\r\n\r\n"),
        400,
    ),
    "a folded line": (hello(b"X-A: b", b" c"), 400),
    "a space before the colon": (hello(b"X-A : b"), 400),
    "a bare carriage return": (hello(b"X-A: b\rc"), 400),
    "a zero byte": (hello(b"X-A: b\0c"), 400),
    "bare line feeds": (b"GET /health HTTP/1.1\nHost: localhost\n\n", 400),
    "two hosts": (hello(b"Host: localhost"), 400),
    "no host": (b"GET /health HTTP/1.1\r\n\r\n", 400),
    "a version of the future": (hello(line=b"GET /health HTTP/3.7"), 400),
    "a long target": (hello(line=b"GET /" + b"a" * 9000 + b" HTTP/1.1"), 400),
    "a long line": (hello(b"X: " + b"a" * 9000), 400),
    "many lines": (hello(*[b"X%d: y" % n for n in range(3000)]), 400),
    "a huge head": (hello(*[b"X%d: y" % n for n in range(20_000)]), 431),
    "a head without end": (b"GET /health HTTP/1.1\r\n" + b"X: y\r\n" * 100_000, 431),
    "a flood of requests": (hello() * 5000, 431),
    "what is no request": (b"GET \0\1\2\3\r\n\r\n", 400),
    "no method of HTTP": (b"BREW /pot HTTP/1.1\r\n\r\n", 400),
}


@pytest.mark.parametrize("name", BAD)
async def test_bad_input_is_refused_and_ends_the_connection(front: HttpFront, name: str) -> None:
    data, status = BAD[name]
    client = Client(front, data[:4])
    with contextlib.suppress(ConnectionError):
        await client.send(data[4:])
    answer = await client.receive_all()
    assert re.findall(rb"^HTTP/1.[01] (\d+)", answer) == [str(status).encode()]
    async with asyncio.timeout(5):
        while front.connections:
            await asyncio.sleep(0.001)


async def test_a_slow_second_head_is_cut_off_too(front: HttpFront) -> None:
    client = Client(front, request())
    await client.receive_answer()
    await client.send(b"GET /health HTT")
    with contextlib.suppress(ConnectionResetError):
        assert await client.receive_all() == b""


async def test_pipelined_requests_are_answered_in_order(front: HttpFront) -> None:
    client = Client(front, request() + request("/nothing") + request(extra="Connection: close\r\n"))
    answers = await client.receive_all()
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"200", b"404", b"200"]


async def test_a_port_of_its_own_serves_the_same(front: HttpFront) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    front.listen(listener)
    port = listener.getsockname()[1]
    for split, expected in ((1, b"HTTP/1.1 200"), (4, b"HTTP/1.1 200"), (30, b"HTTP/1.1 200")):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        whole = request(extra="Connection: close\r\n")
        writer.write(whole[:split])
        await writer.drain()
        writer.write(whole[split:])
        assert (await asyncio.wait_for(reader.read(), 5)).startswith(expected)
        writer.close()
        await writer.wait_closed()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert (await asyncio.wait_for(reader.read(), 5)).startswith(b"HTTP/1.1 505 ")
    writer.close()
    await writer.wait_closed()
    front.drain()
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), 1)


def test_aiohttp_is_not_imported_at_start() -> None:
    code = "import pyralog.app, sys; print('aiohttp' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
