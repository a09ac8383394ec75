"""Scripts of single requests about groups whose members speak both protocols, and what Apache Kafka 4.4 answers.

python -m tests.integration.migration_cases kafka     run them on the reference, write migration_cases.json
python -m tests.integration.migration_cases pyralog   run them here and show what differs
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pyralog.wire import messages as m
from pyralog.wire.protocol import encode_blob
from tests.integration import golden, group_cases
from tests.integration.golden import Outcome

GOLDEN = Path(__file__).with_suffix(".json")
ALTER_CONFIGS, HEARTBEAT, DESCRIBE, FETCH_OFFSETS = 44, 68, 69, 9
PARTITIONS = 2
ALL = range(PARTITIONS)
CASES: dict[str, Callable[[Group], Outcome]] = {}


class Member(group_cases.Member):
    """A client that speaks the classic protocol as a consumer does, and the newer one."""

    group: Group
    epoch = 0
    rebalance_ms = 10_000

    def subscription(self, owned: Iterable[int] = (), topics: list[str] | None = None, version: int = 1) -> bytes:
        has = [m.ConsumerProtocolSubscriptionTopicPartition(topic=self.group.topic, partitions=list(owned))]
        names = [self.group.topic] if topics is None else topics
        said = m.ConsumerProtocolSubscription(topics=names, owned_partitions=has if owned else [])
        return encode_blob("ConsumerProtocolSubscription", version, said)

    def join_request(self, version: int, fields: dict[str, Any]) -> Any:
        fields.setdefault("protocols", {"range": self.subscription()})
        return super().join_request(version, fields)

    def again(self, owned: Iterable[int] = (), version: int = 5, **fields: Any) -> Any:
        return self.join(version, protocols={"range": self.subscription(owned)}, **fields)

    def ask68(self, **fields: Any) -> Any:
        made = {"group_id": self.group.id, "member_id": self.id, "member_epoch": self.epoch}
        answer = self.ask(HEARTBEAT, 1, m.ConsumerGroupHeartbeatRequest(**{**made, **fields}))
        if answer.error_code == 0:
            self.epoch = answer.member_epoch
        return answer

    def enter68(self, **fields: Any) -> Any:
        """Join by the newer protocol."""
        self.id = self.id or f"{self.name}-{self.group.id}"
        self.group.named(self.id, self.name)
        who = {} if self.instance is None else {"instance_id": self.instance}
        made = {"rebalance_timeout_ms": 10_000, "subscribed_topic_names": [self.group.topic], "topic_partitions": []}
        return self.ask68(**{**made, "member_epoch": 0, **who, **fields})

    def beat68(self, owned: Iterable[int] | None = None, **fields: Any) -> Any:
        if owned is not None:
            has = [m.ConsumerGroupHeartbeatRequestTopicPartitions(topic_id=self.group.topic_id, partitions=list(owned))]
            fields["topic_partitions"] = has if owned else []
        return self.ask68(**fields)

    def leave68(self, epoch: int = -1) -> Any:
        return self.ask68(member_epoch=epoch, instance_id=self.instance)

    def settle(self, epoch: int) -> None:
        """Take steps by heartbeats until this epoch."""
        for _ in range(200):
            if self.epoch >= epoch:
                return
            self.beat68()
            time.sleep(0.05)
        raise AssertionError(f"epoch {epoch} is never reached")


class Group(group_cases.Group):
    """A group that is assigned again at once."""

    def __init__(self, port: int, topic: str, topic_id: bytes, stack: ExitStack) -> None:
        self.topic_id = topic_id
        super().__init__(port, topic, stack)
        change = m.IncrementalAlterConfigsRequestAlterableConfig(name="consumer.assignment.interval.ms", value="0")
        resource = m.IncrementalAlterConfigsRequestAlterConfigsResource(
            resource_type=32, resource_name=self.id, configs=[change]
        )
        request = m.IncrementalAlterConfigsRequest(resources=[resource])
        assert self.admin.ask(ALTER_CONFIGS, 1, request).responses[0].error_code == 0

    def client(self, name: str) -> Member:
        return self.stack.enter_context(Member(self, name))

    def clients(self, *names: str) -> list[Any]:
        return [self.client(name) for name in names]

    def assignment(self, *partitions: int, user_data: bytes | None = None) -> bytes:
        has = m.ConsumerProtocolAssignmentTopicPartition(topic=self.topic, partitions=list(partitions))
        said = m.ConsumerProtocolAssignment(assigned_partitions=[has] if partitions else [], user_data=user_data)
        return encode_blob("ConsumerProtocolAssignment", 1, said)

    def show(self, value: Any) -> Any:
        if isinstance(value, (bytes, bytearray, memoryview)):
            raw = bytes(value)
            if raw == self.topic_id:
                return "TOPIC ID"
            return raw.replace(self.topic.encode(), b"TOPIC").decode("latin-1")
        shown = super().show(value)
        if isinstance(shown, dict):
            shown.pop("heartbeat_interval_ms", None)  # shorter here while a member waits for something
            if "subscribed_topic_names" in shown:
                shown["subscribed_topic_names"].sort()
        return shown

    def describe69(self) -> Any:
        return self.admin.ask(DESCRIBE, 1, m.ConsumerGroupDescribeRequest(group_ids=[self.id]))

    def epochs(self) -> Any:
        """Who is in which epoch: where there are more members than partitions, who gets one is anybody's guess."""
        (found,) = self.describe69().groups
        return [found.group_epoch, sorted([self.show(one.member_id), one.member_epoch] for one in found.members)]

    def committed(self) -> Any:
        wanted = m.OffsetFetchRequestGroup(group_id=self.id, topics=None)
        (found,) = self.admin.ask(FETCH_OFFSETS, 8, m.OffsetFetchRequest(groups=[wanted])).groups
        return [[one.committed_offset for one in topic.partitions] for topic in found.topics]

    def one(self, **fields: Any) -> tuple[Any, Outcome]:
        """A stable classic group of a, which has everything."""
        (a,) = self.clients("a")
        out: Outcome = a.enter(**fields) if a.instance is None else [a.join(**fields)]
        out.append(a.sync(3, {a.id: self.assignment(*ALL)}))
        return a, out


