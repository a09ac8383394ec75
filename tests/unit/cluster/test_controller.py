"""The controller: producer ids and registrations."""

from __future__ import annotations

import random
from collections.abc import Mapping

from pyralog.cluster.controller import MAX_PRODUCER_ID, Controller, ControllerSettings
from pyralog.cluster.image import EMPTY, ClusterImage, replay_batch
from pyralog.cluster.records import PartitionRecord, ProducerIdsRecord, Record, TopicRecord
from pyralog.cluster.requests import (
    AllocateProducerIds,
    AllocateProducerIdsReply,
    RegisterBroker,
    RegisterBrokerReply,
    Reply,
    Request,
)
from pyralog.errors import ErrorCode


class NoRules:
    """Anything goes."""

    def validate(self, image: object, resource_type: int, resource_name: str, values: Mapping[str, str]) -> None:
        pass

    def list_default(self, image: object, resource_type: int, name: str) -> str | None:
        return None


CONTROLLER = Controller(ControllerSettings(), NoRules(), random.Random(1).randbytes)


def step(image: ClusterImage, request: Request) -> tuple[ClusterImage, Reply]:
    outcome = CONTROLLER.handle(image, request)
    return extend(image, *outcome.records), outcome.reply


def extend(image: ClusterImage, *records: Record) -> ClusterImage:
    return replay_batch(image, records, offset=image.offset + len(records), epoch=1, controller_id=1)[0]


def registered() -> ClusterImage:
    return step(EMPTY, RegisterBroker(1, b"i" * 16, b"d" * 16, "localhost", 9092))[0]


def test_a_registration_finalizes_the_features_that_are_served() -> None:
    assert registered().features == {"group.version": 1, "metadata.version": 33, "transaction.version": 2}


def test_blocks_of_producer_ids_never_overlap() -> None:
    image, seen = registered(), set[int]()
    for _ in range(3):
        image, reply = step(image, AllocateProducerIds(1, image.brokers[1].broker_epoch))
        assert isinstance(reply, AllocateProducerIdsReply)
        assert (reply.error, reply.count) == (ErrorCode.NONE, 1000)
        block = set(range(reply.first, reply.first + reply.count))
        assert not block & seen
        seen |= block
    assert image.next_producer_id == 3000


def test_producer_ids_are_for_registered_nodes_only() -> None:
    image = registered()
    for request in (AllocateProducerIds(2, 0), AllocateProducerIds(1, 77)):
        after, reply = step(image, request)
        assert isinstance(reply, AllocateProducerIdsReply)
        assert (reply.error, reply.count) == (ErrorCode.STALE_BROKER_EPOCH, 0)
        assert after == image


def test_producer_ids_end_before_they_overflow() -> None:
    image = extend(registered(), ProducerIdsRecord(1, 0, MAX_PRODUCER_ID - 999))
    _, reply = step(image, AllocateProducerIds(1, image.brokers[1].broker_epoch))
    assert isinstance(reply, AllocateProducerIdsReply)
    assert (reply.error, reply.count) == (ErrorCode.UNKNOWN_SERVER_ERROR, 0)


def test_a_registration_bumps_the_epochs_of_what_the_node_leads_in_the_same_step() -> None:
    image = registered()
    image = extend(
        image,
        TopicRecord("t", b"t" * 16),
        PartitionRecord(b"t" * 16, 0, (1,), (1,), 1, 5),
        PartitionRecord(b"t" * 16, 1, (2,), (2,), 2, 5),
    )
    outcome = CONTROLLER.handle(image, RegisterBroker(1, b"j" * 16, b"d" * 16, "localhost", 9093, "rack"))
    assert isinstance(outcome.reply, RegisterBrokerReply)
    assert len(outcome.records) == 2
    after = extend(image, *outcome.records)
    assert after.brokers[1].broker_epoch == outcome.reply.broker_epoch == image.offset + 1
    assert (after.brokers[1].port, after.brokers[1].rack, after.brokers[1].incarnation) == (9093, "rack", b"j" * 16)
    assert [p.leader_epoch for p in after.topics["t"].partitions] == [6, 5]
