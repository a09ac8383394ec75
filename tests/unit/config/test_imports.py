"""Start time: what loading a configuration must not import."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("yaml", "click", "aiohttp", "asyncio", "hypothesis", "cryptography", "prometheus_client", "rich")


def test_zero_config_imports_nothing_it_does_not_need() -> None:
    code = (
        "import sys; from pyralog.config.loader import load; "
        "load(environ={'NODE_ID': '1'}, settings=['network.listen_address=127.0.0.1:0']); "
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.split() == []
