"""Start, stop, and what must be refused: a port or data directory in use, bad configuration; signals at bad moments."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.conftest import create_topic, make_broker, until
from tests.integration.raw import FETCH, PRODUCE, Raw, batch, fetch_body, fetched_bytes, header, produce_body, produced
from tests.reference.process import HOST, Broker, free_port

EX_CONFIG = 78


def write(broker: Broker, topic: str, count: int) -> int:
    """Write records one by one; the next offset."""
    with Raw(broker.port) as raw:
        for _ in range(count):
            error, base = produced(raw.call(PRODUCE, 8, produce_body(topic, {0: batch([b"x"])})))[0]
            assert error == 0
    return base + 1


def records(broker: Broker, topic: str) -> int:
    """How many one-record batches are there."""
    with Raw(broker.port) as raw:
        return fetched_bytes(raw.call(FETCH, 4, fetch_body(topic, [0], max_bytes=10 << 20)))[0] // len(batch([b"x"]))


def run_to_end(broker: Broker, timeout_s: float = 30) -> tuple[int, str]:
    """Start a broker that is to refuse to run: its exit code and output."""
    broker.prepare()
    done = subprocess.run(
        broker.command(),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env={**os.environ, **broker.env},
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_restarts_keep_everything(brokers: Callable[..., Broker]) -> None:
    broker = brokers()
    create_topic(broker.address, "kept")
    for round in range(1, 4):
        assert write(broker, "kept", 10) == 10 * round
        assert broker.stop() in (0, 143)
        broker.start()
        assert records(broker, "kept") == 10 * round


@pytest.mark.pyralog_only
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_stop_it_in_order_under_load(brokers: Callable[..., Broker], number: signal.Signals) -> None:
    broker = brokers()
    create_topic(broker.address, "busy")
    written = write(broker, "busy", 5)
    with contextlib.ExitStack() as stack:
        # Parked fetches, a frame that is not complete, and a producer must not hold up the stop.
        for _ in range(10):
            raw = stack.enter_context(Raw(broker.port))
            raw.send_frame(header(FETCH, 4) + fetch_body("busy", [0], offset=written, wait_ms=60_000))
        stack.enter_context(Raw(broker.port)).send(b"\0\0\0")
        producer = stack.enter_context(Raw(broker.port))
        assert broker.process is not None
        started = time.monotonic()
        broker.process.send_signal(number)
        with contextlib.suppress(EOFError, ConnectionError):
            while True:
                assert produced(producer.call(PRODUCE, 8, produce_body("busy", {0: batch([b"x"])})))[0][0] == 0
                written += 1
        assert broker.process.wait(15) == 0, broker.log_tail()
        assert time.monotonic() - started < 10
    broker.stop()
    broker.start()
    assert records(broker, "busy") >= written
    assert "after a crash" not in broker.log_tail(), "a clean stop leaves nothing to recover"


@pytest.mark.pyralog_only
def test_a_second_signal_changes_nothing(broker: Broker) -> None:
    assert broker.process is not None
    for _ in range(5):
        broker.process.send_signal(signal.SIGTERM)
    assert broker.process.wait(15) == 0


@pytest.mark.pyralog_only
def test_port_in_use_is_refused_with_a_hint(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, output = run_to_end(make_broker(tmp_path / "data", port=port))
    assert code == 1
    assert str(port) in output
    assert "in use" in output
    assert "Traceback" not in output


@pytest.mark.pyralog_only
def test_a_second_process_on_the_data_directory_is_refused(broker: Broker) -> None:
    create_topic(broker.address, "mine")
    code, output = run_to_end(make_broker(broker.data_dir, port=free_port()))
    assert code != 0
    assert str(broker.data_dir) in output
    assert "Traceback" not in output
    assert write(broker, "mine", 3) == 3


@pytest.mark.pyralog_only
def test_a_lock_of_a_killed_process_holds_nobody_up(broker: Broker) -> None:
    create_topic(broker.address, "mine")
    write(broker, "mine", 3)
    broker.kill()
    broker.start()
    assert records(broker, "mine") == 3


@pytest.mark.pyralog_only
def test_bad_configuration_starts_nothing(tmp_path: Path) -> None:
    settings = {"storage.segment_config.max_sise": 1, "network.max_connections": "many"}
    data = tmp_path / "data"
    code, output = run_to_end(make_broker(data, settings))
    assert code == EX_CONFIG
    assert "max_sise" in output
    assert "max_size" in output, "the nearest key"
    assert "max_connections" in output, "every mistake at once"
    assert list(data.iterdir()) == []


@pytest.mark.pyralog_only
@pytest.mark.parametrize("after_s", [0.0, 0.02, 0.05, 0.1, 0.2, 0.3])
def test_signals_during_the_start(tmp_path: Path, after_s: float) -> None:
    broker = make_broker(tmp_path / "data")
    broker.prepare()
    broker.launch()
    try:
        assert broker.process is not None
        time.sleep(after_s)  # the moments of the start are what is tested
        broker.process.send_signal(signal.SIGTERM)
        code = broker.process.wait(15)
        assert code in (0, 1, -signal.SIGTERM, 128 + signal.SIGTERM), broker.log_tail()
        assert "Traceback" not in broker.log_tail() or after_s < 0.1  # the interpreter itself may be interrupted
    finally:
        broker.kill()
    broker.start()
    create_topic(broker.address, "after")
    assert write(broker, "after", 1) == 1
    broker.close()


def test_kills_during_the_start_lose_nothing(brokers: Callable[..., Broker]) -> None:
    broker = brokers()
    create_topic(broker.address, "kept")
    written = write(broker, "kept", 20)
    for delay_s in (0.05, 0.1, 0.2, 0.3):
        broker.kill()
        broker.prepare()
        broker.launch()
        time.sleep(delay_s)  # the moments of the start are what is tested
    broker.kill()
    broker.start()
    assert records(broker, "kept") == written


def test_a_stopped_process_goes_on(broker: Broker) -> None:
    """SIGSTOP for a second: a pause, not a fault."""
    create_topic(broker.address, "paused")
    written = write(broker, "paused", 5)
    with Raw(broker.port) as raw:
        os.kill(broker.pid, signal.SIGSTOP)
        try:
            raw.send_frame(header(PRODUCE, 8, 7) + produce_body("paused", {0: batch([b"x"])}))
            time.sleep(1)  # the pause
        finally:
            os.kill(broker.pid, signal.SIGCONT)
        assert produced(raw.frame()[4:])[0] == (0, written)


@pytest.mark.pyralog_only
def test_first_record_is_acknowledged_soon(tmp_path: Path) -> None:
    """The aim is 0.3 s on a quiet machine; a loaded one is given more."""
    with make_broker(tmp_path / "data") as broker:
        until(lambda: broker.port_open_s > 0, "the start")
        create_topic(broker.address, "first")
        write(broker, "first", 1)
        assert broker.port_open_s < 5
        assert broker.rss_bytes() < 100 << 20
