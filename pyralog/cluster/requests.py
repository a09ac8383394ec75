"""What can be asked of the controller, and what it answers: plain values, one reply class per request class.

Named tuples: to make a frozen dataclass costs eight times as much at every start. What has a `count` cannot be one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import NamedTuple

from pyralog.errors import ErrorCode
from pyralog.model import ZERO_UUID, Uuid

# How many producer ids a node gets at once (Kafka's block size).
PRODUCER_ID_BLOCK = 1000


class NewTopic(NamedTuple):
    """A topic to create. -1 = the broker's default. `assignments` pairs a partition index with its replicas."""

    name: str
    partitions: int = -1
    replication_factor: int = -1
    assignments: tuple[tuple[int, tuple[int, ...]], ...] = ()
    configs: tuple[tuple[str, str | None], ...] = ()


class CreateTopics(NamedTuple):
    """Create topics, or with validate_only say what would happen."""

    topics: tuple[NewTopic, ...]
    validate_only: bool = False


class CreatedTopic(NamedTuple):
    """The outcome for one topic; `configs` is what it overrides. When it failed counts are -1 and the id is zero."""

    name: str
    error: ErrorCode = ErrorCode.NONE
    message: str | None = None
    topic_id: Uuid = ZERO_UUID
    partitions: int = -1
    replication_factor: int = -1
    configs: Mapping[str, str] = MappingProxyType({})


class CreateTopicsReply(NamedTuple):
    """One outcome per name of the request, in its order; a name that came twice appears once, with error 42."""

    topics: tuple[CreatedTopic, ...]


class TopicRef(NamedTuple):
    """A topic by name, or by id when the name is None."""

    name: str | None = None
    topic_id: Uuid = ZERO_UUID


class DeleteTopics(NamedTuple):
    """Delete topics."""

    topics: tuple[TopicRef, ...]


class DeletedTopic(NamedTuple):
    """The outcome for one topic: name and id as far as they are known."""

    name: str | None
    topic_id: Uuid
    error: ErrorCode = ErrorCode.NONE
    message: str | None = None


class DeleteTopicsReply(NamedTuple):
    """One outcome per topic of the request."""

    topics: tuple[DeletedTopic, ...]


@dataclass(frozen=True, slots=True)
class MorePartitions:
    """Raise the partitions of a topic to `count`; `assignments` are the replicas of each new one, None = choose."""

    name: str
    count: int
    assignments: tuple[tuple[int, ...], ...] | None = None


class CreatePartitions(NamedTuple):
    """Raise partition counts, or with validate_only say what would happen."""

    topics: tuple[MorePartitions, ...]
    validate_only: bool = False


class TopicResult(NamedTuple):
    """The outcome for one topic."""

    name: str
    error: ErrorCode = ErrorCode.NONE
    message: str | None = None


class CreatePartitionsReply(NamedTuple):
    """One outcome per topic of the request."""

    topics: tuple[TopicResult, ...]


class ElectLeaders(NamedTuple):
    """Elect leaders: the preferred ones, or (unclean) any live replica where there is no leader.

    `partitions` pairs topics with partition indexes; None = every partition that needs an election.
    """

    unclean: bool
    partitions: tuple[tuple[str, tuple[int, ...]], ...] | None


class PartitionResult(NamedTuple):
    """The outcome for one partition."""

    partition: int
    error: ErrorCode = ErrorCode.NONE
    message: str | None = None


class PartitionsReply(NamedTuple):
    """Outcomes by topic, in the order of the request."""

    topics: tuple[tuple[str, tuple[PartitionResult, ...]], ...]


class ReassignPartitions(NamedTuple):
    """Move partitions to other replicas (KIP-455); None in place of replicas takes a move back that is under way.

    Without `change_replication_factor` a partition keeps as many replicas as it has (KIP-860).
    """

    topics: tuple[tuple[str, tuple[tuple[int, tuple[int, ...] | None], ...]], ...]
    change_replication_factor: bool = True


class ConfigOp(IntEnum):
    """What an incremental change does to a configuration value."""

    SET = 0
    DELETE = 1
    APPEND = 2
    SUBTRACT = 3


class ConfigChange(NamedTuple):
    """One change of one configuration; `op` may be a number that ConfigOp does not know."""

    name: str
    op: int
    value: str | None


class ResourceChange(NamedTuple):
    """Incremental changes of one resource."""

    resource_type: int
    resource_name: str
    changes: tuple[ConfigChange, ...]


class IncrementalAlterConfigs(NamedTuple):
    """Change single configurations of resources."""

    resources: tuple[ResourceChange, ...]
    validate_only: bool = False


class ResourceConfig(NamedTuple):
    """The whole configuration that a resource shall have; what it does not name goes back to the default."""

    resource_type: int
    resource_name: str
    configs: tuple[tuple[str, str | None], ...]


class AlterConfigs(NamedTuple):
    """Replace configurations of resources (the older API)."""

    resources: tuple[ResourceConfig, ...]
    validate_only: bool = False


class ResourceResult(NamedTuple):
    """The outcome for one resource."""

    resource_type: int
    resource_name: str
    error: ErrorCode = ErrorCode.NONE
    message: str | None = None


class AlterConfigsReply(NamedTuple):
    """One outcome per resource of the request; the answer to both ways of altering configurations."""

    resources: tuple[ResourceResult, ...]


class AllocateProducerIds(NamedTuple):
    """A node wants a block of producer ids."""

    node_id: int
    broker_epoch: int


@dataclass(frozen=True, slots=True)
class AllocateProducerIdsReply:
    """Producer ids [first, first + count), never handed out before; count is 0 with an error."""

    error: ErrorCode
    first: int
    count: int


class RegisterBroker(NamedTuple):
    """A node has started: a new incarnation of it takes over what it leads, with new leader epochs."""

    node_id: int
    incarnation: Uuid
    directory_id: Uuid
    host: str
    port: int
    rack: str | None = None


class RegisterBrokerReply(NamedTuple):
    """The epoch of the registration: the index of its record in the metadata log."""

    error: ErrorCode
    message: str | None
    broker_epoch: int


class FeatureUpdate(NamedTuple):
    """A feature to finalize at a level; 0 switches it off. The upgrade type is the wire's: 1 up, 2 and 3 down."""

    name: str
    level: int
    upgrade_type: int = 1


class UpdateFeatures(NamedTuple):
    """Finalize features, or with validate_only say what would happen."""

    updates: tuple[FeatureUpdate, ...]
    validate_only: bool = False


class FeatureResult(NamedTuple):
    """The outcome for one feature that was to come to this level."""

    name: str
    level: int
    error: ErrorCode = ErrorCode.NONE
    message: str | None = None


class UpdateFeaturesReply(NamedTuple):
    """One outcome per update; with any error nothing was changed."""

    features: tuple[FeatureResult, ...]


Request = (
    CreateTopics
    | DeleteTopics
    | CreatePartitions
    | IncrementalAlterConfigs
    | AlterConfigs
    | AllocateProducerIds
    | RegisterBroker
    | ElectLeaders
    | ReassignPartitions
    | UpdateFeatures
)
Reply = (
    CreateTopicsReply
    | DeleteTopicsReply
    | CreatePartitionsReply
    | AlterConfigsReply
    | AllocateProducerIdsReply
    | RegisterBrokerReply
    | PartitionsReply
    | UpdateFeaturesReply
)
