"""Pyralog as a child process, with the interface of the reference broker, so that every script can take either.

python -m tests.reference.pyralog run --port 9092 [--set storage.segment_config.sync_on_write=true]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.reference.kafka import parse_settings, run_until_stopped
from tests.reference.process import HOST, Broker, free_port

READY = b"Pyralog "


class Pyralog(Broker):
    """One node run from the source tree or the environment; `settings` are its own keys, as for --set."""

    name = "pyralog"
    module = "pyralog.cli.daemon"

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.peer_port = free_port()
        self._read_from = self.log_file.stat().st_size if self.log_file.exists() else 0

    def prepare(self) -> None:
        self._read_from = self.log_file.stat().st_size if self.log_file.exists() else 0

    def command(self) -> Sequence[str]:
        settings: dict[str, object] = {
            "node.data_dir": str(self.data_dir),
            "network.listen_address": f"{HOST}:{self.port}",
            "network.internal_address": f"{HOST}:{self.peer_port}",
            **self.settings,
        }
        sets = [argument for key, value in settings.items() for argument in ("--set", f"{key}={value}")]
        return [sys.executable, "-m", self.module, *sets]

    def ready(self) -> bool:
        """The stable line `Pyralog VERSION ready` of this run."""
        with self.log_file.open("rb") as output:
            output.seek(self._read_from)
            return any(READY in line and b" ready" in line for line in output)


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.reference.pyralog", description=__doc__.splitlines()[0])
    run = parser.add_subparsers(dest="command", required=True).add_parser("run", help="run one node in the foreground")
    run.add_argument("--port", type=int)
    run.add_argument("--data-dir", type=Path)
    run.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    return run_until_stopped(
        Pyralog(port=options.port, data_dir=options.data_dir, settings=parse_settings(options.set))
    )


if __name__ == "__main__":
    sys.exit(main())
