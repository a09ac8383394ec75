"""KIP-848 groups under a seeded scheduler: members die, hang, return, repeat requests; topics come and go; crashes."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

import pytest

from pyralog.coordinator.consumer_group.group import ConsumerGroup
from pyralog.coordinator.consumer_group.member import MemberState
from pyralog.coordinator.group.settings import GroupSettings
from pyralog.errors import ErrorCode, KafkaError
from pyralog.model import Uuid
from pyralog.wire.messages import (
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatRequestTopicPartitions,
    ConsumerGroupHeartbeatResponse,
)
from tests.sim.group_world import World

# PYRALOG_SIM_SEED=17 python -m pytest tests/sim/test_consumer_groups.py runs one seed again.
SEEDS = [int(os.environ["PYRALOG_SIM_SEED"])] if "PYRALOG_SIM_SEED" in os.environ else range(300)
GROUP = "g"
Partition = tuple[Uuid, int]


class Client:
    """A consumer: what it believes to own, and the epoch that it was last told."""

    def __init__(self, world: World, name: str, instance_id: str | None) -> None:
        self.world = world
        self.member_id = name
        self.instance_id = instance_id
        self.epoch = 0
        self.owned: set[Partition] = set()
        self.revoking: set[Partition] = set()
        self.topics: list[str] = []
        self.regex = ""
        self.assignor: str | None = None
        self.changed = True
        self.alive = True
        self.full = True

    def request(self) -> ConsumerGroupHeartbeatRequest:
        joining = self.epoch == 0
        full = joining or self.changed or self.full
        self.full = False
        return ConsumerGroupHeartbeatRequest(
            group_id=GROUP,
            member_id=self.member_id,
            member_epoch=self.epoch,
            instance_id=self.instance_id if full or self.world.rng.random() < 0.5 else None,
            rebalance_timeout_ms=30_000 if full else -1,
            subscribed_topic_names=list(self.topics) if full else None,
            subscribed_topic_regex=self.regex if full else None,
            server_assignor=self.assignor if full else None,
            topic_partitions=_grouped(self.owned) if full or self.world.rng.random() < 0.7 else None,
        )

    def heartbeat(self, lose: bool = False, twice: bool = False) -> None:
        """One exchange. The answer may get lost; then the client asks again with all it has."""
        request = self.request()
        for _ in range(1 + twice):
            try:
                answer = self.world.ask(request)
            except KafkaError as error:
                self.refused(error)
                return
            if lose:
                self.full = True
            else:
                self.told(answer)

    def told(self, answer: ConsumerGroupHeartbeatResponse) -> None:
        self.changed = False
        self.epoch = answer.member_epoch
        if answer.assignment is not None:
            told = {(topic.topic_id, p) for topic in answer.assignment.topic_partitions for p in topic.partitions}
            self.revoking = self.owned - told
            self.owned |= told

    def revoke(self) -> None:
        """Done with what had to be given up."""
        if self.revoking:
            self.owned -= self.revoking
            self.revoking = set()
            self.full = True

    def refused(self, error: KafkaError) -> None:
        """Fenced or forgotten: give up everything and join again, as a client does."""
        assert error.code in (
            ErrorCode.FENCED_MEMBER_EPOCH,
            ErrorCode.UNKNOWN_MEMBER_ID,
            ErrorCode.GROUP_ID_NOT_FOUND,
            ErrorCode.UNRELEASED_INSTANCE_ID,
            ErrorCode.FENCED_INSTANCE_ID,
        ), error
        self.rejoin()

    def rejoin(self) -> None:
        self.owned, self.revoking, self.epoch, self.changed = set(), set(), 0, True

    def leave(self) -> None:
        epoch = -2 if self.instance_id is not None and self.world.rng.random() < 0.6 else -1
        request = ConsumerGroupHeartbeatRequest(
            group_id=GROUP, member_id=self.member_id, member_epoch=epoch, instance_id=self.instance_id
        )
        self.rejoin()
        self.alive = False
        with suppress(KafkaError):  # it was thrown out before
            self.world.ask(request)


def _grouped(owned: set[Partition]) -> list[ConsumerGroupHeartbeatRequestTopicPartitions]:
    topics: dict[Uuid, list[int]] = {}
    for topic_id, partition in sorted(owned):
        topics.setdefault(topic_id, []).append(partition)
    return [
        ConsumerGroupHeartbeatRequestTopicPartitions(topic_id=topic_id, partitions=partitions)
        for topic_id, partitions in topics.items()
    ]


class Run:
    """One seed: chaos for a while, an invariant after each step, then quiet until the group has settled."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed, GroupSettings(consumer_regex_refresh_interval_ms=60_000))
        self.rng = self.world.rng
        self.world.watch = self.check
        self.clients: list[Client] = []
        self.born = 0
        self.group_epoch = self.target_epoch = 0
        self.epochs: dict[str, int] = {}
        for name in ("t1", "t2", "u1"):
            self.world.set_topic(name, self.rng.randint(1, 8))

    @property
    def group(self) -> ConsumerGroup | None:
        found: Any = self.world.shard.groups.get(GROUP)
        return found if isinstance(found, ConsumerGroup) else None

    def chaos(self, steps: int) -> None:
        for _ in range(steps):
            self.step()
            self.world.advance(self.rng.choice((0, 10, 200, 1000, 3000)))
            if self.rng.random() < 0.02:
                self.world.advance(self.rng.choice((20_000, 46_000)))

    def step(self) -> None:
        dice = self.rng.random()
        if dice < 0.07 or not self.clients:
            self.join()
        elif dice < 0.82:
            self.beat(self.rng.choice(self.clients))
        elif dice < 0.86:
            self.rng.choice(self.clients).leave()
        elif dice < 0.89:
            self.resubscribe(self.rng.choice(self.clients))
        elif dice < 0.92:
            client = self.rng.choice(self.clients)
            client.alive = not client.alive
        elif dice < 0.95:
            self.change_topics()
        else:
            self.crash()

    def join(self) -> None:
        if len(self.clients) >= 7:
            return
        self.born += 1
        instance = f"i{self.rng.randint(1, 3)}" if self.rng.random() < 0.3 else None
        client = Client(self.world, f"m{self.born:03}", instance)
        self.resubscribe(client)
        client.assignor = self.rng.choice((None, None, "range", "uniform"))
        self.clients.append(client)

    def resubscribe(self, client: Client) -> None:
        client.topics = self.rng.choice((["t1"], ["t1", "t2"], ["t1", "t2"], ["t2", "u1"], []))
        client.regex = self.rng.choice(("", "", "t.*", "u.*|t1"))
        client.changed = True

    def beat(self, client: Client) -> None:
        if not client.alive:
            return
        if self.rng.random() < 0.6:
            client.revoke()
        client.heartbeat(lose=self.rng.random() < 0.1, twice=self.rng.random() < 0.1)

    def change_topics(self) -> None:
        name = self.rng.choice(("t1", "t2", "t3", "u1", "u2"))
        if name not in self.world.topics:
            self.world.set_topic(name, self.rng.randint(1, 8))
        elif self.rng.random() < 0.4:
            self.world.delete_topic(name)
        else:
            self.world.set_topic(name, self.world.topics[name][1] + self.rng.randint(1, 3))

    def crash(self) -> None:
        live = self.group
        for compacted in (False, True):
            again: Any = self.world.rebuilt(compacted).groups.get(GROUP)
            assert (live is None) == (again is None)
            if live is not None and again is not None:
                assert durable(again) == durable(live), "replay leads to another state"
        self.world.crash(self.rng.random() < 0.5)

    # --- invariants ---

    def check(self) -> None:
        group = self.group
        if group is None:
            self.group_epoch = self.target_epoch = 0
            self.epochs.clear()
            return
        assert group.epoch >= self.group_epoch, "the group epoch goes back"
        assert group.target_epoch >= self.target_epoch, "the assignment epoch goes back"
        assert group.target_epoch <= group.epoch
        self.group_epoch, self.target_epoch = group.epoch, group.target_epoch
        owners: dict[Partition, str] = {}
        for member_id, member in group.members.items():
            for topic_id, partition in _pairs(member.owned) | _pairs(member.revoking):
                assert (topic_id, partition) not in owners, "two members have one partition"
                owners[topic_id, partition] = member_id
            if member.epoch > 0:
                assert member.epoch >= self.epochs.get(member_id, 0), "a member's epoch goes back"
                self.epochs[member_id] = member.epoch
                assert member.epoch <= group.epoch
        assert {(t, p): m for t, each in group.owners.items() for p, m in each.items()} == owners
        targeted = [pair for target in group.target.values() for pair in _plain_pairs(target)]
        assert len(targeted) == len(set(targeted)), "the target gives one partition to two"
        for client in self.clients:
            self.check_client(group, client)

    def check_client(self, group: ConsumerGroup, client: Client) -> None:
        """What a client believes to own is its own to the coordinator, as long as it would not be refused."""
        member = group.members.get(client.member_id)
        if member is not None and client.epoch > 0 and client.epoch in (member.epoch, member.previous_epoch):
            assert client.owned <= _pairs(member.owned) | _pairs(member.revoking), client.member_id

    # --- the end ---

    def settle(self) -> None:
        for client in self.clients:
            if not client.alive:
                client.rejoin()
        self.clients = [client for client in self.clients if client.alive]
        ids = [client.instance_id for client in self.clients if client.instance_id]
        self.clients = [c for c in self.clients if c.instance_id is None or ids.count(c.instance_id) == 1]
        for _ in range(40):
            self.world.advance(2500)
            for client in self.clients:
                client.revoke()
                client.heartbeat()
        group = self.group
        if not self.clients:
            assert group is None or not group.members
            return
        assert group is not None
        assert set(group.members) == {client.member_id for client in self.clients}
        assert group.state_name() == "Stable", self.describe()
        image = self.world.image
        wanted: set[Partition] = set()
        for client in self.clients:
            member = group.members[client.member_id]
            assert member.state == MemberState.STABLE
            assert client.owned == _pairs(member.owned) == _plain_pairs(group.target.get(client.member_id, {}))
            names = member.topics | (group.resolved[member.regex].topics if member.regex else frozenset())
            mine = {
                (image.topics[n].topic_id, p)
                for n in names
                if n in image.topics
                for p in range(len(image.topics[n].partitions))
            }
            assert client.owned <= mine
            wanted |= mine
        assert set().union(*(client.owned for client in self.clients)) == wanted
        for regex, found in group.resolved.items():
            assert regex in group.regex_counts
            expected = {n for n in image.topics if n[0] == regex[0] or (n == "t1" and regex != "t.*")}
            assert found.topics == expected

    def describe(self) -> str:
        group = self.group
        assert group is not None
        return f"{group.epoch} {group.target_epoch} {list(group.members.values())}"


def _pairs(owned: Any) -> set[Partition]:
    return {(topic_id, partition) for topic_id, each in owned.items() for partition in each}


_plain_pairs = _pairs


def durable(group: ConsumerGroup) -> dict[str, Any]:
    volatile = {"changed_ms", "regexes_stale", "regexes_checked_ms", "rejoining"}
    return {name: getattr(group, name) for name in ConsumerGroup.__slots__ if name not in volatile}


@pytest.mark.parametrize("seed", SEEDS)
def test_group_stays_whole_and_settles(seed: int) -> None:
    run = Run(seed)
    run.chaos(120)
    run.settle()
