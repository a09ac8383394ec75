"""Scripts of single requests about classic groups, and what Apache Kafka 4.4 answers to each.

python -m tests.integration.group_cases kafka     run them on the reference, write group_cases.json
python -m tests.integration.group_cases pyralog   run them here and show what differs
"""

from __future__ import annotations

import itertools
import json
import re
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pyralog._speedups.codec import Message
from pyralog.wire import messages as m
from pyralog.wire.headers import frame_request, parse_response_header
from pyralog.wire.protocol import decode_response, encode_request
from tests.integration import golden
from tests.integration.golden import Outcome
from tests.integration.wire_client import WireClient

GOLDEN = Path(__file__).with_suffix(".json")
COMMIT, FIND, JOIN, BEAT, LEAVE, SYNC, DESCRIBE, LIST, DELETE = 8, 10, 11, 12, 13, 14, 15, 16, 42
UUID_END = re.compile(r"-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$|-[0-9a-f]{32}$|-[\w-]{22}$")
SESSION_MS = 6_000

CASES: dict[str, Callable[[Group], Outcome]] = {}


class Member(WireClient):
    """A client with a connection of its own; a request may be posted now and its answer taken later."""

    def __init__(self, group: Group, name: str) -> None:
        super().__init__(group.port)
        self.group = group
        self.name = name
        self.id = ""
        self.instance: str | None = None
        self.generation = -1
        self._posted: list[tuple[int, int]] = []

    def post(self, key: int, version: int, request: Any) -> None:
        data = frame_request(key, version, next(self._correlations), self.name, encode_request(key, version, request))
        self._socket.sendall(data)
        self._posted.append((key, version))

    def take(self) -> Any:
        key, version = self._posted.pop(0)
        frame = self._read(int.from_bytes(self._read(4), "big"))
        _, offset = parse_response_header(key, version, frame)
        answer = decode_response(key, version, frame, offset)
        if key == JOIN and answer.error_code in (0, 79):
            self.id = answer.member_id
            self.generation = answer.generation_id
            self.group.named(answer.member_id, self.name)
        return self.group.kept(answer)

    def ask(self, key: int, version: int, request: Any) -> Any:
        self.post(key, version, request)
        return self.take()

    def _who(self, fields: dict[str, Any], *, instances: bool = True) -> dict[str, Any]:
        who = {"group_id": self.group.id, "member_id": self.id}
        if instances and self.instance is not None:
            who["group_instance_id"] = self.instance
        return {**who, **fields}

    def join_request(self, version: int, fields: dict[str, Any]) -> Any:
        protocols = fields.pop("protocols", {"range": b"\0\0\0\0\0\0\0\0\0\0"})
        entries = [m.JoinGroupRequestProtocol(name=name, metadata=data) for name, data in protocols.items()]
        made = {"session_timeout_ms": SESSION_MS, "rebalance_timeout_ms": 10_000, "protocol_type": "consumer"}
        return m.JoinGroupRequest(**{**made, "protocols": entries, **self._who(fields)})

    def post_join(self, version: int = 5, **fields: Any) -> None:
        self.post(JOIN, version, self.join_request(version, fields))

    def join(self, version: int = 5, **fields: Any) -> Any:
        return self.ask(JOIN, version, self.join_request(version, fields))

    def enter(self, version: int = 5, **fields: Any) -> Outcome:
        """Join, with the id that is given; posted when somebody else must join too."""
        return [self.join(version, **dict(fields)), self.join(version, **dict(fields))]

    def sync_request(self, parts: dict[str, bytes], fields: dict[str, Any]) -> Any:
        made = [m.SyncGroupRequestAssignment(member_id=id, assignment=part) for id, part in parts.items()]
        return m.SyncGroupRequest(**{"generation_id": self.generation, "assignments": made, **self._who(fields)})

    def post_sync(self, version: int = 3, parts: dict[str, bytes] | None = None, **fields: Any) -> None:
        self.post(SYNC, version, self.sync_request(parts or {}, fields))

    def sync(self, version: int = 3, parts: dict[str, bytes] | None = None, **fields: Any) -> Any:
        return self.ask(SYNC, version, self.sync_request(parts or {}, fields))

    def beat(self, version: int = 3, **fields: Any) -> Any:
        return self.ask(BEAT, version, m.HeartbeatRequest(**{"generation_id": self.generation, **self._who(fields)}))

    def leave(self, version: int = 3, *who: tuple[str, str | None], **fields: Any) -> Any:
        if version < 3:
            return self.ask(LEAVE, version, m.LeaveGroupRequest(**self._who(fields, instances=False)))
        pairs = who or ((self.id, self.instance),)
        members = [m.MemberIdentity(member_id=id, group_instance_id=instance) for id, instance in pairs]
        return self.ask(
            LEAVE, version, m.LeaveGroupRequest(**{"group_id": self.group.id, "members": members, **fields})
        )

    def commit(self, version: int = 7, **fields: Any) -> Any:
        part = m.OffsetCommitRequestPartition(partition_index=0, committed_offset=7)
        topics = [m.OffsetCommitRequestTopic(name=self.group.topic, partitions=[part])]
        made = {"generation_id_or_member_epoch": self.generation, "topics": topics}
        return self.ask(COMMIT, version, m.OffsetCommitRequest(**{**made, **self._who(fields)}))


