"""The immutable state of the cluster, how one metadata record changes it, and what differs between two states."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Any, NamedTuple

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
)
from pyralog.model import BrokerEndpoint, PartitionRegistration, Uuid


class ResourceType(IntEnum):
    """What a configuration belongs to, by Kafka's numbers."""

    TOPIC = 2
    BROKER = 4
    BROKER_LOGGER = 8
    CLIENT_METRICS = 16
    GROUP = 32


# Names of deleted topics whose epoch floor is kept one by one; the older ones share the floor of any other name.
MAX_EPOCH_FLOORS = 100_000

ConfigKey = tuple[int, str]


class TopicImage(NamedTuple):
    """A topic: its name, its id, and the registration of each partition by index."""

    name: str
    topic_id: Uuid
    partitions: tuple[PartitionRegistration, ...]


class BrokerRegistration(NamedTuple):
    """A node as it has registered. `host` and `port` are what it listens on; what clients are told may differ."""

    node_id: int
    broker_epoch: int
    incarnation: Uuid
    directory_id: Uuid
    host: str
    port: int
    rack: str | None = None
    fenced: bool = False

    @property
    def endpoint(self) -> BrokerEndpoint:
        """The node as other nodes and clients see it."""
        return BrokerEndpoint(self.node_id, self.host, self.port, self.rack)


_NOTHING: Mapping[Any, Any] = MappingProxyType({})


class ClusterImage(NamedTuple):
    """Everything the metadata log says, up to and including the record at `offset`.

    `configs` holds only what was set, by (resource type, resource name); a broker resource of the name "" holds for
    all brokers. `epoch_floors` is where the leader epochs of a topic of that name start (trap 5: librdkafka ignores
    the metadata of a recreated topic whose epochs start again).
    """

    offset: int = -1
    epoch: int = 0
    cluster_id: str = ""
    controller_id: int = -1
    topics: Mapping[str, TopicImage] = _NOTHING
    topic_names: Mapping[Uuid, str] = _NOTHING
    brokers: Mapping[int, BrokerRegistration] = _NOTHING
    configs: Mapping[ConfigKey, Mapping[str, str]] = _NOTHING
    features: Mapping[str, int] = _NOTHING
    next_producer_id: int = 0
    epoch_floors: Mapping[str, int] = _NOTHING
    epoch_floor: int = 0
    partition_count: int = 0

    def topic_by_id(self, topic_id: Uuid) -> TopicImage | None:
        """The topic with this id, or None."""
        name = self.topic_names.get(topic_id)
        return None if name is None else self.topics[name]

    def partition(self, topic: str, index: int) -> PartitionRegistration | None:
        """The registration of a partition, or None when there is no such partition."""
        found = self.topics.get(topic)
        if found is None or not 0 <= index < len(found.partitions):
            return None
        return found.partitions[index]

    def config(self, resource_type: int, name: str) -> Mapping[str, str]:
        """What was set on a resource; empty when nothing was."""
        return self.configs.get((resource_type, name), {})

    def configured(self, resource_type: int) -> Iterator[str]:
        """Names of the resources of a type for which something is set."""
        return (name for kind, name in self.configs if kind == resource_type)

    def first_leader_epoch(self, name: str) -> int:
        """The leader epoch at which partitions of a topic of this name start."""
        return max(self.epoch_floor, self.epoch_floors.get(name, 0))


EMPTY = ClusterImage()


class ImageDelta(NamedTuple):
    """What differs between two images: topics by id as (before, after), configuration resources, brokers, features."""

    topics: Mapping[Uuid, tuple[TopicImage | None, TopicImage | None]]
    configs: frozenset[ConfigKey] = frozenset()
    brokers: frozenset[int] = frozenset()
    features: frozenset[str] = frozenset()

    @property
    def created(self) -> Iterator[TopicImage]:
        """Topics that are new."""
        return (after for before, after in self.topics.values() if before is None and after is not None)

    @property
    def deleted(self) -> Iterator[TopicImage]:
        """Topics that are gone."""
        return (before for before, after in self.topics.values() if before is not None and after is None)

    @property
    def changed(self) -> Iterator[tuple[TopicImage, TopicImage]]:
        """Topics whose partitions have changed, as (before, after)."""
        for before, after in self.topics.values():
            if before is not None and after is not None:
                yield before, after

    def merged(self, later: ImageDelta) -> ImageDelta:
        """This delta and then the later one, as one."""
        topics = dict(self.topics)
        for topic_id, (before, after) in later.topics.items():
            first = topics[topic_id][0] if topic_id in topics else before
            if first is None and after is None:
                topics.pop(topic_id, None)
            else:
                topics[topic_id] = (first, after)
        return ImageDelta(
            topics, self.configs | later.configs, self.brokers | later.brokers, self.features | later.features
        )


NO_DELTA = ImageDelta(MappingProxyType({}))


