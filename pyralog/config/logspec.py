"""Log filters as PYRALOG_LOG and RUST_LOG give them: "info" or "pyralog=info,pyralog::storage=debug"."""

from __future__ import annotations

import re
from collections.abc import Mapping

TRACE = 5
LEVELS: Mapping[str, int] = {"error": 40, "warn": 30, "warning": 30, "info": 20, "debug": 10, "trace": TRACE, "off": 60}
DEFAULT = "info"
ROOT = ""
SHOWN = "error, warn, info, debug, trace and off"
# Names of modules, joined by "::" as in Rust or by "." as in Python.
_TARGET = re.compile(r"[A-Za-z_][\w-]*(?:(?:::|\.)[\w-]+)*")


def parse_log_filters(text: str) -> tuple[dict[str, int], list[str]]:
    """Levels by logger name ("" = all others), and what could not be understood.

    `::` equals `.`; a target without level logs everything; the longest target wins, as logging does by itself; of two
    equal targets the last.
    """
    levels: dict[str, int] = {ROOT: LEVELS[DEFAULT]}
    wrong: list[str] = []
    for part in text.split(","):
        target, equals, level = (piece.strip() for piece in part.partition("="))
        if not target and not equals:
            continue
        if not equals and target.lower() in LEVELS:
            levels[ROOT] = LEVELS[target.lower()]
        elif why := _mistake(target, level if equals else None):
            wrong.append(f'"{part.strip()}": {why}')
        else:
            levels[target.replace("::", ".")] = LEVELS[level.lower()] if equals else TRACE
    return levels, wrong


def _mistake(target: str, level: str | None) -> str | None:
    """What is wrong with one part; None when it can be understood."""
    if level is not None and level.lower() not in LEVELS:
        return f"the levels are {SHOWN}{_hint(level)}"
    if not _TARGET.fullmatch(target):
        return "expected a level, or module=level with names such as pyralog::storage"
    if level is None and (hint := _hint(target)):
        return f"no level and hardly a module; the levels are {SHOWN}{hint}"
    return None


def _hint(word: str) -> str:
    """The level that a misspelt word may mean."""
    from difflib import get_close_matches

    found = get_close_matches(word.lower(), LEVELS, 1, 0.7)
    return f'. Did you mean "{found[0]}"?' if found else ""


def log_filters(environ: Mapping[str, str], configured: str = "") -> tuple[dict[str, int], list[str]]:
    """The filters of PYRALOG_LOG, else of RUST_LOG, else those of the configuration (`logging.level`)."""
    for name in ("PYRALOG_LOG", "RUST_LOG"):
        if text := environ.get(name, "").strip():
            levels, wrong = parse_log_filters(text)
            return levels, [f"{name}: {mistake}" for mistake in wrong]
    levels, wrong = parse_log_filters(configured)
    return levels, [f"logging.level: {mistake}" for mistake in wrong]