class Group:
    """One group of a case, its clients, and all answers: ids are replaced by names when all are known."""

    numbers = itertools.count()

    def __init__(self, port: int, topic: str, stack: ExitStack) -> None:
        self.port = port
        self.topic = topic
        self.id = f"case-{time.time_ns()}-{next(self.numbers)}"
        self.stack = stack
        self.names: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self.find()

    def find(self) -> None:
        admin = self.client("admin")
        self.admin = admin
        for _ in range(400):
            answer = admin.ask(FIND, 4, m.FindCoordinatorRequest(key_type=0, coordinator_keys=[self.id]))
            if answer.coordinators[0].error_code == 0:
                probe = m.DescribeGroupsRequest(groups=[self.id])
                if admin.ask(DESCRIBE, 0, probe).groups[0].error_code == 0:
                    return
            time.sleep(0.05)
        raise AssertionError("no coordinator")

    def client(self, name: str) -> Member:
        return self.stack.enter_context(Member(self, name))

    def clients(self, *names: str) -> list[Member]:
        return [self.client(name) for name in names]

    def named(self, member_id: str, name: str) -> None:
        if member_id not in self.names:
            count = self._counts[name] = self._counts.get(name, 0) + 1
            self.names[member_id] = f"{name}{count}"

    def kept(self, answer: Any) -> Any:
        return answer

    def show(self, value: Any) -> Any:
        """Plain data: ids by name, lists of messages in a fixed order."""
        if isinstance(value, Message):
            shown = {}
            for name in value._layout.names:
                if name not in ("throttle_time_ms", "client_host"):
                    shown[name] = self.show(getattr(value, name))
            return shown
        if isinstance(value, (list, tuple)):
            items = [self.show(one) for one in value]
            if value and isinstance(value, list) and isinstance(value[0], Message):
                items.sort(key=lambda one: json.dumps(one, sort_keys=True))
            return items
        if isinstance(value, bytes):
            return value.decode("latin-1")
        if isinstance(value, str):
            if value in self.names:
                return self.names[value]
            value = value.replace(self.id, "GROUP").replace(self.topic, "TOPIC")
            return UUID_END.sub("-?", value)
        return int(value) if isinstance(value, int) and not isinstance(value, bool) else value

    def describe(self, version: int = 6, *ids: str, operations: bool = False) -> Any:
        asked = m.DescribeGroupsRequest(groups=list(ids) or [self.id], include_authorized_operations=operations)
        return self.admin.ask(DESCRIBE, version, asked)

    def listed(self, version: int = 5, **fields: Any) -> Any:
        answer = self.admin.ask(LIST, version, m.ListGroupsRequest(**fields))
        return [answer.error_code, [one for one in answer.groups if one.group_id == self.id]]

    def delete(self, version: int = 3, *ids: str) -> Any:
        return self.admin.ask(DELETE, version, m.DeleteGroupsRequest(groups_names=list(ids) or [self.id]))

    def two(self, version: int = 5, **fields: Any) -> tuple[Member, Member, Outcome]:
        """A stable group of a, who leads, and b."""
        a, b = self.clients("a", "b")
        out: Outcome = a.enter(version, **fields)
        out.append(a.sync(3, {a.id: b"all"}))
        out.append(b.join(version, **dict(fields)))
        b.post_join(version, **dict(fields))
        self.until("PreparingRebalance")
        a.post_join(version, **dict(fields))
        out += [a.take(), b.take(), a.sync(3, {a.id: b"pa", b.id: b"pb"}), b.sync()]
        return a, b, out

    def until(self, state: str) -> None:
        for _ in range(400):
            if self.describe(0).groups[0].group_state == state:
                return
            time.sleep(0.02)
        raise AssertionError(f"the group is never {state}")


def case(function: Callable[[Group], Outcome]) -> Callable[[Group], Outcome]:
    CASES[function.__name__] = function
    return function


