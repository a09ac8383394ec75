"""The level of each logger: what the start said, and what is set while running."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from pyralog.config.logspec import TRACE
from pyralog.logfiles.audit import AUDIT

OURS = "pyralog"
# What the start or the last reload said, by logger name ("" = root). Levels belong to the process, and so does this.
_configured: dict[str, int] = {}


def configure(levels: Mapping[str, int]) -> None:
    """Set the levels of PYRALOG_LOG or the configuration; those of an earlier call that are not named are undone."""
    logging.addLevelName(TRACE, "TRACE")
    if not logging.getLogger(AUDIT).propagate:
        # audit.log is complete whatever is configured, and levels may be configured over the network.
        levels = {name: level for name, level in levels.items() if name != AUDIT}
    for name in _configured.keys() - levels.keys() - {AUDIT}:
        logging.getLogger(name).setLevel(logging.NOTSET)
    _configured.clear()
    _configured.update(levels)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def restore(name: str) -> None:
    """Give a logger back the level that it had before somebody set another while running; "" is the root."""
    logging.getLogger(name).setLevel(_configured.get(name, logging.NOTSET if name else logging.INFO))


def logger_names() -> list[str]:
    """Our loggers that exist, sorted. What is audited is not for the network to change."""
    names = logging.root.manager.loggerDict
    return sorted(name for name in names if (name == OURS or name.startswith(OURS + ".")) and name != AUDIT)
