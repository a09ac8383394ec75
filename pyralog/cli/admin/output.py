"""Tables and pairs for people: sizes, times and lists as they are read, colours on a terminal only."""

from __future__ import annotations

import datetime
import os
import sys
from collections.abc import Mapping
from typing import Any

import click

UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def size_text(size_bytes: float) -> str:
    """Bytes in the unit that fits."""
    size = float(size_bytes)
    for unit in UNITS:
        if abs(size) < 1024 or unit == UNITS[-1]:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError("unreachable")


def time_text(at_ms: int) -> str:
    """Milliseconds since the epoch as UTC."""
    if at_ms < 0:
        return "-"
    when = datetime.datetime.fromtimestamp(at_ms / 1000, datetime.UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def cell(name: str, value: Any) -> str:
    """A value as it is read, by what its name says of it."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float) and name.endswith("_bytes"):
        return size_text(value) if value >= 0 else "-"
    if isinstance(value, int) and name.endswith("_at_ms"):
        return time_text(value)
    if isinstance(value, list | tuple | set):
        return ",".join(str(each) for each in value)
    if isinstance(value, Mapping):
        return " ".join(f"{key}={each}" for key, each in value.items())
    return str(value)


def heading(name: str) -> str:
    """A column's name: of its unit only what the cells do not say themselves."""
    for suffix in ("_bytes", "_at_ms"):
        name = name.removesuffix(suffix)
    return name.upper().replace("_", " ")


def on_terminal() -> bool:
    """Whether colours make sense."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def table(rows: list[dict[str, Any]]) -> None:
    """Aligned columns, numbers to the right; never folded, so that names and commands can be copied."""
    names = list(rows[0])
    lines = [[cell(name, row.get(name)) for name in names] for row in rows]
    right = [all(isinstance(row.get(name), int | float | None) for row in rows) for name in names]
    plain = [[heading(name) for name in names], *lines]
    widths = [max(len(line[i]) for line in plain) for i in range(len(names))]
    for number, line in enumerate(plain):
        cells = [
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(line, widths, right, strict=True)
        ]
        text = "  ".join(cells).rstrip()
        click.echo(click.style(text, bold=True) if number == 0 and on_terminal() else text)


def pairs(values: Mapping[str, Any]) -> None:
    """One `name: value` a line."""
    for name, value in values.items():
        label = name
        for suffix in ("_bytes", "_at_ms"):
            label = label.removesuffix(suffix)
        click.echo(f"{label}: {cell(name, value)}")
