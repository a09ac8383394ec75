"""Reads Java properties files such as Kafka's server.properties, with the line of each property."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from pyralog.config.problems import Place, Problem

_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_LETTERS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


class Property(NamedTuple):
    """A property's text and the line it begins in."""

    text: str
    line: int


def read_properties(data: bytes) -> tuple[dict[str, Property], list[Problem]]:
    """The properties by name, and what is wrong with the file. Of a name that is given twice the last one counts."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("latin-1")  # which Java takes these files to be
    found: dict[str, Property] = {}
    problems: list[Problem] = []
    for number, line in _logical_lines(text):
        name, value = _split(line)
        if not name:
            problems.append(Problem("", f"a property without a name: {line.strip()!r}", Place(number, 1)))
        elif name in found:
            message = f"is also given in line {found[name].line}, and Kafka takes the last one; remove one of them."
            problems.append(Problem(name, message, Place(number, 1)))
        found[name] = Property(value, number)
    return found, problems


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines that hold a property, those that end in a backslash joined with the next; each with its first number."""
    lines = iter(enumerate(re.split(r"\r\n|\r|\n", text), 1))
    for number, raw in lines:
        line = raw.lstrip(" \t\f")
        if not line or line[0] in "#!":
            continue
        while _continues(line):
            line = line[:-1]
            _, following = next(lines, (0, ""))
            line += following.lstrip(" \t\f")
        yield number, line


def _continues(line: str) -> bool:
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _split(line: str) -> tuple[str, str]:
    """Name and value; they are apart by =, : or white space."""
    at, escaped = 0, False
    while at < len(line) and (escaped or line[at] not in "=: \t\f"):
        escaped = line[at] == "\\" and not escaped
        at += 1
    rest = line[at:].lstrip(" \t\f")
    if rest[:1] in ("=", ":"):
        rest = rest[1:].lstrip(" \t\f")
    return _unescaped(line[:at]), _unescaped(rest)


def _unescaped(text: str) -> str:
    def replaced(match: re.Match[str]) -> str:
        code = match[1]
        return chr(int(code[1:], 16)) if len(code) == 5 else _LETTERS.get(code, code)

    return _ESCAPE.sub(replaced, text)
