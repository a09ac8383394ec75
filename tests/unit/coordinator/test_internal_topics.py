"""Internal topics are made once, with Kafka's settings, and failures are retriable."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pyralog.cluster.requests import CreatedTopic, CreateTopicsReply
from pyralog.coordinator.internal_topics import InternalTopic, offsets_plan, transactions_plan
from pyralog.errors import ErrorCode, KafkaError
from pyralog.runtime import TaskScope


class Quorum:
    """Answers with what it is told, when it is told."""

    def __init__(self, outcome: ErrorCode | KafkaError) -> None:
        self.outcome = outcome
        self.image: Any = type("Image", (), {"topics": {}})()
        self.requests: list[Any] = []
        self.go = asyncio.Event()

    async def submit(self, request: Any) -> CreateTopicsReply:
        self.requests.append(request)
        await self.go.wait()
        if isinstance(self.outcome, KafkaError):
            raise self.outcome
        return CreateTopicsReply((CreatedTopic(request.topics[0].name, self.outcome),))


@pytest.mark.parametrize("code", [ErrorCode.NONE, ErrorCode.TOPIC_ALREADY_EXISTS])
async def test_all_who_ask_wait_for_one_creation(code: ErrorCode) -> None:
    scope, quorum = TaskScope("test"), Quorum(code)
    topic = InternalTopic(offsets_plan(50, 1, 100 << 20), quorum, scope)  # type: ignore[arg-type]
    asked = [topic.make() for _ in range(5)]
    await asyncio.sleep(0)
    assert not any(one.done for one in asked)
    quorum.go.set()
    for one in asked:
        assert await one is None
    assert len(quorum.requests) == 1
    (new,) = quorum.requests[0].topics
    assert (new.name, new.partitions) == ("__consumer_offsets", 50)
    assert dict(new.configs) == {
        "cleanup.policy": "compact",
        "compression.type": "producer",
        "segment.bytes": "104857600",
    }
    await scope.close()


@pytest.mark.parametrize("outcome", [ErrorCode.INVALID_REPLICATION_FACTOR, KafkaError(ErrorCode.NOT_CONTROLLER)])
async def test_a_failure_is_told_and_tried_again(outcome: Any) -> None:
    scope, quorum = TaskScope("test"), Quorum(outcome)
    topic = InternalTopic(transactions_plan(50, 3, 100 << 20, 2), quorum, scope)  # type: ignore[arg-type]
    quorum.go.set()
    for _ in range(2):
        with pytest.raises(KafkaError) as told:
            await topic.make()
        assert told.value.code is ErrorCode.COORDINATOR_NOT_AVAILABLE
    assert len(quorum.requests) == 2
    await scope.close()
    with pytest.raises(KafkaError):
        await topic.make()  # the node is stopping
