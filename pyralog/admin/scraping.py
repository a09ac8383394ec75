"""/metrics and /public_metrics: one scrape at a time, sampled on the loop, rendered on a worker thread."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyralog.admin.exposition import Renderer
    from pyralog.admin.routes_model import Text
    from pyralog.admin.sampling import Sampler
    from pyralog.admin.sources import Sources

Connections = Callable[[], tuple[int, Mapping[str, int]]]


class Scraper:
    """Answers scrapes of one node. What samples and renders them, and psutil, is imported by the first one."""

    def __init__(self, sources: Sources, connections: Connections) -> None:
        self._sources = sources
        self._connections = connections
        self._sampler: Sampler | None = None
        self._renderer: Renderer | None = None
        self._one_at_a_time = asyncio.Lock()

    async def scrape(self, *, public: bool) -> Text:
        """The answer to /public_metrics or /metrics."""
        async with self._one_at_a_time:
            sampler, renderer = await self._ready()
            sampled = await sampler.take(*self._connections())
            render = renderer.public_metrics if public else renderer.metrics
            return await self._sources.work.run(render, sampled)

    async def _ready(self) -> tuple[Sampler, Renderer]:
        if self._sampler is None or self._renderer is None:
            work = self._sources.work
            rendering: Any = await work.run(importlib.import_module, "pyralog.admin.exposition")
            sampling: Any = await work.run(importlib.import_module, "pyralog.admin.sampling")
            self._sampler, self._renderer = sampling.Sampler(self._sources), rendering.Renderer()
        return self._sampler, self._renderer

    def close(self) -> None:
        """The node stops."""
        if self._sampler is not None:
            self._sampler.loops.close()
