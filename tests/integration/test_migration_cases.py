"""Single requests to groups of both protocols are answered as by Apache Kafka 4.4: migration_cases.json is its word."""

from __future__ import annotations

import json

import pytest

from tests.integration.golden import difference
from tests.integration.migration_cases import CASES, GOLDEN, run
from tests.reference.pyralog import Pyralog


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[object]]:
    settings = {"groups.initial_rebalance_delay_ms": 0}
    with Pyralog(data_dir=tmp_path_factory.mktemp("groups") / "data", settings=settings) as node:
        return run(node.port)


def test_every_case_has_an_answer_of_kafka() -> None:
    assert set(json.loads(GOLDEN.read_text())) == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_case(name: str, outcomes: dict[str, list[object]]) -> None:
    assert difference(json.loads(GOLDEN.read_text())[name], outcomes[name]) == []
