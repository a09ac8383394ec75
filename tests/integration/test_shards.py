"""Shards of the coordinators are there for everybody: what one client asks for in vain does not take them away."""

from __future__ import annotations

from typing import Any

import pytest

from pyralog.coordinator.partitioner import partition_for
from pyralog.wire import messages as m
from tests.integration.conftest import create_topic, make_broker, until
from tests.integration.wire_client import WireClient
from tests.reference.process import Broker

pytestmark = pytest.mark.pyralog_only

GROUP, TOPIC, OFFSETS, TRANSACTIONS = "readers", "orders", "__consumer_offsets", "__transaction_state"
STARTS_AGAIN = "starts again from its log"
PARTITION = partition_for(GROUP, 50)


def commit(client: WireClient, offset: int) -> int:
    """The error of a simple consumer's commit."""
    partition = m.OffsetCommitRequestPartition(partition_index=0, committed_offset=offset)
    topic = m.OffsetCommitRequestTopic(name=TOPIC, partitions=[partition])
    answer = client.ask(8, 7, m.OffsetCommitRequest(group_id=GROUP, topics=[topic]))
    return int(answer.topics[0].partitions[0].error_code)


def committed(client: WireClient) -> tuple[int, int]:
    """The error, and the offset that is committed."""
    topic = m.OffsetFetchRequestTopic(name=TOPIC, partition_indexes=[0])
    answer = client.ask(9, 5, m.OffsetFetchRequest(group_id=GROUP, topics=[topic]))
    if answer.error_code:
        return answer.error_code, -1
    (partition,) = answer.topics[0].partitions
    return partition.error_code, partition.committed_offset


def a_commit(node: Broker) -> None:
    create_topic(node.address, TOPIC)
    with WireClient(node.port) as client:
        until(lambda: commit(client, 5) == 0, "a commit")


def marker(producer_epoch: int, coordinator_epoch: int, *partitions: int) -> Any:
    topic = m.WritableTxnMarkerTopic(name=OFFSETS, partition_indexes=list(partitions or (PARTITION,)))
    return m.WritableTxnMarker(
        producer_id=77, producer_epoch=producer_epoch, coordinator_epoch=coordinator_epoch, topics=[topic]
    )


def codes(client: WireClient, *markers: Any) -> list[list[int]]:
    answer = client.ask(27, 1, m.WriteTxnMarkersRequest(markers=list(markers)))
    return [[one.error_code for one in each.topics[0].partitions] for each in answer.markers]


def test_a_marker_that_is_refused(tmp_path: Any) -> None:
    with make_broker(tmp_path) as node:
        a_commit(node)
        with WireClient(node.port) as client:
            assert codes(client, marker(5, 5)) == [[0]]
            for refused, code in ((marker(4, 9), 47), (marker(5, 4), 52)):
                assert codes(client, refused) == [[code]]
                assert committed(client) == (0, 5)
            # Within one request, too, the first ones say what becomes of the next; other partitions have their own.
            other = (PARTITION + 1) % 50
            many = [marker(6, 6), marker(5, 7), marker(6, 6, PARTITION, other), marker(1, 1, other, 50)]
            assert codes(client, *many) == [[0], [47], [0, 0], [47, 3]]
            assert committed(client) == (0, 5)
            assert commit(client, 6) == 0
        assert STARTS_AGAIN not in node.log_file.read_text()


def test_markers_in_the_log_of_transactions(tmp_path: Any) -> None:
    """Nobody but a broker, or an administrator, can have them written there: the shard counts them as its own."""
    with make_broker(tmp_path) as node, WireClient(node.port) as client:
        request = m.InitProducerIdRequest(
            transactional_id="x", transaction_timeout_ms=60_000, producer_id=-1, producer_epoch=-1
        )
        client.ask(10, 3, m.FindCoordinatorRequest(key="x", key_type=1))
        until(lambda: client.ask(22, 4, request).error_code == 0, "a producer id")
        before = client.ask(22, 4, request)
        topic = m.WritableTxnMarkerTopic(name=TRANSACTIONS, partition_indexes=[partition_for("x", 50)])
        for code, epoch in ((0, 5), (47, 4), (0, 5)):
            one = m.WritableTxnMarker(producer_id=77, producer_epoch=epoch, coordinator_epoch=0, topics=[topic])
            assert codes(client, one) == [[code]]
            after = client.ask(22, 4, request)
            assert (after.error_code, after.producer_epoch) == (0, before.producer_epoch + 1)
            before = after
        assert STARTS_AGAIN not in node.log_file.read_text()
