"""Cases that are a Go program: built by the Go toolchain at hand from a client's folder, and run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from compat.cases import arguments


def run(folder: Path, client: str) -> int:
    """Build the program in `folder` when its sources have changed, and play the cases; the exit code."""
    options = arguments(folder.name)
    if shutil.which("go") is None:
        sys.exit(f"the Go toolchain is needed for {client}")
    program = folder / "target" / "cases"
    _build(folder, program)
    args = [options.bootstrap, str(options.smoke), str(options.timeout), *options.only]
    return subprocess.run([str(program), *args], check=False).returncode


def _build(folder: Path, program: Path) -> None:
    sources = (*folder.glob("*.go"), folder / "go.mod", folder / "go.sum")
    if program.exists() and program.stat().st_mtime >= max(path.stat().st_mtime for path in sources):
        return
    program.parent.mkdir(exist_ok=True)
    subprocess.run(["go", "build", "-o", str(program), "."], cwd=folder, check=True, stdout=sys.stderr)
