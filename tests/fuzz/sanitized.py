"""Builds the extensions with Address- and UndefinedBehaviorSanitizer in a copy of the tree and tests them there.

python -m tests.fuzz.sanitized [--keep DIRECTORY] [--secs N] [--only-build] [what pytest is to be given ...]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("pyralog", "tests", "tools", "setup.py", "pyproject.toml", "README.md", "LICENSE")
LEFT_OUT = shutil.ignore_patterns("*.so", "*.c", "*.html", "__pycache__", "results", ".pytest_cache")
# What takes long under the sanitizers and shows nothing of memory.
TESTS = (
    "tests/speedups",
    "tests/fuzz/test_corpus.py",
    "tests/unit/wire",
    "tests/unit/storage",
    "tests/unit/net",
)
DESELECTED = (
    "tests/speedups/test_plane_framing.py::test_ten_thousand_idle_connections",
    "tests/speedups/test_plane_framing.py::test_every_split_of_a_stream_gives_the_same_answers",
)


def library(name: str) -> str:
    found = subprocess.run(["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True)
    return os.path.realpath(found.stdout.strip())


def environment() -> dict[str, str]:
    """What a process with the sanitized extensions needs."""
    values = dict(os.environ)
    values["LD_PRELOAD"] = f"{library('libasan.so')} {library('libstdc++.so')}"
    # Python frees nothing at its end, so leaks cannot be told. A failed allocation is an answer, not an error.
    values["ASAN_OPTIONS"] = (
        "detect_leaks=0:allocator_may_return_null=1:max_allocation_size_mb=4096:handle_segv=1:detect_stack_use_after_return=1"
    )
    values["UBSAN_OPTIONS"] = "halt_on_error=1:print_stacktrace=1"
    values["PYTHONMALLOC"] = "malloc"
    return values


def build(target: Path) -> None:
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=LEFT_OUT, dirs_exist_ok=True)
        elif source.exists():
            shutil.copy2(source, target / name)
    values = {key: value for key, value in os.environ.items() if key not in ("PYRALOG_WERROR", "PYRALOG_EXT")}
    values["PYRALOG_SANITIZE"] = "1"
    subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace", "-j2"],
        cwd=target,
        env=values,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, help="build here, and leave it")
    parser.add_argument("--secs", type=float, default=3, help="of each fuzz target")
    parser.add_argument("--only-build", action="store_true")
    parser.add_argument("tests", nargs="*")
    arguments = parser.parse_args()
    begun = time.monotonic()

    def step(text: str) -> None:
        print(f"[{time.monotonic() - begun:5.0f} s] {text}", flush=True)

    with tempfile.TemporaryDirectory(prefix="pyralog-sanitized-") as scratch:
        target = arguments.keep or Path(scratch)
        target.mkdir(parents=True, exist_ok=True)
        step("build")
        build(target)
        if arguments.only_build:
            return 0
        run = {"cwd": target, "env": environment()}
        step("tests")
        chosen = arguments.tests or [name for name in TESTS if (target / name).exists()]
        skipped = [f"--deselect={name}" for name in DESELECTED]
        memory = Path("/dev/shm")  # these tests sync thousands of small files
        if os.access(memory, os.W_OK):
            skipped.append(f"--basetemp={memory / target.name}")
        # Not captured: a sanitizer writes its report and ends the process.
        pytest = [sys.executable, "-m", "pytest", "-q", "-x", "-s", "-p", "no:cacheprovider", "--timeout=300"]
        result = subprocess.run([*pytest, *chosen, *skipped], **run, check=False)
        shutil.rmtree(memory / target.name, ignore_errors=True)
        if result.returncode == 0 and not arguments.tests:
            step("fuzz")
            result = subprocess.run(
                [sys.executable, "-m", "tests.fuzz.run", "--secs", str(arguments.secs), "--seed", "1"],
                **run,
                check=False,
            )
        step("done" if result.returncode == 0 else "failed")
        return result.returncode


if __name__ == "__main__":
    sys.exit(main())
