"""InitProducerId: ids that are never given out twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from pyralog.api.authorizer import Operation, ResourceType
from pyralog.cluster.requests import AllocateProducerIds, CreateTopics, NewTopic
from pyralog.errors import ErrorCode
from pyralog.wire import messages as m
from tests.unit.api.fakes import Denying, Node

NO = ErrorCode.NONE


def asked(transactional_id: str | None = None, producer_id: int = -1, epoch: int = -1) -> Any:
    return m.InitProducerIdRequest(
        transactional_id=transactional_id, transaction_timeout_ms=1000, producer_id=producer_id, producer_epoch=epoch
    )


async def test_ids_are_new_and_come_in_blocks(node: Node) -> None:
    """Trap 18: two thousand and one of them cost three metadata records."""
    seen = set()
    for _ in range(2001):
        answer = await node.ask(22, 4, asked())
        assert (answer.error_code, answer.producer_epoch) == (NO, 0)
        seen.add(answer.producer_id)
    assert len(seen) == 2001
    assert sum(isinstance(request, AllocateProducerIds) for request in node.quorum.requests) == 3


async def test_ids_asked_for_side_by_side_differ(node: Node) -> None:
    node.quorum.hold = asyncio.Event()
    tokens = [node.post(22, 4, asked()) for _ in range(50)]
    await asyncio.sleep(0)
    node.quorum.hold.set()
    await node.settle()
    assert len({node.answer(22, 4, token).producer_id for token in tokens}) == 50


async def test_ids_of_the_next_start_differ(new_node: Callable[..., Node]) -> None:
    first, second = new_node(), new_node()
    before = {(await first.ask(22, 4, asked())).producer_id for _ in range(3)}
    second.quorum.image = first.quorum.image
    after = {(await second.ask(22, 4, asked())).producer_id for _ in range(3)}
    assert not before & after


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (asked(producer_id=5, epoch=3), NO),
        (asked(producer_id=5), ErrorCode.INVALID_REQUEST),
        (asked(epoch=3), ErrorCode.INVALID_REQUEST),
        (asked(""), ErrorCode.INVALID_REQUEST),
    ],
)
async def test_requests(node: Node, request_: Any, code: ErrorCode) -> None:
    answer = await node.ask(22, 4, request_)
    assert answer.error_code == code
    assert not code.retriable
    if code != NO:
        assert (answer.producer_id, answer.producer_epoch) == (-1, -1)


async def test_who_may_write_anywhere_may_do_it_idempotently(new_node: Callable[..., Node]) -> None:
    """KIP-679."""
    denied = [
        (Operation.IDEMPOTENT_WRITE, ResourceType.CLUSTER, "kafka-cluster"),
        (Operation.WRITE, ResourceType.TOPIC, "no"),
    ]
    node = new_node(authorizer=Denying(*denied))
    await node.quorum.submit(CreateTopics((NewTopic("no", 1, 1),)))
    assert (await node.ask(22, 4, asked())).error_code == ErrorCode.CLUSTER_AUTHORIZATION_FAILED
    await node.quorum.submit(CreateTopics((NewTopic("yes", 1, 1),)))
    assert (await node.ask(22, 4, asked())).error_code == NO


async def test_block_that_takes_too_long(new_node: Callable[..., Node]) -> None:
    node = new_node(request_timeout_ms=1)
    node.quorum.hold = asyncio.Event()
    token = node.post(22, 4, asked())
    async with asyncio.timeout(10):
        while token not in node.plane.replies:
            await asyncio.sleep(0.001)
    assert node.answer(22, 4, token).error_code == ErrorCode.REQUEST_TIMED_OUT
    node.quorum.hold.set()
