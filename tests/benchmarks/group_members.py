"""A classic group of many members, each on a connection of its own: from start to stable, then a rolling restart.

python -m tests.benchmarks.group_members pyralog|kafka [--members 1000] [--batch 50]

Wall time, and the broker's CPU time, since the clients here share the machine with it.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import time
from typing import Any

from pyralog.wire import messages as m
from pyralog.wire.headers import frame_request, parse_response_header
from pyralog.wire.protocol import decode_response, encode_request
from tests.reference.kafka import Kafka
from tests.reference.process import Broker
from tests.reference.pyralog import Pyralog

FIND, JOIN, BEAT, LEAVE, SYNC = 10, 11, 12, 13, 14
GROUP = "many"
BEAT_S = 0.3
METADATA = bytes.fromhex("0001000000010005746f706963ffffffff00000000")
ASSIGNMENT = bytes.fromhex("0001000000010005746f70696300000001000000010000000000")


class Member:
    """One consumer as the broker sees it: joins, asks for its part, and beats until it is told to join again."""

    def __init__(self, port: int, number: int, instance: str | None, latencies: list[float]) -> None:
        self.port = port
        self.name = f"member-{number}"
        self.instance = instance
        self.id = ""
        self.generation = -1
        self.stable = asyncio.Event()
        self.latencies = latencies
        self._correlations = itertools.count(1)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._live())

    async def stop(self, leave: bool) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if leave:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
            members = [m.MemberIdentity(member_id=self.id, group_instance_id=self.instance)]
            await self._ask(LEAVE, 3, m.LeaveGroupRequest(group_id=GROUP, members=members))
        self.writer.close()

    async def _ask(self, key: int, version: int, request: Any) -> Any:
        data = encode_request(key, version, request)
        self.writer.write(frame_request(key, version, next(self._correlations), self.name, data))
        size = int.from_bytes(await self.reader.readexactly(4), "big")
        frame = await self.reader.readexactly(size)
        _, offset = parse_response_header(key, version, frame)
        return decode_response(key, version, frame, offset)

    async def _live(self) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        who = {"group_id": GROUP, "group_instance_id": self.instance}
        protocols = [m.JoinGroupRequestProtocol(name="range", metadata=METADATA)]
        while True:
            joined = await self._ask(
                JOIN,
                5,
                m.JoinGroupRequest(
                    **who,
                    member_id=self.id,
                    session_timeout_ms=60_000,
                    rebalance_timeout_ms=120_000,
                    protocol_type="consumer",
                    protocols=protocols,
                ),
            )
            if joined.error_code == 79:
                self.id = joined.member_id
                continue
            if joined.error_code:
                self.id = "" if joined.error_code == 25 else self.id
                await asyncio.sleep(0.05)
                continue
            self.id, self.generation = joined.member_id, joined.generation_id
            parts = [
                m.SyncGroupRequestAssignment(member_id=one.member_id, assignment=ASSIGNMENT) for one in joined.members
            ]
            where = {**who, "member_id": self.id, "generation_id": self.generation}
            synced = await self._ask(SYNC, 3, m.SyncGroupRequest(**where, assignments=parts))
            if synced.error_code:
                continue
            self.stable.set()
            while True:
                await asyncio.sleep(BEAT_S)
                began = time.perf_counter()
                beat = await self._ask(BEAT, 3, m.HeartbeatRequest(**where))
                self.latencies.append(time.perf_counter() - began)
                if beat.error_code:
                    break
            self.stable.clear()


async def settled(members: list[Member]) -> int:
    """Wait until all are in one generation; which."""
    while True:
        for one in members:
            await one.stable.wait()
        generations = {one.generation for one in members}
        if len(generations) == 1 and all(one.stable.is_set() for one in members):
            return generations.pop()
        await asyncio.sleep(0.01)


async def coordinator(port: int) -> None:
    probe = Member(port, 0, None, [])
    for _ in range(400):
        probe.reader, probe.writer = await asyncio.open_connection("127.0.0.1", port)
        answer = await probe._ask(FIND, 3, m.FindCoordinatorRequest(key=GROUP))
        heard = await probe._ask(BEAT, 3, m.HeartbeatRequest(group_id=GROUP, generation_id=1, member_id="x"))
        probe.writer.close()
        if answer.error_code == 0 and heard.error_code == 25:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("no coordinator")


async def measure(broker: Broker, count: int, batch: int, static: bool) -> dict[str, float]:
    result: dict[str, float] = {}
    latencies: list[float] = []
    await coordinator(broker.port)

    def made(number: int) -> Member:
        return Member(broker.port, number, f"i{number}" if static else None, latencies)

    async def timed(name: str, work: Any) -> None:
        cpu, began = broker.cpu_s(), time.perf_counter()
        await work
        result[f"{name}_s"] = round(time.perf_counter() - began, 3)
        result[f"{name}_cpu_s"] = round(broker.cpu_s() - cpu, 3)

    members = [made(number) for number in range(count)]

    async def begin() -> None:
        for one in members:
            one.start()
        result["generation"] = await settled(members)

    async def restart() -> None:
        for first in range(0, count, batch):
            await asyncio.gather(*(one.stop(leave=not static) for one in members[first : first + batch]))
            for number in range(first, min(first + batch, count)):
                members[number] = made(number)
                members[number].start()
            await settled(members)

    await timed("start", begin())
    await timed("rolling", restart())
    cpu = broker.cpu_s()
    latencies.clear()
    await asyncio.sleep(2)
    result["idle_cpu_share"] = round((broker.cpu_s() - cpu) / 2, 3)
    result["heartbeats_per_s"] = len(latencies) / 2
    result["heartbeat_p99_ms"] = round(sorted(latencies)[int(len(latencies) * 0.99)] * 1000, 2)
    result["rss_mb"] = round(broker.rss_bytes() / 1e6, 1)
    for one in members:
        await one.stop(leave=False)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("broker", choices=("pyralog", "kafka"))
    parser.add_argument("--members", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=100, help="members that are restarted at the same time")
    parser.add_argument("--static", action="store_true", help="with group.instance.id, so that nobody rebalances")
    options = parser.parse_args()
    if options.broker == "kafka":
        made: Broker = Kafka()
    else:
        made = Pyralog(settings={"groups.initial_rebalance_delay_ms": 0})
    with made as broker:
        print(json.dumps(asyncio.run(measure(broker, options.members, options.batch, options.static))))


if __name__ == "__main__":
    main()
