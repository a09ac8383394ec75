"""Fuzzing by mutation of valid messages: `make fuzz`, or python -m tests.fuzz.run [--secs N] [--seed N] [TARGET ...].

Each target runs in a process of its own, so that one that dies is told like one that raises: its input is kept in
tests/fuzz/corpus/TARGET and from then on replayed by test_corpus.py. `--replay FILE` runs one input.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import mmap
import os
import random
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.fuzz.mutate import mutate
from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
FRESH = 200  # mutants that are mutated further, beside the valid inputs
SLOW_S = 5.0


def inputs_of(name: str) -> list[bytes]:
    return TARGETS[name].seeds() + [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))]


def fuzz(name: str, secs: float, seed: int, last: Path) -> None:
    """Runs mutants until the time is over; the one being run is always in the file `last`."""
    rng = random.Random(seed)
    run = TARGETS[name].open()
    seeds = inputs_of(name)
    fresh: list[bytes] = []
    with open(last, "w+b") as file:
        file.truncate(1 << 20)
        with mmap.mmap(file.fileno(), 1 << 20) as shown:
            deadline = time.monotonic() + secs
            count = 0
            while time.monotonic() < deadline:
                known = fresh if fresh and rng.random() < 0.4 else seeds
                data = mutate(rng, rng.choice(known), seeds)
                shown[: 8 + len(data)] = len(data).to_bytes(8, "big") + data
                begun = time.monotonic()
                run(data)
                took = time.monotonic() - begun
                if took > SLOW_S:
                    raise AssertionError(f"{took:.1f} s for one input")
                count += 1
                if len(fresh) < FRESH:
                    fresh.append(data)
                else:
                    fresh[rng.randrange(FRESH)] = data
    print(f"{name:10} {count:8,} inputs, {count / secs:8,.0f}/s", flush=True)


def watch(name: str, secs: float, seed: int) -> bool:
    """Fuzzes in another process; keeps the input when it fails."""
    memory = Path("/dev/shm")  # thousands of small files and syncs
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as scratch:
        last = Path(scratch) / "last"
        command = [
            sys.executable,
            "-m",
            "tests.fuzz.run",
            "--child",
            str(last),
            "--seed",
            str(seed),
            "--secs",
            str(secs),
            name,
        ]
        # The rigs of a target that fails stay behind otherwise.
        done = subprocess.run(command, check=False, env={**os.environ, "TMPDIR": scratch}, timeout=secs + 120)
        if done.returncode == 0:
            return True
        raw = last.read_bytes() if last.exists() else bytes(8)
        data = raw[8 : 8 + int.from_bytes(raw[:8], "big")]
    (CORPUS / name).mkdir(parents=True, exist_ok=True)
    path = CORPUS / name / f"found-{hashlib.sha1(data, usedforsecurity=False).hexdigest()[:12]}"
    path.write_bytes(data)
    print(f"{name}: failed (exit code {done.returncode}, seed {seed}); the input is kept.")
    print(f"    python -m tests.fuzz.run --replay {path} {name}", flush=True)
    return False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--secs", type=float, default=10, help="of each target")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--replay", type=Path)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], metavar="TARGET")
    arguments = parser.parse_args()
    names = arguments.targets or list(TARGETS)
    logging.disable(logging.CRITICAL)  # recovery tells much
    seed = random.SystemRandom().randrange(1 << 32) if arguments.seed is None else arguments.seed
    if arguments.replay:
        TARGETS[names[0]].open()(arguments.replay.read_bytes())
        return 0
    if arguments.child:
        try:
            fuzz(names[0], arguments.secs, seed, arguments.child)
        except Exception:  # noqa: BLE001  told, and an exit code for the parent
            traceback.print_exc()
            return 1
        return 0
    results = [watch(name, arguments.secs, seed) for name in names]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
