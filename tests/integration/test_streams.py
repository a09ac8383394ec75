"""Kafka Streams under exactly_once_v2 while the broker is killed: every word is counted once."""

from __future__ import annotations

import collections
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from compat.streams import run as streams
from tests.integration.conftest import LONG, until
from tests.reference.process import Broker

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("java", "javac", "mvn"))), reason="Kafka Streams needs a JDK and Maven"
)
KILLS = 3 * LONG
CHUNK = 20  # lines that are written together


class Writer:
    """Writes lines until it is stopped; `words` is what was acknowledged."""

    def __init__(self, address: str, topic: str) -> None:
        self.words: collections.Counter[str] = collections.Counter()
        self._stop = threading.Event()
        self._failed: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, args=(address, topic))
        self._thread.start()

    def _run(self, address: str, topic: str) -> None:
        line = 0
        while not self._stop.is_set():
            try:
                self.words += streams.write(address, topic, line, CHUNK)
            except BaseException as error:  # noqa: BLE001 - told by the thread that stops this one
                self._failed.append(error)
                return
            line += CHUNK
            self._stop.wait(0.1)

    def stop(self) -> collections.Counter[str]:
        self._stop.set()
        self._thread.join(90)
        assert not self._failed, self._failed
        assert not self._thread.is_alive()
        return self.words


@pytest.mark.timeout(200 + 60 * LONG)
def test_a_word_count_survives_kill_9_of_the_broker(brokers: Callable[..., Broker], tmp_path: Path) -> None:
    streams.compile_program()
    broker = brokers()
    streams.create(broker.address, "lines", "counts")
    writer = Writer(broker.address, "lines")

    def counted() -> int:
        return sum(streams.last_counts(broker.address, "counts").values())

    try:
        with streams.running(broker.address, "words", "lines", "counts", str(tmp_path / "state")) as application:
            until(counted, "the first counts", timeout_s=60)
            for kill in range(KILLS):
                broker.kill()
                time.sleep(0.2)  # long enough for clients to notice, as part of the load
                broker.start()
                before = counted()
                until(lambda before=before: counted() > before, f"counts after kill {kill}", timeout_s=60)
            wanted = writer.stop()
            until(lambda: streams.last_counts(broker.address, "counts") == wanted, "every word is counted", 60)
            assert application.process.poll() is None, application.states
    finally:
        writer.stop()
    for word, counts in streams.history(broker.address, "counts").items():
        assert counts == sorted(set(counts)), f"{word} went back, or was told twice"
