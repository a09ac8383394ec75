"""What has to happen when a broker of a test is forgotten, or its process ends: never in a forked child of it."""

from __future__ import annotations

import os
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any


def at_end(owner: object, action: Callable[..., object], *arguments: Any) -> Callable[[], object]:
    """Run `action` once: when the result is called, `owner` is collected or this process ends."""
    return weakref.finalize(owner, _here, os.getpid(), action, *arguments)


def remove(folder: Path) -> None:
    """Remove a folder; what cannot be removed is left."""
    shutil.rmtree(folder, ignore_errors=True)


def _here(pid: int, action: Callable[..., object], *arguments: Any) -> None:
    # A child that a test forked inherits the finalizers, and would pull the folder from under the running broker.
    if os.getpid() == pid:
        action(*arguments)
