"""Sarama from the Go module proxy, built by the Go toolchain at hand; the cases are in main.go and exporter.go."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from compat.cases import arguments

HERE = Path(__file__).parent
PROGRAM = HERE / "target" / "cases"


def build() -> None:
    """The program, once for each change of the sources."""
    sources = (*HERE.glob("*.go"), HERE / "go.mod", HERE / "go.sum")
    if PROGRAM.exists() and PROGRAM.stat().st_mtime >= max(path.stat().st_mtime for path in sources):
        return
    PROGRAM.parent.mkdir(exist_ok=True)
    subprocess.run(["go", "build", "-o", str(PROGRAM), "."], cwd=HERE, check=True, stdout=sys.stderr)


def main() -> int:
    options = arguments("sarama")
    if shutil.which("go") is None:
        sys.exit("the Go toolchain is needed for Sarama")
    build()
    args = [options.bootstrap, str(options.smoke), str(options.timeout), *options.only]
    return subprocess.run([str(PROGRAM), *args], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