def one_member(version: int) -> Callable[[Group], Outcome]:
    def run(g: Group) -> Outcome:
        (a,) = g.clients("a")
        out: Outcome = [a.join(version)]
        if version >= 4:
            out += [a.beat(min(version, 4)), a.sync(min(version, 5), generation_id=0), a.join(version)]
        names = {"protocol_type": "consumer", "protocol_name": "range"} if version >= 5 else {}
        out += [
            a.sync(min(version, 5), {a.id: b"all"}, **names),
            a.beat(min(version, 4)),
            a.commit(min(version + 2, 9)),
        ]
        out += [g.describe(min(version, 6)), g.listed(min(version, 5)), a.leave(min(version, 5)), g.describe()]
        return out

    return run


for _version in range(10):
    CASES[f"one_member_{_version}"] = one_member(_version)


@case
def joins_that_are_refused(g: Group) -> Outcome:
    a, b = g.clients("a", "b")
    out: Outcome = []
    for version in (0, 3, 5, 7, 9):
        out += [
            a.join(version, group_id=""),
            a.join(version, session_timeout_ms=SESSION_MS - 1),
            a.join(version, session_timeout_ms=1_800_001),
            a.join(version, session_timeout_ms=-1),
            a.join(version, member_id="nobody"),
        ]
    out += [a.enter(), a.sync(3, {a.id: b"all"})]
    for version in (3, 7):
        out += [
            b.join(version, member_id="nobody"),
            b.join(version, protocols={"other": b""}),
            b.join(version, protocols={}),
            b.join(version, protocol_type="connect"),
            b.join(version, protocol_type=""),
        ]
    out += [b.join(5, member_id="nobody", group_instance_id="nobody"), b.join(5, member_id=a.id, group_instance_id="x")]
    return out


@case
def first_joins_without_protocols(g: Group) -> Outcome:
    (a,) = g.clients("a")
    return [a.join(3, protocols={}), a.join(3, protocol_type=""), a.join(5, protocols={}), a.enter(protocol_type="x")]


@case
def syncs_that_are_refused(g: Group) -> Outcome:
    a, b = g.clients("a", "b")
    out: Outcome = [a.sync(group_id=""), a.sync(member_id="nobody", generation_id=1), a.enter()]
    out += [
        a.sync(generation_id=0),
        a.sync(generation_id=2),
        a.sync(member_id="nobody"),
        a.sync(5),
        a.sync(5, protocol_type="consumer"),
        a.sync(5, protocol_type="consumer", protocol_name="other"),
        a.sync(5, protocol_type="connect", protocol_name="range"),
        a.sync(group_instance_id="nobody"),
        b.join(),
        b.sync(generation_id=1),
        a.sync(5, {a.id: b"all", "nobody": b"x"}, protocol_type="consumer", protocol_name="range"),
        a.sync(3, {a.id: b"late"}),
        g.describe(),
    ]
    return out


@case
def heartbeats_that_are_refused(g: Group) -> Outcome:
    a, b = g.clients("a", "b")
    out: Outcome = [a.beat(group_id=""), a.beat(member_id="nobody"), a.enter(), a.beat()]
    out += [a.beat(generation_id=0), a.beat(generation_id=2), a.beat(member_id="nobody"), a.beat(member_id="")]
    out += [a.beat(group_instance_id="nobody"), b.join(), b.beat(generation_id=1)]
    return out


@case
def leaving(g: Group) -> Outcome:
    a, b = g.clients("a", "b")
    out: Outcome = [
        a.leave(0),
        a.leave(2, member_id="nobody"),
        a.leave(3, ("nobody", None), ("", "x")),
        a.leave(5, group_id=""),
    ]
    out += [a.leave(2, group_id=""), a.enter(), a.sync(3, {a.id: b"all"}), b.join()]
    out += [a.leave(3, ("nobody", None), ("", None), ("", "nobody"), (a.id, "nobody"))]
    out += [
        a.leave(3, (b.id, None), (a.id, None)),
        b.leave(1),
        g.describe(),
        a.leave(2),
        a.leave(2),
        a.leave(3),
        g.describe(),
        a.leave(4, ("", "")),
    ]
    return out


@case
def leaving_with_an_empty_list(g: Group) -> Outcome:
    (a,) = g.clients("a")
    out: Outcome = [a.enter(), a.sync(3, {a.id: b"all"})]
    return [*out, a.ask(LEAVE, 4, m.LeaveGroupRequest(group_id=g.id, members=[])), a.beat()]