def case(function: Callable[[Group], Outcome]) -> Callable[[Group], Outcome]:
    CASES[function.__name__] = function
    return function


@case
def up_and_down_again(g: Group) -> Outcome:
    a, out = g.one()
    out += [a.commit(), g.listed()]
    y = g.client("y")
    out += [y.enter68(), g.describe69(), g.listed(), g.describe(5), g.describe(6), g.committed()]
    out += [a.commit(), a.beat(), a.sync(), a.commit(), g.describe69()]
    out += [a.again(), a.beat(), a.sync(), a.commit(), g.describe69(), y.beat68(), a.beat(), g.describe69()]
    out += [y.leave68(), g.listed(), a.beat(), a.sync(), g.describe(), a.join(), a.sync(3, {a.id: b"all"}), a.beat()]
    return [*out, g.describe(), g.committed()]


@case
def up_with_cooperative_members(g: Group) -> Outcome:
    (a,) = g.clients("a")
    out: Outcome = a.enter(protocols={"cooperative-sticky": a.subscription()})
    out += [a.sync(3, {a.id: g.assignment(*ALL)})]
    y = g.client("y")
    out += [y.enter68(), a.beat(), a.join(protocols={"cooperative-sticky": a.subscription(ALL)})]
    out += [g.describe69(), a.sync(), a.beat()]
    kept = [0] if b"\0\0\0\1\0\0\0\0" in bytes(out[-2].assignment) else [1]
    out += [a.join(protocols={"cooperative-sticky": a.subscription(kept)}), a.sync(), a.beat(), y.beat68(), a.beat()]
    return [*out, g.describe69()]


@case
def up_while_members_join(g: Group) -> Outcome:
    a, out = g.one()
    b = g.client("b")
    out.append(b.join())
    b.post_join()
    g.until("PreparingRebalance")
    y = g.client("y")
    answer = y.enter68()
    out.append(b.take().error_code)
    out += [answer, g.epochs(), a.beat(), a.again(), b.again(), a.sync(), b.sync().error_code, y.beat68().member_epoch]
    return [*out, g.epochs()]


@case
def up_while_members_sync(g: Group) -> Outcome:
    a, out = g.one()
    b = g.client("b")
    out.append(b.join())
    b.post_join()
    g.until("PreparingRebalance")
    out += [a.join(), b.take()]
    b.post_sync()
    time.sleep(0.2)
    y = g.client("y")
    out += [y.enter68(), b.take(), g.epochs(), b.beat(), a.sync(3, {a.id: g.assignment(0), b.id: b""})]
    return out


