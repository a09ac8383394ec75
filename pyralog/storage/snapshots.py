"""Producer snapshots of a partition folder (`<offset>.snapshot`): which of them recovery may begin from, which go."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from pyralog._speedups.fileops import Files
from pyralog.storage.checkpoints import read_small
from pyralog.storage.names import SNAPSHOT, segment_name

_KEPT = 2


class Snapshots:
    """The snapshots that were found in a folder, by the log end offset that each belongs to."""

    def __init__(self, files: Files, folder: Path) -> None:
        self._files = files
        self._folder = folder
        self._offsets: list[int] = []

    def add(self, offset: int) -> None:
        self._offsets.append(offset)

    def newest(
        self, not_below: int, not_above: int, load: Callable[[bytes, int], bool]
    ) -> tuple[int | None, list[str]]:
        """The offset of the newest one that `load` accepts, and the names of those that it did not.

        `not_below` is where the log begins now: what lay between an older one and that is gone, such as the end of a
        transaction that it says is open.
        """
        bad: list[str] = []
        for offset in sorted((offset for offset in self._offsets if not_below <= offset <= not_above), reverse=True):
            data = read_small(self._files, self._folder / segment_name(offset, SNAPSHOT))
            if data and load(data, offset):
                return offset, bad
            bad.append(segment_name(offset, SNAPSHOT))
        return None, bad

    def drop_above(self, offset: int) -> bool:
        """Those of later offsets speak of records that are gone, or may be. True when there were any."""
        lost = [found for found in self._offsets if found > offset]
        for found in lost:
            self._remove(found)
        return bool(lost)

    def drop_old(self, log_end: int) -> None:
        """Keeps the two newest at or below the log end."""
        usable = sorted(offset for offset in self._offsets if offset <= log_end)
        for offset in set(self._offsets) - set(usable[-_KEPT:]):
            self._remove(offset)

    def _remove(self, offset: int) -> None:
        self._files.unlink(os.fsencode(self._folder / segment_name(offset, SNAPSHOT)))
        self._offsets.remove(offset)
