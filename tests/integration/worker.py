"""A client process of the integration tests: produces or reads under load and writes its history for the checker.

python -m tests.integration.worker produce --client aiokafka --bootstrap HOST:PORT --topic T --history FILE ...
python -m tests.integration.worker read    --client aiokafka --bootstrap HOST:PORT --topic T --history FILE ...

SIGTERM ends it in order: a producer waits for the answers to what it sent, a reader goes on to the end of the log.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from pathlib import Path

from tests.checker.history import Assign, Event, Poll, Send, encode
from tests.integration.clients import CLIENTS, PRODUCERS, READERS, retried

STOP = threading.Event()
TICK_S = 0.005


class History:
    """The history file; callbacks come from threads of the client libraries."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w")
        self._lock = threading.Lock()

    def add(self, event: Event) -> None:
        with self._lock:
            self._file.write(encode(event) + "\n")

    def flush(self) -> None:
        with self._lock:
            self._file.flush()


def produce(options: argparse.Namespace) -> None:
    """Send numbered values at a rate until told to stop, with a bounded number of them unanswered."""
    history = History(options.history)
    client = retried(lambda: PRODUCERS[options.client](options.bootstrap, options.topic, acks=options.acks))
    counts = {"sent": 0, "answered": 0}

    def send(number: int) -> None:
        partition = number % options.partitions
        name, value = f"{options.topic}-{partition}", f"{options.name}:{number}"
        history.add(Send(options.name, "invoke", name, value))
        counts["sent"] += 1

        def done(offset: int) -> None:
            counts["answered"] += 1
            history.add(Send(options.name, "ok" if offset >= 0 else "info", name, value, offset))

        client.send(partition, value.encode(), done)

    started = time.monotonic()
    while not STOP.is_set():
        due = int((time.monotonic() - started) * options.rate)
        while counts["sent"] < due and counts["sent"] - counts["answered"] < options.outstanding and not STOP.is_set():
            send(counts["sent"])
        client.poll()
        history.flush()
        STOP.wait(TICK_S)
        if counts["sent"] - counts["answered"] >= options.outstanding:
            started = time.monotonic() - counts["sent"] / options.rate  # an outage is not made up for
    client.close()
    history.flush()


def read(options: argparse.Namespace) -> None:
    """Read from the beginning until told to stop and the end of the log is reached."""
    history = History(options.history)
    client = retried(lambda: READERS[options.client](options.bootstrap, options.topic, options.partitions))
    history.add(Assign(options.name))
    position = dict.fromkeys(range(options.partitions), 0)
    ends: dict[int, int] | None = None
    deadline = None
    while ends is None or any(position[index] < end for index, end in ends.items()):
        for partition, records in client.poll():
            values = [(offset, value.decode()) for offset, value in records]
            history.add(Poll(options.name, f"{options.topic}-{partition}", values))
            position[partition] = records[-1][0] + 1
        history.flush()
        if STOP.is_set() and ends is None:
            ends = retried(client.ends)
            deadline = time.monotonic() + options.patience
        if deadline is not None and time.monotonic() > deadline:
            raise TimeoutError(f"at {position} of {ends}")
    client.close()
    history.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.integration.worker", description=__doc__.splitlines()[0])
    parser.add_argument("role", choices=("produce", "read"))
    parser.add_argument("--client", choices=CLIENTS, required=True)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--partitions", type=int, default=2)
    parser.add_argument("--acks", choices=("all", "1"), default="all")
    parser.add_argument("--name", required=True)
    parser.add_argument("--history", type=Path, required=True)
    parser.add_argument("--rate", type=float, default=500, help="records a second")
    parser.add_argument("--outstanding", type=int, default=500)
    parser.add_argument("--patience", type=float, default=60, help="seconds a reader may need to reach the end")
    parser.add_argument("--to-end", action="store_true", help="read what is there and stop")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: STOP.set())
    if options.to_end:
        STOP.set()
    {"produce": produce, "read": read}[options.role](options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
