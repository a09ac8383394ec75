"""A group whose members speak both protocols, under a seeded scheduler: it changes its protocol again and again.

One run again: python -m tests.sim.migration_world SEED; many: python -m tests.sim.migration_world FIRST LAST.
"""

from __future__ import annotations

import itertools
import sys
import traceback
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from pyralog.coordinator.consumer_group.group import ConsumerGroup
from pyralog.coordinator.group.classic import ClassicGroup
from pyralog.coordinator.group.settings import GroupSettings
from pyralog.errors import ErrorCode, KafkaError
from pyralog.wire import messages as m
from pyralog.wire.protocol import decode_blob, encode_blob
from tests.sim.group_world import World
from tests.sim.test_consumer_groups import Client as YoungClient

GROUP = "g"
Partition = tuple[bytes, int]
ALL_TOPICS = ("t1", "t2")
SESSION_MS, REBALANCE_MS = 10_000, 20_000
FENCED = ErrorCode.FENCED_INSTANCE_ID


class OldClient:
    """A consumer of the classic protocol, as Apache's client behaves: eager or cooperative, dynamic or static."""

    def __init__(self, world: World, name: str, instance_id: str | None, cooperative: bool, version: int) -> None:
        self.world = world
        self.name = name
        self.instance_id = instance_id
        self.cooperative = cooperative
        self.version = version
        self.member_id = ""
        self.generation = -1
        self.owned: set[Partition] = set()
        self.topics: list[str] = list(ALL_TOPICS)
        self.alive = True
        self.joined = False
        self.synced = False
        self.forgotten = False  # thrown out and in again, and does not know: what it has is no longer its own
        self.join_ticket = self.sync_ticket = 0
        self.parts: dict[str, bytes] = {}
        self.seen: dict[str, Any] = {}

    @property
    def protocol(self) -> str:
        return "cooperative-sticky" if self.cooperative else "range"

    def step(self, lose: bool = False) -> None:
        """Send what is due, or take an answer; `lose`: what comes back gets lost, and the client asks again."""
        if self.joined and self.synced and self.parts and self.seen != self.world.topics:
            self.joined = False  # the leader follows the topics
        if self.join_ticket:
            self.take_join(lose)
        elif self.sync_ticket:
            self.take_sync(lose)
        elif not self.joined:
            self.join()
        elif not self.synced:
            self.sync()
        else:
            self.beat(lose)

    def impatient(self) -> None:
        """The connection is gone: what is waited for never comes."""
        self.join_ticket = self.sync_ticket = 0

    # --- joining ---

    def join(self) -> None:
        if not self.cooperative:
            self.owned = set()
        self.seen = dict(self.world.topics)
        protocol = m.JoinGroupRequestProtocol(name=self.protocol, metadata=self.metadata())
        request = m.JoinGroupRequest(
            group_id=GROUP,
            member_id=self.member_id,
            group_instance_id=self.instance_id,
            session_timeout_ms=SESSION_MS,
            rebalance_timeout_ms=REBALANCE_MS,
            protocol_type="consumer",
            protocols=[protocol],
        )
        group = self.world.shard.groups.get(GROUP)
        if group is None or self.member_id not in group.members:
            self.forgotten = bool(self.owned)
        self.join_ticket = self.world.post(request, self.version, self.name)
        self.take_join(False)

    def metadata(self) -> bytes:
        topics = [
            m.ConsumerProtocolSubscriptionTopicPartition(topic=name, partitions=partitions)
            for name, partitions in self.by_name(self.owned).items()
        ]
        said = m.ConsumerProtocolSubscription(topics=self.topics, owned_partitions=topics)
        return encode_blob("ConsumerProtocolSubscription", 1, said)

    def by_name(self, owned: Iterable[Partition]) -> dict[str, list[int]]:
        names = self.world.image.topic_names
        found: dict[str, list[int]] = {}
        for topic_id, partition in sorted(owned):
            if topic_id in names:
                found.setdefault(names[topic_id], []).append(partition)
        return found

    def take_join(self, lose: bool) -> None:
        answer = self.answered(self.join_ticket)
        if answer is None:
            return
        self.join_ticket = 0
        if lose:
            return
        code = answer.error_code
        if code == ErrorCode.NONE:
            self.member_id, self.generation = answer.member_id, answer.generation_id
            self.joined, self.synced = True, False
            self.parts = self.assigned(answer) if answer.members else {}
        elif code == ErrorCode.MEMBER_ID_REQUIRED:
            self.member_id = answer.member_id
        elif code == FENCED:
            self.die()
        elif code == ErrorCode.UNKNOWN_MEMBER_ID:
            self.lose_all(forget=True)
        else:
            assert code in (ErrorCode.REBALANCE_IN_PROGRESS, ErrorCode.COORDINATOR_NOT_AVAILABLE), code

    def answered(self, ticket: int) -> Any:
        answer = self.world.answers.pop(ticket, None)
        assert not isinstance(answer, KafkaError) or answer.code is not ErrorCode.UNKNOWN_SERVER_ERROR, answer
        if isinstance(answer, KafkaError):
            return m.JoinGroupResponse(error_code=answer.code)
        return answer

    def assigned(self, answer: Any) -> dict[str, bytes]:
        """The leader's word: everything to everybody in turn; a partition that another one still has must wait."""
        said: dict[str, Any] = {
            one.member_id: decode_blob("ConsumerProtocolSubscription", one.metadata) for one in answer.members
        }
        has: dict[tuple[str, int], str] = {}
        for member_id, subscription in said.items():
            for topic in subscription.owned_partitions:
                has.update({(topic.topic, one): member_id for one in topic.partitions})
        given: dict[str, dict[str, list[int]]] = {member_id: {} for member_id in said}
        for name, (_, count) in sorted(self.world.topics.items()):
            takers = sorted(member_id for member_id, one in said.items() if name in one.topics)
            for partition in range(count if takers else 0):
                taker = takers[partition % len(takers)]
                if has.get((name, partition), taker) == taker:
                    given[taker].setdefault(name, []).append(partition)
        return {member_id: self.blob(topics) for member_id, topics in given.items()}

    @staticmethod
    def blob(topics: dict[str, list[int]]) -> bytes:
        assigned = [
            m.ConsumerProtocolAssignmentTopicPartition(topic=name, partitions=partitions)
            for name, partitions in topics.items()
        ]
        said = m.ConsumerProtocolAssignment(assigned_partitions=assigned)
        return encode_blob("ConsumerProtocolAssignment", 1, said)

    # --- in the group ---

    def sync(self) -> None:
        parts = [m.SyncGroupRequestAssignment(member_id=id, assignment=part) for id, part in self.parts.items()]
        request = m.SyncGroupRequest(
            group_id=GROUP,
            generation_id=self.generation,
            member_id=self.member_id,
            group_instance_id=self.instance_id,
            assignments=parts,
        )
        self.sync_ticket = self.world.post(request, 3, self.name)
        self.take_sync(False)

    def take_sync(self, lose: bool) -> None:
        answer = self.answered(self.sync_ticket)
        if answer is None:
            return
        self.sync_ticket = 0
        if lose:
            return
        if answer.error_code != ErrorCode.NONE:
            self.refused(answer.error_code)
            return
        told: set[Partition] = set()
        if answer.assignment:
            said: Any = decode_blob("ConsumerProtocolAssignment", answer.assignment)
            ids = {name: topic_id for name, (topic_id, _) in self.world.topics.items()}
            told = {(ids[one.topic], p) for one in said.assigned_partitions if one.topic in ids for p in one.partitions}
        given_up = self.owned - told
        self.owned = told
        self.synced, self.forgotten = True, False
        if self.cooperative and given_up:
            self.joined = False  # what was given up is somebody's in the next generation

    def beat(self, lose: bool) -> None:
        request = m.HeartbeatRequest(
            group_id=GROUP,
            generation_id=self.generation,
            member_id=self.member_id,
            group_instance_id=self.instance_id,
        )
        try:
            code = self.world.ask(request, 3, self.name).error_code
        except KafkaError as error:
            code = error.code
        if code != ErrorCode.NONE and not lose:
            self.refused(code)

    def refused(self, code: int) -> None:
        if code == ErrorCode.REBALANCE_IN_PROGRESS:
            self.joined = False
        elif code == ErrorCode.ILLEGAL_GENERATION:
            self.lose_all(forget=False)
        elif code == ErrorCode.UNKNOWN_MEMBER_ID:
            self.lose_all(forget=True)
        elif code == FENCED:
            self.die()
        else:
            assert code == ErrorCode.COORDINATOR_NOT_AVAILABLE, code

    def lose_all(self, *, forget: bool) -> None:
        self.owned, self.generation, self.joined, self.synced = set(), -1, False, False
        self.forgotten = False
        if forget:
            self.member_id = ""

    def die(self) -> None:
        self.lose_all(forget=True)
        self.alive = False

    def leave(self) -> None:
        """A static member only stops; its session decides."""
        if self.instance_id is None and self.member_id:
            who = m.MemberIdentity(member_id=self.member_id)
            with suppress(KafkaError):
                self.world.ask(m.LeaveGroupRequest(group_id=GROUP, members=[who]), 4, self.name)
        self.impatient()
        self.die()


