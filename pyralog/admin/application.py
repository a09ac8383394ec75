"""The aiohttp application over the routing table; aiohttp is imported with it when the first HTTP connection comes."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import hdrs, web

from pyralog.admin.gate import HEADERS, Gate
from pyralog.admin.routes import ROUTES, encoded, nearest
from pyralog.admin.routes_model import Answer, Args, Document, Elsewhere, HttpRefusal, Route
from pyralog.admin.sources import Sources

log = logging.getLogger(__name__)

FOUND, MISDIRECTED, FORBIDDEN, NOT_FOUND, NOT_ALLOWED, FAULT = 302, 421, 403, 404, 405, 500
# Nothing takes a body; what comes all the same is read and thrown away up to this size.
MAX_BODY_BYTES = 64 * 1024
# Bytes of one line of a head; all of it is bounded by http.MAX_HEAD_BYTES.
MAX_LINE_BYTES = 8190
KEEPALIVE_S = 75.0
SHUTDOWN_S = 1.0

Handle = Callable[[web.Request], Awaitable[web.StreamResponse]]


class NotTheClients(logging.Filter):
    """Bytes that are no HTTP are answered with 400; a traceback for each would let any client fill the log."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return type(error).__module__ != "aiohttp.http_exceptions"


async def runner(sources: Sources, gate: Gate, requested: Callable[[web.Request], None]) -> web.AppRunner:
    """A runner that is set up; `requested` is told of each request whose head has come whole."""
    app = web.Application(middlewares=[_answering(gate, requested)], client_max_size=MAX_BODY_BYTES)
    for route in ROUTES:
        app.router.add_get(route.path, _adapted(route, sources))
    logger = logging.getLogger(f"{__name__}.requests")
    logger.addFilter(NotTheClients())
    made = web.AppRunner(
        app,
        handle_signals=False,
        access_log=None,
        logger=logger,
        shutdown_timeout=SHUTDOWN_S,
        keepalive_timeout=KEEPALIVE_S,
        max_line_size=MAX_LINE_BYTES,
        max_field_size=MAX_LINE_BYTES,
    )
    await made.setup()
    return made


def _adapted(route: Route, sources: Sources) -> Handle:
    async def handle(request: web.Request) -> web.StreamResponse:
        answer = await route.handler(sources, Args(request.match_info, request.query))
        return await _response(answer, sources)

    return handle


async def _response(answer: Answer, sources: Sources) -> web.Response:
    if isinstance(answer, Document):
        # Ten thousand partitions are some 50 ms of encoding: not on the loop.
        body = await sources.work.run(encoded, answer.value)
        return web.Response(body=body, status=answer.status, content_type="application/json", charset="utf-8")
    if isinstance(answer, Elsewhere):
        return web.Response(status=FOUND, headers={hdrs.LOCATION: answer.path})
    return web.Response(body=answer.body, headers={hdrs.CONTENT_TYPE: answer.content_type})


def _refusal(status: int, error: str, more: Mapping[str, object] | None = None) -> web.Response:
    body = encoded({"status": status, "error": error, **(more or {})})
    return web.Response(body=body, status=status, content_type="application/json", charset="utf-8")


def _answering(gate: Gate, requested: Callable[[web.Request], None]) -> Callable[..., Awaitable[web.StreamResponse]]:
    """Whatever happens, the answer is JSON with the headers that keep browsers in their place."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handle) -> web.StreamResponse:
        requested(request)
        response = await _guarded(gate, request, handler)
        response.headers.update(HEADERS)
        return response

    return middleware


async def _guarded(gate: Gate, request: web.Request, handler: Handle) -> web.StreamResponse:
    hosts = request.headers.getall(hdrs.HOST, ())
    # A target in absolute form, as proxies send it, names a host of its own.
    if len(hosts) != 1 or not gate.knows_host(hosts[0]) or not gate.knows_host(request.host):
        return _refusal(MISDIRECTED, "this node does not serve that host name; use its address or its own name")
    if not gate.knows_origin(request.headers.get(hdrs.ORIGIN), hosts[0]):
        return _refusal(FORBIDDEN, "pages of other sites may not ask this node")
    try:
        return await handler(request)
    except HttpRefusal as error:
        return _refusal(error.status, str(error))
    except web.HTTPMethodNotAllowed as error:
        allowed = sorted(error.allowed_methods)
        refused = _refusal(NOT_ALLOWED, f"{request.method} is not served here", {"allowed": allowed})
        refused.headers[hdrs.ALLOW] = ", ".join(allowed)
        return refused
    except web.HTTPNotFound:
        return _refusal(NOT_FOUND, f"there is nothing at {request.path[:200]}", {"nearest": nearest(request.path)})
    except web.HTTPException as error:
        return _refusal(error.status, error.reason)
    except Exception:
        log.exception("%s %.200s failed", request.method, request.path)
        return _refusal(FAULT, "this node failed to answer; its log says why")
