"""Single requests are answered as by Apache Kafka 4.4, whose word is in the .json beside each of these scripts."""

from __future__ import annotations

import json
from types import ModuleType

import pytest

from tests.integration import feature_cases, group_cases, migration_cases, offset_cases, transaction_cases
from tests.integration.golden import SETTINGS, Outcome, difference
from tests.reference.pyralog import Pyralog

SCRIPTS: tuple[ModuleType, ...] = (feature_cases, group_cases, migration_cases, offset_cases, transaction_cases)


def name_of(script: ModuleType) -> str:
    return script.__name__.rpartition(".")[2]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Outcome]]:
    """The answers of all cases by script; each script has a broker of its own."""
    seen = {}
    for script in SCRIPTS:
        name = name_of(script)
        with Pyralog(data_dir=tmp_path_factory.mktemp(name) / "data", settings=SETTINGS) as node:
            seen[name] = script.run(node.port)
    return seen


@pytest.mark.parametrize("script", SCRIPTS, ids=name_of)
def test_every_case_has_an_answer_of_kafka(script: ModuleType) -> None:
    assert set(json.loads(script.GOLDEN.read_text())) == set(script.CASES)


@pytest.mark.parametrize(
    ("script", "case"), [pytest.param(one, case, id=f"{name_of(one)}-{case}") for one in SCRIPTS for case in one.CASES]
)
def test_case(script: ModuleType, case: str, outcomes: dict[str, dict[str, Outcome]]) -> None:
    assert difference(json.loads(script.GOLDEN.read_text())[case], outcomes[name_of(script)][case]) == []
