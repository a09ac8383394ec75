"""Scripts of requests whose answers were recorded from a real Kafka: how they differ here, and the command for both.

python -m tests.integration.X_cases kafka [NAME...]     records the answers again
python -m tests.integration.X_cases pyralog [NAME...]   prints what differs; exit code 1 when something does
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pyralog.wire import messages as m
from tests.integration.wire_client import WireClient

CREATE_TOPICS = 19
SETTINGS: dict[str, object] = {"groups.initial_rebalance_delay_ms": 0}  # the reference of tests has it, too
Outcome = list[Any]
Run = Callable[[int, set[str] | None], dict[str, Outcome]]


def difference(golden: Outcome, seen: Outcome) -> list[str]:
    """Which steps of a case were answered otherwise."""
    steps = itertools.zip_longest(golden, seen, fillvalue="nothing")
    return [f"step {at}: Kafka {a}, here {b}" for at, (a, b) in enumerate(steps) if a != b]


def create_topic(client: WireClient, name: str, partitions: int) -> bytes:
    """Its id."""
    wanted = m.CreatableTopic(name=name, num_partitions=partitions, replication_factor=1)
    (made,) = client.ask(CREATE_TOPICS, 7, m.CreateTopicsRequest(topics=[wanted], timeout_ms=10_000)).topics
    assert made.error_code == 0, made
    return bytes(made.topic_id)


def play(
    port: int,
    cases: Mapping[str, Callable[[Any], Outcome]],
    only: set[str] | None,
    partitions: int,
    answers: Callable[[str, str, bytes], Outcome],
) -> dict[str, Outcome]:
    """Every case's answers, or those of `only`: `answers(case, topic, topic_id)`, as plain data.

    The cases begin together with a topic of their own.
    """
    topic = f"cases-{time.time_ns()}"
    with WireClient(port) as client:
        topic_id = create_topic(client, topic, partitions)
    time.sleep(0.5)
    titles = [title for title in cases if only is None or title in only]
    return {title: json.loads(json.dumps(answers(title, topic, topic_id))) for title in titles}


def main(run: Run, golden: Path, *, kafka: Mapping[str, object] | None = None) -> int:
    """`run(port, names)` plays the named cases, or all; `kafka` has settings for the reference."""
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
    with Pyralog(settings=SETTINGS) as broker:
        outcomes = run(broker.port, only)
    differs = [f"{name}: {line}" for name, steps in outcomes.items() for line in difference(recorded[name], steps)]
    print("\n".join(differs))
    print(f"{len(outcomes)} cases, {len(differs)} differences")
    return 1 if differs else 0
