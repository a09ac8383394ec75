"""What a wheel and a source distribution hold: all stubs and declarations, every .pyx, and no generated C."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pyralog"


def test_wheels_hold_all_stubs_and_declarations_and_nothing_else_beside_the_modules() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    assert setuptools["include-package-data"] is False
    named = {path for pattern in setuptools["package-data"]["pyralog"] for path in PACKAGE.glob(pattern)}
    data = [*(PACKAGE / "dashboards").iterdir(), *(PACKAGE / "admin" / "console").iterdir()]
    data += (PACKAGE / "cli" / "admin" / "messages").glob("*.json")
    assert named == {*PACKAGE.rglob("*.pyi"), *PACKAGE.rglob("*.pxd"), PACKAGE / "py.typed", *data}


def test_source_distributions_hold_what_the_build_reads_and_what_wheels_hold(tmp_path: Path) -> None:
    command = [sys.executable, "setup.py", "-q", "egg_info", "--egg-base", str(tmp_path)]
    environment = {**os.environ, "PYRALOG_EXT": "none"}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, timeout=120)
    held = set((tmp_path / "pyralog.egg-info" / "SOURCES.txt").read_text(encoding="utf-8").split("\n"))
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    package = {name for name in tracked.stdout.split("\n") if name.startswith("pyralog/")}
    assert package <= held
    assert {name for name in held if name.startswith("tests/") or name.endswith((".c", ".so"))} == set()
    assert {"setup.py", "pyproject.toml", "LICENSE", "README.md"} <= held
