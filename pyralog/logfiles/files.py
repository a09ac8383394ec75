"""Where log lines go: files that survive logrotate, full disks and their own size; or the standard output."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TextIO

# A disk that is full is asked again with each batch of lines; it is said once, until a write succeeds again.
NO_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EROFS)


# macOS has no fdatasync.
_sync = getattr(os, "fdatasync", os.fsync)


class Target(Protocol):
    """Takes lines. `lost` counts those that could not be written since the last success; `trouble` says why."""

    lost: int
    trouble: str

    def write(self, lines: Sequence[str]) -> None:
        """Write whole lines, given without line ends. Never raises: what cannot be written is lost and counted."""

    def sync(self) -> None:
        """Make what was written survive a power failure."""

    def close(self) -> None:
        """Write no more."""


def complain(text: str) -> None:
    """Say on stderr what cannot be said in a log."""
    with contextlib.suppress(OSError, ValueError):  # nobody is left to tell
        sys.stderr.write(f"pyralog: {text}\n")
        sys.stderr.flush()


class LogFile:
    """A file that lines are appended to.

    Before each write it looks whether its name still leads to it: a file that was renamed or removed (logrotate
    `create`) is opened anew, one that was cut (`copytruncate`) goes on at its new end, since it is opened for
    appending. Above `max_bytes` it becomes NAME.1, NAME.1 becomes NAME.2 and so on, `keep` of them; 0 never does that.
    """

    def __init__(self, path: Path, *, max_bytes: int, keep: int, mode: int) -> None:
        self.path = path
        self.lost = 0
        self.trouble = ""
        self._max_bytes = max_bytes
        self._keep = keep
        self._mode = mode
        self._fd = -1
        self._size = 0
        self._torn = False  # the last line is not whole

    def open(self) -> None:
        """Open or create it; OSError when that is not possible."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._fd = os.open(self.path, flags, self._mode)
        self._size = os.fstat(self._fd).st_size

    def write(self, lines: Sequence[str]) -> None:
        """Append the lines."""
        encoded = [line.encode("utf-8", "backslashreplace") + b"\n" for line in lines]
        try:
            self._follow()
            size = sum(map(len, encoded))
            if self._max_bytes and self._size and self._size + size > self._max_bytes:
                self._rotate()
        except OSError as error:
            self._failed(error, len(encoded))
            return
        self._append(encoded)

    def _append(self, encoded: list[bytes]) -> None:
        data = b"".join([b"\n" if self._torn else b"", *encoded])
        written = 0
        try:
            while written < len(data):
                written += os.write(self._fd, data[written:])
        except OSError as error:
            whole = data.count(b"\n", int(self._torn), written) if written else 0
            self._torn = not data[:written].endswith(b"\n") if written else self._torn
            self._failed(error, len(encoded) - whole)
        else:
            self._torn = False
            self.lost, self.trouble = 0, ""
        self._size += written

    def _failed(self, error: OSError, lines: int) -> None:
        self.lost += lines
        if not self.trouble:
            complain(f"cannot write {self.path}: {error.strerror}; log lines are lost until that is over")
        self.trouble = error.strerror or str(error)

    def _follow(self) -> None:
        """Open it anew when its name leads elsewhere by now."""
        if self._fd >= 0:
            try:
                named, ours = os.stat(self.path), os.fstat(self._fd)
            except FileNotFoundError:
                named = None
            if named is not None and (named.st_dev, named.st_ino) == (ours.st_dev, ours.st_ino):
                # What cannot be put aside, a terminal or a pipe, never grows too large.
                self._size = named.st_size if stat.S_ISREG(named.st_mode) else 0
                return
            self.close()
        self._torn = False
        self.open()

    def _rotate(self) -> None:
        """Put it aside under the next name and begin anew; where that is not allowed it goes on growing."""
        try:
            for number in range(self._keep - 1, 0, -1):
                with contextlib.suppress(FileNotFoundError):
                    os.replace(f"{self.path}.{number}", f"{self.path}.{number + 1}")
            if self._keep:
                os.replace(self.path, f"{self.path}.1")
            else:
                os.unlink(self.path)
        except OSError as error:
            complain(f"cannot put {self.path} aside: {error.strerror}; it grows on")
            self._max_bytes = 0
            return
        self.sync()
        self.close()
        self._torn = False
        self.open()

    def sync(self) -> None:
        """fdatasync; a file that cannot be synced, such as a terminal, is left alone."""
        if self._fd < 0:
            return
        try:
            _sync(self._fd)
        except OSError as error:
            if error.errno not in NO_SYNC:
                self._failed(error, 0)

    def close(self) -> None:
        """Close it; what comes later opens it again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class Stream:
    """The standard output, or what a test puts in its place."""

    def __init__(self, stream: TextIO) -> None:
        self.lost = 0
        self.trouble = ""
        self._stream = stream
        self._encoding = getattr(stream, "encoding", None) or "utf-8"

    def write(self, lines: Sequence[str]) -> None:
        """Write the lines, with escapes for characters that the stream's encoding lacks."""
        text = "".join(line + "\n" for line in lines)
        try:
            self._stream.write(text.encode(self._encoding, "backslashreplace").decode(self._encoding))
            self._stream.flush()
        except (OSError, ValueError) as error:  # ValueError: it was closed
            if not self.trouble:
                complain(f"cannot write the log to the standard output: {error}")
            self.lost += len(lines)
            self.trouble = str(error)
        else:
            self.lost, self.trouble = 0, ""

    def sync(self) -> None:
        """Nothing more than what write does."""

    def close(self) -> None:
        """It is not ours to close."""
