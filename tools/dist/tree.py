"""Builds the relocatable tree of the archive and the Debian package: a Python, Pyralog and what it depends on.

    python -m tools.dist.tree --python TREE --wheel WHEEL OUT

TREE is a Python that finds its library beside itself: what tools.dist.python builds, or python-build-standalone's
`install_only` archive, unpacked. Nothing in OUT knows where it lies.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tools.dist.wheels import ROOT, commit_time
from tools.dist.zig import MACHINE

# Parts of the standard library that no server needs.
UNUSED = ("test", "idlelib", "tkinter", "turtledemo", "turtle.py", "ensurepip", "lib2to3", "pydoc_data", "venv")
COMMANDS = {"pyralog": "pyralog.cli.daemon", "pyralog-admin": "pyralog.cli.admin.main"}
# glibc 2.28 and what is older.
PLATFORMS = [f"manylinux_2_{minor}_{MACHINE}" for minor in range(28, 16, -1)] + [f"manylinux2014_{MACHINE}"]
LAUNCHER = """#!/bin/sh
# Runs {name} with the Python beside it, and with nothing of any other Python.
self=$(readlink -f "$0")
tree=${{self%/bin/*}}
exec "$tree/bin/{python}" -I "$tree/libexec/{name}" "$@"
"""
ENTRY = '"""{name}, as its console script would start it."""\nfrom {module} import main\n\nmain()\n'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, required=True)
    parser.add_argument("--wheel", type=Path, required=True)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    build(options.python.resolve(), options.wheel.resolve(), options.out.resolve())


def build(python_tree: Path, wheel: Path, out: Path) -> None:
    """Make the tree; `out` must not exist."""
    interpreter = interpreter_of(python_tree)
    name = interpreter.name
    library = out / "lib" / name
    (out / "bin").mkdir(parents=True)
    shutil.copy2(interpreter, out / "bin" / name)
    shutil.copytree(python_tree / "lib" / name, library, symlinks=True, ignore=_unused)
    for shared in (python_tree / "lib").glob(f"lib{name}.so*"):
        shutil.copy2(shared, out / "lib" / shared.name, follow_symlinks=False)
    install(wheel, name.removeprefix("python"), library / "site-packages")
    write_commands(out, name)
    for text in ("LICENSE", "CHANGELOG.md", "README.md"):
        target = out / "share" / "doc" / "pyralog" / text
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / text, target)
    # Not checked against the sources: they never change, and unpacking need not keep their times.
    compile_all = ["-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", str(library)]
    subprocess.run([str(out / "bin" / name), "-I", *compile_all], check=True)
    man = [str(out / "bin" / "pyralog-admin"), "generate", "man", str(out / "share" / "man")]
    subprocess.run(man, env={**os.environ, "SOURCE_DATE_EPOCH": commit_time()}, check=True, stdout=subprocess.DEVNULL)


def interpreter_of(tree: Path) -> Path:
    """Its bin/python3.N."""
    found = [path for path in (tree / "bin").glob("python3.*") if path.name.removeprefix("python3.").isdecimal()]
    if len(found) != 1:
        raise SystemExit(f"{tree}/bin holds {len(found)} python3.N, not one")
    return found[0]


def _unused(folder: str, names: list[str]) -> set[str]:
    dropped = {name for name in names if name == "__pycache__" or name.startswith("config-3.")}
    if Path(folder).name.startswith("python3."):
        dropped |= {*UNUSED, "site-packages"} & set(names)
    return dropped


def install(wheel: Path, version: str, site: Path) -> None:
    """Pyralog and its dependencies as wheels that run on glibc 2.28, whatever this machine is."""
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-compile", "--only-binary", ":all:"]
    target = ["--python-version", version, "--implementation", "cp", *platforms, "--target", str(site)]
    subprocess.run([*pip, *target, str(wheel)], check=True)
    # pip's scripts name the Python that ran pip.
    shutil.rmtree(site / "bin", ignore_errors=True)


def write_commands(out: Path, python: str) -> None:
    """bin/pyralog and bin/pyralog-admin, and the Python files that they run."""
    (out / "libexec").mkdir()
    for name, module in COMMANDS.items():
        (out / "libexec" / name).write_text(ENTRY.format(name=name, module=module))
        command = out / "bin" / name
        command.write_text(LAUNCHER.format(name=name, python=python))
        command.chmod(0o755)


def pack(build_from: Callable[[Path, Path], Path], doc: str | None) -> None:
    """The command of what packs a tree: TREE OUT."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tree", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    made = build_from(options.tree.resolve(), options.out.resolve())
    print(f"{made.stat().st_size / 1e6:6.2f} MB  {made}")


def size_of(folder: Path) -> int:
    """Bytes of all files in it."""
    return sum(os.lstat(Path(at) / name).st_size for at, _, names in os.walk(folder) for name in names)


if __name__ == "__main__":
    main()