class Run:
    """One seed: chaos, an invariant after each step, then quiet until everybody has what he shall have."""

    def __init__(self, seed: int) -> None:
        policy = "upgrade" if seed % 7 == 3 else "bidirectional"
        settings = GroupSettings(consumer_migration_policy=policy, initial_rebalance_delay_ms=500)
        self.world = World(seed, settings)
        self.rng = self.world.rng
        self.policy = policy
        self.world.watch = self.check
        self.cooperative = self.rng.random() < 0.6
        self.old: list[OldClient] = []
        self.young: list[YoungClient] = []
        self.born = 0
        self.epoch = 0
        self.kinds: list[str] = []
        self.committed: dict[tuple[str, int], int] = {}
        self.tried: dict[tuple[str, int], int] = {}
        self.was_empty = True
        for name in ALL_TOPICS:
            self.world.set_topic(name, self.rng.randint(1, 6))

    @property
    def group(self) -> Any:
        return self.world.shard.groups.get(GROUP)

    # --- chaos ---

    def chaos(self, steps: int) -> None:
        for _ in range(steps):
            self.step()
            self.world.advance(self.rng.choice((0, 0, 10, 200, 1000, 3000)))
            if self.rng.random() < 0.01:
                self.world.advance(self.rng.choice((11_000, 46_000)))

    def step(self) -> None:
        dice = self.rng.random()
        clients = [*self.old, *self.young]
        if dice < 0.06 or not clients:
            self.be_born()
        elif dice < 0.86:
            self.act(self.rng.choice(clients))
        elif dice < 0.90:
            self.rng.choice(clients).leave()
        elif dice < 0.91:
            self.administer()
        elif dice < 0.95:
            client = self.rng.choice(clients)
            client.alive = not client.alive
            if isinstance(client, OldClient):
                client.impatient()
        elif dice < 0.96:
            name = self.rng.choice(ALL_TOPICS)
            self.world.set_topic(name, self.world.topics[name][1] + 1)
        else:
            self.crash()
        self.old = [one for one in self.old if one.alive or self.rng.random() < 0.9]
        self.young = [one for one in self.young if one.alive or self.rng.random() < 0.9]

    def be_born(self) -> None:
        if len(self.old) + len(self.young) >= 6:
            return
        self.born += 1
        instance = f"i{self.rng.randint(1, 3)}" if self.rng.random() < 0.35 else None
        if self.rng.random() < 0.55:
            version = self.rng.choice((3, 5, 9)) if instance is None else 5
            self.old.append(OldClient(self.world, f"o{self.born:03}", instance, self.cooperative, version))
        else:
            client = YoungClient(self.world, f"y{self.born:03}", instance)
            client.topics = list(ALL_TOPICS)
            client.regex = "" if self.rng.random() < 0.7 else "t.*"
            self.young.append(client)

    def act(self, client: Any) -> None:
        if not client.alive:
            return
        lose = self.rng.random() < 0.08
        if isinstance(client, OldClient):
            if self.rng.random() < 0.03:
                client.impatient()
            client.step(lose)
        else:
            if self.rng.random() < 0.6:
                client.revoke()
            client.heartbeat(lose=lose, twice=self.rng.random() < 0.1)
        if self.rng.random() < 0.3:
            self.commit(client)

    def commit(self, client: Any) -> None:
        """A client commits for what it has; what is acknowledged must last."""
        names = self.world.image.topic_names
        for topic_id, partition in sorted(client.owned)[:1]:
            offset = self.rng.randrange(1 << 30)
            part = m.OffsetCommitRequestPartition(partition_index=partition, committed_offset=offset)
            topic = m.OffsetCommitRequestTopic(name=names[topic_id], topic_id=topic_id, partitions=[part])
            epoch = client.generation if isinstance(client, OldClient) else client.epoch
            request = m.OffsetCommitRequest(
                group_id=GROUP, generation_id_or_member_epoch=epoch, member_id=client.member_id, topics=[topic]
            )
            self.tried[names[topic_id], partition] = offset
            ticket = self.world.post(request, 8 if isinstance(client, OldClient) else 9)
            answer = self.world.answers.pop(ticket)
            if not isinstance(answer, KafkaError):
                self.committed[names[topic_id], partition] = offset
                continue
            assert answer.code in (
                ErrorCode.REBALANCE_IN_PROGRESS,
                ErrorCode.ILLEGAL_GENERATION,
                ErrorCode.STALE_MEMBER_EPOCH,
                ErrorCode.UNKNOWN_MEMBER_ID,
                ErrorCode.GROUP_ID_NOT_FOUND,
                ErrorCode.FENCED_INSTANCE_ID,
                ErrorCode.UNSUPPORTED_VERSION,
            ), answer

    def administer(self) -> None:
        """Somebody takes members out by their instance ids, of whatever protocol they are."""
        who = [m.MemberIdentity(member_id="", group_instance_id=f"i{number}") for number in (1, 2)]
        with suppress(KafkaError):
            self.world.ask(m.LeaveGroupRequest(group_id=GROUP, members=who), 4)

    def crash(self) -> None:
        live = self.group
        for compacted in (False, True):
            again = self.world.rebuilt(compacted).groups.get(GROUP)
            if live is not None and (isinstance(live, ConsumerGroup) or live.persisted):
                assert type(again) is type(live), "replay leads to a group of another kind"
                if isinstance(live, ConsumerGroup):
                    assert durable(again) == durable(live), "replay leads to another state"
        self.epoch = 0  # of classic groups, only a generation that was assigned lasts
        self.world.crash(self.rng.random() < 0.5)
        for one in self.old:
            one.impatient()

    # --- invariants ---

    def check(self) -> None:
        group = self.group
        self.kinds.append("" if group is None else group.kind)
        if group is None:
            self.was_empty = True
        elif isinstance(group, ConsumerGroup):
            self.check_epoch(group.epoch)
            owners: set[Partition] = set()
            for member in group.members.values():
                for owned in (member.owned, member.revoking):
                    pairs = {(topic_id, one) for topic_id, each in owned.items() for one in each}
                    assert owners.isdisjoint(pairs), "two members have one partition"
                    owners |= pairs
            for one in self.young:
                member = group.members.get(one.member_id)
                if member is not None and one.epoch > 0 and one.epoch in (member.epoch, member.previous_epoch):
                    assert one.owned <= self.held(member), one.member_id
            for old in self.old:
                member = group.members.get(old.member_id)
                if member is not None and self.valid(old):
                    assert old.owned <= self.held(member), (old.name, old.owned, member)
        else:
            assert isinstance(group, ClassicGroup)
            self.check_epoch(group.generation)
        self.check_claims()
        for (topic, partition), offset in self.committed.items():
            found = self.world.shard.offsets.get(GROUP, topic, partition)
            assert found is not None, "a committed offset is lost"
            assert found.offset in (offset, self.tried[topic, partition]), "a committed offset is lost"

    @staticmethod
    def held(member: Any) -> set[Partition]:
        return {(t, p) for owned in (member.owned, member.revoking) for t, each in owned.items() for p in each}

    def check_epoch(self, epoch: int) -> None:
        """An empty group gives way to one of the other protocol that starts anew."""
        if self.was_empty:
            self.epoch = 0
        self.was_empty = self.group.is_empty
        assert epoch >= self.epoch, f"the epoch goes back from {self.epoch} to {epoch}"
        self.epoch = epoch

    def check_claims(self) -> None:
        """No two clients that would not be refused believe to have the same partition."""
        claims: dict[Partition, str] = {}
        for one in [*self.old, *self.young]:
            if self.valid(one):
                for pair in one.owned:
                    assert pair not in claims, f"{one.member_id} and {claims[pair]} have {pair[1]}"
                    claims[pair] = one.member_id

    def valid(self, client: Any) -> bool:
        group = self.group
        if isinstance(client, OldClient):
            if client.forgotten:
                return False
            if isinstance(group, ConsumerGroup):
                member = group.members.get(client.member_id)
                return member is not None and member.classic is not None and client.generation == member.epoch
            return (
                isinstance(group, ClassicGroup)
                and client.member_id in group.members
                and client.generation == group.generation
            )
        member = group.members.get(client.member_id) if isinstance(group, ConsumerGroup) else None
        return member is not None and client.epoch > 0 and client.epoch in (member.epoch, member.previous_epoch)

    # --- the end ---

    def settle(self) -> None:
        clients: list[Any] = [one for one in (*self.old, *self.young) if one.alive]
        self.rng.shuffle(clients)
        seen: set[str] = set()
        stay = []
        for one in clients:
            if one.instance_id is None or one.instance_id not in seen:
                stay.append(one)
                if one.instance_id is not None:
                    seen.add(one.instance_id)
        self.old = [one for one in stay if isinstance(one, OldClient)]
        self.young = [one for one in stay if not isinstance(one, OldClient)]
        for _ in range(120):
            self.world.advance(1000)
            for one in [*self.old, *self.young]:
                if isinstance(one, OldClient):
                    one.step()
                    one.step()
                else:
                    one.revoke()
                    one.heartbeat()
            self.old = [one for one in self.old if one.alive]  # fenced by one that is gone
        self.check_settled()

    def check_settled(self) -> None:
        group = self.group
        stay: list[Any] = [*self.old, *self.young]
        if not stay:
            assert group is None or group.is_empty
            return
        assert set(group.members) == {one.member_id for one in stay}, (set(group.members), self.describe())
        if self.young:
            assert group.kind == "consumer"
        elif self.policy == "bidirectional":
            assert group.kind == "classic"
        assert group.state_name() == "Stable", self.describe()
        claims: set[Partition] = set()
        for one in stay:
            assert self.valid(one), self.describe()
            assert claims.isdisjoint(one.owned), self.describe()
            claims |= one.owned
        everything = {(topic_id, p) for topic_id, count in self.world.topics.values() for p in range(count)}
        assert claims == everything, self.describe()

    def describe(self) -> str:
        group = self.group
        lines = [f"{group.kind} {group.state_name()}"]
        if isinstance(group, ConsumerGroup):
            lines.append(f"epoch {group.epoch} target {group.target_epoch}")
            lines += [str(member) for member in group.members.values()]
        else:
            lines += [f"generation {group.generation}", str(list(group.members))]
        lines += [str({k: v for k, v in vars(one).items() if k != "world"}) for one in (*self.old, *self.young)]
        return "\n".join(lines)


def durable(group: ConsumerGroup) -> dict[str, Any]:
    volatile = {"changed_ms", "regexes_stale", "regexes_checked_ms", "rejoining"}
    return {name: getattr(group, name) for name in ConsumerGroup.__slots__ if name not in volatile}


def run_seed(seed: int) -> Run:
    run = Run(seed)
    run.chaos(250)
    run.settle()
    return run


def changes(run: Run) -> int:
    """How often the group has changed its protocol, members and all."""
    kinds = [kind for kind in run.kinds if kind]
    return sum(a != b for a, b in itertools.pairwise(kinds))


def main() -> int:
    first = int(sys.argv[1])
    last = int(sys.argv[2]) if len(sys.argv) > 2 else first + 1
    total = failed = 0
    for seed in range(first, last):
        try:
            total += changes(run_seed(seed))
        except Exception as error:  # noqa: BLE001 - whatever it is, the seed is what matters
            failed += 1
            print(f"seed {seed}: {type(error).__name__} {str(error)[:300]}")
            if len(sys.argv) == 2:
                traceback.print_exc()
    print(f"{last - first} seeds, {failed} failed, {total} changes of protocol")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
