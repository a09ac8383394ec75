"""Pyralog's own command line in a process in which another Python thread computes without a pause.

The worst neighbour that an extension, a plug-in or a busy control plane could be: it always wants the GIL.
"""

from __future__ import annotations

import threading

from tests.reference.pyralog import Pyralog


def _compute() -> None:
    number = 1
    while True:
        number = (number * 6364136223846793005 + 1442695040888963407) % (1 << 64)


class Embedded(Pyralog):
    """Pyralog beside a computing thread."""

    name = "embedded"
    module = "tests.benchmarks.embedded"


if __name__ == "__main__":
    from pyralog.cli.daemon import main

    threading.Thread(target=_compute, name="computing", daemon=True).start()
    main()
