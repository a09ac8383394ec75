"""When the target of a KIP-848 group is worked out: at once for a single change, once for a storm of them."""

from __future__ import annotations

from typing import Any

from pyralog.wire.messages import ConsumerGroupHeartbeatRequest
from tests.sim.group_world import World

GROUP, TOPIC = "g", "t"
PARTITIONS = 1600  # an assignment to few members waits 100 ms, and a calm of 25 ms in the midst of a storm


def world() -> World:
    made = World(0)
    made.set_topic(TOPIC, PARTITIONS)
    return made


def join(made: World, member: str) -> Any:
    request = ConsumerGroupHeartbeatRequest(
        group_id=GROUP,
        member_id=member,
        member_epoch=0,
        rebalance_timeout_ms=60_000,
        subscribed_topic_names=[TOPIC],
        topic_partitions=[],
    )
    return made.ask(request)


def beat(made: World, member: str, epoch: int) -> Any:
    return made.ask(ConsumerGroupHeartbeatRequest(group_id=GROUP, member_id=member, member_epoch=epoch))


def leave(made: World, member: str) -> None:
    made.ask(ConsumerGroupHeartbeatRequest(group_id=GROUP, member_id=member, member_epoch=-1))


def target_epoch(made: World) -> int:
    group: Any = made.shard.groups[GROUP]
    assert group.target_epoch <= group.epoch
    return int(group.target_epoch)


def test_members_that_join_in_a_storm_get_one_assignment_when_it_is_over() -> None:
    made = world()
    epochs = set()
    for number in range(40):
        epochs.add(join(made, f"m{number}").member_epoch)
        made.advance(10)
    assert epochs == {2}, "someone has joined an epoch that others must be told of"
    assert target_epoch(made) == 2
    made.advance(20)
    beat(made, "m0", 2)
    assert target_epoch(made) == 41


def test_a_single_member_that_joins_or_takes_a_place_is_assigned_at_once() -> None:
    made = world()
    for member in ("m0", "m1"):
        made.advance(200)
        join(made, member)
    assert target_epoch(made) == 3
    made.advance(200)
    leave(made, "m1")
    made.advance(30)
    join(made, "m2")
    assert target_epoch(made) == 5


def test_a_storm_without_end_is_assigned_at_the_interval_of_the_group() -> None:
    made = world()
    made.advance(200)
    seen = set()
    for number in range(110):
        join(made, f"m{number}")
        seen.add(target_epoch(made))
        made.advance(10)
    assert seen == {2, 102}


def test_a_restart_of_members_is_one_assignment() -> None:
    made = world()
    for number in range(10):
        join(made, f"m{number}")
    made.advance(200)
    beat(made, "m0", 2)
    assert target_epoch(made) == 11
    made.advance(200)
    for number in range(5):
        leave(made, f"m{number}")
    for number in range(5):
        join(made, f"n{number}")
        made.advance(1)
    assert target_epoch(made) == 11
    made.advance(25)
    beat(made, "m9", 2)
    assert target_epoch(made) == 21
