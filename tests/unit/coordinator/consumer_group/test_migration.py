"""Changing the protocol of a group with members: who may, what the log says then, and what a crash leaves of it."""

from __future__ import annotations

from typing import Any

import pytest

from pyralog.coordinator.consumer_group.embedded import CustomAssignor, read_assignment, write_assignment
from pyralog.coordinator.consumer_group.group import ConsumerGroup
from pyralog.coordinator.group.classic import ClassicGroup
from pyralog.coordinator.group.settings import GroupSettings
from pyralog.errors import ErrorCode, KafkaError
from pyralog.wire import messages as m
from pyralog.wire.coordinator_records import GROUP_RECORDS, decode_key
from pyralog.wire.protocol import encode_blob
from tests.sim.group_world import World

INTERVAL = "consumer.assignment.interval.ms"


def subscription(*owned: int) -> bytes:
    has = [m.ConsumerProtocolSubscriptionTopicPartition(topic="t", partitions=list(owned))] if owned else []
    said = m.ConsumerProtocolSubscription(topics=["t"], owned_partitions=has)
    return encode_blob("ConsumerProtocolSubscription", 1, said)


def assignment(*partitions: int, user_data: bytes | None = None) -> bytes:
    has = m.ConsumerProtocolAssignmentTopicPartition(topic="t", partitions=list(partitions))
    said = m.ConsumerProtocolAssignment(assigned_partitions=[has] if partitions else [], user_data=user_data)
    return encode_blob("ConsumerProtocolAssignment", 1, said)


class Group:
    """A shard with one topic and a group."""

    def __init__(self, policy: str = "bidirectional", **settings: Any) -> None:
        given = GroupSettings(consumer_migration_policy=policy, initial_rebalance_delay_ms=0, **settings)
        self.world = World(1, given)
        self.world.set_topic("t", 4)
        self.world.configs["g"] = {INTERVAL: "0"}
        self.assignor = "range"

    @property
    def group(self) -> Any:
        return self.world.shard.groups.get("g")

    def post_join(self, member_id: str = "", instance: str | None = None, version: int = 3, *owned: int) -> int:
        protocol = m.JoinGroupRequestProtocol(name=self.assignor, metadata=subscription(*owned))
        request = m.JoinGroupRequest(
            group_id="g",
            member_id=member_id,
            group_instance_id=instance,
            session_timeout_ms=10_000,
            rebalance_timeout_ms=20_000,
            protocol_type="consumer",
            protocols=[protocol],
        )
        return self.world.post(request, 5 if instance else version)

    def join(self, *args: Any) -> Any:
        ticket = self.post_join(*args)
        self.world.advance(0)
        return self.world.answers.pop(ticket)

    def sync(self, member_id: str, generation: int, parts: dict[str, bytes] | None = None) -> Any:
        made = [m.SyncGroupRequestAssignment(member_id=id, assignment=part) for id, part in (parts or {}).items()]
        request = m.SyncGroupRequest(group_id="g", member_id=member_id, generation_id=generation, assignments=made)
        return self.world.ask(request, 3)

    def beat(self, member_id: str, generation: int) -> int:
        request = m.HeartbeatRequest(group_id="g", member_id=member_id, generation_id=generation)
        try:
            return int(self.world.ask(request, 3).error_code)
        except KafkaError as error:
            return int(error.code)

    def classic(self) -> str:
        """A stable classic group of one member, which has everything."""
        joined = self.join()
        assert self.sync(joined.member_id, 1, {joined.member_id: assignment(0, 1, 2, 3)}).error_code == 0
        member_id: str = joined.member_id
        return member_id

    def young(self, member_id: str = "y", epoch: int = 0, **fields: Any) -> Any:
        made = {"rebalance_timeout_ms": 20_000, "subscribed_topic_names": ["t"], "topic_partitions": []}
        request = m.ConsumerGroupHeartbeatRequest(
            group_id="g", member_id=member_id, member_epoch=epoch, **{**(made if epoch == 0 else {}), **fields}
        )
        return self.world.ask(request)

    def kinds(self, since: int) -> list[str]:
        """The records of the log from here, tombstones marked."""
        found = []
        for key, value in self.world.log[since:]:
            decoded = decode_key(key, GROUP_RECORDS)
            found.append(("-" if value is None else "+") + type(decoded).__name__.removesuffix("Key"))
        return found