@case
def groups_that_stay_classic(g: Group) -> Outcome:
    (a,) = g.clients("a")
    y = g.client("y")
    out: Outcome = [a.enter(protocol_type="connect"), a.sync(3, {a.id: b""}), y.enter68(), a.beat(), a.leave()]
    a.id = ""
    out += [y.enter68(), y.leave68()]
    out += [a.enter(protocols={"range": b"?"}), a.sync(3, {a.id: g.assignment(0)}), y.enter68(), a.beat(), a.leave()]
    a.id = ""
    out += [a.enter(), a.sync(3, {a.id: b"??"}), y.enter68(), a.beat(), a.leave()]
    a.id = ""
    out += [a.enter(), a.sync(3, {a.id: g.assignment(0, user_data=b"mine")}), y.enter68(), a.beat()]
    out += [a.sync(3), y.beat68(member_epoch=5), y.leave68()]
    return out


@case
def what_is_gone_is_not_taken_along(g: Group) -> Outcome:
    (a,) = g.clients("a")
    out: Outcome = a.enter(protocols={"range": a.subscription(topics=["no-such-topic", g.topic])})
    gone = m.ConsumerProtocolAssignmentTopicPartition(topic="no-such-topic", partitions=[0])
    has = m.ConsumerProtocolAssignmentTopicPartition(topic=g.topic, partitions=[*ALL])
    data = encode_blob(
        "ConsumerProtocolAssignment",
        2,
        m.ConsumerProtocolAssignment(assigned_partitions=[gone, has], user_data=b""),
    )
    y = g.client("y")
    return [*out, a.sync(3, {a.id: data}), y.enter68(subscribed_topic_names=[]), g.describe69(), a.beat()]


@case
def classic_members_come_later(g: Group) -> Outcome:
    y = g.client("y")
    out: Outcome = [y.enter68(), y.beat68()]
    for version in (0, 3):
        (a,) = g.clients(f"a{version}")
        out += [a.join(version, protocols={"range": a.subscription()}), a.sync(), a.beat(), a.leave(0), a.beat()]
    a = g.client("a")
    out += [a.join(9), a.join(9), a.sync(5, protocol_type="consumer", protocol_name="range"), a.beat(4)]
    out += [y.beat68(), y.beat68([0]), y.beat68([1]), a.beat(), a.again(), a.sync(), a.beat(), g.describe69()]
    return out


@case
def joins_that_are_refused(g: Group) -> Outcome:
    y, a, b = g.clients("y", "a", "b")
    out: Outcome = [y.enter68()]
    for version in (3, 5, 7, 9):
        out += [
            a.join(version, protocol_type="connect"),
            a.join(version, protocols={}),
            a.join(version, protocols={"range": b"?"}),
            a.join(version, protocols={"range": b""}),
            a.join(version, session_timeout_ms=1),
        ]
    out += [a.join(5, member_id="nobody", group_instance_id="nobody"), a.enter(5), a.sync()]
    out += [b.join(3, protocols={"other": b.subscription()}), b.join(5, member_id=a.id, group_instance_id="x")]
    return [*out, b.join(3, protocols={"other": b.subscription(), "range": b.subscription()}), g.describe69()]


@case
def requests_that_are_refused(g: Group) -> Outcome:
    y, a = g.clients("y", "a")
    out: Outcome = [y.enter68(), a.enter()]
    out += [a.sync(generation_id=a.generation - 1), a.sync(member_id="nobody"), a.sync(member_id=y.id)]
    out += [a.sync(5, protocol_type="connect", protocol_name="range")]
    out += [a.sync(5, protocol_type="consumer", protocol_name="other"), a.sync(group_instance_id="nobody"), a.sync()]
    out += [a.beat(generation_id=a.generation - 1), a.beat(member_id="nobody"), a.beat(member_id=y.id)]
    out += [a.beat(group_instance_id="nobody"), a.beat(), a.beat()]
    out += [a.commit(), a.commit(generation_id_or_member_epoch=a.generation + 1), a.commit(member_id="nobody")]
    out += [a.commit(8, member_id=y.id, generation_id_or_member_epoch=y.epoch)]
    out += [a.commit(9, member_id=y.id, generation_id_or_member_epoch=y.epoch)]
    out += [a.commit(9, member_id=y.id, generation_id_or_member_epoch=y.epoch + 1)]
    out += [a.commit(7, generation_id_or_member_epoch=1)]
    out += [a.ask68(member_epoch=a.generation, member_id=a.id), g.describe69()]
    return out


