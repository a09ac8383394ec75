"""The broker inside the process: its life, what it leaves behind, and the faults that a test can give it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError as ClientError
from kafka.errors import KafkaTimeoutError

from pyralog.config.problems import ConfigError
from pyralog.errors import ErrorCode, KafkaError
from pyralog.testing import Broker, BrokerFailedError
from pyralog.testing.ports import free_port

# Generous for a machine that does something else as well; what is measured on a quiet one is in docs/TESTING.md.
START_S, STOP_S = 0.2, 0.1


def until(check: Callable[[], object], timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not check():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.005)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def produce(broker: Broker, topic: str, *values: bytes, timeout_s: float = 10) -> list[int]:
    """The offsets that the values got."""
    with KafkaProducer(bootstrap_servers=broker.bootstrap_servers) as producer:
        sent = [producer.send(topic, value, partition=0) for value in values]
        return [each.get(timeout_s).offset for each in sent]


def consume(broker: Broker, topic: str, count: int) -> list[bytes]:
    with KafkaConsumer(bootstrap_servers=broker.bootstrap_servers, auto_offset_reset="earliest") as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        found: list[bytes] = []
        until(lambda: found.extend(r.value for rs in consumer.poll(200).values() for r in rs) or len(found) >= count)
        return found


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker() as running:
        yield running


def test_it_serves_clients(broker: Broker) -> None:
    assert broker.create_topic("orders", 3, config={"retention.ms": 60_000}) == "orders"
    assert broker.topics() == {"orders": 3}
    assert produce(broker, "orders", b"1", b"2") == [0, 1]
    assert consume(broker, "orders", 2) == [b"1", b"2"]
    broker.delete_topics(["orders", "unknown"])
    assert broker.topics() == {}


def test_it_is_quick_and_leaves_nothing_behind() -> None:
    with Broker():
        pass  # everything is imported now
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    gc.collect()
    threads, files, starts, stops = set(threading.enumerate()), open_files(), [], []
    for _ in range(5):
        broker = Broker()
        began = time.perf_counter()
        broker.start()
        starts.append(time.perf_counter() - began)
        produce(broker, broker.create_topic("a"), b"x")
        began = time.perf_counter()
        broker.close()
        stops.append(time.perf_counter() - began)
        assert not broker.data_dir.exists()
    gc.collect()
    assert set(threading.enumerate()) == threads
    assert open_files() == files
    assert min(starts) < START_S
    assert min(stops) < STOP_S


def test_several_in_one_process() -> None:
    with Broker() as one, Broker(node_id=7) as two:
        one.create_topic("a")
        two.create_topic("b")
        produce(two, "b", b"2")
        produce(one, "a", b"1")
        assert (one.topics(), two.topics()) == ({"a": 1}, {"b": 1})
        assert consume(one, "a", 1) == [b"1"]
        one.kill()
        assert consume(two, "b", 1) == [b"2"]


async def test_in_an_event_loop() -> None:
    threads, tasks = set(threading.enumerate()), asyncio.all_tasks()
    async with Broker() as broker:
        broker.create_topic("a")
        reader, writer = await asyncio.open_connection(broker.host, broker.port)
        writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert b"200 OK" in await reader.read()
        writer.close()
        await writer.wait_closed()
    assert set(threading.enumerate()) == threads
    assert asyncio.all_tasks() == tasks


def test_in_a_thread() -> None:
    found: list[object] = []

    def body() -> None:
        with Broker() as broker:
            found.append(broker.topics())

    thread = threading.Thread(target=body)
    thread.start()
    thread.join(30)
    assert found == [{}]


def test_signals_and_output_are_the_callers(capfd: pytest.CaptureFixture[str]) -> None:
    import signal

    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    handlers = list(logging.getLogger().handlers)
    with Broker():
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
        assert logging.getLogger().handlers == handlers
    assert capfd.readouterr() == ("", "")


def test_a_folder_of_ones_own_keeps_the_data_and_the_port(tmp_path: Path) -> None:
    with Broker(data_dir=tmp_path / "data") as broker:
        port = broker.port
        produce(broker, broker.create_topic("a"), b"1")
        broker.restart()
        assert broker.port == port
        assert produce(broker, "a", b"2") == [1]
    assert (tmp_path / "data" / ".clean_shutdown").exists()
    with Broker(data_dir=tmp_path / "data", port=port) as broker:
        assert broker.bootstrap_servers == f"127.0.0.1:{port}"
        assert consume(broker, "a", 2) == [b"1", b"2"]


def test_what_was_acknowledged_outlives_a_kill(broker: Broker) -> None:
    produce(broker, broker.create_topic("a"), b"1", b"2")
    threads = threading.active_count()
    for _ in range(3):
        files = open_files()
        broker.kill()
        assert not broker.running
        assert not (broker.data_dir / ".clean_shutdown").exists()
        with pytest.raises(OSError, match="refused"):
            broker.topics()
        broker.start()
        # A connection that was just closed may still be there on one side: what counts is that nothing stays.
        deadline = time.monotonic() + 10
        while open_files() > files:
            assert time.monotonic() < deadline, (open_files(), files)
            time.sleep(0.01)
    assert threading.active_count() <= threads  # a client thread may have ended since
    assert consume(broker, "a", 2) == [b"1", b"2"]
    assert produce(broker, "a", b"3") == [2]


def test_a_kill_breaks_connections(broker: Broker) -> None:
    with socket.create_connection((broker.host, broker.port), 10) as client:
        broker.kill()
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""


def test_a_paused_broker_accepts_and_does_not_answer(broker: Broker) -> None:
    broker.pause()
    broker.pause()
    with socket.create_connection((broker.host, broker.port), 10) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(1)
        broker.resume()
        client.settimeout(10)
        assert client.recv(12) == b"HTTP/1.1 200"
    for _ in range(50):
        broker.pause()
        broker.resume()
    assert broker.topics() == {}


@pytest.mark.parametrize("end", ["stop", "kill", "close"])
def test_a_paused_broker_can_be_ended(broker: Broker, end: str) -> None:
    broker.pause()
    getattr(broker, end)()
    assert not broker.running
    with pytest.raises(BrokerFailedError, match="does not run"):
        broker.pause()


def test_a_failing_disk_is_told_to_producers() -> None:
    with Broker(faults=True) as broker:
        topic = broker.create_topic("a")
        assert produce(broker, topic, b"1") == [0]
        broker.disk.fail("write", suffix=".log")
        with (
            pytest.raises((ClientError, KafkaTimeoutError)),
            KafkaProducer(
                bootstrap_servers=broker.bootstrap_servers,
                delivery_timeout_ms=1500,
                request_timeout_ms=1000,
                linger_ms=0,
            ) as producer,
        ):
            producer.send(topic, b"2", partition=0).get(10)
        assert broker.disk.broken == []
        broker.kill()
        broker.disk.heal()
        broker.start()
        assert consume(broker, topic, 1) == [b"1"]


def test_a_slow_disk_is_slow() -> None:
    with Broker(faults=True, config={"storage.segment_config.sync_on_write": True}) as broker:
        topic = broker.create_topic("a")
        produce(broker, topic, b"1")
        broker.disk.delay("sync", 150)
        began = time.monotonic()
        produce(broker, topic, b"2")
        assert time.monotonic() - began >= 0.15
        broker.disk.heal()


def test_faults_have_to_be_asked_for(broker: Broker) -> None:
    with pytest.raises(BrokerFailedError, match="faults=True"):
        _ = broker.disk


def test_the_clock_can_be_moved() -> None:
    with Broker(config={"storage.retention_check_interval_ms": 50}) as broker:
        topic = broker.create_topic("a", config={"retention.ms": 3_600_000})
        produce(broker, topic, b"old")
        broker.shift_clock(7_200_000)
        with KafkaConsumer(bootstrap_servers=broker.bootstrap_servers) as consumer:
            place = TopicPartition(topic, 0)
            until(lambda: consumer.beginning_offsets([place])[place] == 1)


def test_mistakes_are_told(tmp_path: Path) -> None:
    threads = threading.active_count()
    with pytest.raises(ConfigError, match="num_partitions"):
        Broker(config={"topics.num_partitons": 1}).start()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(BrokerFailedError, match="Address already in use"):
            Broker(port=taken.getsockname()[1]).start()
    with Broker(data_dir=tmp_path) as broker:
        with pytest.raises(BrokerFailedError, match="is in use by another process"):
            Broker(data_dir=tmp_path).start()
        with pytest.raises(BrokerFailedError, match="runs already"):
            broker.start()
        with pytest.raises(KafkaError) as refused:
            broker.create_topic("a", config={"retention.mss": 1})
        assert refused.value.code is ErrorCode.INVALID_CONFIG
    assert threading.active_count() == threads
    Broker().close()


def test_the_environment_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYRALOG_NODE_ID", "9")
    monkeypatch.setenv("KAFKA_NUM_PARTITIONS", "x")
    with Broker(config={"topics.num_partitions": 4}) as broker:
        assert broker.create_topic("a", -1) == "a"
        assert broker.topics() == {"a": 4}


def test_ports_are_none_of_the_outgoing() -> None:
    assert all(10_000 <= free_port() < 32_768 for _ in range(20))


def test_what_is_imported_before_it_is_used() -> None:
    import subprocess

    code = "import sys, pyralog.testing, pyralog.testing.plugin; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    loaded = set(found.stdout.split())
    assert not loaded & {"pyralog.app", "pydantic", "testcontainers", "aiohttp", "kafka", "uvloop"}
    import pyralog.testing

    with pytest.raises(AttributeError, match="nothing_such"):
        _ = pyralog.testing.nothing_such
