"""What coordinators say while a node starts, and to those who wait when it stops."""

from __future__ import annotations

import asyncio
from typing import Any

from pyralog.cluster.requests import CreateTopics, NewTopic
from pyralog.coordinator.runtime import CoordinatorRuntime
from pyralog.errors import ErrorCode
from pyralog.model import TopicPartition
from pyralog.wire import messages as m
from tests.unit.api.fakes import Node

ADD, LIST_GROUPS, INIT, END, LIST_TRANSACTIONS = 24, 16, 22, 26, 66
TIMEOUT_MS = 1000


def not_begun(runtime: CoordinatorRuntime[Any]) -> None:
    runtime._image = None  # as before begin()


async def test_no_empty_list_before_a_node_knows_what_it_leads(node: Node) -> None:
    not_begun(node.services.groups.runtime)
    not_begun(node.services.transactions.runtime)
    loading = ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
    assert (await node.ask(LIST_GROUPS, 5, m.ListGroupsRequest())).error_code == loading
    assert (await node.ask(LIST_TRANSACTIONS, 1, m.ListTransactionsRequest())).error_code == loading


async def test_who_waits_for_the_end_of_a_transaction_is_answered_before_the_stop_is_over(node: Node) -> None:
    """Later there is no plane to answer with."""
    await node.quorum.submit(CreateTopics((NewTopic("t", 1, 1),)))
    begin = m.InitProducerIdRequest(
        transactional_id="x", transaction_timeout_ms=60_000, producer_id=-1, producer_epoch=-1
    )
    identity = await node.ask(INIT, 5, begin)
    who = {"producer_id": identity.producer_id, "producer_epoch": identity.producer_epoch}
    named = {f"v3_and_below_{name}": value for name, value in {"transactional_id": "x", **who}.items()}
    topics = [m.AddPartitionsToTxnTopic(name="t", partitions=[0])]
    add = m.AddPartitionsToTxnRequest(v3_and_below_topics=topics, **named)
    await node.ask(ADD, 3, add)
    node.plane.failed_markers[TopicPartition("t", 0)] = ErrorCode.NOT_LEADER_OR_FOLLOWER
    ended = await node.ask(END, 3, m.EndTxnRequest(transactional_id="x", committed=True, **who))
    assert ended.error_code == 0
    token = node.post(ADD, 3, add)
    await asyncio.sleep(0.005)
    assert token not in node.plane.replies, "it waits for the markers"
    await node.services.transactions.stop(TIMEOUT_MS)
    (topic,) = node.answer(ADD, 3, token).results_by_topic_v3_and_below
    assert topic.results_by_partition[0].partition_error_code == ErrorCode.NOT_COORDINATOR
