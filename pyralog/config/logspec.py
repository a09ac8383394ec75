"""Log filters as PYRALOG_LOG and RUST_LOG give them: "info" or "pyralog=info,pyralog::storage=debug"."""

from __future__ import annotations

from collections.abc import Mapping

TRACE = 5
LEVELS: Mapping[str, int] = {"error": 40, "warn": 30, "warning": 30, "info": 20, "debug": 10, "trace": TRACE, "off": 60}
DEFAULT = "info"
ROOT = ""


def parse_log_filters(text: str) -> tuple[dict[str, int], list[str]]:
    """Levels by logger name ("" = all others), and what could not be understood.

    `::` equals `.`; a target without level logs everything; the longest target wins, as logging does by itself.
    """
    levels: dict[str, int] = {ROOT: LEVELS[DEFAULT]}
    wrong: list[str] = []
    for part in text.split(","):
        target, equals, level = (piece.strip() for piece in part.partition("="))
        if not target and not equals:
            continue
        if not equals and target.lower() in LEVELS:
            levels[ROOT] = LEVELS[target.lower()]
        elif not equals:
            levels[target.replace("::", ".")] = TRACE
        elif level.lower() in LEVELS and target:
            levels[target.replace("::", ".")] = LEVELS[level.lower()]
        else:
            wrong.append(f'"{part.strip()}": the levels are error, warn, info, debug, trace and off')
    return levels, wrong


def log_filters(environ: Mapping[str, str]) -> tuple[dict[str, int], list[str]]:
    """The filters of PYRALOG_LOG, else of RUST_LOG."""
    name = "PYRALOG_LOG" if environ.get("PYRALOG_LOG", "").strip() else "RUST_LOG"
    levels, wrong = parse_log_filters(environ.get(name, ""))
    return levels, [f"{name}: {text}" for text in wrong]
