"""Compaction under writers, readers and kill -9, judged by the checker: what all saw fits one log."""

from __future__ import annotations

import contextlib
import itertools
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from tests.checker.history import Event, Put, Scan, Txn
from tests.checker.judge import check
from tests.integration.conftest import LONG, create_topic, until
from tests.integration.test_compaction import CONFIG, SETTINGS, cleaned_to
from tests.reference.process import Broker

KILLS = 3 * LONG
KEYS = 80
CLEANED = 400  # offsets between two kills
PATIENCE_S = 30
# Tombstones go at once in one topic, and stay in the other.
TOPICS = {"fleeting": "0", "lasting": "3600000"}


class Run:
    """The clients of one run, each in a thread, and what they saw."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.history: list[Event] = []
        self.stop = threading.Event()
        self.numbers = itertools.count()

    def client(self, **settings: object) -> dict[str, object]:
        quick = {"reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 200, "log_level": 0}
        return {"bootstrap.servers": self.broker.address, **quick, **settings}

    # --- writers ---

    def put(self, producer: Producer, process: str, rng: random.Random, txn: str = "") -> None:
        topic, key, dead = rng.choice(list(TOPICS)), f"key-{rng.randrange(KEYS)}", rng.random() < 0.2
        put = Put(process, "invoke", f"{topic}-0", key, f"{process}:{next(self.numbers)}", dead, -1, txn)
        self.history.append(put)

        def report(error: KafkaError | None, message: Message) -> None:
            kind, offset = ("ok", message.offset()) if error is None else ("info", -1)
            self.history.append(put._replace(kind=kind, offset=offset))

        value = None if dead else bytes(rng.randrange(6_000))
        headers = [("id", put.id.encode())]
        producer.produce(topic, value, key.encode(), partition=0, headers=headers, on_delivery=report)

    def write(self, process: str) -> None:
        rng = random.Random(process)
        producer = Producer(self.client(**{"enable.idempotence": True, "linger.ms": 1}))
        while not self.stop.is_set():
            for _ in range(rng.randrange(1, 60)):
                self.put(producer, process, rng)
            if rng.random() < 0.5:
                producer.flush(PATIENCE_S)
            producer.poll(0.01)
        assert producer.flush(PATIENCE_S) == 0

    def transact(self, process: str) -> None:
        """Transactions, of which some are aborted; after one whose end nobody knows a new producer takes over."""
        rng = random.Random(process)
        number = 0
        while not self.stop.is_set():
            producer = Producer(self.client(**{"transactional.id": process, "transaction.timeout.ms": 10_000}))
            txn = ""
            with contextlib.suppress(KafkaException):
                producer.init_transactions(PATIENCE_S)
                while not self.stop.is_set():
                    number += 1
                    txn = f"{process}/{number}"
                    self.history.append(Txn(process, "invoke", txn))
                    producer.begin_transaction()
                    for _ in range(rng.randrange(1, 60)):
                        self.put(producer, process, rng, txn)
                    producer.flush(PATIENCE_S)
                    committed = rng.random() < 0.7
                    if committed:
                        producer.commit_transaction(PATIENCE_S)
                    else:
                        producer.abort_transaction(PATIENCE_S)
                    self.history.append(Txn(process, "ok" if committed else "fail", txn))
                    txn = ""
            if txn:
                self.history.append(Txn(process, "info", txn))
        # Whatever it has left open is aborted.
        Producer(self.client(**{"transactional.id": process})).init_transactions(PATIENCE_S)

    # --- readers ---

    def read(self, process: str) -> None:
        """From the beginning, again and again; at last once more when nobody writes."""
        while not self.stop.is_set():
            self.scan_all(process, lambda _: 0)

    def go_on(self, process: str) -> None:
        """From where it has committed that it has come."""
        with contextlib.closing(self.consumer(process)) as group:

            def committed(topic: str) -> int:
                with contextlib.suppress(KafkaException):
                    return max(0, group.committed([TopicPartition(topic, 0)], 10)[0].offset)
                return 0

            def once() -> None:
                for topic, end in self.scan_all(process, committed).items():
                    with contextlib.suppress(KafkaException):
                        group.commit(offsets=[TopicPartition(topic, 0, end)], asynchronous=False)

            while not self.stop.is_set():
                once()
                time.sleep(0.05)
            # However slow all was: from the end that this one finds the next one goes on.
            once()
            once()

    def consumer(self, process: str) -> Consumer:
        settings = {"group.id": process, "enable.auto.commit": False, "isolation.level": "read_committed"}
        reading = {"enable.partition.eof": True, "check.crcs": True, "auto.offset.reset": "error"}
        return Consumer(self.client(**settings, **reading, **{"fetch.wait.max.ms": 50}))

    def scan_all(self, process: str, start: Callable[[str], int]) -> dict[str, int]:
        """Both topics, each to its end; where that came."""
        ends = {}
        for topic in TOPICS:
            with contextlib.closing(self.consumer(process)) as consumer:
                scan = Scan(process, "invoke", f"{topic}-0", start(topic))
                self.history.append(scan)
                consumer.assign([TopicPartition(topic, 0, scan.start)])
                records: list[tuple[int, str, str, bool]] = []
                end = self.to_end(consumer, records)
                if end is not None:
                    ends[topic] = end
                    self.history.append(scan._replace(kind="ok", end=end, records=records))
        return ends

    def to_end(self, consumer: Consumer, records: list[tuple[int, str, str, bool]]) -> int | None:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            for message in consumer.consume(500, 0.1):
                error = message.error()
                if error is None:
                    id = dict(message.headers())["id"].decode()
                    records.append((message.offset(), message.key().decode(), id, message.value() is None))
                elif error.code() == KafkaError._PARTITION_EOF:
                    return message.offset()
                else:
                    assert error.code() in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN), error
        return None


@pytest.mark.pyralog_only
@pytest.mark.timeout(120 + 60 * LONG)
def test_what_clients_see_of_a_log_that_is_compacted(brokers: Callable[..., Broker]) -> None:
    broker = brokers(SETTINGS)
    for topic, retention in TOPICS.items():
        create_topic(broker.address, topic, config={**CONFIG, "delete.retention.ms": retention})
    run = Run(broker)
    with ThreadPoolExecutor(5) as pool:
        roles = [
            pool.submit(run.write, "plain"),
            pool.submit(run.write, "other"),
            pool.submit(run.transact, "transactional"),
            pool.submit(run.read, "reader"),
            pool.submit(run.go_on, "follower"),
        ]
        try:
            rng = random.Random(1)
            for turn in range(KILLS + 1):
                goals = {topic: cleaned_to(broker, topic) + CLEANED for topic in TOPICS}
                until(
                    lambda goals=goals: (
                        all(cleaned_to(broker, topic) >= goal for topic, goal in goals.items())
                        or any(role.done() for role in roles)
                    ),
                    "more to be compacted",
                    timeout_s=60,
                )
                if turn < KILLS:
                    time.sleep(rng.random() * 0.2)
                    broker.kill()
                    broker.start()
        finally:
            run.stop.set()
        for role in roles:
            role.result(60)
    cleaned = {topic: cleaned_to(broker, topic) for topic in TOPICS}
    assert run.scan_all("last", lambda _: 0).keys() == TOPICS.keys()
    assert check([event for event in run.history if of(event, "fleeting")]) == []
    assert check([event for event in run.history if of(event, "lasting")], tombstones_stay=True) == []
    for topic in TOPICS:
        scans = [event for event in run.history if isinstance(event, Scan) and event.partition == f"{topic}-0"]
        left = [key for offset, key, *_ in scans[-1].records if offset < cleaned[topic]]
        assert len(left) == len(set(left)) <= KEYS, "below the checkpoint a key is there once"
        assert cleaned[topic] > KILLS * CLEANED
        assert any(scan.kind == "ok" and scan.start > 0 for scan in scans)
    assert not list(Path(broker.data_dir).glob("*/*.swap"))


def of(event: Event, topic: str) -> bool:
    return not isinstance(event, Put | Scan) or event.partition == f"{topic}-0"
