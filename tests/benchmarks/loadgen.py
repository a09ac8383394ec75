"""Builds and runs the C load generator; one call is one bounded run and gives back its figures."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.reference.process import Broker

HERE = Path(__file__).parent
SHARED = HERE / "wire.h"
ANSWERED_WITH_ERRORS = 3  # exit code of a run in which the broker answered some requests with an error

Figures = dict[str, Any]


class LoadFailed(RuntimeError):
    """The generator could not do its run; the message carries what it said."""


def build(name: str = "loadgen") -> Path:
    """Compile one of the clients in C when a source is newer than the binary."""
    source, binary = HERE / f"{name}.c", HERE / name
    newest = max(one.stat().st_mtime for one in (source, SHARED))
    if not binary.exists() or binary.stat().st_mtime < newest:
        fresh = binary.with_suffix(f".{os.getpid()}")
        command = ["gcc", "-O2", "-march=native", "-Wall", "-Wextra", "-o", str(fresh), str(source)]
        subprocess.run(command, check=True, timeout=120)
        fresh.rename(binary)
    return binary


def _command(broker: Broker, mode: str, flags: dict[str, object]) -> list[str]:
    args = [f"--{key}={value}".split("=", 1) for key, value in flags.items()]
    known = ["--port", str(broker.port), "--pid", str(broker.pid)]
    return [str(build()), mode, *known, *(part for pair in args for part in pair)]


def run(broker: Broker, mode: str, **flags: object) -> Figures:
    """One run, e.g. run(broker, "produce", conns=16, inflight=5, secs=2), in which no answer may be an error."""
    figures = run_with_errors(broker, mode, **flags)
    if figures["err"]:
        raise LoadFailed(f"loadgen {mode} {flags} on {broker.name}: {figures['err']} errors: {figures['said']}")
    return figures


def run_with_errors(broker: Broker, mode: str, **flags: object) -> Figures:
    """One run in which answers may be errors: `err` counts them."""
    seconds = float(str(flags.get("secs", 5))) + float(str(flags.get("warm", 0.5)))
    done = subprocess.run(
        _command(broker, mode, flags), capture_output=True, text=True, timeout=seconds + 60, check=False
    )
    if done.returncode not in (0, ANSWERED_WITH_ERRORS):
        raise LoadFailed(f"loadgen {mode} {flags} on {broker.name}: exit {done.returncode}: {done.stderr.strip()}")
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    figures.setdefault("err", 0)
    figures["said"] = done.stderr.strip()
    return figures


def slices(broker: Broker, mode: str, **flags: object) -> Iterator[Counter[int]]:
    """One run with `slice=seconds`: how often each latency (ns) was seen, told as soon as a slice is over."""
    command = _command(broker, mode, flags)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            for line in process.stdout:
                if line.startswith("["):
                    yield Counter(dict(json.loads(line)))
        finally:
            process.kill()
        if process.wait() and (said := process.stderr.read()):
            raise LoadFailed(f"{command}: {said.strip()}")


class Background:
    """A run beside the measured one (idle connections, a flood), ended by pid when the block is left."""

    def __init__(self, broker: Broker, mode: str, **flags: object) -> None:
        self._command = _command(broker, mode, {"secs": 120, **flags})
        self._wait_for_open = mode == "idle"
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self._wait_for_open:
            assert self._process.stdout is not None
            line = self._process.stdout.readline()
            if '"open"' not in line:
                self._process.kill()
                raise LoadFailed(f"{self._command}: {line}{self._process.communicate()[1]}")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        assert self._process is not None
        early = self._process.poll()
        self._process.kill()
        output = self._process.communicate()
        if early is not None and kind is None:
            raise LoadFailed(f"{self._command} ended early with {early}: {output}")
