"""The handlers of transactions over a real coordinator, on a fake plane."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from pyralog.api.authorizer import Operation, ResourceType
from pyralog.api.client import produce as produce_api
from pyralog.cluster.requests import CreateTopics, DeleteTopics, NewTopic, TopicRef
from pyralog.errors import ErrorCode
from pyralog.model import TopicPartition
from pyralog.net.plane_types import ProducerInfo
from pyralog.records.batch import TRANSACTIONAL, Record, build
from pyralog.wire import messages as m
from pyralog.wire.headers import parse_request_header
from pyralog.wire.protocol import decode_request
from tests.unit.api.fakes import Denying, Node

E = ErrorCode
needs_tv2 = pytest.mark.skipif(produce_api.API.max_version < 12, reason="Produce 12 comes with the plane")
TXN = ResourceType.TRANSACTIONAL_ID
T0, T1 = TopicPartition("t", 0), TopicPartition("t", 1)


async def with_topic(node: Node) -> Node:
    await node.quorum.submit(CreateTopics((NewTopic("t", 3, 1), NewTopic("__consumer_offsets", 1, 1))))
    return node


@pytest.fixture
async def ready(node: Node) -> Node:
    return await with_topic(node)


async def ask(node: Node, key: int, version: int, request: Any) -> Any:
    """The answer, also of a request that waits for something."""
    token = node.post(key, version, request)
    for _ in range(400):
        await node.settle()
        if token in node.plane.replies:
            return node.answer(key, version, token)
        if token in node.plane.closed or token in node.plane.resubmitted:
            return None
        await asyncio.sleep(0.001)
    raise AssertionError("no answer")


async def init(node: Node, name: str = "x", version: int = 5, **fields: Any) -> Any:
    fields = {"transaction_timeout_ms": 60_000, "producer_id": -1, "producer_epoch": -1, **fields}
    return await ask(node, 22, version, m.InitProducerIdRequest(transactional_id=name, **fields))


def who(identity: Any) -> dict[str, Any]:
    return {"transactional_id": "x", "producer_id": identity.producer_id, "producer_epoch": identity.producer_epoch}


async def add(node: Node, identity: Any, *indexes: int, version: int = 3, topic: str = "t", **fields: Any) -> list[int]:
    topics = [m.AddPartitionsToTxnTopic(name=topic, partitions=list(indexes or (0,)))]
    if version < 4:
        named = {f"v3_and_below_{name}": value for name, value in who(identity).items()}
        answer = await ask(node, 24, version, m.AddPartitionsToTxnRequest(v3_and_below_topics=topics, **named))
        results = answer.results_by_topic_v3_and_below
    else:
        one = m.AddPartitionsToTxnTransaction(topics=topics, **who(identity), **fields)
        answer = await ask(node, 24, version, m.AddPartitionsToTxnRequest(transactions=[one]))
        if answer.error_code:
            return [answer.error_code]
        results = answer.results_by_transaction[0].topic_results
    return [one.partition_error_code for topic in results for one in topic.results_by_partition]


async def end(node: Node, identity: Any, commit: bool = True, version: int = 5) -> Any:
    return await ask(node, 26, version, m.EndTxnRequest(committed=commit, **who(identity)))


async def settled(node: Node, name: str, state: str) -> Any:
    """The id, when it has come to this state."""
    for _ in range(200):
        answer = await ask(node, 65, 0, m.DescribeTransactionsRequest(transactional_ids=[name]))
        if answer.transaction_states[0].transaction_state == state:
            return answer.transaction_states[0]
        await asyncio.sleep(0.002)
    raise AssertionError(answer)


async def test_a_transaction_from_its_begin_to_its_markers(ready: Node) -> None:
    identity = await init(ready)
    assert (identity.error_code, identity.producer_epoch) == (0, 0)
    assert await add(ready, identity, 0, 1, version=4) == [0, 0]
    open_one = await settled(ready, "x", "Ongoing")
    assert [(topic.topic, topic.partitions) for topic in open_one.topics] == [("t", [0, 1])]
    assert open_one.transaction_start_time_ms > 0
    ended = await end(ready, identity)
    assert (ended.error_code, ended.producer_id, ended.producer_epoch) == (0, identity.producer_id, 1)
    done = await settled(ready, "x", "CompleteCommit")
    assert done.topics == []
    epoch = ready.quorum.image.topics["__transaction_state"].partitions[0].leader_epoch
    assert ready.plane.markers == [(tp, identity.producer_id, 1, epoch, True) for tp in (T0, T1)]
    # The next one begins at once.
    assert await add(ready, ended, version=4) == [0]


async def test_markers_are_tried_until_they_are_written(ready: Node) -> None:
    identity = await init(ready)
    await add(ready, identity, 0, 1)
    ready.plane.failed_markers[T1] = E.NOT_LEADER_OR_FOLLOWER
    assert (await end(ready, identity, commit=False, version=3)).error_code == 0
    await settled(ready, "x", "PrepareAbort")
    # Meanwhile nobody may begin, in any way.
    assert await add(ready, identity) == [E.CONCURRENT_TRANSACTIONS]
    assert (await init(ready)).error_code == E.CONCURRENT_TRANSACTIONS
    del ready.plane.failed_markers[T1]
    await settled(ready, "x", "CompleteAbort")
    assert [marker[0] for marker in ready.plane.markers] == [T0, T1]


async def test_a_deleted_partition_needs_no_marker(ready: Node) -> None:
    identity = await init(ready)
    await add(ready, identity, 0)
    await ready.quorum.submit(DeleteTopics((TopicRef("t"),)))
    assert (await end(ready, identity, version=3)).error_code == 0
    await settled(ready, "x", "CompleteCommit")


async def test_the_next_transaction_waits_for_the_end_of_the_last(ready: Node) -> None:
    """Kafka answers CONCURRENT_TRANSACTIONS, which costs its clients a pause."""
    identity = await init(ready)
    await add(ready, identity)
    ready.plane.failed_markers[T0] = E.NOT_LEADER_OR_FOLLOWER
    ended = await end(ready, identity)
    asyncio.get_running_loop().call_later(0.01, ready.plane.failed_markers.clear)
    assert await add(ready, ended, version=4) == [0]


async def test_whoever_waits_for_the_end_in_vain_hears_why(ready: Node) -> None:
    identity = await init(ready)
    await add(ready, identity)
    ready.plane.failed_markers[T0] = E.NOT_LEADER_OR_FOLLOWER
    ended = await end(ready, identity)
    for _ in range(2):  # once because it is being ended, once because that was so for too long
        assert await add(ready, ended, version=4) == [E.CONCURRENT_TRANSACTIONS]
    assert await add(ready, identity, version=4) == [E.PRODUCER_FENCED]
    ready.plane.failed_markers.clear()
    await settled(ready, "x", "CompleteCommit")
    assert await add(ready, ended, version=4) == [0]


@pytest.mark.parametrize(("version", "code"), [(0, 47), (1, 47), (2, 90), (3, 90), (4, 90)])
async def test_fenced_adds(ready: Node, version: int, code: int) -> None:
    old = await init(ready)
    await init(ready)
    assert await add(ready, old, version=version) == [code]


@pytest.mark.parametrize(("key", "version", "code"), [(25, 1, 47), (25, 2, 90), (26, 1, 47), (26, 2, 90), (26, 5, 90)])
async def test_fenced_others(ready: Node, key: int, version: int, code: int) -> None:
    old = await init(ready)
    await init(ready)
    if key == 26:
        assert (await end(ready, old, version=version)).error_code == code
    else:
        answer = await ask(ready, 25, version, m.AddOffsetsToTxnRequest(group_id="g", **who(old)))
        assert answer.error_code == code


@pytest.mark.parametrize(("version", "code"), [(3, 47), (4, 90)])
async def test_fenced_begin(ready: Node, version: int, code: int) -> None:
    old = await init(ready)
    await init(ready)
    again = await init(ready, version=version, producer_id=old.producer_id, producer_epoch=old.producer_epoch)
    assert (again.error_code, again.producer_id, again.producer_epoch) == (code, -1, -1)


async def test_partitions_that_cannot_be_added_leave_the_others(ready: Node) -> None:
    identity = await init(ready)
    assert await add(ready, identity, 0, 99) == [E.OPERATION_NOT_ATTEMPTED, E.UNKNOWN_TOPIC_OR_PARTITION]
    assert await add(ready, identity, topic="__consumer_offsets") == [E.TOPIC_AUTHORIZATION_FAILED]
    assert await add(ready, identity, topic="__consumer_offsets", version=5) == [0]
    assert (await ask(ready, 24, 5, m.AddPartitionsToTxnRequest())).error_code == E.INVALID_REQUEST


async def test_verifying_adds_nothing(ready: Node) -> None:
    identity = await init(ready)
    assert await add(ready, identity, 0, version=4, verify_only=True) == [E.TRANSACTION_ABORTABLE]
    await add(ready, identity, 0)
    assert await add(ready, identity, 0, 1, version=4, verify_only=True) == [0, E.TRANSACTION_ABORTABLE]


async def test_offsets_of_a_group(ready: Node) -> None:
    identity = await init(ready)
    answer = await ask(ready, 25, 3, m.AddOffsetsToTxnRequest(group_id="g", **who(identity)))
    assert answer.error_code == 0
    open_one = await settled(ready, "x", "Ongoing")
    assert [(topic.topic, topic.partitions) for topic in open_one.topics] == [("__consumer_offsets", [0])]


@pytest.mark.parametrize("version", range(6))
async def test_timeouts_and_empty_ids(ready: Node, version: int) -> None:
    assert (await init(ready, version=version, transaction_timeout_ms=900_001)).error_code == 50
    assert (await init(ready, version=version, transaction_timeout_ms=0)).error_code == 50
    assert (await init(ready, "", version=version)).error_code == E.INVALID_REQUEST


async def test_rights(new_node: Callable[..., Node]) -> None:
    """Trap 21: 53 for the transactional id, 30 for the group, 29 for the topic, 31 for the cluster."""
    node = await with_topic(new_node(authorizer=Denying((Operation.WRITE, TXN, "x"), (Operation.DESCRIBE, TXN, "x"))))
    nobody = m.InitProducerIdResponse(producer_id=1, producer_epoch=0)
    assert (await init(node)).error_code == 53
    assert (await end(node, nobody)).error_code == 53
    assert await add(node, nobody) == [53]
    assert (await ask(node, 25, 3, m.AddOffsetsToTxnRequest(group_id="g", **who(nobody)))).error_code == 53
    described = await ask(node, 65, 0, m.DescribeTransactionsRequest(transactional_ids=["x"]))
    assert described.transaction_states[0].error_code == 53
    node = await with_topic(
        new_node(
            authorizer=Denying(
                (Operation.READ, ResourceType.GROUP, "g"),
                (Operation.WRITE, ResourceType.TOPIC, "t"),
                (Operation.CLUSTER_ACTION, ResourceType.CLUSTER, "kafka-cluster"),
                (Operation.ALTER, ResourceType.CLUSTER, "kafka-cluster"),
            )
        )
    )
    identity = await init(node)
    assert await add(node, identity) == [29]
    assert (await ask(node, 25, 3, m.AddOffsetsToTxnRequest(group_id="g", **who(identity)))).error_code == 30
    assert await add(node, identity, version=4) == [31]
    marker = m.WritableTxnMarker(topics=[m.WritableTxnMarkerTopic(name="t", partition_indexes=[0])])
    written = await ask(node, 27, 2, m.WriteTxnMarkersRequest(markers=[marker]))
    assert written.markers[0].topics[0].partitions[0].error_code == 31
    update = m.FeatureUpdateKey(feature="transaction.version", max_version_level=1, upgrade_type=2)
    assert (await ask(node, 57, 1, m.UpdateFeaturesRequest(feature_updates=[update]))).error_code == 31


async def test_an_admin_writes_markers(ready: Node) -> None:
    topics = [m.WritableTxnMarkerTopic(name=name, partition_indexes=[0, 7]) for name in ("t", "missing")]
    marker = m.WritableTxnMarker(producer_id=5, producer_epoch=2, topics=topics, coordinator_epoch=3)
    answer = await ask(ready, 27, 1, m.WriteTxnMarkersRequest(markers=[marker]))
    codes = [[one.error_code for one in topic.partitions] for topic in answer.markers[0].topics]
    assert codes == [[0, 3], [3, 3]]
    assert ready.plane.markers == [(T0, 5, 2, 3, False)]


async def test_markers_of_group_partitions_are_refused_before_they_are_tried(ready: Node) -> None:
    tp = TopicPartition("__consumer_offsets", 0)
    ready.plane.logs[tp].producers.append(ProducerInfo(5, 2, 0, 0, coordinator_epoch=3))
    topics = [m.WritableTxnMarkerTopic(name=tp.topic, partition_indexes=[0, 7])]
    for epoch, coordinator_epoch, code in ((1, 9, 47), (2, 2, 52), (2, 3, 0), (9, 9, 0)):
        before = len(ready.plane.markers)
        fields = {"producer_epoch": epoch, "coordinator_epoch": coordinator_epoch, "topics": topics}
        answer = await ask(
            ready, 27, 1, m.WriteTxnMarkersRequest(markers=[m.WritableTxnMarker(producer_id=5, **fields)])
        )
        assert [one.error_code for one in answer.markers[0].topics[0].partitions] == [code, 3]
        assert len(ready.plane.markers) - before == (code == 0)


async def names(node: Node, version: int = 2, **fields: Any) -> set[str] | int:
    answer = await ask(node, 66, version, m.ListTransactionsRequest(**fields))
    return answer.error_code or {one.transactional_id for one in answer.transaction_states}


async def test_listing(ready: Node) -> None:
    assert await names(ready) == set()
    first = await init(ready)
    await init(ready, "other-1")
    await add(ready, first)
    assert await names(ready) == {"x", "other-1"}
    assert await names(ready, state_filters=["Ongoing"]) == {"x"}
    assert await names(ready, producer_id_filters=[first.producer_id]) == {"x"}
    assert await names(ready, transactional_id_pattern="other-.*") == {"other-1"}
    assert await names(ready, transactional_id_pattern="other") == set()
    assert await names(ready, transactional_id_pattern="(") == E.INVALID_REGULAR_EXPRESSION
    assert await names(ready, transactional_id_pattern="(a+)+$" * 20) == set()
    assert await names(ready, duration_filter=100_000, state_filters=["Ongoing"]) == set()
    answer = await ask(ready, 66, 0, m.ListTransactionsRequest(state_filters=["Ongoing", "Busy"]))
    assert answer.unknown_state_filters == ["Busy"]


def produce(version: int, *partitions: tuple[int, bytes], name: str | None = "x", topic_id: bytes = bytes(16)) -> Any:
    data = [m.PartitionProduceData(index=index, records=batch) for index, batch in partitions]
    topic = m.TopicProduceData(topic_id=topic_id) if version >= 13 else m.TopicProduceData(name="t")
    topic.partition_data = data
    return m.ProduceRequest(transactional_id=name, acks=-1, timeout_ms=1000, topic_data=[topic])


def batch(identity: Any, epoch: int | None = None, producer_id: int | None = None) -> bytes:
    return build(
        [Record(0, 1_700_000_000_000, b"k", b"v")],
        producer_id=identity.producer_id if producer_id is None else producer_id,
        producer_epoch=identity.producer_epoch if epoch is None else epoch,
        base_sequence=0,
        attributes=TRANSACTIONAL,
    )


async def write(node: Node, version: int, request: Any) -> tuple[list[int], list[bytes | None]]:
    """(errors of a whole refusal, the batches that went back to the plane)."""
    token = node.post(0, version, request)
    for _ in range(400):
        await node.settle()
        if token in node.plane.replies:
            answer = node.answer(0, version, token)
            return [one.error_code for topic in answer.responses for one in topic.partition_responses], []
        if token in node.plane.resubmitted:
            frame = node.plane.resubmitted[token]
            if frame is None:
                return [], []
            body = decode_request(0, version, frame, parse_request_header(frame).body_offset)
            return [], [data.records for topic in body.topic_data for data in topic.partition_data]
        await asyncio.sleep(0.001)
    raise AssertionError("no outcome")


@needs_tv2
async def test_a_produce_of_tv2_makes_its_partition_part_of_the_transaction(ready: Node) -> None:
    identity = await init(ready)
    topic_id = ready.quorum.image.topics["t"].topic_id
    for version, index in ((12, 0), (13, 2)):
        request = produce(version, (index, batch(identity)), topic_id=topic_id)
        assert await write(ready, version, request) == ([], [])
    assert ready.plane.verified == [(TopicPartition("t", index), identity.producer_id, 0) for index in (0, 2)]
    assert (await settled(ready, "x", "Ongoing")).topics[0].partitions == [0, 2]


@pytest.mark.parametrize(("version", "code"), [(3, 48), (9, 48), (10, 48), (11, 120)])
async def test_an_older_produce_must_have_added_its_partition(ready: Node, version: int, code: int) -> None:
    identity = await init(ready)
    assert await write(ready, version, produce(version, (0, batch(identity)))) == ([code], [])
    await add(ready, identity, 0)
    ready.plane.verified.clear()
    assert await write(ready, version, produce(version, (0, batch(identity)))) == ([], [])
    assert ready.plane.verified == [(T0, identity.producer_id, 0)]


async def test_a_producer_that_adds_a_partition_need_not_be_asked_about(ready: Node) -> None:
    identity = await init(ready)
    assert await add(ready, identity, 0, 1) == [0, 0]
    assert ready.plane.verified == [(tp, identity.producer_id, 0) for tp in (T0, T1)]
    ready.plane.verified.clear()
    assert await add(ready, identity, 0, version=4) == [0]  # a broker asks for somebody else
    assert await add(ready, identity, 0, 7) == [55, 3]
    assert await add(ready, await init(ready, "y"), 0, transactional_id="x") == [49]
    assert ready.plane.verified == []


@pytest.mark.parametrize("version", [9, 11, pytest.param(12, marks=needs_tv2)])
async def test_produces_that_are_refused(ready: Node, version: int) -> None:
    identity = await init(ready)
    await init(ready)
    assert await write(ready, version, produce(version, (0, batch(identity)))) == ([47], [])
    assert await write(ready, version, produce(version, (0, batch(identity, producer_id=99)))) == ([49], [])
    assert await write(ready, version, produce(version, (0, batch(identity)), name=None)) == ([53], [])
    two = produce(version, (0, batch(identity)), (1, batch(identity, producer_id=99)))
    assert await write(ready, version, two) == ([49, 49], [])
    assert ready.plane.verified == []


@needs_tv2
async def test_while_the_last_transaction_is_ending(ready: Node) -> None:
    identity = await init(ready)
    await add(ready, identity)
    ready.plane.failed_markers[T0] = E.NOT_LEADER_OR_FOLLOWER
    ended = await end(ready, identity, version=3)
    assert ended.error_code == 0
    assert await write(ready, 11, produce(11, (0, batch(identity)))) == ([19], [])
    assert await write(ready, 12, produce(12, (0, batch(identity)))) == ([51], [])


async def test_one_bad_partition_of_a_produce(ready: Node) -> None:
    identity = await init(ready)
    await add(ready, identity, 0)
    good, bad = batch(identity), batch(identity)
    codes, batches = await write(ready, 11, produce(11, (0, good), (1, bad)))
    assert codes == []
    assert batches == [good, (120).to_bytes(2, "big")]


async def test_features_go_up_and_down(ready: Node) -> None:
    def finalized() -> int:
        return ready.quorum.image.features.get("transaction.version", 0)

    async def update(version: int, *features: tuple[str, int, int], validate_only: bool = False) -> Any:
        updates = [
            m.FeatureUpdateKey(
                feature=name,
                max_version_level=level,
                **({"upgrade_type": kind} if version else {"allow_downgrade": kind > 1}),
            )
            for name, level, kind in features
        ]
        extra = {"validate_only": validate_only} if version else {}
        return await ask(ready, 57, version, m.UpdateFeaturesRequest(feature_updates=updates, **extra))

    name = "transaction.version"
    await update(1, (name, 2, 1))
    assert finalized() == 2
    assert (await update(1, (name, 1, 1))).error_code == 95
    assert (await update(2, (name, 1, 1))).error_code == 95
    assert (await update(2, (name, 3, 1))).error_code == 95
    assert (await update(2, ("nonsense", 1, 1))).error_code == 95
    assert (await update(2, (name, 1, 0))).error_code == 95
    assert (await update(2, (name, -1, 2))).error_code == 95
    assert (await update(2, (name, 1, 2), validate_only=True)).error_code == 0
    assert finalized() == 2
    refused = await update(1, (name, 1, 2), ("nonsense", 1, 1))
    assert (refused.error_code, refused.results) == (95, [])
    assert "Invalid update version 1 for feature nonsense" in refused.error_message
    assert finalized() == 2, "all or nothing"
    assert [one.feature for one in (await update(0, (name, 1, 2))).results] == [name]
    assert finalized() == 1
    assert (await update(2, (name, 2, 2))).error_code == 95
    assert (await update(2, (name, 0, 3))).error_code == 0
    assert finalized() == 0
    assert (await update(2, (name, 2, 1))).error_code == 0
    assert finalized() == 2
