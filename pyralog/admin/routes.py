"""The routing table: every path that this node answers over HTTP, in one place."""

from __future__ import annotations

import difflib
import html
import json

from pyralog.admin import console_files, listing, status
from pyralog.admin.openapi import document
from pyralog.admin.routes_model import Args, Document, Handler, Parameter, Route, Text
from pyralog.admin.sources import Sources
from pyralog.version import __version__

HTML = "text/html; charset=utf-8"
TOPIC = Parameter("topic", "string", "This topic alone.")


async def openapi(sources: Sources, args: Args) -> Document:
    """This interface as an OpenAPI 3.1 document."""
    return Document(document([route for route in ROUTES if route.listed], __version__))


async def index(sources: Sources, args: Args) -> Text:
    """What can be asked, as a page."""
    return Text(page(ROUTES, __version__).encode(), HTML)


async def metrics(sources: Sources, args: Args) -> Text:
    """Prometheus text: pyralog_*, process_* and the kafka_* families, as metrics.families says."""
    assert sources.scraper is not None
    return await sources.scraper.scrape(public=False)


async def public_metrics(sources: Sources, args: Args) -> Text:
    """Prometheus text: the redpanda_* family."""
    assert sources.scraper is not None
    return await sources.scraper.scrape(public=True)


def page(routes: tuple[Route, ...], version: str) -> str:
    """A page without scripts and without requests to anywhere."""
    rows = []
    for route in (route for route in routes if route.listed):
        path = html.escape(route.path)
        link = path if "{" in path else f'<a href="{path}">{path}</a>'
        names = ", ".join(f"<code>{html.escape(one.name)}</code>" for one in route.parameters)
        rows.append(f"<tr><td><code>{link}</code><td>{html.escape(route.doc)}<td>{names}")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Pyralog {html.escape(version)}: HTTP</title>'
        f"<h1>Pyralog {html.escape(version)}</h1><p>Everything here is read-only and answers GET and HEAD. "
        '<a href="/api/v1/openapi.json">OpenAPI document</a>.<table><thead><tr><th align="left">Path'
        '<th align="left">Answers<th align="left">Parameters<tbody>' + "".join(rows) + "</table></html>\n"
    )


def _route(
    path: str, handler: Handler, *parameters: Parameter, media: str = "application/json", listed: bool = True
) -> Route:
    doc = " ".join((handler.__doc__ or "").split())
    return Route(path, handler, doc, parameters, media, open=path.startswith("/health"), listed=listed)


ROUTES: tuple[Route, ...] = (
    _route("/health", status.health),
    _route("/health/live", status.live),
    _route("/health/ready", status.ready),
    _route("/status", status.status),
    _route("/partitions/{partition}/status", status.numbered_partition, TOPIC),
    _route("/topics/{topic}/partitions/{partition}/status", status.topic_partition),
    _route("/replication/status", status.replication),
    _route("/metrics", metrics, media="text/plain"),
    _route("/public_metrics", public_metrics, media="text/plain"),
    _route("/", console_files.elsewhere, media=HTML, listed=False),
    _route("/console", console_files.elsewhere, media=HTML, listed=False),
    _route("/console/", console_files.index, media=HTML),
    _route("/console/{file}", console_files.file, media="text/javascript", listed=False),
    _route("/api/v1/", index, media=HTML),
    _route("/api/v1/openapi.json", openapi),
    _route("/api/v1/cluster", listing.cluster),
    _route("/api/v1/nodes", listing.nodes),
    _route("/api/v1/topics", listing.topics, *listing.PAGE, listing.INTERNAL),
    _route("/api/v1/topics/{topic}", listing.topic),
    _route("/api/v1/topics/{topic}/configs", listing.topic_configs),
    _route("/api/v1/partitions", listing.partitions, *listing.PAGE, listing.INTERNAL, TOPIC),
    _route("/api/v1/groups", listing.groups, *listing.PAGE),
    _route("/api/v1/groups/{group}", listing.group),
    _route("/api/v1/transactions", listing.transactions, *listing.PAGE),
    _route("/api/v1/configs", listing.broker_configs),
)


def nearest(path: str) -> str | None:
    """The route that a mistyped path is most like."""
    found = difflib.get_close_matches(path[:200], [route.path for route in ROUTES if route.listed], 1, 0.4)
    return found[0] if found else None


def encoded(value: object) -> bytes:
    """JSON as people read it in a terminal."""
    return json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"
