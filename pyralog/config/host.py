"""Checks the configuration against this machine: the data folder, and file descriptors for the connections."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from pyralog.config.checks import Finding
from pyralog.config.schema import Config

# Descriptors that are not client connections: segments and indexes in use, listeners, logs.
RESERVED_DESCRIPTORS = 1000
MEMORY_FILE_SYSTEMS = ("tmpfs", "ramfs")


def folder_problems(config: Config) -> Iterator[Finding]:
    """Why a folder that the configuration names cannot be used."""
    folders = {"node.data_dir": config.node.data_dir}
    if "node.log_dir" in config.origins and config.node.log_dir:
        folders["node.log_dir"] = config.node.log_dir
    for key, name in folders.items():
        if why := _unusable(Path(name)):
            yield Finding(key, f'"{name}" {why}')


def _unusable(folder: Path) -> str | None:
    if folder.exists() and not folder.is_dir():
        return "is not a folder."
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    if not os.access(place, os.W_OK | os.X_OK):
        return f'cannot be written: no permission on "{place}".'
    return None


def folder_warnings(config: Config, mounts: str = "/proc/mounts") -> Iterator[str]:
    """A warning when the data folder lies in memory."""
    kind = _file_system(Path(config.node.data_dir).absolute(), mounts)
    if kind in MEMORY_FILE_SYSTEMS:
        yield f"node.data_dir: {config.node.data_dir} lies in memory ({kind}); its records are lost with the machine"


def _file_system(folder: Path, mounts: str) -> str:
    """The type of the file system a path lies on, or an empty text where the system does not tell."""
    try:
        lines = Path(mounts).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    best, kind = "", ""
    for line in lines:
        fields = line.split()
        if len(fields) < 3:
            continue
        mount = fields[1].replace("\\040", " ")
        if (folder.is_relative_to(mount)) and len(mount) >= len(best):
            best, kind = mount, fields[2]
    return kind


def fit_connections(config: Config) -> tuple[Config, tuple[str, ...]]:
    """Raise the soft limit of open files to the hard one, and lower max_connections to what then fits."""
    available = _raise_descriptor_limit()
    wanted = config.network.max_connections
    if available is None or wanted + RESERVED_DESCRIPTORS <= available:
        return config, ()
    possible = max(1, available - RESERVED_DESCRIPTORS, available // 2)
    if possible >= wanted:
        return config, ()
    warning = (
        f"network.max_connections: {wanted} is lowered to {possible}, since this process may open {available} files "
        f"(nofile); {wanted + RESERVED_DESCRIPTORS} are needed"
    )
    network = config.network.model_copy(update={"max_connections": possible})
    changed = config.model_copy(update={"network": network})
    return changed.with_origins(config.origins), (warning,)


def descriptor_limits() -> tuple[int, int]:
    """The soft and the hard limit of open files as they are now; -1 where there is none (requirement OS-6)."""
    if sys.platform == "win32":
        return -1, -1
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    return -1 if soft == unlimited else soft, -1 if hard == unlimited else hard


def _raise_descriptor_limit() -> int | None:
    """The number of files this process may open, after asking for as many as it can get; None where unlimited."""
    if sys.platform == "win32":
        return None
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (ValueError, OSError):  # macOS refuses "unlimited"; the soft limit then stays
            pass
    return None if soft == resource.RLIM_INFINITY else soft
