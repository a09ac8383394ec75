"""HTTP on the client port: sockets that the plane has recognised as HTTP or TLS are handed over to this.

aiohttp is imported when the first HTTP connection comes, on the work pool: it costs more than the rest of a start.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import socket
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from pyralog.admin.gate import Gate
from pyralog.admin.scraping import Scraper
from pyralog.runtime import TaskScope

if TYPE_CHECKING:
    from aiohttp import web

    from pyralog.admin.sources import Sources

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 256
# Of these, those of one address: whoever takes them all would keep probes and scrapes out.
MAX_OF_ADDRESS = 128
MAX_LOGGED_PEERS = 1000
# How long a peer may leave an answer unread.
STALLED_S = 30.0
# The heads of requests that have come but are not yet being answered; pipelined ones count together.
MAX_HEAD_BYTES = 64 * 1024
ACCEPTS = 16
SNIFFED = 4
TLS_HANDSHAKE = b"\x16\x03"
HTTP2_PREFACE = b"PRI "
_REFUSAL = b"HTTP/1.1 %b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
NOT_HTTP2 = _REFUSAL % b"505 HTTP Version Not Supported"
TOO_MANY = _REFUSAL % b"503 Service Unavailable"
TOO_LARGE = _REFUSAL % b"431 Request Header Fields Too Large"
NOT_HTTP = _REFUSAL % b"400 Bad Request"
METHODS = (b"GET ", b"POST", b"HEAD", b"PUT ", b"DELE", b"OPTI", b"PATC", b"CONN", b"TRAC")


class _HandOver(asyncio.Protocol):
    """Passes a connection on to another protocol, together with the bytes that were read to recognise it.

    A connection that has begun a request and not sent its whole head in time is aborted, and so is one that sends
    more than MAX_HEAD_BYTES ahead of what is being answered, or leaves an answer unread.
    """

    def __init__(self, front: HttpFront, target: asyncio.Protocol, prefix: bytes, host: str) -> None:
        self._front = front
        self._host = host
        self._stalled: asyncio.TimerHandle | None = None
        self._target = target
        self._first: bytes | None = prefix  # None once it is known to be HTTP/1
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self._ahead = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no asyncio.Transport by inheritance.
        self._transport = cast("asyncio.Transport", transport)
        self._arm()
        self._target.connection_made(transport)
        if self._first:
            self.data_received(b"")

    def _arm(self) -> None:
        assert self._transport is not None
        if self._timer is None:
            timeout_s = self._front.timeout_ms / 1000
            self._timer = asyncio.get_running_loop().call_later(timeout_s, self._transport.abort)

    def requested(self) -> None:
        """The head of a request has come whole."""
        self._ahead = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def data_received(self, data: bytes) -> None:
        if self._first is not None:
            data = self._first = self._first + data
            if len(data) < SNIFFED:
                return
            self._first = None
            if (refusal := refusal_of(data)) is not None:
                self._end(*refusal)
                return
        self._ahead += len(data)
        if self._ahead > MAX_HEAD_BYTES:
            self._end(TOO_LARGE, "a request head of more than 64 KiB")
            return
        self._arm()
        self._target.data_received(data)

    def _end(self, answer: bytes, why: str) -> None:
        assert self._transport is not None
        self._front.complain(why, self._host)
        self._transport.write(answer)
        self._transport.close()

    def eof_received(self) -> bool | None:
        return self._target.eof_received()

    def pause_writing(self) -> None:
        assert self._transport is not None
        self._stalled = asyncio.get_running_loop().call_later(STALLED_S, self._transport.abort)
        self._target.pause_writing()

    def resume_writing(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
        self._target.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self.requested()
        if self._stalled is not None:
            self._stalled.cancel()
        self._target.connection_lost(exc)
        self._front.lost(self._host)


def refusal_of(first: bytes) -> tuple[bytes, str] | None:
    """What to answer to a connection that begins with these bytes, and why; None when it may be HTTP/1."""
    if first.startswith(TLS_HANDSHAKE):
        return b"", "TLS is not configured on this port"
    if first.startswith(HTTP2_PREFACE):
        return NOT_HTTP2, "HTTP/2 is not served"
    return None if first.startswith(METHODS) else (NOT_HTTP, "no HTTP request")


def _host_of(sock: socket.socket) -> str:
    """Who is at the other end."""
    try:
        name = sock.getpeername()
    except OSError:
        return "a peer that is gone"
    return str(name[0]) if isinstance(name, tuple) else "a local process"


class HttpFront:
    """Serves the HTTP routes of the node to sockets of the plane, and to those of a port of its own."""

    def __init__(self, scope: TaskScope, sources: Sources, names: Iterable[str], first_request_ms: int = 10_000):
        self.timeout_ms = first_request_ms
        self.refused: Counter[str] = Counter()
        self._scope = scope
        self._sources = sources
        self._gate = Gate(names)
        self._runner: web.AppRunner | None = None
        self._starting = asyncio.Lock()
        self._open: Counter[str] = Counter()  # by address
        self._listeners: list[socket.socket] = []
        self._complained: set[str] = set()
        sources.scraper = Scraper(sources, lambda: (self.connections, self.refused))

    @property
    def connections(self) -> int:
        """HTTP connections that are open."""
        return self._open.total()

    def listen(self, sock: socket.socket) -> None:
        """Serve HTTP alone on a bound socket, which is then this front's to close."""
        sock.setblocking(False)
        sock.listen(MAX_CONNECTIONS)
        self._listeners.append(sock)
        asyncio.get_running_loop().add_reader(sock, self._accept, sock)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(ACCEPTS):
            try:
                sock, _ = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                log.warning("an HTTP connection could not be accepted: %s", error)
                return
            self.adopt(sock, b"")

    def adopt(self, sock: socket.socket, prefix: bytes) -> None:
        """Take over a socket of which `prefix` has been read."""
        refusal = refusal_of(prefix) if len(prefix) >= SNIFFED else None
        if refusal is not None:
            self._refuse(sock, *refusal)
        elif self.connections >= MAX_CONNECTIONS or self._open[host := _host_of(sock)] >= MAX_OF_ADDRESS:
            self._refuse(sock, TOO_MANY, "too many HTTP connections")
        else:
            self._open[host] += 1
            self._scope.start(self._serve(sock, prefix, host), name="http hand-over")

    def drain(self) -> None:
        """This node is stopping: no new connections on the own port; /health/ready says so on those that are open."""
        self._sources.draining = True
        for sock in self._listeners:
            asyncio.get_running_loop().remove_reader(sock)
            sock.close()
        self._listeners.clear()

    async def close(self) -> None:
        """Finish what is being answered and close the connections."""
        self.drain()
        if self._sources.scraper is not None:
            self._sources.scraper.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def complain(self, why: str, peer: str) -> None:
        """Count a refusal, and log it once for each peer."""
        self.refused[why] += 1
        if peer not in self._complained and len(self._complained) < MAX_LOGGED_PEERS:
            self._complained.add(peer)
            log.warning("connection of %s refused: %s; repetitions are only counted", peer, why)

    def _refuse(self, sock: socket.socket, answer: bytes, why: str) -> None:
        with sock:
            try:
                sock.setblocking(False)
                sock.send(answer)
                # Without this the close would reset the connection, and the peer might never see the answer.
                sock.shutdown(socket.SHUT_WR)
            except OSError as error:
                log.debug("a refused HTTP connection was gone before: %s", error)
            self.complain(why, _host_of(sock))

    async def _serve(self, sock: socket.socket, prefix: bytes, host: str) -> None:
        handed_over = False
        try:
            runner = await self._ready()
            server = runner.server
            assert server is not None
            sock.setblocking(False)
            protocol = _HandOver(self, server(), prefix, host)
            await asyncio.get_running_loop().connect_accepted_socket(lambda: protocol, sock)
            handed_over = True
        except OSError as error:
            log.info("an HTTP connection went away before it was served: %s", error)
        finally:
            if not handed_over:
                self.lost(host)
                sock.close()

    def lost(self, host: str) -> None:
        """A connection of this address has ended."""
        self._open[host] -= 1
        if not self._open[host]:
            del self._open[host]

    async def _ready(self) -> web.AppRunner:
        async with self._starting:
            if self._runner is None:
                work = self._sources.work
                module: Any = await work.run(importlib.import_module, "pyralog.admin.application")
                self._runner = await module.runner(self._sources, self._gate, _requested)
            return self._runner


def _requested(request: web.Request) -> None:
    connection = None if request.transport is None else request.transport.get_protocol()
    if isinstance(connection, _HandOver):
        connection.requested()
