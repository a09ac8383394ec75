"""The pytest plugin: `pyralog_broker`, one broker for the whole run, and topics that a test has to itself.

Every test run of an environment with Pyralog in it loads this module, so that it imports nothing but pytest.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pyralog.testing.broker import Broker

MAX_NAME = 150


@pytest.fixture(scope="session")
def pyralog_config() -> Mapping[str, object]:
    """Configuration keys of `pyralog_broker`; define a fixture of this name in conftest.py to set some."""
    return {}


@pytest.fixture(scope="session")
def pyralog_broker(pyralog_config: Mapping[str, object]) -> Iterator[Broker]:
    """A running broker inside this process, shared by all tests; its data is gone at the end."""
    from pyralog.testing.broker import Broker

    with Broker(config=pyralog_config) as broker:
        yield broker


@pytest.fixture
def pyralog_topic(pyralog_broker: Broker, request: pytest.FixtureRequest) -> Iterator[Callable[..., str]]:
    """Makes topics that no other test has, and returns their names; they are deleted after the test.

    `pyralog_topic()`, `pyralog_topic("orders", 3, config={"cleanup.policy": "compact"})`.
    """
    made: list[str] = []

    def make(name: str = "", partitions: int = 1, **options: Any) -> str:
        base = re.sub(r"[^A-Za-z0-9._-]", "-", name or request.node.name)[:MAX_NAME]
        unique = f"{base}-{uuid.uuid4().hex[:8]}"
        pyralog_broker.create_topic(unique, partitions, **options)
        made.append(unique)
        return unique

    yield make
    if made and pyralog_broker.running:
        pyralog_broker.delete_topics(made)


@pytest.fixture
def pyralog_brokers() -> Iterator[Callable[..., Broker]]:
    """Starts brokers for one test, with the arguments of `pyralog.testing.Broker`, and closes them after it."""
    from pyralog.testing.broker import Broker

    made: list[Broker] = []

    def start(**options: Any) -> Broker:
        broker = Broker(**options)
        made.append(broker)
        return broker.start()

    yield start
    for broker in reversed(made):
        broker.close()
