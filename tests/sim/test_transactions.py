"""Seeded runs of the transaction coordinator. One run again: python -m tests.sim.transaction_world SEED [LEVEL]."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pyralog.coordinator.transaction import ending, initialising, machine, state
from pyralog.coordinator.transaction.machine import TransactionMachine
from pyralog.coordinator.transaction.state import State
from tests.sim.transaction_world import Shape, run

TV1_SEEDS, TV2_SEEDS, EXHAUSTED_SEEDS = 500, 1000, 300


def check(seeds: range, shape: Shape) -> tuple[int, int]:
    """Run them all; how many transactions were committed and aborted."""
    committed = aborted = 0
    for seed in seeds:
        try:
            world = run(seed, shape)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, level {shape.level}: {error}") from error
        committed += sum(claim.told is True for claim in world.claims.values())
        aborted += sum(claim.told is False for claim in world.claims.values())
    return committed, aborted


def test_transactions_of_tv2() -> None:
    committed, aborted = check(range(TV2_SEEDS), Shape(level=2))
    assert committed > 4 * TV2_SEEDS
    assert aborted > TV2_SEEDS


def test_transactions_of_tv1() -> None:
    committed, aborted = check(range(TV1_SEEDS), Shape(level=1))
    assert committed > TV1_SEEDS
    assert aborted > TV1_SEEDS // 2


@pytest.mark.parametrize("level", [0, 2])
def test_epochs_that_are_used_up(level: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (state, ending, initialising):
        monkeypatch.setattr(module, "MAX_EPOCH", 4)
    committed, _ = check(range(EXHAUSTED_SEEDS), Shape(level=level))
    assert committed > EXHAUSTED_SEEDS


def never_moves(entry: Any, commit: bool, now_ms: int) -> Any:
    return entry._replace(state=ending.ENDS[commit], updated_ms=now_ms, version=2)


def forgetful_start(self: Any, now_ms: int) -> Any:
    return machine.NOTHING


def lax_ends(entry: Any, request: Any, now_ms: int) -> Any:
    if entry.state is State.ONGOING:
        return ending._bumped(entry, request.commit, request.spare_id, now_ms)
    return None


def half_aborted(entry: Any, level: int, now_ms: int) -> Any:
    return ending._moved(entry, True, now_ms)


@pytest.mark.parametrize(
    ("target", "name", "broken"),
    [
        (ending, "_moved", never_moves),
        (TransactionMachine, "start", forgetful_start),
        (ending, "_ended_tv2", lax_ends),
        (ending, "aborted", half_aborted),
    ],
)
def test_the_simulation_finds_what_is_broken_on_purpose(
    target: Any, name: str, broken: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, name, broken)
    with pytest.raises(AssertionError, match="seed"):
        check(range(300), Shape())
