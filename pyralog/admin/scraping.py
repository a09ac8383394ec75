"""/metrics and /public_metrics: one scrape at a time, sampled on the loop, rendered on a worker thread."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pyralog.admin.routes_model import Text
from pyralog.admin.sampling import Sampler

if TYPE_CHECKING:
    from pyralog.admin.exposition import Renderer
    from pyralog.admin.sources import Sources

Connections = Callable[[], tuple[int, Mapping[str, int]]]


class Scraper:
    """Answers scrapes of one node. What renders them, and psutil, is imported by the first one."""

    def __init__(self, sources: Sources, connections: Connections) -> None:
        self._sources = sources
        self._connections = connections
        self._sampler = Sampler(sources)
        self._renderer: Renderer | None = None
        self._one_at_a_time = asyncio.Lock()

    async def scrape(self, *, public: bool) -> Text:
        """The answer to /public_metrics or /metrics."""
        async with self._one_at_a_time:
            work = self._sources.work
            module: Any = await work.run(importlib.import_module, "pyralog.admin.exposition")
            if self._renderer is None:
                self._renderer = module.Renderer()
            sampled = await self._sampler.take(*self._connections())
            render = self._renderer.public_metrics if public else self._renderer.metrics
            return Text(await work.run(render, sampled), module.CONTENT_TYPE)

    def close(self) -> None:
        """The node stops."""
        self._sampler.loops.close()
