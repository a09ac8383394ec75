"""Cases in which Pyralog once answered otherwise than Apache Kafka, or held up others, on a running node."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pyralog.wire import messages as m
from tests.integration.raw import FETCH, Raw, batch, fetch_body, header
from tests.integration.wire_client import WireClient
from tests.reference.pyralog import Pyralog

PRODUCE, CREATE, DELETE, INIT_PRODUCER_ID = 0, 19, 20, 22


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pyralog]:
    with Pyralog(data_dir=tmp_path_factory.mktemp("cases") / "data") as node:
        yield node


@pytest.fixture
def client(broker: Pyralog) -> Iterator[WireClient]:
    with WireClient(broker.port) as connected:
        yield connected


def create(client: WireClient, name: str) -> bytes:
    topic = m.CreatableTopic(name=name, num_partitions=1, replication_factor=1)
    (result,) = client.ask(CREATE, 7, m.CreateTopicsRequest(topics=[topic], timeout_ms=10_000)).topics
    assert result.error_code == 0, result
    return result.topic_id


def produce(client: WireClient, topic: str, data: bytes) -> Any:
    entry = m.TopicProduceData(name=topic, partition_data=[m.PartitionProduceData(index=0, records=data)])
    answer = client.ask(PRODUCE, 9, m.ProduceRequest(acks=-1, timeout_ms=10_000, topic_data=[entry]))
    return answer.responses[0].partition_responses[0]


def fetch(client: WireClient, version: int, topics: list[tuple[str, bytes]], **fields: Any) -> tuple[Any, float]:
    """The answer, and the seconds that it took."""
    asked = [
        m.FetchRequestFetchTopic(
            topic=name if version < 13 else "",
            topic_id=id if version >= 13 else bytes(16),
            partitions=[m.FetchRequestFetchPartition(partition=0, fetch_offset=0, partition_max_bytes=1 << 20)],
        )
        for name, id in topics
    ]
    request = m.FetchRequest(min_bytes=1, max_bytes=1 << 20, topics=asked, **fields)
    began = time.monotonic()
    answer = client.ask(FETCH, version, request)
    return answer, time.monotonic() - began


def errors(answer: Any) -> list[int]:
    return sorted(one.error_code for topic in answer.responses for one in topic.partitions)


@pytest.mark.parametrize(("version", "unknown"), [(4, 3), (12, 3), (13, 100), (18, 100)])
def test_an_unknown_topic_does_not_end_the_wait_of_a_known_one(client: WireClient, version: int, unknown: int) -> None:
    """A consumer of two topics, one of which was deleted, would ask again without pause."""
    id = create(client, f"known-{version}")
    session = {"session_epoch": -1} if version >= 7 else {}
    both = [(f"known-{version}", id), ("unknown", b"u" * 16)]
    answer, took = fetch(client, version, both, max_wait_ms=400, **session)
    assert errors(answer) == [0, unknown]
    assert took > 0.35
    answer, took = fetch(client, version, both[1:], max_wait_ms=5_000, **session)
    assert errors(answer) == [unknown]
    assert took < 2


@pytest.mark.parametrize("version", [4, 11, 14])
def test_a_follower_is_told_so_for_each_partition(client: WireClient, version: int) -> None:
    id = create(client, f"followed-{version}")
    answer, took = fetch(client, version, [(f"followed-{version}", id)], max_wait_ms=5_000, replica_id=3)
    assert errors(answer) == [6]
    assert took < 2


def test_a_cut_batch_is_an_invalid_record(client: WireClient) -> None:
    """Not CORRUPT_MESSAGE, which clients send again and again."""
    create(client, "cut")
    good = batch([b"value"])
    for size in (1, 11, 12, 60, len(good) - 1):
        assert produce(client, "cut", good[:size]).error_code == 87
    assert produce(client, "cut", good).base_offset == 0


def test_consumers_that_never_read_do_not_hold_up_the_metadata(broker: Pyralog, client: WireClient) -> None:
    """Their answers come from the files of a topic that is deleted meanwhile."""
    create(client, "unread")
    for _ in range(8):
        assert produce(client, "unread", batch([bytes(900_000)])).error_code == 0
    with ExitStack() as stack:
        for _ in range(5):
            raw = stack.enter_context(Raw(broker.port, receive_buffer=4096))
            for _ in range(10):
                raw.send_frame(header(FETCH, 4) + fetch_body("unread", [0], max_bytes=1 << 20))
        began = time.monotonic()
        deleted = client.ask(
            DELETE, 6, m.DeleteTopicsRequest(topics=[m.DeleteTopicState(name="unread")], timeout_ms=20_000)
        )
        assert deleted.responses[0].error_code == 0
        create(client, "unread")
        assert time.monotonic() - began < 8
        assert produce(client, "unread", batch([b"new"])).base_offset == 0


def test_the_end_of_a_client_is_seen_behind_its_long_poll(broker: Pyralog, client: WireClient) -> None:
    create(client, "polled")
    files = Path(f"/proc/{broker.pid}/fd")

    def sockets() -> int:
        return sum(1 for name in files.iterdir() if name.exists() or name.is_symlink())

    before = sockets()
    for _ in range(20):
        with Raw(broker.port) as raw:
            for _ in range(3):
                raw.send_frame(header(FETCH, 4) + fetch_body("polled", [0], wait_ms=2**31 - 1))
                time.sleep(0.01)  # apart, so that the broker finds the later ones behind the first
            raw.socket.shutdown(socket.SHUT_WR)
    deadline = time.monotonic() + 10
    while sockets() > before:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_an_idempotent_producer_repeats_after_kill_9_has_its_old_offset(tmp_path: Path) -> None:
    from pyralog.records.batch import Record, build

    with Pyralog(data_dir=tmp_path / "data") as node:
        with WireClient(node.port) as client:
            create(client, "once")
            made = client.ask(INIT_PRODUCER_ID, 4, m.InitProducerIdRequest(transactional_id=None))
            assert made.error_code == 0
            sent = [
                build(
                    [Record(0, time.time_ns() // 1_000_000, None, b"%d" % at, ())],
                    producer_id=made.producer_id,
                    producer_epoch=made.producer_epoch,
                    base_sequence=at,
                )
                for at in range(8)
            ]
            assert [produce(client, "once", data).base_offset for data in sent[:7]] == list(range(7))
        node.kill()
        node.start()
        with WireClient(node.port) as client:
            answers = [produce(client, "once", data) for data in (*sent[2:7], sent[0], sent[7])]
            assert [answer.base_offset for answer in answers] == [2, 3, 4, 5, 6, -1, 7]
            assert [answer.error_code for answer in answers] == [0, 0, 0, 0, 0, 45, 0]