@pytest.mark.parametrize(("policy", "up"), [("upgrade", True), ("downgrade", False), ("disabled", False)])
def test_the_policy_decides_about_upgrades(policy: str, up: bool) -> None:
    g = Group(policy)
    a = g.classic()
    if up:
        g.young()
        assert isinstance(g.group, ConsumerGroup)
        return
    before = len(g.world.log)
    with pytest.raises(KafkaError) as caught:
        g.young()
    assert caught.value.code is ErrorCode.GROUP_ID_NOT_FOUND
    assert "online upgrade is disabled" in (caught.value.why or "")
    assert len(g.world.log) == before
    assert g.beat(a, 1) == 0


@pytest.mark.parametrize(
    ("policy", "joins", "back"), [("upgrade", True, False), ("downgrade", True, True), ("disabled", False, False)]
)
def test_the_policy_decides_about_downgrades(policy: str, joins: bool, back: bool) -> None:
    g = Group(policy)
    g.young()
    a = g.join()
    assert a.error_code == (0 if joins else ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
    if joins:
        g.young(epoch=-1)
        assert g.group.kind == ("classic" if back else "consumer")
        assert list(g.group.members) == [a.member_id]


def test_a_group_may_be_too_large_for_the_other_protocol() -> None:
    g = Group(consumer_max_size=1, max_size=1)
    g.young()
    with pytest.raises(KafkaError) as caught:
        g.young("z")
    assert caught.value.code is ErrorCode.GROUP_MAX_SIZE_REACHED
    assert g.join().error_code == ErrorCode.GROUP_MAX_SIZE_REACHED
    large = Group(max_size=1)
    large.young()
    for _ in range(2):
        large.join()
    large.young(epoch=-1)
    assert large.group.kind == "consumer"


def test_records_are_in_kafkas_order_both_ways() -> None:
    g = Group()
    g.classic()
    at = len(g.world.log)
    g.young()
    assert g.kinds(at) == [
        "-GroupMetadata",
        "+ConsumerGroupMemberMetadata",
        "+ConsumerGroupMetadata",
        "+ConsumerGroupTargetAssignmentMember",
        "+ConsumerGroupTargetAssignmentMetadata",
        "+ConsumerGroupCurrentMemberAssignment",
        # and the member that joins
        "+ConsumerGroupMemberMetadata",
        "+ConsumerGroupMetadata",
        "+ConsumerGroupTargetAssignmentMember",
        "+ConsumerGroupTargetAssignmentMember",
        "+ConsumerGroupTargetAssignmentMetadata",
        "+ConsumerGroupCurrentMemberAssignment",
    ]
    at = len(g.world.log)
    g.young(epoch=-1)
    assert g.kinds(at) == [
        *["-ConsumerGroupCurrentMemberAssignment"] * 2,
        *["-ConsumerGroupTargetAssignmentMember"] * 2,
        "-ConsumerGroupTargetAssignmentMetadata",
        *["-ConsumerGroupMemberMetadata"] * 2,
        "-ConsumerGroupPartitionMetadata",
        "-ConsumerGroupMetadata",
        "+GroupMetadata",
    ]


@pytest.mark.parametrize("compacted", [False, True])
def test_a_rebalance_that_is_due_after_a_downgrade_outlives_a_crash(compacted: bool) -> None:
    g = Group()
    a = g.classic()
    assert g.young().member_epoch == 2
    g.young(epoch=-1)
    assert (g.group.kind, g.group.state_name()) == ("classic", "Stable")
    g.world.crash(compacted)
    assert (g.group.kind, g.group.state_name()) == ("classic", "PreparingRebalance")
    joined = g.join(a)
    assert (joined.error_code, joined.generation_id) == (0, 3)


def test_members_keep_all_their_protocols_on_the_way_back() -> None:
    g = Group()
    g.young()
    protocols = [m.JoinGroupRequestProtocol(name=name, metadata=subscription()) for name in ("range", "sticky")]
    request = m.JoinGroupRequest(
        group_id="g",
        session_timeout_ms=10_000,
        rebalance_timeout_ms=20_000,
        protocol_type="consumer",
        protocols=protocols,
    )
    joined = g.world.ask(request, 3)
    g.young(epoch=-1)
    assert list(g.group.members[joined.member_id].protocols) == ["range", "sticky"]


def test_a_member_that_is_not_heard_of_is_put_out_of_a_mixed_group_and_it_is_classic_again() -> None:
    g = Group()
    a = g.classic()
    g.young()
    for _ in range(12):
        g.world.advance(4_000)
        if isinstance(g.group, ClassicGroup):
            break
        if g.beat(a, g.group.members[a].epoch) != 0:
            joined = g.join(a)
            g.sync(a, joined.generation_id)
    assert isinstance(g.group, ClassicGroup)


def test_a_classic_member_that_does_not_join_or_sync_in_time_is_put_out() -> None:
    g = Group()
    a = g.classic()
    y = g.young()
    for _ in range(5):  # it lives, and does not do as it is told
        assert g.beat(a, 1) == ErrorCode.REBALANCE_IN_PROGRESS
        g.world.advance(4_500)
        y = g.young(epoch=y.member_epoch)
    assert list(g.group.members) == ["y"]
    b = g.join()
    for _ in range(5):
        g.beat(b.member_id, b.generation_id)
        g.world.advance(4_500)
        y = g.young(epoch=y.member_epoch, topic_partitions=[])
    assert list(g.group.members) == ["y"]


def test_what_a_member_may_still_have_is_nobody_elses() -> None:
    """A cooperative member that has joined but not heard yet what it must give up goes on with that (KIP-429)."""
    g = Group()
    a = g.classic()
    assert g.beat(a, 1) == 0
    ticket = g.post_join(a, None, 3, 0, 1, 2, 3)
    g.world.advance(0)
    joined = g.world.answers.pop(ticket)
    g.world.post(
        m.SyncGroupRequest(
            group_id="g",
            member_id=a,
            generation_id=joined.generation_id,
            assignments=[m.SyncGroupRequestAssignment(member_id=a, assignment=assignment(0))],
        ),
        3,
    )
    assert g.young().assignment.topic_partitions == []
    member = g.group.members[a]
    assert [sorted(each) for each in (*member.owned.values(), *member.revoking.values())] == [[0], [1, 2, 3]]
    assert g.beat(a, 2) == ErrorCode.REBALANCE_IN_PROGRESS
    assert g.join(a, None, 3, 0).error_code == 0
    (given,) = g.young(epoch=3, topic_partitions=[]).assignment.topic_partitions
    assert len(given.partitions) == 2


@pytest.mark.parametrize("compacted", [False, True])
def test_a_crash_does_not_forget_what_a_member_may_still_have(compacted: bool) -> None:
    """The same, and the node dies before the member asks for its assignment: its last record has what it said."""
    g = Group()
    a = g.classic()
    ticket = g.post_join(a, None, 3, 0, 1, 2, 3)
    g.world.advance(0)
    generation = g.world.answers.pop(ticket).generation_id
    assert g.sync(a, generation, {a: assignment(0)}).error_code == 0  # this answer may be lost
    g.world.crash(compacted)
    assert g.group.members[a].protocols == {"range": subscription(0, 1, 2, 3)}
    assert g.beat(a, generation) == 0  # as a client does that still waits for its assignment
    assert g.young().assignment.topic_partitions == []
    member = g.group.members[a]
    assert [sorted(each) for each in (*member.owned.values(), *member.revoking.values())] == [[0], [1, 2, 3]]


def test_after_a_crash_who_asks_for_his_assignment_has_nothing_else() -> None:
    g = Group()
    a = g.classic()
    ticket = g.post_join(a, None, 3, 0, 1, 2, 3)
    g.world.advance(0)
    generation = g.world.answers.pop(ticket).generation_id
    g.sync(a, generation, {a: assignment(0)})
    g.world.crash()
    assert g.sync(a, generation).assignment == assignment(0)
    assert g.beat(a, generation) == 0
    (given,) = g.young().assignment.topic_partitions
    assert len(given.partitions) == 2
    assert g.group.members[a].revoking == {}


@pytest.mark.parametrize("crash", ["none", "replay", "compacted"])
def test_a_short_visit_of_the_newer_protocol_takes_nothing_from_who_did_not_hear_of_it(crash: str) -> None:
    """Two partitions of the classic member were to go to one of the newer protocol, which leaves before they do. The
    record of the classic group tells what its member has, not what it should have had."""
    g = Group()
    a = g.classic()
    assert g.young().assignment.topic_partitions == []
    g.young(epoch=-1)
    assert isinstance(g.group, ClassicGroup)
    assert g.group.members[a].assignment == assignment(0, 1, 2, 3)
    if crash != "none":
        g.world.crash(crash == "compacted")
    assert g.young("z").assignment.topic_partitions == []
    assert [sorted(each) for each in g.group.members[a].owned.values()] == [[0, 1, 2, 3]]


def test_a_rebalance_that_was_due_before_an_upgrade_is_done_after_it() -> None:
    """A static member comes back by the newer protocol with the subscription that it had: nothing but the partitions
    that somebody else has left makes a rebalance necessary."""
    g = Group()
    first = g.join("", "i")
    assert g.sync(first.member_id, 1, {first.member_id: assignment(0)}).error_code == 0
    told = g.young(instance_id="i")
    assert told.member_epoch == 2
    assert sorted(told.assignment.topic_partitions[0].partitions) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("assignor", "up"), [("range", False), ("my-own", False), ("sticky", True), ("cooperative-sticky", True)]
)
def test_only_the_user_data_of_sticky_assignors_may_be_forgotten(assignor: str, up: bool) -> None:
    """librdkafka's say there what a member had before; what others say nobody but they can tell."""
    g = Group()
    g.assignor = assignor
    a = g.join().member_id
    assert g.sync(a, 1, {a: assignment(0, 1, 2, 3, user_data=b"had")}).error_code == 0
    if not up:
        with pytest.raises(KafkaError, match="unsupported custom assignor"):
            g.young()
        return
    assert g.young().error_code == 0
    assert [sorted(each) for each in g.group.members[a].owned.values()] == [[0, 1, 2, 3]]


def test_assignments_that_the_newer_protocol_cannot_keep() -> None:
    g = Group()
    image = g.world.image
    with pytest.raises(CustomAssignor):
        read_assignment(assignment(user_data=b"x"), image, sticky=False)
    topic_id = image.topics["t"].topic_id
    for metadata, version in ((b"", 0), (b"\0\3...", 3), (b"\x7f\xff", 3), (b"\xff\xff", 0)):
        data = write_assignment({topic_id: {1}, bytes(16): {2}}, metadata, image)
        assert data[:2] == version.to_bytes(2, "big")
        assert read_assignment(data, image, sticky=False) == {topic_id: [1]}
    a, b = g.join().member_id, None
    ticket = g.post_join()
    g.join(a)
    b = g.world.answers.pop(ticket).member_id
    g.sync(a, 2, {a: assignment(0, 1), b: assignment(1)})
    with pytest.raises(KafkaError, match="unsupported custom assignor"):
        g.young()
