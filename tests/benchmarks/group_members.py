"""A group of many members, each on a connection of its own: from start to stable, then a rolling restart (members.c).

python -m tests.benchmarks.group_members pyralog|kafka [--protocol classic|consumer] [--members 1000] [--batch 100]

Wall time, and the broker's CPU time, since the client shares the machine with it.
"""

from __future__ import annotations

import argparse
import json
import subprocess

from tests.benchmarks import clients, loadgen
from tests.reference.kafka import Kafka
from tests.reference.process import Broker
from tests.reference.pyralog import Pyralog

LIMIT_S = 900  # of all phases together; members.c has limits of its own
TOPIC = "bench-members"
PROTOCOLS = ("classic", "consumer")


def prepare(broker: Broker, count: int) -> None:
    """The topic that members of the newer protocol consume, and the coordinator."""
    clients.create_topic(broker, TOPIC, count)
    clients.await_group_coordinator(broker, TOPIC)


def run(broker: Broker, protocol: str, group: str, **flags: object) -> dict[str, float]:
    """Form a group of `members`, start it again in batches of `batch`, and leave it to its session timeouts.

    Seconds by phase: "joined_s", "start_s", "rolling_s", and of the broker's CPU "joined_cpu_s" and so on.
    """
    known = {"group": f"{group}-{protocol}", "topic": TOPIC, "port": broker.port, "pid": broker.pid}
    options = [text for key, value in {**known, **flags}.items() for text in (f"--{key}", str(value))]
    command = [str(loadgen.build("members")), protocol, *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    if done.returncode or done.stderr:
        raise loadgen.LoadFailed(f"{command} on {broker.name}: exit {done.returncode}: {done.stderr.strip()}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("broker", choices=("pyralog", "kafka"))
    parser.add_argument("--protocol", choices=PROTOCOLS, default="classic")
    parser.add_argument("--members", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=100, help="members that are restarted at the same time; 0: none")
    parser.add_argument("--idle", type=float, default=2, help="seconds of heartbeats at the end")
    parser.add_argument("--static", action="store_true", help="with group.instance.id, so that nobody rebalances")
    parser.add_argument("--groups", type=int, default=1, help="how many groups, one after the other")
    options = parser.parse_args()
    if options.broker == "kafka":
        made: Broker = Kafka(settings={"group.consumer.max.size": 2000})
    else:
        made = Pyralog(settings={"groups.initial_rebalance_delay_ms": 0})
    flags = {
        "members": options.members,
        "partitions": options.members,
        "batch": options.batch,
        "idle": options.idle,
        "static": int(options.static),
    }
    with made as broker:
        prepare(broker, options.members)
        for number in range(options.groups):
            print(json.dumps(run(broker, options.protocol, f"many-{number}", **flags)), flush=True)


if __name__ == "__main__":
    main()
