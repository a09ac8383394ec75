"""How log records look: one line each that no client can forge, as text or as JSON."""

from __future__ import annotations

import copy
import logging
from datetime import UTC, datetime

MAX_MESSAGE_CHARS = 16_384
MAX_TRACE_CHARS = 65_536
INDENT = "\n    "


def printable(text: str) -> str:
    """The text on one line, with control characters, bidirectional marks and the like as escapes (CWE-117)."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def clipped(text: str, longest: int = MAX_MESSAGE_CHARS) -> str:
    """The text, or its beginning and how much was left out."""
    return text if len(text) <= longest else f"{text[:longest]}... ({len(text) - longest} more characters)"


_PLAIN = logging.Formatter()


def settled(record: logging.LogRecord) -> logging.LogRecord:
    """A copy that holds texts only, so that another thread may write it while what it spoke of changes."""
    made = copy.copy(record)
    made.message = made.msg = clipped(record.getMessage())
    made.args = None
    if record.exc_info and not record.exc_text:
        made.exc_text = _PLAIN.formatException(record.exc_info)
    if made.exc_text:
        made.exc_text = clipped(made.exc_text, MAX_TRACE_CHARS)
    made.exc_info = None
    return made


class TextFormatter(logging.Formatter):
    """Time, level, logger and message. Lines of a traceback are indented, so that none looks like a record."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text without a line end."""
        line = f"{self.formatTime(record)} {record.levelname:<5} {record.name}: {printable(record.getMessage())}"
        trace = record.exc_text or (self.formatException(record.exc_info) if record.exc_info else "")
        return line + "".join(INDENT + printable(row) for row in trace.splitlines())


def json_formatter(node_id: int) -> logging.Formatter:
    """One JSON object a line; ASCII only, so that nothing in it can mislead a terminal."""
    from pythonjsonlogger.json import JsonFormatter

    names = {"levelname": "level", "name": "logger", "exc_info": "exception"}
    static = {"node_id": node_id}
    made: logging.Formatter = JsonFormatter(
        "%(levelname)s %(name)s %(message)s", timestamp="time", rename_fields=names, static_fields=static
    )
    return made


class AuditFormatter(logging.Formatter):
    """Audited events as JSON lines."""

    def __init__(self, node_id: int) -> None:
        super().__init__()
        import json

        self._encode = json.JSONEncoder(default=str).encode
        self._node_id = node_id

    def format(self, record: logging.LogRecord) -> str:
        """The event with its time; a notice that is no event has only a message."""
        fields = getattr(record, "audit", None)
        if fields is None:
            fields = {"event": "log.notice", "message": record.getMessage()}
        return self._encode({"time": iso_time(record.created), "node_id": self._node_id, **fields})


def iso_time(seconds: float) -> str:
    """Seconds since the epoch in UTC, as 2026-01-31T12:34:56.789Z."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
