"""Scripts of single requests about group.version 0, the level without KIP-848, and what Apache Kafka 4.4 answers.

python -m tests.integration.feature_cases kafka     run them on the reference, write feature_cases.json
python -m tests.integration.feature_cases pyralog   run them here and show what differs
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyralog.wire import messages as m
from tests.integration import golden
from tests.integration.golden import Outcome
from tests.integration.migration_cases import Group, runner

GOLDEN = Path(__file__).with_suffix(".json")
API_VERSIONS, LIST_GROUPS, DELETE_GROUPS, UPDATE_FEATURES = 18, 16, 42, 57
FEATURE = "group.version"
SOFTWARE = {"client_software_name": "cases", "client_software_version": "1"}
UPGRADE, SAFE_DOWNGRADE, UNSAFE_DOWNGRADE = 1, 2, 3
CASES: dict[str, Callable[[Group], Outcome]] = {}


def case(function: Callable[[Group], Outcome]) -> Callable[[Group], Outcome]:
    CASES[function.__name__] = function
    return function


def change(group: Group, level: int, kind: int, *, dry: bool = False) -> Any:
    """The answer to UpdateFeatures."""
    update = m.FeatureUpdateKey(feature=FEATURE, max_version_level=level, upgrade_type=kind)
    request = m.UpdateFeaturesRequest(feature_updates=[update], validate_only=dry, timeout_ms=10_000)
    return group.admin.ask(UPDATE_FEATURES, 1, request)


def finalized(group: Group) -> list[int]:
    """The level that clients are told, [] for none."""
    answer = group.admin.ask(API_VERSIONS, 3, m.ApiVersionsRequest(**SOFTWARE))
    return [one.max_version_level for one in answer.finalized_features if one.name == FEATURE]


def settle(group: Group, level: list[int]) -> None:
    """A level is finalized some milliseconds after it was accepted."""
    for _ in range(200):
        if finalized(group) == level:
            return
        time.sleep(0.02)
    raise AssertionError(f"the level is {finalized(group)}, not {level}")


@contextmanager
def level_zero(group: Group) -> Iterator[list[Any]]:
    """The answers to the way down and up again; the level is 0 within the block."""
    out = [change(group, 0, SAFE_DOWNGRADE)]
    settle(group, [])
    try:
        yield out
    finally:
        out.append(change(group, 1, UPGRADE))
        settle(group, [1])


@case
def ways_of_asking(group: Group) -> Outcome:
    out: Outcome = [
        change(group, 0, UPGRADE),
        change(group, 2, UPGRADE),
        change(group, 1, UPGRADE),
        change(group, 1, SAFE_DOWNGRADE),
        change(group, 0, SAFE_DOWNGRADE, dry=True),
        finalized(group),
    ]
    with level_zero(group) as changes:
        out += [finalized(group), change(group, 0, UNSAFE_DOWNGRADE), change(group, 1, SAFE_DOWNGRADE)]
    return out + changes


@case
def nobody_can_join(group: Group) -> Outcome:
    (a,) = group.clients("a")
    with level_zero(group):
        out: Outcome = [a.enter68(), group.describe69()]
    return [*out, a.enter68(), group.describe69()]


@case
def members_of_before_are_left_alone(group: Group) -> Outcome:
    (a,) = group.clients("a")
    out: Outcome = [a.enter68()]
    a.settle(1)
    out.append(a.commit(9, generation_id_or_member_epoch=a.epoch))
    with level_zero(group):
        out += [a.beat68(), group.describe69(), group.committed(), a.commit(9, generation_id_or_member_epoch=a.epoch)]
        out.append(group.admin.ask(LIST_GROUPS, 5, m.ListGroupsRequest(types_filter=["consumer"])).error_code)
        out.append(group.admin.ask(DELETE_GROUPS, 2, m.DeleteGroupsRequest(groups_names=[group.id])))
    return [*out, group.committed(), a.beat68()]


@case
def classic_groups_go_on(group: Group) -> Outcome:
    a, out = group.one()
    with level_zero(group):
        out += [a.beat(), a.commit(), group.describe69(), group.committed()]
        (b,) = group.clients("b")
        out.append(b.enter68())
    return [*out, a.beat(), group.committed()]


run = runner(CASES)


if __name__ == "__main__":
    sys.exit(golden.main(run, GOLDEN))
