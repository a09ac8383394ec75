"""Files of segments that the log cleaner replaces: every step leaves a folder that recovery completes or undoes.

`.cleaned` files are being written. As `.swap` files they are whole and synced. `<base>.swap`, a checkpoint with the
offset where the replaced range ends, is the decision: with it the swap is completed, without it undone.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable
from pathlib import Path

from pyralog._speedups.fileops import Files
from pyralog.storage.checkpoints import encode_lines, parse_lines, read_small, write_atomically
from pyralog.storage.names import (
    CLEANED,
    DELETED,
    INDEX,
    LOG,
    SWAP,
    TIMEINDEX,
    TXNINDEX,
    parse_segment,
    segment_name,
)

log = logging.getLogger(__name__)

PARTS = (LOG, INDEX, TIMEINDEX, TXNINDEX)
_DECISION = re.compile(r"\d{20}" + re.escape(SWAP))


def ready(files: Files, folder: Path, base: int) -> None:
    """The synced `.cleaned` files of a segment become `.swap` files. No decision about earlier ones holds for them."""
    _unlink(files, folder / segment_name(base, SWAP))
    files.fsync_dir(os.fsencode(folder))
    for suffix in PARTS:
        source = folder / (segment_name(base, suffix) + CLEANED)
        try:
            files.rename(os.fsencode(source), os.fsencode(source.with_name(segment_name(base, suffix) + SWAP)))
        except FileNotFoundError:
            continue
    files.fsync_dir(os.fsencode(folder))


def decide(files: Files, folder: Path, base: int, end: int) -> None:
    """From now on the `.swap` files are the log in [base, end), whatever happens."""
    write_atomically(files, folder / segment_name(base, SWAP), encode_lines([str(end)]))


def withdraw(files: Files, folder: Path, base: int) -> None:
    """The segments have changed meanwhile: as if nothing had been cleaned."""
    _unlink(files, folder / segment_name(base, SWAP))
    files.fsync_dir(os.fsencode(folder))
    for suffix in PARTS:
        _unlink(files, folder / (segment_name(base, suffix) + SWAP))
        _unlink(files, folder / (segment_name(base, suffix) + CLEANED))


def retire(files: Files, folder: Path, base: int, old_bases: Iterable[int]) -> list[Path]:
    """The plane has swapped: what was replaced gets names under which nobody looks for it. They may be deleted."""
    _take_names(files, folder, base)  # should the plane have failed at an index, which is not its first concern
    retired = []
    for old in old_bases:
        for suffix in PARTS if old != base else ():
            source = folder / segment_name(old, suffix)
            target = source.with_name(source.name + DELETED)
            try:
                files.rename(os.fsencode(source), os.fsencode(target))
            except FileNotFoundError:
                continue
            retired.append(target)
    files.fsync_dir(os.fsencode(folder))
    _unlink(files, folder / segment_name(base, SWAP))
    return retired


def recover_swaps(files: Files, folder: Path) -> list[str]:
    """After a crash: completes what was decided, undoes the rest. The names of what was completed."""
    found = sorted(os.listdir(folder))
    decisions = [name for name in found if _DECISION.fullmatch(name)]
    completed = [name for name in decisions if _complete(files, folder, name)]
    for name in found:
        if name.endswith(CLEANED) or (name.endswith(SWAP) and name not in completed):
            _unlink(files, folder / name)
    for name in completed:  # last: until here all of it can be done again
        _unlink(files, folder / name)
    return completed


def _complete(files: Files, folder: Path, decision: str) -> bool:
    base = int(decision[:20])
    try:
        data = read_small(files, folder / decision)
        end = int(parse_lines(data or b"", decision)[0][0])
    except (ValueError, IndexError) as error:
        log.warning("%s: %s; what it would have replaced stays", folder / decision, error)
        return False
    _take_names(files, folder, base)
    files.fsync_dir(os.fsencode(folder))
    for name in os.listdir(folder):
        parsed = parse_segment(name)
        if parsed is not None and parsed.suffix in PARTS and base < parsed.offset < end:
            _unlink(files, folder / name)
    files.fsync_dir(os.fsencode(folder))
    return True


def _take_names(files: Files, folder: Path, base: int) -> None:
    for suffix in PARTS:
        target = folder / segment_name(base, suffix)
        try:
            files.rename(os.fsencode(target.with_name(target.name + SWAP)), os.fsencode(target))
        except FileNotFoundError:
            continue


def _unlink(files: Files, path: Path) -> None:
    try:
        files.unlink(os.fsencode(path))
    except FileNotFoundError:
        return
