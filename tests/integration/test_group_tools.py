"""Apache Kafka's command-line tools on groups: configurations of groups."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.reference.kafka import tool
from tests.reference.pyralog import Pyralog

pytestmark = pytest.mark.skipif(shutil.which("java") is None, reason="Kafka's tools need Java")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pyralog]:
    """One for all: each test has groups of its own."""
    settings = {"groups.initial_rebalance_delay_ms": 0}
    with Pyralog(data_dir=tmp_path_factory.mktemp("tools") / "data", settings=settings) as node:
        yield node


def run(broker: Pyralog, name: str, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return tool(name, "--bootstrap-server", broker.address, *args, check=check)


def test_configs_of_a_group(broker: Pyralog) -> None:
    group = ("--entity-type", "groups", "--entity-name", "configured")
    wanted = "consumer.heartbeat.interval.ms=7000,consumer.session.timeout.ms=50000"
    run(broker, "ConfigCommand", *group, "--alter", "--add-config", wanted)
    shown = run(broker, "ConfigCommand", *group, "--describe").stdout
    assert "consumer.heartbeat.interval.ms=7000 sensitive=false synonyms={DYNAMIC_GROUP_CONFIG" in shown
    assert "DEFAULT_CONFIG:group.consumer.session.timeout.ms=45000" in shown
    run(broker, "ConfigCommand", *group, "--alter", "--delete-config", "consumer.session.timeout.ms")
    everything = run(broker, "ConfigCommand", "--entity-type", "groups", "--describe").stdout
    assert "Dynamic configs for group configured are:" in everything
    assert "consumer.session.timeout.ms" not in everything
    refused = run(
        broker, "ConfigCommand", *group, "--alter", "--add-config", "consumer.session.timeout.ms=1", check=False
    )
    assert refused.returncode
    assert "consumer.session.timeout.ms must be in the range 45000 to 60000 inclusive." in refused.stderr
