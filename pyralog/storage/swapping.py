"""Files of segments that the log cleaner replaces: every step leaves a folder that recovery completes or undoes.

`.cleaned` files are being written. As `.swap` files they are whole and synced. `<base>.swap`, a checkpoint with the
offset where the replaced range ends and what the cleaned log is, is the decision: with it the swap is completed,
without it undone. A copy of a running node's files may have it without the cleaned segment: it is undone too.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable
from pathlib import Path

from pyralog._speedups.crc32c import checksum
from pyralog._speedups.fileops import Files
from pyralog.storage.checkpoints import encode_lines, parse_lines, read_small, write_atomically
from pyralog.storage.names import (
    CLEANED,
    COMPACTED_FILE,
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

_CHUNK_BYTES = 1 << 20
_UNKNOWN = 1 << 62
PARTS = (LOG, INDEX, TIMEINDEX, TXNINDEX)
_DECISION = re.compile(r"\d{20}" + re.escape(SWAP))


def compacted_to(files: Files, folder: Path) -> int:
    """Below which offset compaction may have made gaps in closed segments; 2^62 when that cannot be read."""
    try:
        data = read_small(files, folder / COMPACTED_FILE)
        return 0 if data is None else int(parse_lines(data, folder / COMPACTED_FILE)[0][0])
    except (ValueError, IndexError) as error:
        log.warning("%s: %s; any gap in its closed segments is taken for one of compaction", folder, error)
        return _UNKNOWN


def note_compacted(files: Files, folder: Path, end: int) -> None:
    """Before the first segment up to that offset is swapped. It lies with the log: a copy of one has the other."""
    if compacted_to(files, folder) < end:
        write_atomically(files, folder / COMPACTED_FILE, encode_lines([str(end)]))


def ready(files: Files, folder: Path, base: int) -> None:
    """The synced `.cleaned` files of a segment become `.swap` files. No decision about earlier ones holds for them."""
    if _unlink(files, folder / segment_name(base, SWAP)):
        files.fsync_dir(os.fsencode(folder))
    for suffix in PARTS:
        source = folder / (segment_name(base, suffix) + CLEANED)
        try:
            files.rename(os.fsencode(source), os.fsencode(source.with_name(segment_name(base, suffix) + SWAP)))
        except FileNotFoundError:
            continue
    files.fsync_dir(os.fsencode(folder))


def decide(files: Files, folder: Path, base: int, end: int, size_bytes: int, crc: int) -> None:
    """From now on the `.swap` files are the log in [base, end), whatever happens."""
    write_atomically(files, folder / segment_name(base, SWAP), encode_lines([f"{end} {size_bytes} {crc}"]))


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
        end, size, crc = (int(field) for field in parse_lines(data or b"", decision)[0])
    except (ValueError, IndexError) as error:
        log.warning("%s: %s; what it would have replaced stays", folder / decision, error)
        return False
    path = folder / segment_name(base, LOG)
    if not any(_is(files, found, size, crc) for found in (path.with_name(path.name + SWAP), path)):
        log.warning("%s: the cleaned segment is not there; what it would have replaced stays", folder / decision)
        return False
    _take_names(files, folder, base)
    files.fsync_dir(os.fsencode(folder))
    for name in os.listdir(folder):
        parsed = parse_segment(name)
        if parsed is not None and parsed.suffix in PARTS and base < parsed.offset < end:
            _unlink(files, folder / name)
    files.fsync_dir(os.fsencode(folder))
    return True


def _is(files: Files, path: Path, size: int, crc: int) -> bool:
    if not path.exists() or path.stat().st_size != size:
        return False
    fd = files.open(os.fsencode(path), os.O_RDONLY)
    try:
        found = position = 0
        while position < size:
            data = files.pread(fd, min(_CHUNK_BYTES, size - position), position)
            if not data:
                return False
            found, position = checksum(data, found), position + len(data)
        return found == crc
    finally:
        files.close(fd)


def _take_names(files: Files, folder: Path, base: int) -> None:
    for suffix in PARTS:
        target = folder / segment_name(base, suffix)
        try:
            files.rename(os.fsencode(target.with_name(target.name + SWAP)), os.fsencode(target))
        except FileNotFoundError:
            continue


def _unlink(files: Files, path: Path) -> bool:
    """Whether it was there."""
    try:
        files.unlink(os.fsencode(path))
    except FileNotFoundError:
        return False
    return True
