"""Runs mypy's stubtest over every Cython module: the .pyi beside it must say what the module has."""

from __future__ import annotations

import pathlib
import subprocess
import sys


def modules() -> list[str]:
    """Dotted names of the compiled modules that have a stub."""
    root = pathlib.Path(__file__).resolve().parent.parent
    sources = sorted((root / "pyralog" / "_speedups").rglob("*.pyx"))
    stubbed = [source for source in sources if source.with_suffix(".pyi").exists()]
    return [".".join(source.relative_to(root).with_suffix("").parts) for source in stubbed]


if __name__ == "__main__":
    # Cython functions carry no signatures that stubtest could compare; names and kinds it does compare.
    allow = ["--allowlist", str(pathlib.Path(__file__).with_name("stubtest_allow.txt"))]
    command = [
        sys.executable,
        "-m",
        "mypy.stubtest",
        "--ignore-missing-stub",
        "--ignore-disjoint-bases",
        "--ignore-unused-allowlist",  # which entries are needed depends on the versions of Python and Cython
        "--concise",
        *allow,
        *modules(),
    ]
    sys.exit(subprocess.run(command, check=False).returncode)