@case
def two_members(g: Group) -> Outcome:
    a, b, out = g.two()
    out += [g.describe(), a.beat(), b.beat(), a.commit(), b.commit()]
    out += [b.join(), b.sync()]  # unchanged: told what it knows
    a.post_join()  # the leader: everybody joins again
    g.until("PreparingRebalance")
    out += [b.beat(), b.sync(), b.commit(), g.describe(), b.join(), a.take()]
    out += [a.commit(), b.commit(), b.beat(), a.join(), b.join()]  # before the assignment
    b.post_sync()
    out += [a.sync(3, {a.id: b"pa2"}), b.take(), g.describe()]
    b.post_join(protocols={"range": b"changed", "extra": b"e"})
    g.until("PreparingRebalance")
    out += [a.beat(), a.join(), b.take(), a.leave()]
    g.until("PreparingRebalance")
    out += [b.sync(), b.beat(), b.join(), b.sync(3, {b.id: b"all"}), b.beat(), g.describe()]
    return out


@case
def a_changed_member_before_the_assignment(g: Group) -> Outcome:
    a, b, out = g.two()
    a.post_join()
    g.until("PreparingRebalance")
    out += [b.join(), a.take()]
    a.post_join(protocols={"range": b"changed"})
    g.until("PreparingRebalance")
    out += [b.sync(), b.beat(), b.join(), a.take()]
    b.post_sync()
    time.sleep(0.2)
    a.post_join(protocols={"range": b"again"})
    out += [b.take(), b.join(), a.take()]
    return out


@case
def votes(g: Group) -> Outcome:
    a, b = g.clients("a", "b")
    out: Outcome = [
        a.enter(protocols={"range": b"ra", "round": b"oa", "only": b"x"}),
        b.join(protocols={"round": b"ob"}),
    ]
    b.post_join(protocols={"round": b"ob", "range": b"rb"})
    g.until("PreparingRebalance")
    out += [a.join(protocols={"round": b"oa", "range": b"ra"}), b.take(), a.sync(3, {a.id: b"1", b.id: b"2"})]
    out += [b.sync(5, protocol_type="consumer", protocol_name="round"), g.describe()]
    return out


@case
def other_protocol_types(g: Group) -> Outcome:
    (a,) = g.clients("a")
    out: Outcome = [a.enter(protocol_type="connect", protocols={"sessioned": b"s"}), a.sync(3, {a.id: b"w"})]
    return [*out, g.describe(), g.listed(), a.commit(), a.leave(), g.describe(), g.listed(), a.enter(), g.listed()]


@case
def static_members(g: Group) -> Outcome:
    a, b, c, d = g.clients("a", "b", "c", "d")
    a.instance, b.instance, c.instance, d.instance = "ia", "ib", "ib", "ia"
    out: Outcome = [a.join(), a.sync(3, {a.id: b"all"})]
    b.post_join()
    g.until("PreparingRebalance")
    out += [a.join(), b.take(), a.sync(3, {a.id: b"pa", b.id: b"pb"}), b.sync(), g.describe()]
    out += [c.join(), c.sync(), c.beat(), g.describe()]  # takes over from b
    out += [b.beat(), b.sync(), b.join(), b.commit(), b.leave(), b.beat(group_instance_id=None)]
    out += [d.join(9), d.sync(), d.beat(), g.describe()]  # the leader, told to skip
    e = g.client("e")
    e.instance = "ia"
    out += [e.join(5), e.sync(), e.beat(), g.describe(), a.beat(), d.beat()]
    out += [c.join(protocols={"other": b"x"}), c.beat()]
    out += [c.leave(3, ("", "ib"), ("", "nobody")), c.beat(), c.leave(4, ("", "ib"))]
    return out


@case
def a_static_member_that_waits_is_fenced(g: Group) -> Outcome:
    a, b, c = g.clients("a", "b", "c")
    a.instance, b.instance, c.instance = "ia", "ib", "ib"
    out: Outcome = [a.join(), a.sync(3, {a.id: b"all"})]
    b.post_join()
    g.until("PreparingRebalance")
    c.post_join()
    out += [b.take(), a.join(), c.take(), a.sync(3, {a.id: b"pa", c.id: b"pc"})]
    out += [c.sync(), c.beat(), c.join(member_id="", protocols={"range": b"changed"}), c.sync(), g.describe()]
    return out


@case
def a_static_member_that_is_back_before_the_assignment(g: Group) -> Outcome:
    a, b, c = g.clients("a", "b", "c")
    a.instance, b.instance, c.instance = "ia", "ib", "ib"
    out: Outcome = [a.join(), a.sync(3, {a.id: b"all"})]
    b.post_join()
    g.until("PreparingRebalance")
    out += [a.join(), b.take()]
    b.post_sync()
    time.sleep(0.2)
    c.post_join()
    out += [b.take(), a.sync(3, {a.id: b"pa", b.id: b"pb"}), a.join(), c.take()]
    return out


