"""A machine on which the commands of the documents are tried: their paths under a folder, their port a free one.

`systemctl` runs the unit that a document made, `sudo` runs what follows it; everything else is the real thing.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

from tests.reference.process import free_port

ROOT = Path(__file__).parents[2]
NOT_RUN = "(not run here)"
FOLDERS = ("/var/lib", "/var/log", "/etc", "/backup", "/usr/local/bin")
TOOLS = ("pyralog", "pyralog-admin")


@dataclass(frozen=True)
class Block:
    """One box of shell commands in a document."""

    document: str
    line: int
    heading: str
    script: str


def blocks(document: Path) -> list[Block]:
    """All ```sh boxes of a document, with the heading that they are under."""
    found: list[Block] = []
    heading, start, lines = "", 0, document.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        if start and line == "```":
            found.append(Block(document.name, start, heading, "\n".join(lines[start : number - 1])))
            start = 0
        elif line == "```sh":
            start = number
        elif not start and line.startswith("#"):
            heading = line.lstrip("# ")
    return found


class DocumentHost:
    """A folder that stands for the root of a machine, and the node on it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.port = free_port()
        self.home = root / "home"
        self.bin = root / "bin"
        self.pid_file = root / "node.pid"
        for folder in (self.home, self.bin, *(root / path.lstrip("/") for path in ("/backup", "/usr/local/bin"))):
            folder.mkdir(parents=True)
        for tool in TOOLS:
            module = "pyralog.cli.daemon" if tool == "pyralog" else "pyralog.cli.admin"
            for folder in (self.bin, root / "usr/local/bin"):
                self._script(folder / tool, f'exec {shlex.quote(sys.executable)} -m {module} "$@"')
        self._script(self.bin / "sudo", 'exec "$@"')
        self._script(self.bin / "systemctl", self._systemctl())

    @staticmethod
    def _script(path: Path, text: str) -> None:
        path.write_text(f"#!/bin/bash\n{text}\n", encoding="utf-8")
        path.chmod(0o755)

    def _systemctl(self) -> str:
        """What systemd does with the unit, as far as the documents ask for it."""
        unit, pid, ready = self.root / "etc/systemd/system/pyralog.service", self.pid_file, self.root / "node.out"
        return textwrap.dedent(f"""\
            set -eu
            start() {{
                command=$(sed -n 's#^ExecStart=/usr/local#{self.root}/usr/local#p' {unit})
                rm -f {ready}; touch {ready}
                setsid $command > {ready} 2>&1 < /dev/null & echo $! > {pid}
                for _ in $(seq 300); do
                    grep -q '^Pyralog .* ready' {ready} && return 0
                    kill -0 $(cat {pid}) || {{ cat {ready} >&2; return 1; }}
                    sleep 0.1
                done
                return 1
            }}
            stop() {{
                kill $(cat {pid})
                for _ in $(seq 300); do kill -0 $(cat {pid}) 2> /dev/null || return 0; sleep 0.1; done
                return 1
            }}
            case $1 in
                daemon-reload | enable) grep -q '^ExecStart=' {unit} ;;
                start) start ;;
                stop) stop ;;
                restart) stop; start ;;
                reload) kill -HUP $(cat {pid}) ;;
                status) kill -0 $(cat {pid}) ;;
                *) echo "systemctl $1 is not known here" >&2; exit 1 ;;
            esac""")

    def run(self, block: Block) -> subprocess.CompletedProcess[str]:
        """Run a box as typed, but for paths and the port."""
        script = block.script.replace("localhost:9092", f"localhost:{self.port}")
        script = script.replace("127.0.0.1:9092", f"127.0.0.1:{self.port}")
        for folder in FOLDERS:
            script = re.sub(rf"(?<![\w/.]){re.escape(folder)}(?=[/\s]|$)", str(self.root / folder.lstrip("/")), script)
        env = {
            **os.environ,
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYRALOG_CLUSTER": f"localhost:{self.port}",
            "COLUMNS": "160",
        }
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.home,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def serve(self) -> None:
        """A node with default settings, for documents that do not start one themselves."""
        config = self.root / "etc/pyralog/config.yaml"
        config.parent.mkdir(parents=True)
        config.write_text(
            f"node: {{data_dir: {self.root}/var/lib/pyralog, log_dir: {self.root}/var/log/pyralog}}\n"
            f"network: {{listen_address: '127.0.0.1:{self.port}'}}\n",
            encoding="utf-8",
        )
        for folder in ("var/lib/pyralog", "var/log/pyralog", "etc/systemd/system"):
            (self.root / folder).mkdir(parents=True)
        unit = self.root / "etc/systemd/system/pyralog.service"
        unit.write_text(f"ExecStart=/usr/local/bin/pyralog --config {config}\n", encoding="utf-8")
        subprocess.run([self.bin / "systemctl", "start", "pyralog"], check=True, timeout=60)

    def close(self) -> None:
        """End the node, whatever state a document left it in."""
        if self.pid_file.exists():
            try:
                os.killpg(int(self.pid_file.read_text()), signal.SIGKILL)
            except ProcessLookupError:
                return
