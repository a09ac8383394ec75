"""Reads the configuration again while the node runs (SIGHUP), and says what became of each change."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from pyralog.config.problems import ConfigError
from pyralog.errors import ErrorCode
from pyralog.logfiles.audit import AuditEvent, audit

if TYPE_CHECKING:
    from pyralog.cluster.image import ClusterImage
    from pyralog.config.live import LiveConfiguration, Reloaded
    from pyralog.config.loader import Loaded
    from pyralog.config.problems import Problem
    from pyralog.net.notify import Supervision
    from pyralog.runtime import TaskScope, WorkPool

log = logging.getLogger(__name__)

Read = Callable[[], "Loaded"]


class Reloading:
    """Requests that come while the configuration is being read are one more reading afterwards, in order."""

    def __init__(
        self,
        live: LiveConfiguration,
        read: Read,
        image: Callable[[], ClusterImage],
        refresh: Callable[[], Awaitable[None]],
        supervision: Supervision,
    ) -> None:
        self._live = live
        self._read = read
        self._image = image
        self._refresh = refresh
        self._supervision = supervision
        self._asked = asyncio.Event()

    def request(self) -> None:
        """Read the configuration again, at the latest once the node has started."""
        log.info("the configuration is read again")
        self._asked.set()

    def start(self, scope: TaskScope, work: WorkPool) -> None:
        """From now on requests are followed."""
        scope.start(self._run(work), name="reload", critical=True)

    async def _run(self, work: WorkPool) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            self._supervision.reloading()
            try:
                await self._reload(work)
            except Exception:  # a fault of ours; the node goes on with what it has
                log.exception("the configuration could not be read again")
            finally:
                self._supervision.reloaded()

    async def _reload(self, work: WorkPool) -> None:
        """A file with mistakes changes nothing; each is logged with its place."""
        try:
            loaded = await work.run(self._read)
        except ConfigError as error:
            found = [f"{_place(problem, error)}: {problem.text()}" for problem in error.problems]
            for each in found:
                log.error("%s", each)
            count = "1 mistake" if len(found) == 1 else f"{len(found)} mistakes"
            log.error("the configuration has %s and was not taken over", count)
            audit(
                AuditEvent(
                    "config.reload", "node", ErrorCode.INVALID_CONFIG.name, details={"mistakes": "; ".join(found)}
                )
            )
            return
        for warning in loaded.warnings:
            log.warning("%s", warning)
        result = self._live.reload(loaded.config, self._image())
        await self._refresh()
        _tell(result)


def _place(problem: Problem, error: ConfigError) -> str:
    if problem.place.line:
        return f"{error.source}:{problem.place}"
    return str(problem.place) or str(error.source)


def _tell(result: Reloaded) -> None:
    for name in result.shadowed:
        log.warning("%s: the new value does not show: a value that was set while running is stronger", name)
    for name in result.restart:
        log.warning("%s: the new value needs a restart", name)
    what = f"{len(result.applied)} changed" if result.applied else "nothing changed"
    log.info("the configuration was read again: %s", what)
    changed = {"applied": result.applied, "shadowed": result.shadowed, "restart": result.restart}
    audit(
        AuditEvent("config.reload", "node", details={how: ", ".join(names) for how, names in changed.items() if names})
    )
