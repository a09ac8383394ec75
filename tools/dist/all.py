"""Builds everything that is released into dist/: source distribution, wheels, archive, Debian package.

    python -m tools.dist.all [--python-tree TREE]

The archive and the package hold TREE: python-build-standalone's `install_only` archive, unpacked, for example. Without
it a Python is built first from Debian's sources, once, into build/python (tools.dist.python says what that needs).
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.dist import archive, deb, tree, wheels
from tools.dist.wheels import ROOT

BUILT = ROOT / "build" / "python"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python-tree", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    options = parser.parse_args()
    out: Path = options.out.resolve()
    python: Path = (options.python_tree or built_python()).resolve()
    with tempfile.TemporaryDirectory(prefix="pyralog-dist-") as name:
        made = wheels.build_all(list(wheels.found_pythons()), out, Path(name) / "wheels")
        tag = "cp" + tree.interpreter_of(python).name.removeprefix("python").replace(".", "")
        wheel = next((path for path in made if f"-{tag}-{tag}-" in path.name), None)
        if wheel is None:
            raise SystemExit(f"{python} is {tag}, for which no wheel was built")
        files = Path(name) / "tree"
        tree.build(python, wheel, files)
        made += [archive.build(files, out)]
        if shutil.which("dpkg-deb"):
            made += [deb.build(files, out)]
    for path in made:
        print(f"{path.stat().st_size / 1e6:6.2f} MB  {path}")


def built_python() -> Path:
    """The Python built here, from an earlier time or now."""
    if not (BUILT / "bin").exists():
        subprocess.run([sys.executable, "-m", "tools.dist.python", "--debian", str(BUILT)], cwd=ROOT, check=True)
    return BUILT


if __name__ == "__main__":
    main()
