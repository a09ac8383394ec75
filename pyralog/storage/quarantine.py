"""Keeps for the operator what leaves a log because recovery could not vouch for it."""

from __future__ import annotations

import filecmp
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from pyralog._speedups.fileops import Files
from pyralog.storage.names import QUARANTINE, TEMPORARY

_PIECE_BYTES = 1 << 20


@contextmanager
def opened(files: Files, path: Path, flags: int) -> Iterator[int]:
    fd = files.open(os.fsencode(path), flags)
    try:
        yield fd
    finally:
        files.close(fd)


def filled(files: Files, path: Path, begin: int, end: int) -> int:
    """Where the zeros begin that [begin, end) ends with; `begin` when there is nothing else."""
    with opened(files, path, os.O_RDONLY) as fd:
        while end > begin:
            at = max(begin, end - _PIECE_BYTES)
            data = files.pread(fd, end - at, at).rstrip(b"\0")
            if data:
                return at + len(data)
            end = at
    return begin


def keep_range(files: Files, path: Path, begin: int, filled_to: int, end: int) -> str:
    """Copies [begin, end), zeros from `filled_to` on; the copy's name. Done again after a crash, it finds it there."""
    copy = Path(f"{path}{TEMPORARY}")
    with (
        opened(files, path, os.O_RDONLY) as reading,
        opened(files, copy, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as writing,
    ):
        for position in range(begin, filled_to, _PIECE_BYTES):
            data = files.pread(reading, min(_PIECE_BYTES, filled_to - position), position)
            files.pwrite(writing, data, position - begin)
        files.ftruncate(writing, end - begin)  # they may be the end of a record, and cost no blocks
        files.fdatasync(writing)
    for target in _names(path.with_name(f"{path.name}.{begin}")):
        if not target.exists():
            files.rename(os.fsencode(copy), os.fsencode(target))
            break
        if filecmp.cmp(copy, target, shallow=False):
            files.unlink(os.fsencode(copy))
            break
    files.fsync_dir(os.fsencode(path.parent))
    return target.name


def keep_file(files: Files, path: Path) -> str:
    """Renames a whole file; its new name. The caller syncs the directory."""
    with opened(files, path, os.O_RDWR) as fd:
        files.fdatasync(fd)
    target = next(to for to in _names(path) if not to.exists())
    files.rename(os.fsencode(path), os.fsencode(target))
    return target.name


def _names(stem: Path) -> Iterator[Path]:
    """Names for what is kept: what an earlier recovery kept is never written over."""
    yield Path(f"{stem}{QUARANTINE}")
    for n in count(1):
        yield Path(f"{stem}-{n}{QUARANTINE}")