@case
def who_is_late_is_put_out(g: Group) -> Outcome:
    a, b, out = g.two(rebalance_timeout_ms=1_000)
    a.post_join(rebalance_timeout_ms=1_000)
    out += [a.take(), g.describe(), b.beat(), b.join(), a.sync(3, {a.id: b"all"}), a.beat()]
    return out


@case
def who_does_not_sync_is_put_out(g: Group) -> Outcome:
    a, b, out = g.two(rebalance_timeout_ms=1_000)
    a.post_join(rebalance_timeout_ms=1_000)
    g.until("PreparingRebalance")
    out += [b.join(rebalance_timeout_ms=1_000), a.take(), a.sync(3, {a.id: b"pa", b.id: b"pb"}), b.beat(), a.beat()]
    time.sleep(1.3)
    return [*out, b.beat(), a.beat(), g.describe()]


@case
def a_silent_member_is_put_out(g: Group) -> Outcome:
    a, b, out = g.two()
    pending = g.client("p")
    out.append(pending.join())
    for _ in range(3):
        time.sleep(2.2)
        out.append(a.beat())
    g.until("PreparingRebalance")
    return [*out, b.beat(), a.beat(), a.join(), pending.join(), g.describe()]


@case
def describing_and_deleting(g: Group) -> Outcome:
    (a,) = g.clients("a")
    out: Outcome = [g.describe(version) for version in (0, 4, 5, 6)]
    out += [g.delete(version) for version in (0, 2, 3)]
    out += [a.commit(member_id="", generation_id_or_member_epoch=-1)]
    out += [g.describe(version) for version in (0, 5, 6)]
    out += [g.listed(), g.delete(3, g.id, g.id), g.describe(), g.listed()]
    out.append(a.join())
    time.sleep(0.3)  # Kafka shows what is committed
    out += [g.describe(), g.delete(), a.join()]
    a.id = ""
    out += [a.enter(), g.describe(), g.describe(3, operations=True), g.delete(), a.sync(3, {a.id: b"all"})]
    out += [g.describe(6, g.id, "no-such-group", operations=True), g.delete(3, "no-such-group", g.id, ""), a.commit()]
    out += [a.leave(), g.describe(), g.delete(1), g.describe(), a.beat(), a.join()]
    return out


@case
def listing(g: Group) -> Outcome:
    (a,) = g.clients("a")
    out: Outcome = [a.enter(), g.listed(0), g.listed(3), g.listed(4)]
    out += [g.listed(4, states_filter=["Stable"]), g.listed(4, states_filter=["completingrebalance", "x"])]
    out += [a.sync(3, {a.id: b"all"}), g.listed(5, states_filter=["STABLE"]), g.listed(5, states_filter=["x"])]
    out += [g.listed(5, types_filter=[kind]) for kind in ("classic", "CLASSIC", "consumer", "x", "share")]
    out += [g.listed(5, types_filter=["classic"], states_filter=["Empty"])]
    return out


@case
def commits(g: Group) -> Outcome:
    (a,) = g.clients("a")
    out: Outcome = [a.commit(7, member_id="x", generation_id_or_member_epoch=1)]
    out += [a.commit(7, member_id="x", generation_id_or_member_epoch=-1)]
    out += [a.enter(), a.commit(), a.sync(3, {a.id: b"all"}), a.commit(), a.commit(8, generation_id_or_member_epoch=0)]
    out += [a.commit(member_id="", generation_id_or_member_epoch=-1), a.commit(member_id="nobody")]
    out += [a.commit(generation_id_or_member_epoch=-1), a.commit(group_instance_id="nobody"), a.leave(), a.commit()]
    out += [a.commit(generation_id_or_member_epoch=-1), a.commit(9, generation_id_or_member_epoch=3)]
    return out


def run(port: int, only: set[str] | None = None) -> dict[str, Outcome]:
    """Every case's answers."""

    def answers(title: str, topic: str, _: bytes) -> Outcome:
        with ExitStack() as stack:
            group = Group(port, topic, stack)
            return flat(group, CASES[title](group))

    return golden.play(port, CASES, only, 1, answers)


def flat(group: Group, steps: Outcome) -> Outcome:
    """The steps as plain data; what belongs together inside a step stays together."""
    return [group.show(step) for step in steps]


if __name__ == "__main__":
    sys.exit(golden.main(run, GOLDEN))
