"""Packs a relocatable tree into `pyralog-linux-amd64.tar.gz`: one executable file, which unpacks itself once.

python -m tools.dist.archive TREE OUT
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

from pyralog.version import __version__
from tools.dist.tree import interpreter_of, pack
from tools.dist.wheels import ROOT, commit_time
from tools.dist.zig import DEBIAN_MACHINE, MACHINE

LAUNCHER = ROOT / "packaging" / "archive" / "launcher.sh"
NAME = f"pyralog-linux-{DEBIAN_MACHINE}.tar.gz"


def build(tree: Path, out: Path) -> Path:
    """`pyralog`, and `pyralog-admin` as a link to it, in a tar archive."""
    out.mkdir(parents=True, exist_ok=True)
    program = executable(packed(tree), interpreter_of(tree).name)
    made = out / NAME
    # The program is compressed already.
    with gzip.GzipFile(made, "wb", compresslevel=1, mtime=0) as stream, tarfile.open(fileobj=stream, mode="w") as tar:
        entry = plain(tarfile.TarInfo("pyralog"))
        entry.size, entry.mode = len(program), 0o755
        tar.addfile(entry, io.BytesIO(program))
        link = plain(tarfile.TarInfo("pyralog-admin"))
        link.type, link.linkname = tarfile.SYMTYPE, "pyralog"
        tar.addfile(link)
    return made


def packed(tree: Path) -> bytes:
    """The tree as a compressed tar archive; the same tree gives the same bytes."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=6, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as tar,
    ):
        for path in sorted(tree.rglob("*")):
            tar.add(path, path.relative_to(tree).as_posix(), recursive=False, filter=plain)
    return buffer.getvalue()


def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """An entry of root's, without the time at which it was made."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mtime = int(commit_time())
    return entry


def executable(payload: bytes, python: str) -> bytes:
    """The launcher with its values filled in, and the payload behind it."""
    text = LAUNCHER.read_text(encoding="utf-8")
    digest = hashlib.sha256(payload).hexdigest()[:12]
    values = {"VERSION": __version__, "MACHINE": MACHINE, "ID": f"{__version__}-{digest}", "PYTHON": python}
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    # The offset counts its own digits: `tail -c +N` begins with byte N, counted from 1.
    width = 8
    first = len(text.replace("@OFFSET@", " " * width).encode()) + 1
    # A number with zeros before it is octal to some shells, and tail takes none; blanks would end the word.
    offset = f"{first}".ljust(width, " ")
    return text.replace("@OFFSET@\n", f"{offset}\n").encode() + payload


if __name__ == "__main__":
    pack(build, __doc__)
