"""Scripts of requests whose answers were recorded from a real Kafka: how they differ here, and the command for both.

python -m tests.integration.X_cases kafka [NAME...]     records the answers again
python -m tests.integration.X_cases pyralog [NAME...]   prints what differs; exit code 1 when something does
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Outcome = list[Any]
Run = Callable[[int, set[str] | None], dict[str, Outcome]]


def difference(golden: Outcome, seen: Outcome) -> list[str]:
    """Which steps of a case were answered otherwise."""
    steps = itertools.zip_longest(golden, seen, fillvalue="nothing")
    return [f"step {at}: Kafka {a}, here {b}" for at, (a, b) in enumerate(steps) if a != b]


def main(
    run: Run, golden: Path, *, kafka: Mapping[str, object] | None = None, pyralog: Mapping[str, object] | None = None
) -> int:
    """`run(port, names)` plays the named cases, or all; `kafka` and `pyralog` are settings of the brokers."""
    from tests.reference.kafka import Kafka
    from tests.reference.pyralog import Pyralog

    only = set(sys.argv[2:]) or None
    if sys.argv[1] == "kafka":
        with Kafka(settings=dict(kafka or {})) as broker:
            outcomes = run(broker.port, only)
        if only:
            outcomes = {**json.loads(golden.read_text()), **outcomes}
        lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(steps)}" for name, steps in outcomes.items())
        golden.write_text("{\n" + lines + "\n}\n")
        return 0
    recorded = json.loads(golden.read_text())
    with Pyralog(settings=dict(pyralog or {})) as broker:
        outcomes = run(broker.port, only)
    differs = [f"{name}: {line}" for name, steps in outcomes.items() for line in difference(recorded[name], steps)]
    print("\n".join(differs))
    print(f"{len(outcomes)} cases, {len(differs)} differences")
    return 1 if differs else 0
