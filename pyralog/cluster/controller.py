"""The controller as a value machine: a state and a request give the records to append and the reply."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pyralog.cluster.controller_configs import alter_configs
from pyralog.cluster.controller_features import update_features
from pyralog.cluster.controller_partitions import elect_leaders, reassign_partitions
from pyralog.cluster.controller_topics import (
    ConfigRules,
    TopicDefaults,
    create_partitions,
    create_topics,
    delete_topics,
)
from pyralog.cluster.image import ClusterImage
from pyralog.cluster.records import BrokerRecord, FeatureLevelRecord, LeadershipRecord, ProducerIdsRecord, Record
from pyralog.cluster.requests import (
    PRODUCER_ID_BLOCK,
    AllocateProducerIds,
    AllocateProducerIdsReply,
    AlterConfigs,
    CreatePartitions,
    CreateTopics,
    DeleteTopics,
    ElectLeaders,
    IncrementalAlterConfigs,
    ReassignPartitions,
    RegisterBroker,
    RegisterBrokerReply,
    Reply,
    Request,
    UpdateFeatures,
)
from pyralog.errors import ErrorCode

MAX_PRODUCER_ID = 2**63 - 1
# What a node finalizes when it registers: features whose protocol it serves (trap 3). Kafka 4.4 has these levels.
FINALIZED_FEATURES = {"group.version": 1, "metadata.version": 33, "transaction.version": 2}


class ControllerSettings(NamedTuple):
    """The broker settings that decide what the controller answers."""

    num_partitions: int = 1
    default_replication_factor: int = 1
    delete_topic_enable: bool = True


class Outcome(NamedTuple):
    """Records to append as one batch, and the reply that is due once they are committed."""

    records: tuple[Record, ...]
    reply: Reply


class Controller:
    """Decides on requests. It has no state of its own: what is durable is in the image that it is given.

    `settings` may be replaced at any time; the next request is decided by the new ones.
    """

    def __init__(self, settings: ControllerSettings, rules: ConfigRules, random_bytes: Callable[[int], bytes]) -> None:
        self.settings = settings
        self._rules = rules
        self._random_bytes = random_bytes

    def handle(self, image: ClusterImage, request: Request) -> Outcome:
        """What follows from `request` in the state `image`, whose log the records will extend."""
        records, reply = self._decide(image, request)
        if getattr(request, "validate_only", False):
            records = []
        return Outcome(tuple(records), reply)

    def _decide(self, image: ClusterImage, request: Request) -> tuple[list[Record], Reply]:
        match request:
            case CreateTopics():
                settings = self.settings
                defaults = TopicDefaults(settings.num_partitions, settings.default_replication_factor)
                return create_topics(image, request, defaults, self._rules, self._random_bytes)
            case DeleteTopics():
                return delete_topics(image, request, self.settings.delete_topic_enable)
            case CreatePartitions():
                return create_partitions(image, request)
            case AlterConfigs() | IncrementalAlterConfigs():
                return alter_configs(image, request, self._rules)
            case AllocateProducerIds():
                return _allocate_producer_ids(image, request)
            case RegisterBroker():
                return _register_broker(image, request)
            case ElectLeaders():
                return elect_leaders(image, request)
            case ReassignPartitions():
                return reassign_partitions(image, request)
            case UpdateFeatures():
                return update_features(image, request)


def _allocate_producer_ids(
    image: ClusterImage, request: AllocateProducerIds
) -> tuple[list[Record], AllocateProducerIdsReply]:
    broker = image.brokers.get(request.node_id)
    if broker is None or broker.broker_epoch != request.broker_epoch:
        return [], AllocateProducerIdsReply(ErrorCode.STALE_BROKER_EPOCH, -1, 0)
    first = image.next_producer_id
    if first > MAX_PRODUCER_ID - PRODUCER_ID_BLOCK:
        return [], AllocateProducerIdsReply(ErrorCode.UNKNOWN_SERVER_ERROR, -1, 0)
    record = ProducerIdsRecord(request.node_id, request.broker_epoch, first + PRODUCER_ID_BLOCK)
    return [record], AllocateProducerIdsReply(ErrorCode.NONE, first, PRODUCER_ID_BLOCK)


def _register_broker(image: ClusterImage, request: RegisterBroker) -> tuple[list[Record], RegisterBrokerReply]:
    """A registration and the new epochs of what the node leads are one batch: there is never one without the other."""
    epoch = image.offset + 1
    records: list[Record] = [
        BrokerRecord(
            request.node_id,
            epoch,
            request.incarnation,
            request.directory_id,
            request.host,
            request.port,
            request.rack,
        )
    ]
    if request.node_id in image.brokers:
        records.append(LeadershipRecord(request.node_id))
    records += [FeatureLevelRecord(*item) for item in FINALIZED_FEATURES.items() if item[0] not in image.features]
    return records, RegisterBrokerReply(ErrorCode.NONE, None, epoch)
