"""kafkajs 2.2.4 from npm, run under the Node.js at hand; the cases are in cases.js."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from compat.cases import arguments

HERE = Path(__file__).parent


def install() -> None:
    """npm's packages, once."""
    if (HERE / "node_modules" / "kafkajs" / "package.json").exists():
        return
    lock = "ci" if (HERE / "package-lock.json").exists() else "install"
    subprocess.run(
        ["npm", lock, "--no-audit", "--no-fund", "--ignore-scripts"], cwd=HERE, check=True, stdout=sys.stderr
    )


def main() -> int:
    options = arguments("kafkajs")
    if shutil.which("node") is None or shutil.which("npm") is None:
        sys.exit("Node.js and npm are needed for kafkajs")
    install()
    args = [options.bootstrap, str(options.smoke), str(options.timeout), *options.only]
    return subprocess.run(["node", "cases.js", *args], cwd=HERE, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
