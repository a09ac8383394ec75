"""The short form of million.py: all clients at hand, all codecs, one kill; and Kafka's tool reads the segments."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.integration.conftest import LONG
from tests.integration.million import available, dump, round_trip
from tests.integration.round_trip import CODECS
from tests.reference.kafka import CACHE, TOOLS_VERSION
from tests.reference.process import Broker

# The Java client needs Maven and a JDK: it is part of million.py and of compat.
CLIENTS = available(("kafka-python", "confluent-kafka", "aiokafka", "kcat"))
RECORDS = 400


@pytest.mark.timeout(120 * LONG)
def test_every_client_and_codec_reads_back_what_it_wrote(brokers: Callable[..., Broker]) -> None:
    broker = brokers()
    round_trip(broker, CLIENTS, RECORDS * LONG * len(CLIENTS) * len(CODECS), 1, quiet=True)


@pytest.mark.pyralog_only
def test_kafkas_own_tool_reads_the_segments(brokers: Callable[..., Broker]) -> None:
    if not (CACHE / f"kafka-tools-{TOOLS_VERSION}" / "complete").exists():
        pytest.skip("Kafka's tools are not installed: python -m tests.reference.kafka install")
    broker = brokers()
    round_trip(broker, ("confluent-kafka",), 200 * len(CODECS), 0, quiet=True)
    broker.stop()
    assert dump(broker) == []
