"""The console: one static page over /api/v1, which needs no library and asks nobody but this node."""

from __future__ import annotations

import functools
from importlib.resources import files

from pyralog.admin.routes_model import Answer, Args, Elsewhere, HttpRefusal, Text
from pyralog.admin.sources import Sources

PLACE = "/console/"
INDEX = "index.html"
TYPES = {
    INDEX: "text/html; charset=utf-8",
    "console.css": "text/css; charset=utf-8",
    "console.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
NOT_FOUND = 404


@functools.cache
def _read(name: str) -> bytes:
    return files("pyralog").joinpath("admin", "console", name).read_bytes()


async def index(sources: Sources, args: Args) -> Answer:
    """A page that shows topics, partitions, groups with their lag, transactions and configuration; read-only."""
    return Text(await sources.work.run(_read, INDEX), TYPES[INDEX])


async def file(sources: Sources, args: Args) -> Answer:
    """What the page is made of."""
    kind = TYPES.get(args["file"])
    if kind is None:
        raise HttpRefusal(NOT_FOUND, f"the console has no file {args['file']!r}")
    return Text(await sources.work.run(_read, args["file"]), kind)


async def elsewhere(sources: Sources, args: Args) -> Answer:
    """The way to the console."""
    return Elsewhere(PLACE)
