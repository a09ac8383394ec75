"""Zig's C compiler as `cc`: it links against the symbols of glibc 2.28, whatever glibc this machine has."""

from __future__ import annotations

import importlib.util
import platform
import shlex
from pathlib import Path

GLIBC = "2.28"
MANYLINUX = "manylinux_2_28"
# The name of this machine in wheels, in Zig's targets, and in Debian's and the guide's file names.
MACHINE = platform.machine()
DEBIAN_MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}[MACHINE]


def compilers(folder: Path) -> dict[str, str]:
    """Write `cc`, `c++` and `ar` into a folder; their paths as CC, CXX and AR."""
    folder.mkdir(parents=True, exist_ok=True)
    # Without -O Zig would trap undefined behaviour; no build here asks for that.
    # __DATE__, which Python's banner has, is an error to Zig by default.
    target = f"-target {MACHINE}-linux-gnu.{GLIBC} -fno-sanitize=undefined -Wno-date-time"
    zig = executable()
    made = {}
    for name, tool, options in (("CC", "cc", target), ("CXX", "c++", target), ("AR", "ar", "")):
        path = folder / tool
        path.write_text(f'#!/bin/sh\nexec {shlex.quote(str(zig))} {tool} {options} "$@"\n')
        path.chmod(0o755)
        made[name] = str(path)
    return made


def executable() -> Path:
    """Zig itself: `python -m ziglang` takes twice as long to start, and configuring Python starts it 2,000 times."""
    found = importlib.util.find_spec("ziglang")
    if found is None or not found.submodule_search_locations:
        raise SystemExit("ziglang is not installed (make dist, or: pip install ziglang)")
    return Path(found.submodule_search_locations[0]) / "zig"


def extension_environment(folder: Path) -> dict[str, str]:
    """What makes setuptools build extension modules with Zig, stripped and without the paths of this machine."""
    tools = compilers(folder)
    link = f"{tools['CC']} -shared -s"
    headers = f"-I{debian_headers(folder / 'include')}"
    return {**tools, "LDSHARED": link, "LDCXXSHARED": link, "LDFLAGS": "", "CFLAGS": headers}


def debian_headers(folder: Path, multiarch: Path = Path(f"/usr/include/{MACHINE}-linux-gnu")) -> Path:
    """A folder with what pyconfig.h of Debian's Pythons names by its path from /usr/include, where Zig does not look."""
    target = folder / multiarch.name
    target.mkdir(parents=True, exist_ok=True)
    for found in multiarch.glob("python3.*"):
        link = target / found.name
        link.unlink(missing_ok=True)
        link.symlink_to(found)
    return folder
