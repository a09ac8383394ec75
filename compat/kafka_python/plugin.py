"""pytest plug-in that lets kafka-python's own integration tests run, unchanged, against a broker that is already there.

Its source distribution lacks two things: `test/__init__.py` (so the standard library's `test` would be found instead)
and `test/service.py`, which starts brokers. Both are put in place here, before the tests are imported; the address
comes from KAFKA_URI, which their fixtures know. Each test's outcome is printed as a line of compat/cases.py.
"""

from __future__ import annotations

import os
import sys
import types
from pathlib import Path
from typing import Any


class ExternalService:
    """A broker somebody else started: there is nothing to open, dump or stop."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port

    def open(self) -> None: ...

    def dump_logs(self) -> None: ...

    def stop(self) -> None: ...


class SpawnedService:
    """Starting brokers is the caller's business here."""

    def __init__(self, *_: object, **__: object) -> None:
        raise RuntimeError("these tests run against KAFKA_URI only")


def provide_test_package(root: Path) -> None:
    """Make `import test.testutil` find the distribution's folder, and `test.service` the classes above."""
    package = types.ModuleType("test")
    package.__path__ = [str(root / "test")]
    sys.modules["test"] = package
    service = types.ModuleType("test.service")
    service.ExternalService = ExternalService  # type: ignore[attr-defined]
    service.SpawnedService = SpawnedService  # type: ignore[attr-defined]
    sys.modules["test.service"] = service


provide_test_package(Path(os.environ["COMPAT_SUITE_ROOT"]))
_failed: dict[str, str] = {}
_skipped: set[str] = set()


def case_name(nodeid: str) -> str:
    """test/integration/test_x.py::test_y[z] -> test_x::test_y[z]."""
    return nodeid.rpartition("/")[2].replace(".py::", "::").replace(" ", "_")


def say(line: str) -> None:
    with Path(os.environ["COMPAT_RESULTS"]).open("a") as results:
        results.write(line + "\n")


def pytest_runtest_logreport(report: Any) -> None:
    name = case_name(report.nodeid)
    if report.failed and name not in _failed:
        text = str(report.longrepr).strip().splitlines()
        reason = next((line[2:] for line in reversed(text) if line.startswith("E ")), text[-1] if text else "")
        _failed[name] = " ".join(reason.split())[:300]
    if report.when == "setup" and report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        _skipped.add(name)
        say(f"skip {name} {reason.removeprefix('Skipped: ')}")
    elif report.when == "teardown" and name not in _skipped:
        if name in _failed:
            say(f"FAIL {name} {_failed[name]}")
        else:
            say(f"ok {name}")
