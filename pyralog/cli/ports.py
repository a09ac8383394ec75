"""Finds out which process holds a port that Pyralog wanted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyralog.config.schema import Config

LISTEN_STATE = "0A"
MAX_PROCESSES = 5000


def in_use_hint(config: Config) -> str:
    """Which wanted ports are taken, by whom, and what to do."""
    lines = []
    for listener in config.network.client_listeners():
        inodes = listening_inodes(listener.listen.port)
        if inodes:
            owner = owner_of(inodes)
            by = f" by process {owner[0]} ({owner[1]})" if owner else ""
            lines.append(f"\n  {listener.listen} is taken{by}.")
    other = "in network.listeners" if config.network.listeners else "--port 19092"
    lines.append(f"\n  Stop it, or choose another port: {other}")
    return "".join(lines)


def listening_inodes(port: int, tables: tuple[str, ...] = ("/proc/net/tcp", "/proc/net/tcp6")) -> set[str]:
    """Socket inodes that listen on a port; empty where the system does not tell."""
    found: set[str] = set()
    for table in tables:
        try:
            lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if len(fields) > 9 and fields[3] == LISTEN_STATE and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(fields[9])
    return found


def owner_of(inodes: set[str]) -> tuple[int, str] | None:
    """Process id and command of a holder of one of these sockets, if we may see it."""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    processes = [entry for entry in Path("/proc").glob("[0-9]*") if entry.name.isdigit()]
    for process in processes[:MAX_PROCESSES]:
        try:
            for descriptor in (process / "fd").iterdir():
                if os.readlink(descriptor) in wanted:
                    command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                    return int(process.name), command[:80]
        except OSError:  # another user's process, or one that just ended
            continue
    return None
