"""Parts of classic groups that scripts do not show: what they cost, what else the shard asks of them, big deletions."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from pyralog.coordinator.group import classic_admin
from pyralog.coordinator.group.classic import EMPTY, STABLE, TRANSITIONS, ClassicGroup, ClassicState
from pyralog.coordinator.group.classic_admin import DeleteGroup
from pyralog.coordinator.group.classic_member import subscribed_topics
from pyralog.coordinator.group.settings import GroupSettings
from pyralog.errors import ErrorCode
from pyralog.wire import messages as m
from tests.sim.group_bench import Bench

SETTINGS = GroupSettings()._replace(initial_rebalance_delay_ms=1_000)


def subscription(*topics: str, version: int = 1) -> bytes:
    data = struct.pack(">hi", version, len(topics))
    for topic in topics:
        data += struct.pack(">h", len(topic)) + topic.encode()
    return data + struct.pack(">i", -1)


def join_request(number: int, metadata: bytes = b"", **fields: Any) -> m.JoinGroupRequest:
    protocols = [m.JoinGroupRequestProtocol(name="range", metadata=metadata)]
    made = {"group_id": "g", "session_timeout_ms": 10_000, "rebalance_timeout_ms": 60_000}
    return m.JoinGroupRequest(**{**made, "protocol_type": "consumer", "protocols": protocols, **fields})


def stable(count: int, metadata: bytes = b"", **fields: Any) -> tuple[Bench, list[str]]:
    """A stable group, and the ids of its members, the leader's first."""
    bench = Bench(SETTINGS)
    tickets = [bench.send(join_request(number, metadata, **fields), 3, f"c{number}") for number in range(count)]
    bench.advance(2_500)
    joined = [bench.answer(ticket) for ticket in tickets]
    ids = [one.member_id for one in joined]
    parts = [m.SyncGroupRequestAssignment(member_id=id, assignment=id.encode()) for id in ids]
    for at, id in enumerate(ids):
        request = m.SyncGroupRequest(group_id="g", generation_id=1, member_id=id, assignments=parts if at == 0 else [])
        assert bench.answer(bench.send(request, 0)).assignment == id.encode()
    return bench, ids


def beat(bench: Bench, member_id: str) -> int:
    answer = bench.answer(bench.send(m.HeartbeatRequest(group_id="g", generation_id=1, member_id=member_id)))
    return int(answer.error_code)


def test_heartbeats_set_no_timers() -> None:
    bench, ids = stable(3)
    before = bench.timers_set
    for _ in range(50):
        for id in ids:
            assert beat(bench, id) == 0
    assert bench.timers_set == before
    for _ in range(10):  # the timer asks once a session, and is set to the later end
        bench.advance(9_000)
        for id in ids:
            assert beat(bench, id) == 0
    assert bench.timers_set - before <= 3 * 10


def test_a_member_that_beats_lives_to_the_end_of_its_last_session() -> None:
    bench, (one, other) = stable(2)
    bench.advance(9_000)
    assert beat(bench, one) == 0
    bench.advance(1_001)
    assert list(bench.shard.groups["g"].members) == [one]
    assert beat(bench, other) == ErrorCode.UNKNOWN_MEMBER_ID


def test_a_thousand_members_cost_a_few_timers_each() -> None:
    bench, ids = stable(1_000)
    assert bench.shard.groups["g"].state is STABLE
    assert bench.timers_set < 8 * len(ids)
    assert len(bench.log) == 1


def test_what_a_group_consumes() -> None:
    bench, _ = stable(2, subscription("a", "b"))
    group = bench.shard.groups["g"]
    assert group.subscribed_to("a")
    assert not group.subscribed_to("c")
    assert group.expires_from(5) == 5
    assert group.validate_offset_delete() is ErrorCode.NONE
    assert group.validate_delete() is ErrorCode.NON_EMPTY_GROUP
    unknown, _ = stable(1, b"\0")
    assert unknown.shard.groups["g"].subscribed_to("anything")
    assert unknown.shard.groups["g"].expires_from(5) is None
    connect, _ = stable(1, protocol_type="connect")
    assert not connect.shard.groups["g"].subscribed_to("anything")
    assert connect.shard.groups["g"].validate_offset_delete() is ErrorCode.NON_EMPTY_GROUP


def test_retention_of_an_empty_group_counts_from_its_end() -> None:
    bench, ids = stable(1)
    bench.advance(5_000)
    members = [m.MemberIdentity(member_id=ids[0])]
    bench.send(m.LeaveGroupRequest(group_id="g", members=members), 3)
    group = bench.shard.groups["g"]
    assert group.state is EMPTY
    assert group.expires_from(7) == bench.now_ms
    assert ClassicGroup("h", 0).expires_from(7) == 7


@pytest.mark.parametrize(
    ("blobs", "topics"),
    [
        ([], set()),
        ([subscription("a"), subscription("b", "c", version=3), subscription()], {"a", "b", "c"}),
        ([subscription("a"), b"\0\1"], None),
        ([struct.pack(">hi", 0, 2**31 - 1)], None),
        ([struct.pack(">hih", 0, 1, 100) + b"cut"], None),
        ([struct.pack(">hih", 0, 1, 1) + b"\xff"], None),
        ([struct.pack(">hi", 0, -1)], None),
    ],
)
def test_subscriptions(blobs: list[bytes], topics: set[str] | None) -> None:
    assert subscribed_topics(blobs) == topics


def test_states_end_dead() -> None:
    assert set(TRANSITIONS) == set(ClassicState)
    assert all(ClassicState.DEAD in after for state, after in TRANSITIONS.items() if state is not ClassicState.DEAD)
    with pytest.raises(AssertionError):
        ClassicGroup("g", 0).move(STABLE, 0)


def test_a_group_of_many_offsets_is_deleted_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classic_admin, "DELETE_RECORDS", 10)
    bench = Bench(SETTINGS)
    parts = [m.OffsetCommitRequestPartition(partition_index=at, committed_offset=1) for at in range(35)]
    topics = [m.OffsetCommitRequestTopic(name="t", partitions=parts)]
    bench.send(m.OffsetCommitRequest(group_id="g", member_id="", topics=topics), 2)
    ticket = bench.submit(DeleteGroup("g"))
    assert ticket not in bench.answers
    bench.advance(1)
    assert bench.answer(ticket) is None
    assert not bench.shard.knows("g")
    bench.crash()
    assert not bench.shard.knows("g")
