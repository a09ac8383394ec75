"""What a wheel and a source distribution hold: all stubs and declarations, every .pyx, and no generated C."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pyralog"


def test_wheels_hold_all_stubs_and_declarations_and_nothing_else_beside_the_modules() -> None:
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    assert setuptools["include-package-data"] is False
    named = {path for pattern in setuptools["package-data"]["pyralog"] for path in PACKAGE.glob(pattern)}
    dashboards = [*(PACKAGE / "dashboards").iterdir(), *(PACKAGE / "admin" / "console").iterdir()]
    assert named == {*PACKAGE.rglob("*.pyi"), *PACKAGE.rglob("*.pxd"), PACKAGE / "py.typed", *dashboards}


def test_source_distributions_hold_what_the_build_reads() -> None:
    lines = (ROOT / "MANIFEST.in").read_text(encoding="utf-8").splitlines()
    assert "recursive-include pyralog *.pyx *.pxd *.pyi py.typed" in lines
    assert any(line.startswith("global-exclude") and "*.c" in line.split() for line in lines)
