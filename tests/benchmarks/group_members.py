"""A group of many members, each on a connection of its own: from start to stable, then a rolling restart.

python -m tests.benchmarks.group_members pyralog|kafka [--protocol classic|consumer] [--members 1000] [--batch 100]

Wall time, and the broker's CPU time, since the clients here share the machine with it. Connections are opened before
the clock starts. The members are told nothing between their heartbeats (every 0.3 s), as with real clients.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import time
from collections.abc import Coroutine
from typing import Any

import uvloop

from pyralog.wire import messages as m
from pyralog.wire.headers import frame_request, parse_response_header
from pyralog.wire.protocol import decode_response, encode_request
from tests.benchmarks import clients
from tests.reference.kafka import Kafka
from tests.reference.process import HOST, Broker
from tests.reference.pyralog import Pyralog

JOIN, BEAT, LEAVE, SYNC, CONSUMER_BEAT = 11, 12, 13, 14, 68
BEAT_S = 0.3
LIMIT_S = 240
TOPIC = "bench-members"
METADATA = bytes.fromhex("0001000000010005746f706963ffffffff00000000")
ASSIGNMENT = bytes.fromhex("0001000000010005746f70696300000001000000010000000000")
UNKNOWN_MEMBER_ID, MEMBER_ID_REQUIRED, FENCED_MEMBER_EPOCH = 25, 79, 110
LEAVING = -1  # a member epoch


class Wire(asyncio.Protocol):
    """One connection with one request at a time."""

    def __init__(self) -> None:
        self._transport: Any = None  # uvloop's are no asyncio.Transport
        self._data = b""
        self._answer: asyncio.Future[bytes] | None = None
        self._correlations = itertools.count(1)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        if len(self._data) >= 4 and len(self._data) >= 4 + int.from_bytes(self._data[:4], "big"):
            frame, self._data = self._data[4:], b""
            assert self._answer is not None
            if not self._answer.done():
                self._answer.set_result(frame)

    async def ask(self, key: int, version: int, request: Any) -> Any:
        """The decoded answer."""
        body = encode_request(key, version, request)
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(frame_request(key, version, next(self._correlations), "member", body))
        frame = await self._answer
        return decode_response(key, version, frame, parse_response_header(key, version, frame)[1])

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Group:
    """What the members of one group share."""

    def __init__(self, name: str, port: int, static: bool = False) -> None:
        self.name, self.port, self.static = name, port, static
        self.partitions = 0  # of the topic
        self.latencies: list[float] = []


class Member:
    """One consumer as the broker sees it. `generation` is what it is stable in, -1 while it is not."""

    def __init__(self, group: Group, number: int) -> None:
        self.group = group
        self.instance = f"i{number}" if group.static else None
        self.id = ""
        self.generation = -1
        self.wire = Wire()
        self._task: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        await asyncio.get_running_loop().create_connection(lambda: self.wire, HOST, self.group.port)

    def start(self) -> None:
        self._task = asyncio.create_task(self.live())

    def check(self) -> None:
        """Raise what has ended it."""
        if self._task is not None and self._task.done():
            self._task.result()

    async def stop(self, leave: bool) -> None:
        """End it; `leave`: the group is told."""
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self.wire.close()
        if leave:
            self.wire = Wire()
            await self.connect()
            await self.leave()
            self.wire.close()

    async def live(self) -> None:
        raise NotImplementedError

    async def leave(self) -> None:
        raise NotImplementedError

    @staticmethod
    def stable(members: list[Any], group: Group) -> bool:
        """Whether all have what they shall have."""
        generation = members[0].generation
        return generation >= 0 and all(one.generation == generation for one in members)

    async def beat(self, key: int, version: int, request: Any) -> Any:
        began = time.perf_counter()
        answer = await self.wire.ask(key, version, request)
        self.group.latencies.append(time.perf_counter() - began)
        return answer


class ClassicMember(Member):
    """Joins, asks for its part, and beats until it is told to join again."""

    async def leave(self) -> None:
        members = [m.MemberIdentity(member_id=self.id, group_instance_id=self.instance)]
        await self.wire.ask(LEAVE, 3, m.LeaveGroupRequest(group_id=self.group.name, members=members))

    async def live(self) -> None:
        who = {"group_id": self.group.name, "group_instance_id": self.instance}
        protocols = [m.JoinGroupRequestProtocol(name="range", metadata=METADATA)]
        while True:
            request = m.JoinGroupRequest(
                **who,
                member_id=self.id,
                session_timeout_ms=60_000,
                rebalance_timeout_ms=120_000,
                protocol_type="consumer",
                protocols=protocols,
            )
            joined = await self.wire.ask(JOIN, 5, request)
            if joined.error_code == MEMBER_ID_REQUIRED:
                self.id = joined.member_id
                continue
            if joined.error_code:
                self.id = "" if joined.error_code == UNKNOWN_MEMBER_ID else self.id
                await asyncio.sleep(0.05)
                continue
            self.id = joined.member_id
            parts = [
                m.SyncGroupRequestAssignment(member_id=one.member_id, assignment=ASSIGNMENT) for one in joined.members
            ]
            where = {**who, "member_id": self.id, "generation_id": joined.generation_id}
            synced = await self.wire.ask(SYNC, 3, m.SyncGroupRequest(**where, assignments=parts))
            if synced.error_code:
                continue
            self.generation = joined.generation_id
            while True:
                await asyncio.sleep(BEAT_S)
                beat = await self.beat(BEAT, 3, m.HeartbeatRequest(**where))
                if beat.error_code:
                    break
            self.generation = -1


class ConsumerMember(Member):
    """Tells what it has, gets what it shall have (KIP-848), and gives up at once what it shall not have."""

    def __init__(self, group: Group, number: int) -> None:
        super().__init__(group, number)
        self.id = f"{random.getrandbits(128):032x}"
        self.owned: list[Any] = []

    @staticmethod
    def stable(members: list[Any], group: Group) -> bool:
        owned = sum(len(topic.partitions) for one in members for topic in one.owned)
        return owned == group.partitions and Member.stable(members, group)

    async def leave(self) -> None:
        request = m.ConsumerGroupHeartbeatRequest(
            group_id=self.group.name, member_id=self.id, member_epoch=LEAVING, instance_id=self.instance
        )
        await self.wire.ask(CONSUMER_BEAT, 1, request)

    async def live(self) -> None:
        who = {"group_id": self.group.name, "member_id": self.id, "instance_id": self.instance}
        full = {**who, "rebalance_timeout_ms": 120_000, "subscribed_topic_names": [TOPIC]}
        request = m.ConsumerGroupHeartbeatRequest(**full, member_epoch=0, topic_partitions=[])
        while True:
            answer = await self.beat(CONSUMER_BEAT, 1, request)
            if answer.error_code in (UNKNOWN_MEMBER_ID, FENCED_MEMBER_EPOCH):
                self.generation, self.owned = -1, []
                request = m.ConsumerGroupHeartbeatRequest(**full, member_epoch=0, topic_partitions=[])
                continue
            if answer.error_code:
                await asyncio.sleep(0.05)
                continue
            self.generation = answer.member_epoch
            if answer.assignment is None:
                request = m.ConsumerGroupHeartbeatRequest(**who, member_epoch=self.generation)
                await asyncio.sleep(BEAT_S)
                continue
            self.owned = answer.assignment.topic_partitions
            owned = [
                m.ConsumerGroupHeartbeatRequestTopicPartitions(topic_id=one.topic_id, partitions=one.partitions)
                for one in self.owned
            ]
            request = m.ConsumerGroupHeartbeatRequest(
                **who, member_epoch=self.generation, rebalance_timeout_ms=120_000, topic_partitions=owned
            )


MEMBERS: dict[str, type[Member]] = {"classic": ClassicMember, "consumer": ConsumerMember}


async def settled(members: list[Member], group: Group) -> None:
    """Wait until all are in one generation."""
    kind = type(members[0])
    async with asyncio.timeout(LIMIT_S):
        while not kind.stable(members, group):
            for one in members:
                one.check()
            await asyncio.sleep(0.005)


class Run:
    """The measures of one group on one broker."""

    def __init__(self, broker: Broker, kind: type[Member], group: Group) -> None:
        self.broker, self.kind, self.group = broker, kind, group
        self.result: dict[str, float] = {}
        self.members: list[Member] = []

    async def make(self, numbers: range) -> list[Member]:
        made = [self.kind(self.group, number) for number in numbers]
        for one in made:
            await one.connect()
        return made

    async def timed(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        cpu, began = self.broker.cpu_s(), time.perf_counter()
        await work
        self.result[f"{name}_s"] = round(time.perf_counter() - began, 3)
        self.result[f"{name}_cpu_s"] = round(self.broker.cpu_s() - cpu, 3)

    async def begin(self) -> None:
        for one in self.members:
            one.start()
        await settled(self.members, self.group)

    async def restart(self, batch: int) -> None:
        count = len(self.members)
        for first in range(0, count, batch):
            numbers = range(first, min(first + batch, count))
            fresh = await self.make(numbers)
            leave = not self.group.static
            await asyncio.gather(*(self.members[number].stop(leave) for number in numbers))
            for number, one in zip(numbers, fresh, strict=True):
                self.members[number] = one
                one.start()
            await settled(self.members, self.group)

    async def idle(self, secs: float) -> None:
        cpu = self.broker.cpu_s()
        self.group.latencies.clear()
        await asyncio.sleep(secs)
        latencies = sorted(self.group.latencies)
        self.result["idle_cpu_share"] = round((self.broker.cpu_s() - cpu) / secs, 3)
        self.result["heartbeats_per_s"] = len(latencies) / secs
        self.result["heartbeat_p99_ms"] = round(latencies[int(len(latencies) * 0.99)] * 1000, 2)

    async def end(self) -> None:
        for one in self.members:
            await one.stop(leave=False)


async def measure(
    broker: Broker,
    protocol: str,
    count: int,
    batch: int,
    *,
    name: str = "many",
    static: bool = False,
    idle_s: float = 2,
    partitions: int = 0,
) -> dict[str, float]:
    """Start, rolling restart, and some seconds of heartbeats. The topic has as many partitions, or one a member."""
    group = Group(f"{name}-{protocol}", broker.port, static)
    group.partitions = partitions or count
    run = Run(broker, MEMBERS[protocol], group)
    run.members = await run.make(range(count))
    await run.timed("start", run.begin())
    await run.timed("rolling", run.restart(batch))
    if idle_s:
        await run.idle(idle_s)
    run.result["rss_mb"] = round(broker.rss_bytes() / 1e6, 1)
    await run.end()
    return run.result


def prepare(broker: Broker, count: int) -> None:
    """The topic that members of the newer protocol consume, and the coordinator."""
    clients.create_topic(broker, TOPIC, count)
    clients.await_group_coordinator(broker, TOPIC)


def run_measure(broker: Broker, protocol: str, count: int, batch: int, **more: Any) -> dict[str, float]:
    """The same for callers without a loop."""
    return uvloop.run(measure(broker, protocol, count, batch, **more))


def run_start(broker: Broker, protocol: str, count: int, name: str) -> None:
    """Form a group, and leave it to its session timeouts."""

    async def form() -> None:
        group = Group(name, broker.port)
        run = Run(broker, MEMBERS[protocol], group)
        run.members = await run.make(range(count))
        await run.begin()
        await run.end()

    uvloop.run(form())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("broker", choices=("pyralog", "kafka"))
    parser.add_argument("--protocol", choices=sorted(MEMBERS), default="classic")
    parser.add_argument("--members", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=100, help="members that are restarted at the same time")
    parser.add_argument("--static", action="store_true", help="with group.instance.id, so that nobody rebalances")
    options = parser.parse_args()
    if options.broker == "kafka":
        made: Broker = Kafka(settings={"group.consumer.max.size": 2000})
    else:
        made = Pyralog(settings={"groups.initial_rebalance_delay_ms": 0})
    with made as broker:
        prepare(broker, options.members)
        result = run_measure(broker, options.protocol, options.members, options.batch, static=options.static)
        print(json.dumps(result))


if __name__ == "__main__":
    main()
