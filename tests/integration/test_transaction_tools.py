"""Apache Kafka's command-line tools on transactions and features: list, describe, find-hanging, abort; features."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.golden import create_topic
from tests.integration.transaction_cases import Txn
from tests.integration.wire_client import WireClient
from tests.reference.kafka import tool
from tests.reference.pyralog import Pyralog

pytestmark = pytest.mark.skipif(shutil.which("java") is None, reason="Kafka's tools need Java")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Pyralog]:
    """One for each test: one of them aborts the transaction that others look at, and they come in any order."""
    with Pyralog(data_dir=tmp_path / "data") as node:
        yield node


@pytest.fixture
def txn(broker: Pyralog) -> Iterator[Txn]:
    """An open transaction with one record."""
    with WireClient(broker.port) as client:
        opened = Txn(client, "t", create_topic(client, "t", 3))
        opened.init()
        assert opened.produce(0) == 0
        yield opened


def run(broker: Pyralog, name: str, *args: str) -> str:
    done = tool(name, "--bootstrap-server", broker.address, *args)
    return done.stdout


def rows(text: str) -> list[dict[str, str]]:
    """A table of tabs by its header."""
    head, *lines = [[cell.strip() for cell in line.split("\t")] for line in text.splitlines() if "\t" in line]
    return [dict(zip(head, line, strict=False)) for line in lines]


def test_list_and_describe(broker: Pyralog, txn: Txn) -> None:
    (listed,) = rows(run(broker, "TransactionsCommand", "list", "--transactional-id-pattern", "case-.*"))
    assert (listed["TransactionalId"], listed["TransactionState"]) == (txn.id, "Ongoing")
    (described,) = rows(run(broker, "TransactionsCommand", "describe", "--transactional-id", txn.id))
    assert (described["TopicPartitions"], described["ProducerId"]) == ("t-0", str(txn.pid))
    assert rows(run(broker, "TransactionsCommand", "list", "--duration-filter", "100000000")) == []


def test_producers_of_a_partition(broker: Pyralog, txn: Txn) -> None:
    (row,) = rows(run(broker, "TransactionsCommand", "describe-producers", "--topic", "t", "--partition", "0"))
    assert (row["ProducerId"], row["CurrentTransactionStartOffset"]) == (str(txn.pid), "0")


def test_nothing_hangs_until_it_does_and_can_be_aborted(broker: Pyralog, txn: Txn) -> None:
    assert (
        rows(run(broker, "TransactionsCommand", "find-hanging", "--broker-id", "1", "--max-transaction-timeout", "0"))
        == []
    )
    run(broker, "TransactionsCommand", "abort", "--topic", "t", "--partition", "0", "--start-offset", "0")
    (row,) = rows(run(broker, "TransactionsCommand", "describe-producers", "--topic", "t", "--partition", "0"))
    assert row["CurrentTransactionStartOffset"] == "None"
    assert txn.end(False)[0] == 0


def test_features(broker: Pyralog) -> None:
    def level() -> int:
        found = re.search(
            r"transaction\.version.*FinalizedVersionLevel: (\d+)", run(broker, "FeatureCommand", "describe")
        )
        assert found is not None
        return int(found[1])

    assert level() == 2
    assert "downgraded to 1" in run(broker, "FeatureCommand", "downgrade", "--feature", "transaction.version=1")
    assert level() == 1
    assert "disabled" in run(broker, "FeatureCommand", "disable", "--feature", "transaction.version")
    broker.stop()
    broker.start()
    assert level() == 0, "what was switched off stays off"
    assert "upgraded to 2" in run(broker, "FeatureCommand", "upgrade", "--feature", "transaction.version=2")
    assert level() == 2


def test_the_log_is_kafkas(broker: Pyralog, txn: Txn) -> None:
    logs = [path for path in Path(broker.data_dir).rglob("__transaction_state*/*.log") if path.stat().st_size]
    text = tool("DumpLogSegments", "--transaction-log-decoder", "--files", ",".join(map(str, logs))).stdout
    assert f'"transactionalId":"{txn.id}"' in text
    assert '"transactionPartitions":[{"topic":"t","partitionIds":[0]}]' in text
    assert "isvalid: false" not in text
