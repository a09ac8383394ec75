"""AddPartitionsToTxn and EndTxn on the quick way beside the way of messages: two nodes hear the same, and nobody can
tell them apart by their answers, states, records, markers or timers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from pyralog.api.authorizer import Operation, ResourceType
from pyralog.cluster.requests import CreateTopics, NewTopic
from pyralog.coordinator.partitioner import partition_for
from pyralog.coordinator.transaction.state import Entry, State
from pyralog.errors import ErrorCode
from pyralog.model import TopicPartition
from pyralog.records.batch import iterate_records
from pyralog.wire import messages as m
from pyralog.wire.coordinator_records import TRANSACTION_RECORDS, decode_key, decode_value
from tests.unit.api.fakes import Denying, Node

ADD, INIT, END = 24, 22, 26
NAME = "__transaction_state"
PARTITIONS = 3


class Ignoring(list[Any]):
    """The lanes of a node that has none."""

    def append(self, lane: Any) -> None:
        """Not this one either."""


class Pair:
    """A node with lanes and one without."""

    def __init__(self, new_node: Callable[..., Node], **settings: object) -> None:
        self.quick, self.slow = new_node(**settings), new_node(**settings)
        self.slow.plane.lanes = Ignoring()
        self.errors: set[int] = set()
        self.asked = self.decoded = 0
        dispatch = self.quick.dispatcher.dispatch

        def counted(forwarded: Any) -> None:
            self.decoded += 1
            dispatch(forwarded)

        self.quick.dispatcher.dispatch = counted  # type: ignore[method-assign]

    async def begin(self) -> None:
        for node in (self.quick, self.slow):
            await node.quorum.submit(CreateTopics((NewTopic("t", PARTITIONS, 1), NewTopic("__consumer_offsets", 1, 1))))

    async def both(self, key: int, version: int, message: Any) -> Any:
        """The answer of both."""
        self.asked += key != INIT
        answers = [await _ask(node, key, version, message) for node in (self.quick, self.slow)]
        assert answers[0] == answers[1]
        self.decoded -= key == INIT
        self.errors |= {answers[0].error_code} if key != ADD else _codes(answers[0])
        return answers[0]

    async def settle(self) -> None:
        """Let both end what was decided, and compare them."""
        for node in (self.quick, self.slow):
            await _ended(node)
        assert _entries(self.quick) == _entries(self.slow)
        assert _records(self.quick) == _records(self.slow)
        assert sorted(self.quick.plane.markers) == sorted(self.slow.plane.markers)
        assert self.quick.plane.verified == self.slow.plane.verified
        assert _timers(self.quick) == _timers(self.slow)
        for name in ("AddPartitionsToTxn", "EndTxn"):
            counts = [node.dispatcher.stats.requests[name] for node in (self.quick, self.slow)]
            assert counts[0] == counts[1]
        assert self.quick.services.transactions.runtime.load.waiting == 0


async def _ask(node: Node, key: int, version: int, message: Any) -> Any:
    token = node.post(key, version, message)
    async with asyncio.timeout(10):
        while token not in node.plane.replies:
            await asyncio.sleep(0)
    await node.settle()
    return node.answer(key, version, token)


async def _ended(node: Node) -> None:
    """No transaction is ending, and what nobody waited for has been written."""
    async with asyncio.timeout(10):
        while True:
            machines = list(node.services.transactions.runtime.machines())
            states = [entry.state for machine in machines for entry in machine.entries.values()]
            shards = node.services.transactions.runtime.active.values()
            if not {State.PREPARE_COMMIT, State.PREPARE_ABORT} & set(states) and all(one.idle for one in shards):
                return
            await asyncio.sleep(0.001)


def _codes(answer: Any) -> set[int]:
    return {
        one.partition_error_code for topic in answer.results_by_topic_v3_and_below for one in topic.results_by_partition
    }


def _entries(node: Node) -> dict[str, Entry]:
    machines = node.services.transactions.runtime.machines()
    return {
        name: entry._replace(start_ms=min(entry.start_ms, 0), updated_ms=0)
        for machine in machines
        for name, entry in machine.entries.items()
    }


def _records(node: Node) -> dict[TopicPartition, list[Any]]:
    """What is in the logs, times apart."""
    found: dict[TopicPartition, list[Any]] = {}
    for tp, log in node.plane.logs.items():
        for batch in log.appended if tp.topic == NAME else ():
            for record in iterate_records(batch):
                assert record.key is not None
                assert record.value is not None
                key = decode_key(record.key, TRANSACTION_RECORDS)
                assert key is not None
                value: Any = decode_value(key, record.value)
                value.transaction_last_update_timestamp_ms = 0
                value.transaction_start_timestamp_ms = min(value.transaction_start_timestamp_ms, 0)
                found.setdefault(tp, []).append((key, value))
    return found


def _timers(node: Node) -> list[list[Any]]:
    active = node.services.transactions.runtime.active
    return [sorted(shard._timers._entries) for _, shard in sorted(active.items())]


def some_add(rng: random.Random, name: str, identity: tuple[int, int]) -> Any:
    topics = [
        m.AddPartitionsToTxnTopic(
            name=rng.choice(("t", "t", "t", "t", "t", "t", "unknown", "__consumer_offsets")),
            partitions=[
                rng.choice((*range(PARTITIONS), *range(PARTITIONS), PARTITIONS)) for _ in range(rng.choice((1, 2)))
            ],
        )
        for _ in range(rng.choice((1, 1, 1, 2)))
    ]
    return m.AddPartitionsToTxnRequest(
        v3_and_below_transactional_id=name,
        v3_and_below_producer_id=identity[0],
        v3_and_below_producer_epoch=identity[1],
        v3_and_below_topics=topics,
    )


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("tv2", [False, True])
async def test_nobody_can_tell_them_apart(new_node: Callable[..., Node], seed: int, tv2: bool) -> None:
    rng = random.Random(seed)
    pair = Pair(new_node)
    await pair.begin()
    identities: dict[str, tuple[int, int]] = {}
    for _ in range(100):
        name = rng.choice(("x", "y", "größe"))
        roll = rng.random()
        if name not in identities or roll < 0.05:
            fields = {"transaction_timeout_ms": 60_000, "producer_id": -1, "producer_epoch": -1}
            answer = await pair.both(INIT, 5, m.InitProducerIdRequest(transactional_id=name, **fields))
            if answer.error_code == 0:
                identities[name] = (answer.producer_id, answer.producer_epoch)
            await pair.settle()
            continue
        producer_id, epoch = identities[name]
        producer_id += rng.choice((0,) * 20 + (1,))
        said = max(0, epoch + rng.choice((0,) * 20 + (1, -1)))
        if roll < 0.55:
            await pair.both(ADD, rng.randrange(4), some_add(rng, name, (producer_id, said)))
        else:
            version = 5 if tv2 else rng.randrange(5)
            request = m.EndTxnRequest(
                transactional_id=name, producer_id=producer_id, producer_epoch=said, committed=rng.random() < 0.5
            )
            answer = await pair.both(END, version, request)
            if answer.error_code == 0 and tv2:
                identities[name] = (answer.producer_id, answer.producer_epoch)
        if rng.random() < 0.9:
            await pair.settle()
    await pair.settle()
    assert pair.asked - pair.decoded > 10
    assert {ErrorCode.NONE, ErrorCode.INVALID_PRODUCER_ID_MAPPING, ErrorCode.INVALID_TXN_STATE} <= pair.errors


async def test_rights_are_asked_for(new_node: Callable[..., Node]) -> None:
    rules = (
        (Operation.WRITE, ResourceType.TRANSACTIONAL_ID, "secret"),
        (Operation.WRITE, ResourceType.TOPIC, "closed"),
    )
    pair = Pair(new_node, authorizer=Denying(*rules))
    await pair.begin()
    for node in (pair.quick, pair.slow):
        await node.quorum.submit(CreateTopics((NewTopic("closed", 1, 1),)))
    fields = {"transaction_timeout_ms": 60_000, "producer_id": -1, "producer_epoch": -1}
    answer = await pair.both(INIT, 5, m.InitProducerIdRequest(transactional_id="x", **fields))
    identity = (answer.producer_id, answer.producer_epoch)

    def add(name: str, topic: str) -> Any:
        topics = [m.AddPartitionsToTxnTopic(name=topic, partitions=[0])]
        return m.AddPartitionsToTxnRequest(
            v3_and_below_transactional_id=name,
            v3_and_below_producer_id=identity[0],
            v3_and_below_producer_epoch=identity[1],
            v3_and_below_topics=topics,
        )

    for _ in range(2):  # the lanes open at the first
        assert _codes(await pair.both(ADD, 3, add("x", "closed"))) == {ErrorCode.TOPIC_AUTHORIZATION_FAILED}
        refused = await pair.both(ADD, 3, add("secret", "t"))
        assert _codes(refused) == {ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED}
        end = m.EndTxnRequest(transactional_id="secret", producer_id=identity[0], producer_epoch=0, committed=True)
        answer = await pair.both(END, 3, end)
        assert answer.error_code == ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    assert _codes(await pair.both(ADD, 3, add("x", "t"))) == {0}
    await pair.settle()


async def test_markers_that_the_plane_could_not_write_are_written_the_slow_way(new_node: Callable[..., Node]) -> None:
    pair = Pair(new_node)
    await pair.begin()
    fields = {"transaction_timeout_ms": 60_000, "producer_id": -1, "producer_epoch": -1}
    answer = await pair.both(INIT, 5, m.InitProducerIdRequest(transactional_id="x", **fields))
    topics = [m.AddPartitionsToTxnTopic(name="t", partitions=[0, 1])]
    add = m.AddPartitionsToTxnRequest(
        v3_and_below_transactional_id="x",
        v3_and_below_producer_id=answer.producer_id,
        v3_and_below_producer_epoch=answer.producer_epoch,
        v3_and_below_topics=topics,
    )
    end = m.EndTxnRequest(
        transactional_id="x", producer_id=answer.producer_id, producer_epoch=answer.producer_epoch, committed=True
    )
    for _ in range(2):  # the second is taken by the lane
        await pair.both(ADD, 3, add)
        plane = pair.quick.plane
        plane.failed_markers[TopicPartition("t", 1)] = ErrorCode.NOT_LEADER_OR_FOLLOWER
        before = len(plane.markers)
        await pair.both(END, 3, end)
        await asyncio.sleep(0.03)
        (entry,) = _entries(pair.quick).values()
        assert entry.state is State.PREPARE_COMMIT
        del plane.failed_markers[TopicPartition("t", 1)]
        await _ended(pair.quick)
        await _ended(pair.slow)
        written = [marker[0].partition for marker in plane.markers[before:]]
        assert set(written) == {0, 1}
        assert written.count(1) == 1
    assert _entries(pair.quick) == _entries(pair.slow)
    assert _records(pair.quick) == _records(pair.slow)


async def test_what_a_shard_could_not_write_is_answered_by_each_api(node: Node) -> None:
    """Requests of both APIs in one batch, which does not reach the log."""
    await node.quorum.submit(CreateTopics((NewTopic("t", PARTITIONS, 1),)))
    fields = {"transaction_timeout_ms": 60_000, "producer_id": -1, "producer_epoch": -1}
    await _ask(node, INIT, 5, m.InitProducerIdRequest(transactional_id="x", **fields))
    count = node.services.transactions.topic.partitions
    other = next(name for name in map(str, range(10_000)) if partition_for(name, count) == partition_for("x", count))
    who = {}
    for name in ("x", other):
        answer = await _ask(node, INIT, 5, m.InitProducerIdRequest(transactional_id=name, **fields))
        who[name] = {"producer_id": answer.producer_id, "producer_epoch": answer.producer_epoch}

    def add(name: str) -> Any:
        return m.AddPartitionsToTxnRequest(
            v3_and_below_transactional_id=name,
            v3_and_below_topics=[m.AddPartitionsToTxnTopic(name="t", partitions=[1])],
            **{f"v3_and_below_{key}": value for key, value in who[name].items()},
        )

    def end(name: str) -> Any:
        return m.EndTxnRequest(transactional_id=name, committed=True, **who[name])

    for _ in range(2):  # the lanes are opened by the first
        assert _codes(await _ask(node, ADD, 3, add("x"))) == {0}
        assert (await _ask(node, END, 3, end("x"))).error_code == 0
        await _ended(node)
    assert _codes(await _ask(node, ADD, 3, add("x"))) == {0}
    del node.plane.logs[TopicPartition(NAME, partition_for("x", count))]
    requests = node.dispatcher.stats.requests.copy()
    ended, added = node.post(END, 3, end("x")), node.post(ADD, 2, add(other))
    assert node.dispatcher.stats.requests == requests  # the lanes have them
    await node.settle()
    assert node.answer(END, 3, ended).error_code == ErrorCode.NOT_COORDINATOR
    assert _codes(node.answer(ADD, 2, added)) == {ErrorCode.NOT_COORDINATOR}
    counted = node.dispatcher.stats.requests - requests
    assert (counted["EndTxn"], counted["AddPartitionsToTxn"]) == (1, 1)
