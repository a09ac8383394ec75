"""Who may clear up after a broker of a test, and what is said where testcontainers is not installed."""

from __future__ import annotations

import gc
import os
import subprocess
import sys

from pyralog.testing import Broker, LocalCluster
from pyralog.testing.ending import at_end

# As a child that a test forked ends by itself: what waits for the end of the process runs there too.
FORK = """
import atexit, os, sys
pid = os.fork()
if pid == 0:
    atexit._run_exitfuncs()
    os._exit(0)
os.waitpid(pid, 0)
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


def test_a_forked_child_leaves_a_brokers_data_alone() -> None:
    told = run(
        "from pyralog.testing import Broker\n"
        f"with Broker() as broker:\n    broker.create_topic('kept')\n    exec({FORK!r})\n"
        "    print(broker.data_dir.exists(), broker.restart().topics())\n"
        "print(broker.data_dir.exists())"
    )
    assert told.stdout == "True {'kept': 1}\nFalse\n", told.stderr


def test_a_forked_child_does_not_end_the_nodes_of_a_cluster() -> None:
    told = run(
        "from pyralog.testing import LocalCluster\n"
        f"with LocalCluster() as cluster:\n    exec({FORK!r})\n"
        "    print(cluster.node(1).running, cluster.folder.exists())\n"
        "print(cluster.folder.exists())"
    )
    assert told.stdout == "True True\nFalse\n", told.stderr


def test_what_was_promised_is_done_once() -> None:
    class Owner:
        pass

    done: list[int] = []
    owner = Owner()
    end = at_end(owner, done.append, os.getpid())
    del owner
    gc.collect()
    end()
    assert done == [os.getpid()]


def test_without_testcontainers_the_rest_works_and_the_container_says_what_it_needs() -> None:
    told = run(
        "import sys\nsys.modules['testcontainers'] = None\n"
        "from pyralog.testing import *\nprint(Broker.__name__, LocalCluster.__name__)\n"
        "import pyralog.testing\npyralog.testing.PyralogContainer"
    )
    assert told.stdout == f"{Broker.__name__} {LocalCluster.__name__}\n"
    assert told.stderr.endswith("PyralogContainer needs: pip install testcontainers\n")
