"""Where simulated disks live: in memory where there is such a place, since every run syncs hundreds of times."""

import os
import tempfile
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")


@pytest.fixture
def quick_path(tmp_path):
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="pyralog-sim-", dir=MEMORY) as name:
        yield Path(name)