@case
def leaving(g: Group) -> Outcome:
    y, a = g.clients("y", "a")
    z = g.client("z")
    z.instance = "iz"
    out: Outcome = [y.enter68(), a.enter(), z.enter68()]
    out += [a.leave(5, ("nobody", None), ("", "nobody"), ("other", "iz"), ("", None)), g.listed()]
    out += [a.leave(5, ("", "iz"), (z.id, "iz")), z.beat68(), a.leave(0, member_id="nobody"), a.leave(0), a.beat()]
    out += [a.leave(3, (y.id, None)), y.beat68(), g.listed(), g.describe69(), a.leave(3, (y.id, None))]
    return out


@case
def an_administrator_takes_out_the_last_of_its_kind(g: Group) -> Outcome:
    a, out = g.one()
    y = g.client("y")
    y.instance = "iy"
    out += [y.enter68(), a.beat(), a.again(), a.sync(), y.beat68()]
    out += [a.leave(3, ("", "iy")), g.listed(), a.beat(), a.join(), a.sync(3, {a.id: b"x"}), y.beat68()]
    return out


@case
def static_members_change_their_protocol(g: Group) -> Outcome:
    a, b, y, z = g.clients("a", "b", "y", "z")
    a.instance, b.instance, y.instance, z.instance = "ia", "ib", "ib", "ia"
    out: Outcome = [a.join(), a.sync(3, {a.id: g.assignment(*ALL)})]
    b.post_join()
    g.until("PreparingRebalance")
    out += [a.join(), b.take(), a.sync(3, {a.id: g.assignment(0), b.id: g.assignment(1)}), b.sync()]
    out += [y.enter68(), g.describe69(), b.beat(), b.sync(), b.join(), a.beat(), y.beat68(), g.listed()]
    out += [z.enter68(), a.beat(), z.beat68(), y.beat68(), g.describe69()]  # nobody is classic any more
    c = g.client("c")
    c.instance = "ia"
    out += [c.join(), c.sync(), c.beat(), z.beat68(), g.listed(), g.describe69()]  # and back, while y stays
    d = g.client("d")
    d.instance = "ib"
    out += [d.join(), g.listed(), y.beat68(), d.sync(), d.beat(), c.beat(), g.describe()]  # the last: nothing changes
    return out


@case
def a_static_member_is_back_with_another_subscription(g: Group) -> Outcome:
    y, a, b = g.clients("y", "a", "b")
    y.instance = b.instance = "iy"
    out: Outcome = [y.enter68(), a.enter(), y.beat68([0]), y.beat68(), a.sync(), a.beat()]
    if out[-1].error_code:
        out += [a.again(), a.sync()]
    out += [y.leave68(-2), g.describe69(), b.join(protocols={"range": b.subscription(topics=[])}), g.listed()]
    b_answer = out[-2]
    out += [b.sync(generation_id=b_answer.generation_id), b.beat(), a.beat(), g.describe(5).groups[0].group_state]
    return out


@case
def a_static_member_comes_back(g: Group) -> Outcome:
    y, a, b = g.clients("y", "a", "b")
    a.instance, b.instance = "ia", "ia"
    out: Outcome = [y.enter68(), a.join(), a.sync(), y.beat68([0]), y.beat68(), a.beat(), a.join(), a.sync()]
    out += [b.join(), b.sync(), b.beat(), a.beat(), a.sync(), a.join(), a.leave(3, (a.id, "ia")), g.describe69()]
    return out


@case
def empty_groups_change_at_once(g: Group) -> Outcome:
    a, out = g.one()
    out += [a.commit(), a.leave(), g.listed()]
    y = g.client("y")
    out += [y.enter68(), g.listed(), y.leave68(), g.listed(), g.committed()]
    b = g.client("b")
    return [*out, b.join(member_id="nobody"), b.enter(), g.listed(), g.committed()]


def runner(cases: Mapping[str, Callable[[Group], Outcome]]) -> golden.Run:
    """What plays these cases, each with a group of its own."""

    def run(port: int, only: set[str] | None = None) -> dict[str, Outcome]:
        def answers(title: str, topic: str, topic_id: bytes) -> Outcome:
            with ExitStack() as stack:
                group = Group(port, topic, topic_id, stack)
                return group_cases.flat(group, cases[title](group))

        return golden.play(port, cases, only, PARTITIONS, answers)

    return run


run = runner(CASES)


if __name__ == "__main__":
    sys.exit(golden.main(run, GOLDEN))
