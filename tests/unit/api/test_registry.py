"""The table says of each handler what its module says."""

from __future__ import annotations

import importlib
import subprocess
import sys

from pyralog.api.registry import _MODULES, CLIENT_APIS, import_handlers


def test_rows_are_those_of_the_modules() -> None:
    import_handlers()
    assert len(_MODULES) + 2 == len(CLIENT_APIS)
    for key, module in _MODULES.items():
        own = importlib.import_module(module).API
        row = CLIENT_APIS[key]
        assert (row.key, row.name, row.min_version, row.max_version, row.advertised, row.cacheable) == (
            own.key,
            own.name,
            own.min_version,
            own.max_version,
            own.advertised,
            own.cacheable,
        )


def test_a_start_imports_no_machines() -> None:
    """A node has 0.3 s to be ready; machines of groups and transactions come when they are needed."""
    code = "import sys, pyralog.app; print([m for m in sys.modules if m.startswith('pyralog.coordinator')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for module in ("group.shard", "group.classic", "consumer_group", "transaction.machine", "group.offsets"):
        assert f"pyralog.coordinator.{module}" not in done.stdout
