"""What a start with the default configuration costs: modules, memory, time."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.packaging.use import LAZY, running

ROOT = Path(__file__).parents[2]


def test_a_default_start_imports_none_of_the_lazy_modules_and_is_small(tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "pyralog.cli.daemon"]
    with running(command, tmp_path, {"PYTHONPATH": str(ROOT)}) as broker:
        assert "pydantic" in broker.imported()
        assert broker.imported() & LAZY == set()
        assert broker.rss_mib() < 60
        assert (tmp_path / "pyralog-data").is_dir()
