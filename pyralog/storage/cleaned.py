"""The files that a cleaned segment is written to, before it takes the place of others (`.cleaned`)."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from pyralog._speedups.crc32c import checksum
from pyralog._speedups.fileops import Files
from pyralog.storage.names import CLEANED, INDEX, LOG, TIMEINDEX, TXNINDEX, segment_name

_INDEX_ENTRY = 16


class AbortedLike(Protocol):
    """An aborted transaction; `last_offset` is its marker's."""

    @property
    def producer_id(self) -> int: ...
    @property
    def first_offset(self) -> int: ...
    @property
    def last_offset(self) -> int: ...
    @property
    def last_stable(self) -> int: ...


class CleanedFiles:
    """One segment with its indexes; they replace what an earlier attempt has left."""

    def __init__(self, files: Files, folder: Path, base: int) -> None:
        self._files = files
        self._paths = {s: folder / (segment_name(base, s) + CLEANED) for s in (LOG, INDEX, TIMEINDEX, TXNINDEX)}
        self._fds: dict[str, int] = {}
        self._sizes = dict.fromkeys(self._paths, 0)
        self._last = {INDEX: (-1, -1), TIMEINDEX: (-1, -1)}
        self.crc = 0
        try:
            self.discard()  # what an earlier attempt has left
            for suffix in (LOG, INDEX, TIMEINDEX):
                self._open(suffix)
        except BaseException:
            self.close()
            raise

    def _open(self, suffix: str) -> None:
        self._fds[suffix] = self._files.open(os.fsencode(self._paths[suffix]), os.O_RDWR | os.O_CREAT | os.O_TRUNC)

    def add(self, log: bytes, offsets: bytes, times: bytes) -> None:
        self.crc = checksum(log, self.crc)
        for suffix, data in ((LOG, log), (INDEX, offsets), (TIMEINDEX, times)):
            self._append(suffix, data)
            if suffix != LOG and data:
                entry = data[-_INDEX_ENTRY:]
                self._last[suffix] = int.from_bytes(entry[:8], "big", signed=True), int.from_bytes(entry[8:], "big")

    def add_aborted(self, entries: Sequence[AbortedLike]) -> None:
        """Kafka's transaction index: version, producer id, first, last and last stable offset."""
        self._open(TXNINDEX)
        data = [struct.pack(">hqqqq", 0, e.producer_id, e.first_offset, e.last_offset, e.last_stable) for e in entries]
        self._append(TXNINDEX, b"".join(data))

    def _append(self, suffix: str, data: bytes) -> None:
        if data:
            self._files.pwrite(self._fds[suffix], data, self._sizes[suffix])
            self._sizes[suffix] += len(data)

    def last_entry(self, suffix: str) -> tuple[int, int]:
        return self._last[suffix]

    def sync(self) -> None:
        for fd in self._fds.values():
            self._files.fdatasync(fd)

    def close(self) -> None:
        for fd in self._fds.values():
            self._files.close(fd)
        self._fds.clear()

    def discard(self) -> None:
        for path in self._paths.values():
            try:
                self._files.unlink(os.fsencode(path))
            except FileNotFoundError:
                continue
