"""Many connections, and none left: 2,000 idle with 100 active, file descriptors exhausted, the limit of connections."""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Callable, Iterator

import pytest

from tests.integration.conftest import create_topic, until
from tests.integration.raw import (
    API_VERSIONS,
    FETCH,
    PRODUCE,
    Raw,
    back_to_base_line,
    batch,
    descriptors,
    fetch_body,
    fetched_bytes,
    header,
    healthy,
    produce_body,
    produced,
)
from tests.reference.process import Broker

TOPIC = "resources"
IDLE, ACTIVE, ROUNDS = 2000, 100, 10


@pytest.fixture(autouse=True)
def many_files() -> Iterator[None]:
    """Room for the client ends of the connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = IDLE + ACTIVE + 500
    if soft != resource.RLIM_INFINITY and soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            pytest.skip(f"this process may open {hard} files, {wanted} are needed")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_many_idle_and_some_active_connections(broker: Broker) -> None:
    create_topic(broker.address, TOPIC)
    with back_to_base_line(broker, TOPIC, rss_slack_bytes=8 << 20), contextlib.ExitStack() as stack:
        before = broker.rss_bytes()
        idle = [stack.enter_context(Raw(broker.port)) for _ in range(IDLE)]
        for raw in idle:
            raw.send_frame(header(API_VERSIONS, 0))
        for raw in idle:
            raw.frame()
        each = (broker.rss_bytes() - before) / IDLE
        assert each < 20 * 1024, f"{each:.0f} bytes for each idle connection"
        cpu = broker.cpu_s()
        time.sleep(1)  # a second of idleness is what is measured
        idle_cpu = broker.cpu_s() - cpu
        assert idle_cpu < 0.25, f"{idle_cpu:.3f} s of CPU in an idle second"

        active = [stack.enter_context(Raw(broker.port)) for _ in range(ACTIVE)]
        for number in range(ROUNDS):
            for raw in active:
                raw.send_frame(header(PRODUCE, 8, number) + produce_body(TOPIC, {0: batch([b"v" * 100])}))
            assert {produced(raw.frame()[4:])[0][0] for raw in active} == {0}
            for raw in active:
                raw.send_frame(header(FETCH, 4, number) + fetch_body(TOPIC, [0], offset=number * ACTIVE))
            assert min(fetched_bytes(raw.frame()[4:])[0] for raw in active) > 0
        # The idle ones are still served.
        for raw in idle[::100]:
            raw.call(API_VERSIONS, 0, b"")


def connects(broker: Broker) -> bool:
    """Whether a new client is served."""
    with contextlib.suppress(ConnectionError, EOFError, TimeoutError), Raw(broker.port, timeout_s=1) as raw:
        raw.call(API_VERSIONS, 0, b"")
        return True
    return False


@pytest.mark.pyralog_only
def test_descriptors_exhausted(broker: Broker) -> None:
    """Clients that are in stay in, new ones wait or are refused, nothing spins, and all is well again afterwards."""
    create_topic(broker.address, TOPIC)
    healthy(broker, TOPIC)
    old = resource.prlimit(broker.pid, resource.RLIMIT_NOFILE)
    inside = Raw(broker.port)
    inside.call(API_VERSIONS, 0, b"")
    with inside, contextlib.ExitStack() as stack:
        resource.prlimit(broker.pid, resource.RLIMIT_NOFILE, (descriptors(broker) + 20, old[1]))
        for _ in range(100):
            stack.enter_context(Raw(broker.port)).send_frame(header(API_VERSIONS, 0))
        until(lambda: not connects(broker), "the descriptors to be used up")
        for _ in range(10):
            assert produced(inside.call(PRODUCE, 8, produce_body(TOPIC, {0: batch([b"x"])})))[0][0] == 0
        cpu = broker.cpu_s()
        time.sleep(1)  # a second of waiting clients is what is measured
        assert broker.cpu_s() - cpu < 0.5, "waiting for descriptors takes the processor"
    resource.prlimit(broker.pid, resource.RLIMIT_NOFILE, old)
    until(lambda: connects(broker), "new clients to be served again")
    healthy(broker, TOPIC)
    create_topic(broker.address, "after")
    healthy(broker, "after")


@pytest.mark.pyralog_only
def test_the_limit_of_connections(brokers: Callable[..., Broker]) -> None:
    broker = brokers({"network.max_connections": 50})
    create_topic(broker.address, TOPIC)
    with contextlib.ExitStack() as stack:
        served = 0
        for _ in range(80):
            raw = stack.enter_context(Raw(broker.port, timeout_s=2))
            with contextlib.suppress(ConnectionError, EOFError):
                raw.call(API_VERSIONS, 0, b"")
                served += 1
        assert 40 <= served <= 50
    until(lambda: connects(broker), "room for new clients")
    healthy(broker, TOPIC)


def test_churn(broker: Broker) -> None:
    """Connects and disconnects as fast as one client can."""
    create_topic(broker.address, TOPIC)
    with back_to_base_line(broker, TOPIC):
        for number in range(2000):
            with Raw(broker.port) as raw:
                if number % 3:
                    raw.send_frame(header(API_VERSIONS, 0))
                if number % 3 == 2:
                    raw.frame()
