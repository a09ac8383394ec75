"""The image: replay, deltas, snapshots, epoch floors."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyralog.cluster import image as image_module
from pyralog.cluster.image import EMPTY, ClusterImage, ImageBuilder, replay, replay_batch
from pyralog.cluster.records import (
    BrokerRecord,
    ClusterRecord,
    ConfigRecord,
    EpochFloorRecord,
    FeatureLevelRecord,
    LeadershipRecord,
    PartitionChangeRecord,
    PartitionRecord,
    ProducerIdsRecord,
    Record,
    RemoveTopicRecord,
    TopicRecord,
    decode,
    encode,
)
from pyralog.cluster.snapshot import snapshot_records
from pyralog.model import PartitionRegistration


def uuid(number: int) -> bytes:
    return number.to_bytes(16, "big")


def topic(name: str, number: int, partitions: int = 1, epoch: int = 0) -> list[Record]:
    made: list[Record] = [TopicRecord(name, uuid(number))]
    made += [PartitionRecord(uuid(number), p, (1,), (1,), 1, epoch) for p in range(partitions)]
    return made


def after(*records: Record, image: ClusterImage = EMPTY) -> ClusterImage:
    return replay_batch(image, records, offset=image.offset + len(records), epoch=1, controller_id=1)[0]


BROKER = BrokerRecord(1, 0, uuid(100), uuid(101), "localhost", 9092)


def test_topics_are_found_by_name_and_id() -> None:
    image = after(*topic("a", 1, partitions=2))
    assert image.topics["a"].partitions == (PartitionRegistration((1,), (1,), 1, 0, 0),) * 2
    found = image.topic_by_id(uuid(1))
    assert found is image.topics["a"]
    assert image.topic_by_id(uuid(2)) is None
    assert image.partition("a", 1) is not None
    assert image.partition("a", 2) is None
    assert image.partition("a", -1) is None
    assert image.partition("b", 0) is None
    assert image.partition_count == 2


def test_images_are_immutable() -> None:
    image = after(*topic("a", 1), ConfigRecord(2, "a", "k", "v"))
    with pytest.raises(TypeError):
        image.topics["b"] = image.topics["a"]  # type: ignore[index]
    with pytest.raises(TypeError):
        image.configs[(2, "a")]["k"] = "w"  # type: ignore[index]
    later = after(ConfigRecord(2, "a", "k", "w"), *topic("b", 2), image=image)
    assert image.config(2, "a") == {"k": "v"}
    assert later.config(2, "a") == {"k": "w"}
    assert "b" not in image.topics


def test_registration_gives_new_leader_epochs() -> None:
    image = after(BROKER, *topic("a", 1, partitions=2), PartitionChangeRecord(uuid(1), 1, 2, 4, (2,), (1, 2)))
    image = after(LeadershipRecord(1), image=image)
    assert image.partition("a", 0) == PartitionRegistration((1,), (1,), 1, 1, 1)
    assert image.partition("a", 1) == PartitionRegistration((1, 2), (2,), 2, 4, 1)


def test_trap_5_epochs_of_a_recreated_name_start_above_the_old_ones() -> None:
    image = after(*topic("a", 1, partitions=2), LeadershipRecord(1), LeadershipRecord(1))
    assert image.first_leader_epoch("a") == 0
    image = after(RemoveTopicRecord(uuid(1)), image=image)
    assert image.first_leader_epoch("a") == 3
    assert image.first_leader_epoch("b") == 0
    image = after(*topic("a", 2, epoch=3), image=image)
    # The floor stays: a partition that is added later must not fall below what its number once had.
    assert image.first_leader_epoch("a") == 3
    image = after(RemoveTopicRecord(uuid(2)), image=image)
    assert image.first_leader_epoch("a") == 4


def test_floors_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_module, "MAX_EPOCH_FLOORS", 4)
    image = EMPTY
    for number in range(10):
        image = after(*topic(f"t{number}", number, epoch=number), RemoveTopicRecord(uuid(number)), image=image)
    assert len(image.epoch_floors) <= 4
    for number in range(10):
        assert image.first_leader_epoch(f"t{number}") > number
    assert after(*snapshot_records(image), image=EMPTY).epoch_floors == image.epoch_floors


def test_deleting_a_topic_deletes_its_configuration() -> None:
    image = after(*topic("a", 1), ConfigRecord(2, "a", "k", "v"), ConfigRecord(4, "", "k", "v"))
    image = after(RemoveTopicRecord(uuid(1)), image=image)
    assert dict(image.configs) == {(4, ""): {"k": "v"}}
    assert image.partition_count == 0
    # Within one batch too.
    image = after(*topic("a", 1), ConfigRecord(2, "a", "k", "v"), RemoveTopicRecord(uuid(1)))
    assert not image.configs


def test_configuration_values_come_and_go() -> None:
    image = after(ConfigRecord(4, "1", "a", "1"), ConfigRecord(4, "1", "b", "2"))
    image = after(ConfigRecord(4, "1", "a", None), image=image)
    assert image.config(4, "1") == {"b": "2"}
    image = after(ConfigRecord(4, "1", "b", None), image=image)
    assert (4, "1") not in image.configs


def test_features_and_producer_ids() -> None:
    image = after(FeatureLevelRecord("x", 2), FeatureLevelRecord("y", 1), ProducerIdsRecord(1, 0, 1000))
    image = after(FeatureLevelRecord("x", 0), ProducerIdsRecord(1, 0, 500), image=image)
    assert image.features == {"x": 0, "y": 1}
    assert image.next_producer_id == 1000


@pytest.mark.parametrize(
    "records",
    [
        [PartitionRecord(uuid(9), 0, (1,), (1,), 1, 0)],
        [*topic("a", 1), *topic("a", 2)],
        [*topic("a", 1), *topic("b", 1)],
        [TopicRecord("a", uuid(1)), PartitionRecord(uuid(1), 1, (1,), (1,), 1, 0)],
        [RemoveTopicRecord(uuid(1))],
        [ClusterRecord("one"), ClusterRecord("two")],
    ],
)
def test_records_that_do_not_fit_are_refused(records: list[Record]) -> None:
    with pytest.raises(AssertionError):
        after(*records)


def test_delta_names_what_changed() -> None:
    first, delta = replay_batch(EMPTY, [*topic("a", 1), *topic("b", 2)], offset=3, epoch=1, controller_id=1)
    assert [t.name for t in delta.created] == ["a", "b"]
    assert not list(delta.deleted)
    second, delta = replay_batch(
        first,
        [RemoveTopicRecord(uuid(1)), PartitionRecord(uuid(2), 1, (1,), (1,), 1, 0), ConfigRecord(2, "b", "k", "v")],
        offset=6,
        epoch=1,
        controller_id=1,
    )
    assert [t.name for t in delta.deleted] == ["a"]
    assert [(a.name, len(a.partitions), len(b.partitions)) for a, b in delta.changed] == [("b", 1, 2)]
    assert delta.configs == {(2, "b")}
    assert second.offset == 6


def test_a_topic_that_came_and_went_is_in_no_delta() -> None:
    _, delta = replay_batch(EMPTY, [*topic("a", 1), RemoveTopicRecord(uuid(1))], offset=2, epoch=1, controller_id=1)
    assert not delta.topics
    _, first = replay_batch(EMPTY, topic("a", 1), offset=1, epoch=1, controller_id=1)
    image = after(*topic("a", 1))
    _, second = replay_batch(image, [RemoveTopicRecord(uuid(1))], offset=2, epoch=1, controller_id=1)
    assert not first.merged(second).topics


KINDS = ("create", "delete", "grow", "change", "config", "broker", "lead", "ids", "feature", "floor")


@st.composite
def histories(draw: st.DrawFn) -> list[list[Record]]:
    """Batches of records that a controller could have written."""
    batches: list[list[Record]] = []
    alive: dict[int, int] = {}  # topic number -> partitions
    names: dict[str, int] = {}
    number = 0
    for _ in range(draw(st.integers(0, 12))):
        batch: list[Record] = []
        for _ in range(draw(st.integers(1, 4))):
            kind = draw(st.sampled_from(KINDS))
            name = draw(st.sampled_from("abcd"))
            if kind == "create" and name not in names:
                number += 1
                count = draw(st.integers(1, 3))
                batch += topic(name, number, count, draw(st.integers(0, 5)))
                alive[number], names[name] = count, number
            elif kind == "delete" and name in names:
                batch.append(RemoveTopicRecord(uuid(names[name])))
                del alive[names.pop(name)]
            elif kind == "grow" and name in names:
                owner = names[name]
                batch.append(PartitionRecord(uuid(owner), alive[owner], (1, 2), (1,), 1, 7))
                alive[owner] += 1
            elif kind == "change" and name in names:
                batch.append(PartitionChangeRecord(uuid(names[name]), 0, 2, 9, (2,), (2, 1)))
            elif kind == "config":
                value = draw(st.none() | st.text("vw", max_size=3))
                batch.append(ConfigRecord(draw(st.sampled_from((2, 4))), name, draw(st.sampled_from("xy")), value))
            elif kind == "broker":
                batch.append(BrokerRecord(draw(st.integers(1, 2)), 5, uuid(100), uuid(101), "h", 9092, fenced=True))
            elif kind == "lead":
                batch.append(LeadershipRecord(draw(st.integers(1, 2))))
            elif kind == "ids":
                batch.append(ProducerIdsRecord(1, 0, draw(st.integers(0, 5000))))
            elif kind == "feature":
                batch.append(FeatureLevelRecord(name, draw(st.integers(0, 2))))
            elif kind == "floor":
                batch.append(EpochFloorRecord(draw(st.sampled_from(("", "a"))), draw(st.integers(0, 9))))
        if batch:
            batches.append(batch)
    return batches


def state_of(image: ClusterImage) -> object:
    """Everything in an image but the position in the log."""
    return [getattr(image, name) for name in image._fields if name not in ("offset", "epoch", "controller_id")]


@settings(max_examples=200, deadline=None)
@given(histories())
def test_replay_by_record_by_batch_and_from_a_snapshot_is_the_same(batches: list[list[Record]]) -> None:
    by_batch = by_record = EMPTY
    for batch in batches:
        before = by_batch
        by_batch = after(*batch, image=by_batch)
        for record in batch:
            by_record = replay(by_record, decode(encode(record)))
        assert before.offset < by_batch.offset
    assert state_of(by_record) == state_of(by_batch)
    restored = ImageBuilder(EMPTY)
    for record in snapshot_records(by_batch):
        restored.apply(decode(encode(record)))
    assert state_of(restored.freeze()[0]) == state_of(by_batch)


@settings(max_examples=200, deadline=None)
@given(histories())
def test_merged_deltas_are_the_difference_of_the_images(batches: list[list[Record]]) -> None:
    image = EMPTY
    merged = image_module.NO_DELTA
    for batch in batches:
        image, delta = replay_batch(image, batch, offset=image.offset + len(batch), epoch=1, controller_id=1)
        merged = merged.merged(delta)
    assert {t.topic_id: t for t in merged.created} == {t.topic_id: t for t in image.topics.values()}
    assert not list(merged.deleted)
    assert {key for key in merged.configs if key in image.configs} == set(image.configs)
    assert set(image.brokers) == merged.brokers
    assert set(image.features) <= merged.features
