"""The controller's rules for topics (traps 5, 20 and section 7 of the compatibility notes)."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest

from pyralog.cluster.controller import Controller, ControllerSettings
from pyralog.cluster.controller_topics import name_error, new_topic_id
from pyralog.cluster.image import EMPTY, ClusterImage, replay_batch
from pyralog.cluster.records import BrokerRecord, ConfigRecord, LeadershipRecord, PartitionRecord, Record, TopicRecord
from pyralog.cluster.requests import (
    CreatedTopic,
    CreatePartitions,
    CreatePartitionsReply,
    CreateTopics,
    CreateTopicsReply,
    DeletedTopic,
    DeleteTopics,
    DeleteTopicsReply,
    MorePartitions,
    NewTopic,
    Request,
    TopicRef,
    TopicResult,
)
from pyralog.errors import ErrorCode, KafkaError
from pyralog.model import uuid_text


class Rules:
    """Two configurations: retention.ms, a number; cleanup.policy, a list."""

    def validate(self, image: object, resource_type: int, resource_name: str, values: Mapping[str, str]) -> None:
        for name, value in values.items():
            if name not in ("retention.ms", "cleanup.policy"):
                raise KafkaError(ErrorCode.INVALID_CONFIG, f"Unknown topic config name: {name}")
            if name == "retention.ms" and not value.lstrip("-").isdigit():
                raise KafkaError(ErrorCode.INVALID_CONFIG, f"Invalid value {value} for configuration {name}")

    def list_default(self, image: object, resource_type: int, name: str) -> str | None:
        return "delete" if name == "cleanup.policy" else None


def brokers(*ids: int, fenced: tuple[int, ...] = ()) -> ClusterImage:
    records = [BrokerRecord(i, 0, bytes(16), bytes(16), f"host{i}", 9092, fenced=i in fenced) for i in ids]
    return replay_batch(EMPTY, records, offset=len(records) - 1, epoch=1, controller_id=1)[0]


class Cluster:
    """An image and a controller that extends it."""

    def __init__(self, *ids: int, settings: ControllerSettings | None = None, fenced: tuple[int, ...] = ()) -> None:
        self.image = brokers(*(ids or (1,)), fenced=fenced)
        self.controller = Controller(settings or ControllerSettings(), Rules(), random.Random(4).randbytes)
        self.records: tuple[Record, ...] = ()

    def submit(self, request: Request) -> object:
        outcome = self.controller.handle(self.image, request)
        self.records = outcome.records
        if outcome.records:
            self.image, _ = replay_batch(
                self.image,
                outcome.records,
                offset=self.image.offset + len(outcome.records),
                epoch=1,
                controller_id=1,
            )
        return outcome.reply

    def create(self, *topics: NewTopic, validate_only: bool = False) -> tuple[CreatedTopic, ...]:
        reply = self.submit(CreateTopics(topics, validate_only))
        assert isinstance(reply, CreateTopicsReply)
        return reply.topics

    def create_one(self, topic: NewTopic) -> CreatedTopic:
        (result,) = self.create(topic)
        return result

    def delete(self, *topics: TopicRef) -> tuple[DeletedTopic, ...]:
        reply = self.submit(DeleteTopics(topics))
        assert isinstance(reply, DeleteTopicsReply)
        return reply.topics

    def grow(self, *topics: MorePartitions, validate_only: bool = False) -> tuple[TopicResult, ...]:
        reply = self.submit(CreatePartitions(topics, validate_only))
        assert isinstance(reply, CreatePartitionsReply)
        return reply.topics


def test_counts_of_minus_one_take_the_defaults() -> None:
    cluster = Cluster(1, 2, 3, settings=ControllerSettings(num_partitions=4, default_replication_factor=2))
    made = cluster.create_one(NewTopic("a"))
    assert (made.error, made.partitions, made.replication_factor) == (ErrorCode.NONE, 4, 2)
    partitions = cluster.image.topics["a"].partitions
    assert [p.replicas for p in partitions] == [(1, 2), (2, 3), (3, 1), (1, 2)]
    assert [p.leader for p in partitions] == [1, 2, 3, 1]
    assert made.topic_id == cluster.image.topics["a"].topic_id


def test_validate_only_changes_nothing_and_says_the_same() -> None:
    cluster = Cluster()
    (made,) = cluster.create(NewTopic("a", 3, 1, configs=(("retention.ms", "5"),)), validate_only=True)
    assert (made.error, made.partitions, dict(made.configs)) == (ErrorCode.NONE, 3, {"retention.ms": "5"})
    assert cluster.records == ()
    assert not cluster.image.topics


@pytest.mark.parametrize(
    ("topic", "code", "text"),
    [
        (NewTopic("a", 0), 37, "non-positive"),
        (NewTopic("a", -2), 37, "non-positive"),
        (NewTopic("a", 1, 0), 38, "larger than 0"),
        (NewTopic("a", 1, -2), 38, "larger than 0"),
        (NewTopic("a", 1, 2), 38, "only 1 broker"),
        (NewTopic("a", 2**31 - 1), 44, "Excessively large"),
        (NewTopic("a", 1, -1, ((0, (1,)),)), 42, "numPartitions"),
        (NewTopic("a", -1, 1, ((0, (1,)),)), 42, "replication factor"),
        (NewTopic("a", assignments=((0, ()),)), 39, "empty replica list"),
        (NewTopic("a", assignments=((0, (9,)),)), 39, "no such broker"),
        (NewTopic("a", assignments=((0, (1, 1)),)), 39, "more than once"),
        (NewTopic("a", assignments=((1, (1,)),)), 39, "0-based"),
        (NewTopic("a", assignments=((0, (1,)), (0, (1,)))), 39, "multiple"),
        (NewTopic("a", configs=(("nonsense", "1"),)), 40, "Unknown topic config name: nonsense"),
        (NewTopic("a", configs=(("retention.ms", "x"),)), 40, "Invalid value x"),
        (NewTopic("a", configs=(("retention.ms", None),)), 40, "Null value"),
        (NewTopic(""), 17, "empty string"),
        (NewTopic("."), 17, "not allowed"),
        (NewTopic(".."), 17, "not allowed"),
        (NewTopic("x" * 250), 17, "longer than"),
        (NewTopic("a/b"), 17, "other than ASCII"),
        (NewTopic("tür"), 17, "other than ASCII"),
        (NewTopic("__cluster_metadata"), 42, "prohibited"),
    ],
)
def test_trap_20_what_is_refused(topic: NewTopic, code: int, text: str) -> None:
    cluster = Cluster()
    result = cluster.create_one(topic)
    assert result.error == code
    assert text in (result.message or "")
    assert cluster.records == ()


def test_one_bad_topic_does_not_hold_up_the_others() -> None:
    cluster = Cluster()
    results = cluster.create(NewTopic("a", 0), NewTopic("b", 1), NewTopic("c", 1, 7))
    assert [(t.name, int(t.error)) for t in results] == [("a", 37), ("b", 0), ("c", 38)]
    assert set(cluster.image.topics) == {"b"}


def test_a_name_twice_is_refused_for_that_name_alone() -> None:
    cluster = Cluster()
    results = cluster.create(NewTopic("a"), NewTopic("b"), NewTopic("a", 3))
    assert [(t.name, int(t.error)) for t in results] == [("a", 42), ("b", 0)]


def test_existing_and_colliding_names() -> None:
    cluster = Cluster()
    cluster.create(NewTopic("a.b"))
    assert cluster.create_one(NewTopic("a.b")).error == ErrorCode.TOPIC_ALREADY_EXISTS
    collision = cluster.create_one(NewTopic("a_b"))
    assert collision.error == ErrorCode.INVALID_TOPIC_EXCEPTION
    assert collision.message == "Topic 'a_b' collides with existing topic: a.b"
    assert cluster.create_one(NewTopic("a-b")).error == ErrorCode.NONE
    results = cluster.create(NewTopic("x.y"), NewTopic("x_y"))
    assert [int(t.error) for t in results] == [0, 17]


def test_the_longest_name_is_legal() -> None:
    assert name_error("x" * 249) is None
    assert name_error("A-z_0.9") is None


def test_manual_assignments() -> None:
    cluster = Cluster(1, 2, 3, fenced=(3,))
    made = cluster.create_one(NewTopic("a", assignments=((1, (2, 1)), (0, (3, 1)))))
    assert (made.error, made.partitions, made.replication_factor) == (ErrorCode.NONE, 2, 2)
    first, second = cluster.image.topics["a"].partitions
    assert (first.replicas, first.isr, first.leader) == ((3, 1), (1,), 1)
    assert (second.replicas, second.isr, second.leader) == ((2, 1), (2, 1), 2)
    uneven = cluster.create_one(NewTopic("b", assignments=((0, (1,)), (1, (1, 2)))))
    assert uneven.error == ErrorCode.INVALID_REPLICA_ASSIGNMENT
    all_fenced = cluster.create_one(NewTopic("c", assignments=((0, (3,)),)))
    assert all_fenced.error == ErrorCode.INVALID_REPLICA_ASSIGNMENT


def test_the_limit_holds_for_the_whole_request() -> None:
    cluster = Cluster()
    results = cluster.create(NewTopic("a", 6000), NewTopic("b", 6000))
    assert [int(t.error) for t in results] == [44, 44]
    assert cluster.create_one(NewTopic("a", 10_000)).partitions == 10_000


def test_configurations_become_records() -> None:
    cluster = Cluster()
    cluster.create(NewTopic("a", configs=(("retention.ms", "1"), ("retention.ms", "2"))))
    assert [r for r in cluster.records if isinstance(r, ConfigRecord)] == [ConfigRecord(2, "a", "retention.ms", "2")]


def test_trap_4_ids_are_random_unique_and_never_begin_with_a_dash() -> None:
    image = brokers(1)
    source = random.Random(1)
    ids = {new_topic_id(image, source.randbytes) for _ in range(500)}
    assert len(ids) == 500
    assert not any(uuid_text(i).startswith("-") for i in ids)
    taken = source.randbytes(16)
    fixed = bytearray(taken)
    fixed[0] &= 0x7F
    fixed[6] = fixed[6] & 0x0F | 0x40
    fixed[8] = fixed[8] & 0x3F | 0x80
    image = replay_batch(image, [TopicRecord("t", bytes(fixed))], offset=2, epoch=1, controller_id=1)[0]
    draws = iter((bytes(fixed), bytes(range(16))))
    assert new_topic_id(image, lambda _: next(draws)) != bytes(fixed)


def test_trap_5_a_recreated_topic_has_a_new_id_and_higher_epochs() -> None:
    cluster = Cluster()
    first = cluster.create_one(NewTopic("a", 2))
    cluster.image = replay_batch(cluster.image, [LeadershipRecord(1)], offset=9, epoch=1, controller_id=1)[0]
    cluster.delete(TopicRef("a"))
    second = cluster.create_one(NewTopic("a", 1))
    assert second.topic_id != first.topic_id
    assert [p.leader_epoch for p in cluster.image.topics["a"].partitions] == [2]
    cluster.grow(MorePartitions("a", 3))
    assert [p.leader_epoch for p in cluster.image.topics["a"].partitions] == [2, 2, 2]


def test_delete_by_name_and_by_id() -> None:
    cluster = Cluster()
    made = cluster.create(NewTopic("a"), NewTopic("b"), NewTopic("c"))
    results = cluster.delete(TopicRef("a"), TopicRef(None, made[1].topic_id), TopicRef("zz"), TopicRef(None, b"9" * 16))
    assert [(t.name, int(t.error)) for t in results] == [("a", 0), ("b", 0), ("zz", 3), (None, 100)]
    assert results[0].topic_id == made[0].topic_id
    assert set(cluster.image.topics) == {"c"}


def test_delete_twice_both_or_neither_is_an_invalid_request() -> None:
    cluster = Cluster()
    (made,) = cluster.create(NewTopic("a"))
    assert [int(t.error) for t in cluster.delete(TopicRef("a"), TopicRef("a"))] == [42]
    assert [int(t.error) for t in cluster.delete(TopicRef("a"), TopicRef(None, made.topic_id))] == [42]
    assert [int(t.error) for t in cluster.delete(TopicRef("a", made.topic_id))] == [42]
    assert [int(t.error) for t in cluster.delete(TopicRef())] == [42]
    assert set(cluster.image.topics) == {"a"}


def test_delete_when_disabled() -> None:
    cluster = Cluster(settings=ControllerSettings(delete_topic_enable=False))
    cluster.create(NewTopic("a"))
    assert [int(t.error) for t in cluster.delete(TopicRef("a"))] == [73]
    assert set(cluster.image.topics) == {"a"}


def test_more_partitions() -> None:
    cluster = Cluster(1, 2)
    cluster.create(NewTopic("a", 1, 2))
    assert cluster.grow(MorePartitions("a", 3)) == (TopicResult("a"),)
    assert [p.replicas for p in cluster.image.topics["a"].partitions] == [(1, 2), (2, 1), (1, 2)]
    assert [r.partition for r in cluster.records if isinstance(r, PartitionRecord)] == [1, 2]
    assert cluster.grow(MorePartitions("a", 5, ((2, 1), (1, 2)))) == (TopicResult("a"),)
    assert cluster.image.topics["a"].partitions[3].leader == 2
    cluster.grow(MorePartitions("a", 9), validate_only=True)
    assert len(cluster.image.topics["a"].partitions) == 5


@pytest.mark.parametrize(
    ("wanted", "code", "text"),
    [
        (MorePartitions("zz", 3), 3, ""),
        (MorePartitions("a", 2), 37, "Topic already has 2 partition(s)."),
        (MorePartitions("a", 1), 37, "would not be an increase"),
        (MorePartitions("a", 0), 37, "would not be an increase"),
        (MorePartitions("a", 2**31 - 1), 44, "Excessively"),
        (MorePartitions("a", 3, ()), 39, "only 0 assignment(s)"),
        (MorePartitions("a", 4, ((1,),)), 39, "only 1 assignment(s)"),
        (MorePartitions("a", 3, ((7,),)), 39, "no such broker"),
        (MorePartitions("a", 3, ((1, 1),)), 39, "more than once"),
        (MorePartitions("a", 3, ((),)), 39, "empty replica list"),
    ],
)
def test_more_partitions_refused(wanted: MorePartitions, code: int, text: str) -> None:
    cluster = Cluster()
    cluster.create(NewTopic("a", 2))
    (result,) = cluster.grow(wanted)
    assert result.error == code
    assert text in (result.message or "")
    assert len(cluster.image.topics["a"].partitions) == 2


def test_more_partitions_twice_in_one_request() -> None:
    cluster = Cluster()
    cluster.create(NewTopic("a"), NewTopic("b"))
    results = cluster.grow(MorePartitions("a", 2), MorePartitions("b", 2), MorePartitions("a", 3))
    assert [(t.name, int(t.error)) for t in results] == [("a", 42), ("b", 0)]
