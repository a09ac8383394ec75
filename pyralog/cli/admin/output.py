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
    """Whether colours and boxes make sense."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def table(rows: list[dict[str, Any]]) -> None:
    """Aligned columns; numbers to the right."""
    if not rows:
        return
    names = list(rows[0])
    lines = [[cell(name, row.get(name)) for name in names] for row in rows]
    right = [all(isinstance(row.get(name), int | float | None) for row in rows) for name in names]
    if on_terminal():
        _rich_table([heading(name) for name in names], lines, right)
        return
    plain = [[heading(name) for name in names], *lines]
    widths = [max(len(line[i]) for line in plain) for i in range(len(names))]
    for line in plain:
        cells = [
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(line, widths, right, strict=True)
        ]
        click.echo("  ".join(cells).rstrip())


def _rich_table(names: list[str], lines: list[list[str]], right: list[bool]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for name, to_right in zip(names, right, strict=True):
        drawn.add_column(name, justify="right" if to_right else "left", overflow="fold")
    for line in lines:
        drawn.add_row(*(Text(text) for text in line))
    Console().print(drawn)


def pairs(values: Mapping[str, Any]) -> None:
    """One `name: value` a line."""
    for name, value in values.items():
        label = name
        for suffix in ("_bytes", "_at_ms"):
            label = label.removesuffix(suffix)
        click.echo(f"{label}: {cell(name, value)}")
