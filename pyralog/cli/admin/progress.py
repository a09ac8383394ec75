"""Progress on stderr: bars on a terminal, one line each 5 s elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

from pyralog.cli.admin.output import size_text

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

EVERY_S = 5.0


class Progress:
    """Counts bytes towards a total and shows what is being worked on, the rate, and the time that is left."""

    def __init__(self, what: str, total_bytes: int, *, wanted: bool) -> None:
        self._what = what
        self._total = total_bytes
        self._done = 0
        self._item = ""
        self._began = self._told = time.monotonic()
        self._wanted = wanted
        self._bars: RichProgress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if self._wanted and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
            from rich.progress import Progress as RichProgress

            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                DownloadColumn(binary_units=True),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[item]}"),
            )
            self._bars = RichProgress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bars.add_task(self._what, total=max(self._total, 1), item="")
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def item(self, name: str) -> None:
        """What is being worked on now."""
        self._item = name
        self.add(0)

    def add(self, size_bytes: int) -> None:
        """So much more is done."""
        self._done += size_bytes
        if self._bars is not None and self._task is not None:
            self._bars.update(self._task, completed=self._done, item=self._item)
            return
        now = time.monotonic()
        if self._wanted and now - self._told >= EVERY_S:
            self._told = now
            click.echo(self._line(now), err=True)

    def _line(self, now: float) -> str:
        rate = self._done / max(now - self._began, 0.001)
        left = f", {max(self._total - self._done, 0) / rate:.0f} s left" if rate > 0 else ""
        share = f" of {size_text(self._total)}" if self._total else ""
        return f"{self._what}: {size_text(self._done)}{share}, {size_text(rate)}/s{left} {self._item}".rstrip()
