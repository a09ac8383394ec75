"""A producer of transactions by a real client, as a process: commits most, aborts some, and writes down what it saw.

python -m tests.integration.transactional_worker CLIENT BOOTSTRAP TOPIC PARTITIONS NAME HISTORY
NAME up to a colon is the transactional id.
It ends, with an answer for every transaction, when it gets SIGTERM.
"""

from __future__ import annotations

import contextlib
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from tests.checker.history import Event, Send, Txn, encode

PATIENCE_S = 60
# kafka-python 3.0.12 may find its coordinator again and never send what waits for it; its commit has no
# time-out. Whoever uses it has to give up by himself, well within the patience of the test.
STALL_S = 15
CLIENTS = ("kafka-python", "confluent-kafka")


class Doubtful(Exception):
    """Nobody knows how the transaction has ended."""


class Refused(Exception):
    """The transaction failed and has to be aborted."""


class Transactional(Protocol):
    """One transactional producer of some client."""

    def begin(self) -> None: ...

    def send(self, topic: str, partition: int, value: bytes) -> None: ...

    def flush(self) -> list[int]: ...

    def commit(self) -> None: ...

    def abort(self) -> None: ...

    def close(self) -> None: ...


class KafkaPython:
    """kafka-python."""

    def __init__(self, bootstrap: str, name: str) -> None:
        from kafka import KafkaProducer

        self.client = KafkaProducer(
            bootstrap_servers=bootstrap,
            transactional_id=name,
            transaction_timeout_ms=20_000,
            max_block_ms=PATIENCE_S * 1000,
            delivery_timeout_ms=PATIENCE_S * 1000,
            reconnect_backoff_max_ms=300,
        )
        self.client.init_transactions()
        self.sent: list[Any] = []

    def begin(self) -> None:
        self.client.begin_transaction()
        self.sent = []

    def send(self, topic: str, partition: int, value: bytes) -> None:
        self.sent.append(self.client.send(topic, value=value, partition=partition))

    def flush(self) -> list[int]:
        try:
            return [future.get(timeout=STALL_S).offset for future in self.sent]
        except Exception as error:
            raise Refused(repr(error)) from error

    def commit(self) -> None:
        self._end(self.client.commit_transaction)

    def abort(self) -> None:
        self._end(self.client.abort_transaction)

    def _end(self, call: Callable[[], None]) -> None:
        outcome: list[Exception] = []

        def run() -> None:
            try:
                call()
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody knows how the transaction has ended
                outcome.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(STALL_S)
        if thread.is_alive():
            raise Doubtful(f"no answer after {STALL_S} s")
        if outcome:
            raise Doubtful(repr(outcome[0])) from outcome[0]

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self.client.close(timeout=1)


class Confluent:
    """confluent-kafka."""

    def __init__(self, bootstrap: str, name: str) -> None:
        from confluent_kafka import Producer

        self.client = Producer(
            {
                "bootstrap.servers": bootstrap,
                "transactional.id": name,
                "transaction.timeout.ms": 20_000,
                "reconnect.backoff.max.ms": 300,
                "log_level": 2,
            }
        )
        self.client.init_transactions(PATIENCE_S)
        self.offsets: dict[bytes, int] = {}
        self.values: list[bytes] = []

    def begin(self) -> None:
        self.client.begin_transaction()
        self.offsets, self.values = {}, []

    def send(self, topic: str, partition: int, value: bytes) -> None:
        def report(error: object, message: Any) -> None:
            if error is None:
                self.offsets[value] = message.offset()

        self.values.append(value)
        self.client.produce(topic, value=value, partition=partition, on_delivery=report)

    def flush(self) -> list[int]:
        self.client.flush(PATIENCE_S)
        if len(self.offsets) != len(self.values):
            raise Refused(f"{len(self.values) - len(self.offsets)} records failed")
        return [self.offsets[value] for value in self.values]

    def commit(self) -> None:
        from confluent_kafka import KafkaException

        for _ in range(10):
            try:
                self.client.commit_transaction(PATIENCE_S)
            except KafkaException as error:
                if error.args[0].txn_requires_abort():
                    raise Refused(str(error)) from error
                if not error.args[0].retriable():
                    raise Doubtful(str(error)) from error
            else:
                return
        raise Doubtful("no answer to the commit")

    def abort(self) -> None:
        from confluent_kafka import KafkaException

        for _ in range(10):
            try:
                self.client.abort_transaction(PATIENCE_S)
            except KafkaException as error:
                if not error.args[0].retriable():
                    raise Doubtful(str(error)) from error
            else:
                return
        raise Doubtful("no answer to the abort")

    def close(self) -> None:
        """Nothing to do: it ends with its object."""


KINDS = {"kafka-python": KafkaPython, "confluent-kafka": Confluent}


def main() -> int:
    client, bootstrap, topic, partitions, name, path = sys.argv[1:]
    rng = random.Random(name)
    ended = False

    def end(*_: object) -> None:
        nonlocal ended
        ended = True

    signal.signal(signal.SIGTERM, end)
    producer: Transactional | None = None
    with Path(path).open("w", buffering=1) as file:

        def note(event: Event) -> None:
            file.write(encode(event) + "\n")

        number = 0
        while not ended:
            number += 1
            try:
                if producer is None:
                    producer = KINDS[client](bootstrap, name.partition(":")[0])
                transaction(producer, f"{name}/{number}", topic, int(partitions), rng, note)
            except Exception as error:  # noqa: BLE001 - whatever it is, the application begins again
                print(f"{time.time():.3f} {name}/{number}: {error!r}", file=sys.stderr, flush=True)
                if producer is not None:
                    producer.close()
                    producer = None
                time.sleep(0.1)
    return 0


def transaction(producer: Transactional, txn: str, topic: str, partitions: int, rng: random.Random, note: Any) -> None:
    """One transaction, and every step of it in the history."""
    process = txn.rpartition("/")[0]
    producer.begin()
    note(Txn(process, "invoke", txn))
    sends = [(rng.randrange(partitions), f"{txn}/{count}") for count in range(rng.randrange(1, 20))]
    commit = rng.random() < 0.75
    try:
        for partition, value in sends:
            note(Send(process, "invoke", f"{topic}-{partition}", value, txn=txn))
            producer.send(topic, partition, value.encode())
        offsets = producer.flush()
        for (partition, value), offset in zip(sends, offsets, strict=True):
            note(Send(process, "ok", f"{topic}-{partition}", value, offset, txn))
        if commit:
            producer.commit()
            note(Txn(process, "ok", txn))
            return
        producer.abort()
        note(Txn(process, "fail", txn))
    except Refused:
        producer.abort()
        note(Txn(process, "fail", txn))
        raise
    except Doubtful:
        # An abort that nobody answered can still end in one way only.
        note(Txn(process, "info" if commit else "fail", txn))
        raise


if __name__ == "__main__":
    sys.exit(main())
