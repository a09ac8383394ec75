"""An image as records: what a snapshot of the metadata log holds."""

from __future__ import annotations

from collections.abc import Iterator

from pyralog.cluster.image import ClusterImage
from pyralog.cluster.records import (
    BrokerRecord,
    ClusterRecord,
    ConfigRecord,
    EpochFloorRecord,
    FeatureLevelRecord,
    PartitionRecord,
    ProducerIdsRecord,
    Record,
    TopicRecord,
)


def snapshot_records(image: ClusterImage) -> Iterator[Record]:
    """The records that lead from an empty image to this one."""
    if image.cluster_id:
        yield ClusterRecord(image.cluster_id)
    for name, level in image.features.items():
        yield FeatureLevelRecord(name, level)
    for broker in image.brokers.values():
        yield BrokerRecord(*broker)
    for topic in image.topics.values():
        yield TopicRecord(topic.name, topic.topic_id)
        for index, p in enumerate(topic.partitions):
            yield PartitionRecord(topic.topic_id, index, p.replicas, p.isr, p.leader, p.leader_epoch, p.partition_epoch)
    for (resource_type, resource_name), values in image.configs.items():
        for name, value in values.items():
            yield ConfigRecord(resource_type, resource_name, name, value)
    if image.next_producer_id:
        yield ProducerIdsRecord(-1, -1, image.next_producer_id)
    if image.epoch_floor:
        yield EpochFloorRecord("", image.epoch_floor)
    for name, floor in image.epoch_floors.items():
        yield EpochFloorRecord(name, floor)
