"""Cases of a client script: each runs on its own and prints one line, for people and for compat.run alike.

    ok admin.create {"partitions": 3}
    FAIL headers AssertionError: ...
    skip group.subscribe needs a group coordinator

What follows `ok NAME` is the case's observation as JSON: it must not hold anything that differs between two runs on
the same broker (names, ids, times), because compat.run compares it between brokers.
"""

from __future__ import annotations

import argparse
import asyncio
import fnmatch
import inspect
import json
import os
import re
import signal
import sys
import time
import traceback
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
LARGE_BYTES = 900_000
CASE_TIMEOUT_S = 60
LINE = re.compile(r"^(ok|FAIL|skip) (\S+)(?: (.*))?$")


class Skip(Exception):
    """The client cannot do this, or what it needs is not there; the text says why."""


class Context:
    """What a case is given: the broker's address and fresh topic names."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.host, _, port = bootstrap.rpartition(":")
        self.port = int(port)

    def topic(self, prefix: str = "compat") -> str:
        """A topic name no run has used before."""
        return f"{prefix}-{uuid.uuid4().hex[:12]}"


class Suite:
    """The cases of one client, in the order in which they are written."""

    def __init__(self, client: str, *, timeout_s: int = CASE_TIMEOUT_S) -> None:
        self.client, self.timeout_s = client, timeout_s
        self.cases: dict[str, tuple[Callable[..., Any], bool]] = {}

    def case(self, name: str, *, smoke: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Register `function(ctx)` under a name; what it returns is the observation."""

        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            assert name not in self.cases, f"case {name} is there twice"
            self.cases[name] = (function, smoke)
            return function

        return register

    def main(self) -> int:
        """Run the chosen cases; 1 if one failed."""
        options = arguments(self.client, self.timeout_s)
        context = Context(options.bootstrap)
        failed = 0
        for name, (function, smoke) in self.cases.items():
            if not chosen(name, options.only) or (options.smoke and not smoke):
                continue
            status, text = run_case(function, context, options.timeout)
            failed += status == "FAIL"
            print(f"{status} {name} {text}".rstrip(), flush=True)
        return 1 if failed else 0


def arguments(client: str, timeout_s: int = CASE_TIMEOUT_S) -> argparse.Namespace:
    """The command line that all client scripts share."""
    parser = argparse.ArgumentParser(prog=f"compat.{client}.run", description=f"Compatibility cases of {client}.")
    parser.add_argument("--bootstrap", required=True, metavar="HOST:PORT")
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN", help="cases to run, e.g. 'admin.*'")
    parser.add_argument("--smoke", action="store_true", help="the short selection for each CI run")
    parser.add_argument("--timeout", type=int, default=timeout_s, help="seconds a case may take")
    return parser.parse_args()


def chosen(name: str, patterns: list[str]) -> bool:
    """Whether `--only` asks for this case."""
    return not patterns or any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def run_case(function: Callable[..., Any], context: Context, timeout_s: int) -> tuple[str, str]:
    """Run one case under an alarm: (status, observation or reason)."""

    def expired(*_: object) -> None:
        raise TimeoutError(f"not done after {timeout_s} s")

    signal.signal(signal.SIGALRM, expired)
    signal.alarm(timeout_s)
    try:
        result = function(context)
        if inspect.iscoroutine(result):
            result = asyncio.run(result)
        return "ok", "" if result is None else json.dumps(result, sort_keys=True)
    except Skip as reason:
        return "skip", str(reason)
    except Exception as error:  # noqa: BLE001 - whatever a client raises is the finding
        if os.environ.get("COMPAT_TRACE"):
            traceback.print_exc()
        return "FAIL", " ".join(f"{type(error).__name__}: {error}".split())[:600]
    finally:
        signal.alarm(0)


def parse_line(line: str) -> tuple[str, str, str] | None:
    """(status, case, rest) of a result line; None for anything else a script prints."""
    match = LINE.match(line.rstrip("\n"))
    return (match[1], match[2], match[3] or "") if match else None


def eventually(check: Callable[[], Any], what: str, timeout_s: float = 20) -> Any:
    """Poll until `check()` is true and return it; for what a broker may take a moment to show."""
    deadline = time.monotonic() + timeout_s
    while not (result := check()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {timeout_s} s")
        time.sleep(0.05)
    return result


def equal(seen: object, wanted: object) -> None:
    """Assert equality with both values in the message."""
    if seen != wanted:
        raise AssertionError(f"{str(seen)[:250]} instead of {str(wanted)[:250]}")


def read_list(path: Path) -> list[str]:
    """Case names of an allow-list: one a line, `#` starts a comment."""
    if not path.exists():
        return []
    names = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return [name for name in names if name]


if __name__ == "__main__":
    sys.exit("a library; run compat.run")
