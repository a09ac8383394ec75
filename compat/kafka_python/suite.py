"""kafka-python's own integration tests, from its source distribution on PyPI, against the broker at hand."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

from compat.cases import arguments, parse_line

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CACHE = Path(os.environ.get("PYRALOG_CACHE", Path.home() / ".cache" / "pyralog"))
PROTOCOL = "4.3"  # the newest broker kafka-python 3.0 knows

# Left out for good: they start brokers of their own, with TLS and SASL.
IGNORED = ("test_sasl_integration.py", "test_ssl_integration.py")


def distribution() -> Path:
    """The unpacked source distribution of the installed version, fetched once by pip."""
    name = f"kafka_python-{version('kafka-python')}"
    target = CACHE / name
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.exists():
            return target
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            wanted = f"kafka-python=={version('kafka-python')}"
            command = [sys.executable, "-m", "pip", "-q", "download", "--no-deps", "--no-binary", ":all:", wanted]
            subprocess.run(command, cwd=folder, check=True, stdout=sys.stderr)
            archive = next(Path(folder).glob("*.tar.gz"))
            with tarfile.open(archive) as packed:
                packed.extractall(folder, filter="data")
            (Path(folder) / name).rename(target)
    return target


def selection(patterns: list[str]) -> list[str]:
    """pytest's -k for `--only test_x::test_y` patterns, matched on the test's name."""
    if not patterns:
        return []
    names = [pattern.rpartition("::")[2].strip("*") for pattern in patterns]
    return ["-k", " or ".join(names)]


def main() -> int:
    options = arguments("kafka_python.suite")
    root = distribution()
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        results.touch()
        env = {
            **os.environ,
            "KAFKA_VERSION": PROTOCOL,
            "KAFKA_URI": f"kafka://{options.bootstrap}",
            "KAFKA_ROOT": str(root),  # must be a folder; nothing in it is run
            "COMPAT_SUITE_ROOT": str(root),
            "COMPAT_RESULTS": str(results),
            "PYTHONPATH": str(ROOT),
        }
        command = [
            *(sys.executable, "-m", "pytest", "-q", "-p", "compat.kafka_python.plugin", "-p", "no:randomly"),
            *("-p", "no:cacheprovider", "-c", str(root / "pyproject.toml"), "--rootdir", str(root)),
            *("-o", "addopts=", "-o", "log_level=WARNING", f"--timeout={options.timeout}", "--timeout-method=signal"),
            *(f"--ignore={root}/test/integration/{name}" for name in IGNORED),
            *selection(options.only),
            str(root / "test" / "integration"),
        ]
        with subprocess.Popen(command, env=env, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as running:
            output, _ = running.communicate()
        lines = results.read_text().splitlines()
        print("\n".join(lines), flush=True)
        if os.environ.get("COMPAT_TRACE") or not lines:
            sys.stderr.write(output.decode(errors="replace")[-20000:])
        outcomes = [parsed[0] for parsed in map(parse_line, lines) if parsed]
        return 1 if "FAIL" in outcomes or not outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