class ImageBuilder:
    """A batch of records applied to an image: mutable while it runs, then frozen.

    A map is copied once per batch, when the first record touches it; a topic's partitions are a list until the end.
    """

    def __init__(self, image: ClusterImage) -> None:
        self._image = image
        self._offset = image.offset
        self._epoch = image.epoch
        self._cluster_id = image.cluster_id
        self._controller_id = image.controller_id
        self._next_producer_id = image.next_producer_id
        self._epoch_floor = image.epoch_floor
        self._partition_count = image.partition_count
        self._topics: dict[str, TopicImage] | None = None
        self._names: dict[Uuid, str] | None = None
        self._partitions: dict[Uuid, list[PartitionRegistration]] = {}
        self._brokers: dict[int, BrokerRegistration] | None = None
        self._configs: dict[ConfigKey, Mapping[str, str]] | None = None
        self._resources: dict[ConfigKey, dict[str, str]] = {}
        self._features: dict[str, int] | None = None
        self._floors: dict[str, int] | None = None
        self._before: dict[Uuid, TopicImage | None] = {}
        self._touched_brokers: set[int] = set()
        self._touched_features: set[str] = set()

    def apply(self, record: Record) -> None:
        """Apply one record; AssertionError when it does not fit the state (the log is not one that we wrote)."""
        _APPLY[type(record)](self, record)

    def at(self, offset: int, epoch: int, controller_id: int) -> None:
        """The position in the log that the state now has."""
        self._offset, self._epoch, self._controller_id = offset, epoch, controller_id

    def freeze(self) -> tuple[ClusterImage, ImageDelta]:
        """The new image and how it differs from the old one."""
        topics, names = self._image.topics, self._image.topic_names
        if self._topics is not None and self._names is not None:
            for topic_id, partitions in self._partitions.items():
                name = self._names[topic_id]
                self._topics[name] = TopicImage(name, topic_id, tuple(partitions))
            topics, names = MappingProxyType(self._topics), MappingProxyType(self._names)
        configs = self._image.configs
        if self._configs is not None:
            for key, values in self._resources.items():
                if values:
                    self._configs[key] = MappingProxyType(values)
                else:
                    self._configs.pop(key, None)
            configs = MappingProxyType(self._configs)
        image = self._image._replace(
            offset=self._offset,
            epoch=self._epoch,
            cluster_id=self._cluster_id,
            controller_id=self._controller_id,
            topics=topics,
            topic_names=names,
            configs=configs,
            brokers=self._image.brokers if self._brokers is None else MappingProxyType(self._brokers),
            features=self._image.features if self._features is None else MappingProxyType(self._features),
            next_producer_id=self._next_producer_id,
            epoch_floors=self._image.epoch_floors if self._floors is None else MappingProxyType(self._floors),
            epoch_floor=self._epoch_floor,
            partition_count=self._partition_count,
        )
        return image, self._delta(image)

    def _delta(self, image: ClusterImage) -> ImageDelta:
        topics: dict[Uuid, tuple[TopicImage | None, TopicImage | None]] = {}
        for topic_id, before in self._before.items():
            after = image.topic_by_id(topic_id)
            if before is not None or after is not None:
                topics[topic_id] = (before, after)
        return ImageDelta(
            MappingProxyType(topics),
            frozenset(self._resources),
            frozenset(self._touched_brokers),
            frozenset(self._touched_features),
        )

    def _topic_maps(self) -> tuple[dict[str, TopicImage], dict[Uuid, str]]:
        if self._topics is None or self._names is None:
            self._topics = dict(self._image.topics)
            self._names = dict(self._image.topic_names)
        return self._topics, self._names

    def _topic_partitions(self, topic_id: Uuid) -> list[PartitionRegistration]:
        partitions = self._partitions.get(topic_id)
        if partitions is None:
            topics, names = self._topic_maps()
            assert topic_id in names, f"a record of an unknown topic id {topic_id.hex()}"
            topic = topics[names[topic_id]]
            self._before.setdefault(topic_id, topic)
            partitions = self._partitions[topic_id] = list(topic.partitions)
        return partitions

    def _resource(self, key: ConfigKey) -> dict[str, str]:
        values = self._resources.get(key)
        if values is None:
            if self._configs is None:
                self._configs = dict(self._image.configs)
            values = self._resources[key] = dict(self._configs.get(key, {}))
        return values

    def _cluster(self, record: ClusterRecord) -> None:
        assert self._cluster_id in ("", record.cluster_id), f"a second cluster id {record.cluster_id}"
        self._cluster_id = record.cluster_id

    def _broker(self, record: BrokerRecord) -> None:
        if self._brokers is None:
            self._brokers = dict(self._image.brokers)
        self._touched_brokers.add(record.node_id)
        self._brokers[record.node_id] = BrokerRegistration(*record)

    def _leadership(self, record: LeadershipRecord) -> None:
        topics, _ = self._topic_maps()
        for topic in list(topics.values()):
            partitions = self._partitions.get(topic.topic_id, topic.partitions)
            if any(partition.leader == record.node_id for partition in partitions):
                mutable = self._topic_partitions(topic.topic_id)
                for index, old in enumerate(mutable):
                    if old.leader == record.node_id:
                        mutable[index] = PartitionRegistration(
                            old.replicas, old.isr, old.leader, old.leader_epoch + 1, old.partition_epoch + 1
                        )

    def _topic(self, record: TopicRecord) -> None:
        topics, names = self._topic_maps()
        assert record.name not in topics, f"topic {record.name} is created twice"
        assert record.topic_id not in names, f"topic id {record.topic_id.hex()} is used twice"
        self._before.setdefault(record.topic_id, None)
        topics[record.name] = TopicImage(record.name, record.topic_id, ())
        names[record.topic_id] = record.name
        self._partitions[record.topic_id] = []

    def _partition(self, record: PartitionRecord) -> None:
        partitions = self._topic_partitions(record.topic_id)
        assert record.partition == len(partitions), f"partition {record.partition} follows {len(partitions)} others"
        partitions.append(
            PartitionRegistration(
                record.replicas, record.isr, record.leader, record.leader_epoch, record.partition_epoch
            )
        )
        self._partition_count += 1

    def _partition_change(self, record: PartitionChangeRecord) -> None:
        partitions = self._topic_partitions(record.topic_id)
        old = partitions[record.partition]
        partitions[record.partition] = PartitionRegistration(
            record.replicas, record.isr, record.leader, record.leader_epoch, old.partition_epoch + 1
        )

    def _remove_topic(self, record: RemoveTopicRecord) -> None:
        partitions = self._topic_partitions(record.topic_id)
        topics, names = self._topic_maps()
        name = names.pop(record.topic_id)
        del topics[name], self._partitions[record.topic_id]
        self._partition_count -= len(partitions)
        highest = max((partition.leader_epoch for partition in partitions), default=-1)
        self._set_floor(name, max(highest + 1, self._first_epoch(name)))
        key = (int(ResourceType.TOPIC), name)
        if key in self._resources or key in (self._image.configs if self._configs is None else self._configs):
            self._resource(key).clear()

    def _first_epoch(self, name: str) -> int:
        floors = self._image.epoch_floors if self._floors is None else self._floors
        return max(self._epoch_floor, floors.get(name, 0))

    def _set_floor(self, name: str, floor: int) -> None:
        if self._floors is None:
            self._floors = dict(self._image.epoch_floors)
        self._floors.pop(name, None)
        self._floors[name] = floor
        if len(self._floors) > MAX_EPOCH_FLOORS:
            for oldest in list(self._floors)[: MAX_EPOCH_FLOORS // 2]:
                self._epoch_floor = max(self._epoch_floor, self._floors.pop(oldest))

    def _floor(self, record: EpochFloorRecord) -> None:
        if record.name:
            self._set_floor(record.name, record.floor)
        else:
            self._epoch_floor = max(self._epoch_floor, record.floor)

    def _config(self, record: ConfigRecord) -> None:
        values = self._resource((record.resource_type, record.resource_name))
        if record.value is None:
            values.pop(record.name, None)
        else:
            values[record.name] = record.value

    def _producer_ids(self, record: ProducerIdsRecord) -> None:
        self._next_producer_id = max(self._next_producer_id, record.next_producer_id)

    def _feature(self, record: FeatureLevelRecord) -> None:
        if self._features is None:
            self._features = dict(self._image.features)
        self._touched_features.add(record.name)
        # Level 0 stays: what was switched off on purpose is not switched on by the next start.
        self._features[record.name] = record.level


_APPLY: Mapping[type[Any], Callable[[ImageBuilder, Any], None]] = {
    ClusterRecord: ImageBuilder._cluster,
    BrokerRecord: ImageBuilder._broker,
    LeadershipRecord: ImageBuilder._leadership,
    TopicRecord: ImageBuilder._topic,
    PartitionRecord: ImageBuilder._partition,
    PartitionChangeRecord: ImageBuilder._partition_change,
    RemoveTopicRecord: ImageBuilder._remove_topic,
    ConfigRecord: ImageBuilder._config,
    ProducerIdsRecord: ImageBuilder._producer_ids,
    FeatureLevelRecord: ImageBuilder._feature,
    EpochFloorRecord: ImageBuilder._floor,
}


def replay(image: ClusterImage, record: Record) -> ClusterImage:
    """The image with one more record; for many, use an ImageBuilder."""
    builder = ImageBuilder(image)
    builder.apply(record)
    return builder.freeze()[0]


def replay_batch(
    image: ClusterImage, records: Iterable[Record], *, offset: int, epoch: int, controller_id: int
) -> tuple[ClusterImage, ImageDelta]:
    """The image with the records of one batch, the last of which is at `offset` and was written under `epoch`."""
    builder = ImageBuilder(image)
    for record in records:
        builder.apply(record)
    builder.at(offset, epoch, controller_id)
    return builder.freeze()
