"""HTTP on the client port: sockets that the plane has recognised as HTTP or TLS are handed over to this.

aiohttp is imported when the first HTTP connection comes, on the work pool: it costs more than the rest of a start.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import socket
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from pyralog.net.advertised import plain_ip
from pyralog.runtime import TaskScope, WorkPool

if TYPE_CHECKING:
    from aiohttp import web

log = logging.getLogger(__name__)

MAX_CONNECTIONS = 256
MAX_LOGGED_PEERS = 1000
TLS_HANDSHAKE = b"\x16\x03"
HTTP2_PREFACE = b"PRI "
_REFUSAL = b"HTTP/1.1 %b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
NOT_HTTP2 = _REFUSAL % b"505 HTTP Version Not Supported"
TOO_MANY = _REFUSAL % b"503 Service Unavailable"

Status = Callable[[], Mapping[str, object]]


class _NotTheClients(logging.Filter):
    """Bytes that are no HTTP are answered with 400; a traceback for each would let any client fill the log."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return type(error).__module__ != "aiohttp.http_exceptions"


class _HandOver(asyncio.Protocol):
    """Passes a connection on to another protocol, together with the bytes that were read to recognise it.

    A connection that has not sent a whole request in time is aborted.
    """

    def __init__(self, target: asyncio.Protocol, prefix: bytes, timeout_ms: int, lost: Callable[[], None]) -> None:
        self._target = target
        self._prefix = prefix
        self._timeout_ms = timeout_ms
        self._lost = lost
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no asyncio.Transport by inheritance.
        abort = cast("asyncio.Transport", transport).abort
        self._timer = asyncio.get_running_loop().call_later(self._timeout_ms / 1000, abort)
        self._target.connection_made(transport)
        if self._prefix:
            self._target.data_received(self._prefix)

    def requested(self) -> None:
        """A request has come."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def data_received(self, data: bytes) -> None:
        self._target.data_received(data)

    def eof_received(self) -> bool | None:
        return self._target.eof_received()

    def pause_writing(self) -> None:
        self._target.pause_writing()

    def resume_writing(self) -> None:
        self._target.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self.requested()
        self._target.connection_lost(exc)
        self._lost()


def _host_of(sock: socket.socket) -> str:
    """Who is at the other end."""
    name = sock.getpeername()
    return str(name[0]) if isinstance(name, tuple) else "a local process"


class HttpFront:
    """Serves the HTTP routes of the node. `status()` is what /health tells."""

    def __init__(
        self,
        scope: TaskScope,
        work: WorkPool,
        status: Status,
        host_names: frozenset[str],
        first_request_ms: int = 10_000,
    ) -> None:
        self._scope = scope
        self._work = work
        self._status = status
        self._host_names = host_names | {"localhost"}
        self._timeout_ms = first_request_ms
        self._runner: web.AppRunner | None = None
        self._starting = asyncio.Lock()
        self._open = 0
        self._complained: set[str] = set()
        self.refused = 0

    @property
    def connections(self) -> int:
        """HTTP connections that are open."""
        return self._open

    def adopt(self, sock: socket.socket, prefix: bytes) -> None:
        """Take over a socket of which `prefix` has been read."""
        if prefix.startswith(TLS_HANDSHAKE):
            self._refuse(sock, b"", "TLS is not configured on this port")
        elif prefix.startswith(HTTP2_PREFACE):
            self._refuse(sock, NOT_HTTP2, "HTTP/2 is not served")
        elif self._open >= MAX_CONNECTIONS:
            self._refuse(sock, TOO_MANY, "too many HTTP connections")
        else:
            self._open += 1
            self._scope.start(self._serve(sock, prefix), name="http hand-over")

    async def close(self) -> None:
        """Finish what is being answered and close the connections."""
        if self._runner is not None:
            await self._runner.cleanup()

    def _refuse(self, sock: socket.socket, answer: bytes, why: str) -> None:
        self.refused += 1
        with sock:
            try:
                peer = _host_of(sock)
                sock.setblocking(False)
                sock.send(answer)
                # Without this the close would reset the connection, and the peer might never see the answer.
                sock.shutdown(socket.SHUT_WR)
            except OSError as error:
                peer = f"a peer that is gone ({error})"
        if peer not in self._complained and len(self._complained) < MAX_LOGGED_PEERS:
            self._complained.add(peer)
            log.warning("connection of %s refused: %s; repetitions are only counted", peer, why)

    async def _serve(self, sock: socket.socket, prefix: bytes) -> None:
        handed_over = False
        try:
            runner = await self._ready()
            server = runner.server
            assert server is not None
            sock.setblocking(False)
            protocol = _HandOver(server(), prefix, self._timeout_ms, self._lost)
            await asyncio.get_running_loop().connect_accepted_socket(lambda: protocol, sock)
            handed_over = True
        except OSError as error:
            log.info("an HTTP connection went away before it was served: %s", error)
        finally:
            if not handed_over:
                self._open -= 1
                sock.close()

    def _lost(self) -> None:
        self._open -= 1

    async def _ready(self) -> web.AppRunner:
        async with self._starting:
            if self._runner is None:
                module: Any = await self._work.run(importlib.import_module, "aiohttp.web")
                app = module.Application(middlewares=[self._guard(module)])
                app.router.add_get("/health", self._health(module))
                logger = logging.getLogger(f"{__name__}.requests")
                logger.addFilter(_NotTheClients())
                runner = module.AppRunner(
                    app, handle_signals=False, access_log=None, logger=logger, shutdown_timeout=1.0
                )
                await runner.setup()
                self._runner = runner
            return self._runner

    def _guard(self, module: Any) -> Any:
        """Refuses requests for another host: a web page must not reach this node by rebinding its own name."""

        async def guard(request: web.Request, handler: Any) -> web.StreamResponse:
            connection = None if request.transport is None else request.transport.get_protocol()
            if isinstance(connection, _HandOver):
                connection.requested()
            if not self._knows(request.headers.get("Host", "")):
                raise module.HTTPMisdirectedRequest(text="This node does not serve that host name.\n")
            response: web.StreamResponse = await handler(request)
            return response

        return module.middleware(guard)

    def _knows(self, host: str) -> bool:
        """An address cannot be rebound, so only names need to be known."""
        name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
        return plain_ip(name) is not None or name.lower().rstrip(".") in self._host_names

    def _health(self, module: Any) -> Any:
        async def health(request: web.Request) -> web.Response:
            found: web.Response = module.json_response({"status": "ok", **self._status()})
            return found

        return health
