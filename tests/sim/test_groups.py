"""Seeded runs of classic groups. One run again: python -m tests.sim.classic_world SEED."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from pyralog.coordinator.group import classic_join, classic_requests, shard
from pyralog.coordinator.group.classic import COMPLETING, ClassicGroup
from pyralog.coordinator.group.classic_member import ClassicMember
from pyralog.errors import ErrorCode
from pyralog.wire.messages import GroupMetadataKey
from tests.sim.classic_world import run

SEEDS = int(os.environ.get("PYRALOG_SEEDS", "250"))


def check(seeds: range) -> tuple[int, int, int]:
    """Run them all; how many steps, crashes and generations there were."""
    steps = crashes = generations = 0
    for seed in seeds:
        try:
            world = run(seed)
        except AssertionError as error:
            again = f"python -m tests.sim.classic_world {seed}"
            raise AssertionError(f"seed {seed}: {error}\n{again}") from error
        steps += world.steps
        crashes += world.crashes
        generations += world.generations
    return steps, crashes, generations


def test_groups_under_faults() -> None:
    steps, crashes, generations = check(range(SEEDS))
    assert steps > 1_000 * SEEDS
    assert crashes > 5 * SEEDS
    assert generations > 5 * SEEDS


# --- the simulation finds what it is for ---


def no_fencing(self: ClassicGroup, member_id: str, instance_id: str | None) -> ErrorCode:
    known = self.static.get(instance_id or "", member_id)
    return ErrorCode.NONE if known in self.members else ErrorCode.UNKNOWN_MEMBER_ID


def any_generation(self: ClassicGroup, message: Any, version: int) -> ErrorCode:
    if self.members and message.member_id not in self.members:
        return ErrorCode.UNKNOWN_MEMBER_ID
    return ErrorCode.REBALANCE_IN_PROGRESS if self.state is COMPLETING else ErrorCode.NONE


def no_session(self: ClassicMember, group_id: str, now_ms: int, timeout_ms: int | None = None) -> tuple[()]:
    self.deadline_ms = self.armed_ms = now_ms + self.session_timeout_ms
    return ()


def forgetful_replay(machine: Any, key: Any, value: Any) -> None:
    classic_requests.replay(machine, key, value)
    if value is not None and value.generation % 3 == 0:
        for member in machine.groups[key.group].members.values():
            member.assignment = b""


def earlier_forgotten(group: ClassicGroup, member: ClassicMember, ticket: int, effects: Any) -> None:
    group.park_join(member, ticket)


BUGS: list[tuple[Any, str, Callable[..., Any]]] = [
    (ClassicGroup, "validate_member", no_fencing),
    (ClassicGroup, "validate_offset_commit", any_generation),
    (ClassicMember, "touch", no_session),
    (classic_join, "park_join", earlier_forgotten),
]


@pytest.mark.parametrize(("owner", "name", "bug"), BUGS, ids=[name for _, name, _ in BUGS])
def test_a_bug_is_found(owner: Any, name: str, bug: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner, name, bug)
    with pytest.raises((AssertionError, KeyError)):
        check(range(60))


def test_lost_assignments_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard, "REPLAY", {**shard.REPLAY, GroupMetadataKey: forgetful_replay})
    with pytest.raises(AssertionError):
        check(range(60))
