"""kill -9 under load by three client kinds: every acknowledged record is there, once and in order, after restart."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.checker.history import load
from tests.checker.judge import check
from tests.integration.clients import CLIENTS
from tests.integration.conftest import LONG, Worker, create_topic, until
from tests.reference.process import Broker

KILLS = 2 * LONG
PARTITIONS = 2
# Records that each producer must have acknowledged before each kill, and after the last one.
ACKED = 150


def progress(producers: list[Worker], more: int = ACKED) -> None:
    """Wait until every producer has had this many more records acknowledged."""
    goals = {producer.name: producer.acked() + more for producer in producers}
    until(
        lambda: all(producer.acked() >= goals[producer.name] for producer in producers),
        f"{more} more acknowledged records of each producer",
        timeout_s=60,
    )


@pytest.mark.timeout(120 + 60 * LONG)
@pytest.mark.parametrize("sync", [False, True], ids=["sync_on_write=off", "sync_on_write=on"])
def test_acknowledged_records_survive_kill_9(
    brokers: Callable[..., Broker], workers: Callable[..., Worker], sync: bool, tmp_path: Path
) -> None:
    broker = brokers({"storage.segment_config.sync_on_write": sync})
    producers, topics = [], {}
    for client in CLIENTS:
        for acks in ("all", "1"):
            topic = f"{client}-acks-{acks}"
            create_topic(broker.address, topic, PARTITIONS)
            producers.append(workers("produce", client, broker, topic, "--acks", acks))
            topics[topic] = client
    # Tails one topic of each client with another client, over all the kills.
    others = dict(zip(CLIENTS, (*CLIENTS[1:], CLIENTS[0]), strict=True))
    readers = [workers("read", others[client], broker, f"{client}-acks-all") for client in CLIENTS]

    progress(producers)
    for _ in range(KILLS):
        broker.kill()
        time.sleep(0.2)  # long enough for clients to notice, as part of the load
        broker.start()
        progress(producers)

    for worker in producers:
        worker.stop()
    for worker in producers:
        worker.finish()
    for worker in readers:
        worker.stop()
    for worker in readers:
        worker.finish()
    final = [
        workers(
            "read",
            topics[topic],
            broker,
            topic,
            "--to-end",
            "--name",
            f"final-{topic}",
            "--history",
            str(tmp_path / topic),
        )
        for topic in topics
    ]
    for worker in final:
        worker.finish()

    histories = [worker.history for worker in (*producers, *readers)] + [tmp_path / topic for topic in topics]
    # aiokafka retries without idempotence: a record it was not told of may be written twice.
    repeated = [worker.name for worker in producers if "aiokafka-acks-1" in worker.name]
    violations = check(load(*histories), repeated=repeated)
    assert not violations, "\n".join(map(str, violations[:20])) + "\n" + broker.log_tail()
