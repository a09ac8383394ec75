"""Groups whose members speak both protocols: the group changes its own again and again and stays whole."""

from __future__ import annotations

import os

import pytest

from tests.sim.migration_world import changes, run_seed

# python -m tests.sim.migration_world 17 runs one seed again, and with two numbers all between them.
# The last ones: a node dies between a downgrade and the next upgrade, or before a member hears of its assignment.
SEEDS = [int(os.environ["PYRALOG_SIM_SEED"])] if "PYRALOG_SIM_SEED" in os.environ else [*range(120), 6502, 7809, 8363]


@pytest.mark.parametrize("seed", SEEDS)
def test_group_stays_whole_and_settles(seed: int) -> None:
    run_seed(seed)


def test_groups_do_change_their_protocol() -> None:
    assert sum(changes(run_seed(seed)) for seed in range(500, 510)) > 10
