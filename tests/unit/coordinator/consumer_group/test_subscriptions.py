"""What a group consumes: as few steps as there are topics, however many names its members give."""

from __future__ import annotations

import random
from collections import Counter
from uuid import UUID

import pytest

from pyralog.cluster.image import ClusterImage, TopicImage
from pyralog.coordinator.consumer_group.group import ConsumerGroup, Resolved
from pyralog.coordinator.consumer_group.member import Member
from pyralog.coordinator.consumer_group.metadata import existing, metadata_hash
from pyralog.coordinator.consumer_group.subscription import topics_with, topics_without
from pyralog.model import PartitionRegistration

NAMES = [f"t{n}" for n in range(12)]


def image_of(names: list[str]) -> ClusterImage:
    partition = PartitionRegistration((1,), (1,), 1, 0, 0)
    return ClusterImage(topics={n: TopicImage(n, UUID(int=k + 1).bytes, (partition,)) for k, n in enumerate(names)})


@pytest.mark.parametrize("topics", [0, 3, 12])
@pytest.mark.parametrize("named", [0, 3, 100])
def test_names_that_topics_have(topics: int, named: int) -> None:
    wanted = frozenset(f"t{n}" for n in range(2, 2 + named))
    image = image_of(NAMES[:topics])
    assert set(existing(wanted, image)) == {name for name in wanted if name in NAMES[:topics]}


def test_names_of_no_topic_do_not_change_the_hash() -> None:
    image = image_of(NAMES)
    alone = metadata_hash({"t1", "t2"}, image)
    assert alone == metadata_hash({"t1", "t2"} | {f"other-{n}" for n in range(50)}, image)
    assert alone != metadata_hash({"t1"}, image)
    assert metadata_hash({"other"}, image) == 0


def test_a_group_counts_what_its_members_name() -> None:
    rng = random.Random(7)
    group, image = ConsumerGroup("g"), image_of(NAMES[:6])
    resolved = {"t.*": Resolved(frozenset(("t5", "gone")))}
    for _ in range(500):
        name = f"m{rng.randrange(4)}"
        if rng.random() < 0.2:
            group.remove_member(name)
        else:
            before = group.members.get(name, Member(name))
            after = before._replace(topics=frozenset(rng.sample(NAMES, rng.randrange(8))))
            group.put_member(after if rng.random() < 0.8 else before)
        members = group.members.values()
        assert +group.topic_counts == group.topic_counts == Counter(n for one in members for n in one.topics)
        said = Member(name, topics=frozenset(rng.sample(NAMES, 2)))
        others = [one for one in members if one.member_id != name]
        left = {n for one in others for n in one.topics} | {"t5"}
        assert (
            topics_with(group, group.members.get(name), said, resolved, image)
            == (left | said.topics) & image.topics.keys()
        )
        if name in group.members:
            assert topics_without(group, [group.members[name]], resolved, image) == left & image.topics.keys()
