"""The controller's rules for topics: creation, deletion, more partitions. Messages and codes are Kafka's."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from pyralog.cluster.image import ClusterImage, ResourceType, TopicImage
from pyralog.cluster.placement import place, usable_brokers
from pyralog.cluster.records import ConfigRecord, PartitionRecord, Record, RemoveTopicRecord, TopicRecord
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
    TopicRef,
    TopicResult,
)
from pyralog.errors import ErrorCode, KafkaError
from pyralog.model import ZERO_UUID, Uuid

# Kafka's own limit on what one request may create.
MAX_PARTITIONS_PER_REQUEST = 10_000
MAX_NAME_LENGTH = 249
METADATA_TOPIC = "__cluster_metadata"
_LEGAL = frozenset(string.ascii_letters + string.digits + "._-")
# Ids that Kafka gives a meaning of their own: none, and the metadata topic's.
_RESERVED_IDS = frozenset((ZERO_UUID, (1).to_bytes(16, "big")))


class ConfigRules(Protocol):
    """What configurations exist and which values they take; given by the configuration layer."""

    def validate(self, image: ClusterImage, resource_type: int, resource_name: str, values: Mapping[str, str]) -> None:
        """KafkaError when a resource may not have exactly these configurations set in the state `image`."""

    def list_default(self, image: ClusterImage, resource_type: int, name: str) -> str | None:
        """The default of a configuration that is a list, as text; None when it is not a list or not known."""


class TopicDefaults(NamedTuple):
    """What CreateTopics takes for -1."""

    partitions: int
    replication_factor: int


def name_error(name: str) -> str | None:
    """Why a topic may not have this name, or None when it may."""
    if name == "":
        return "Topic name is invalid: the empty string is not allowed"
    if name in (".", ".."):
        return "Topic name is invalid: '.' or '..' is not allowed"
    if len(name) > MAX_NAME_LENGTH:
        return f"Topic name is invalid: the length of '{name}' is longer than the max allowed length {MAX_NAME_LENGTH}"
    if not _LEGAL.issuperset(name):
        return (
            f"Topic name is invalid: '{name}' contains one or more characters other than ASCII alphanumerics, "
            "'.', '_' and '-'"
        )
    return None


def new_topic_id(image: ClusterImage, random_bytes: Callable[[int], bytes]) -> Uuid:
    """A random id (UUID version 4) that no topic has and whose text does not begin with a dash."""
    while True:
        raw = bytearray(random_bytes(16))
        raw[6] = raw[6] & 0x0F | 0x40
        raw[8] = raw[8] & 0x3F | 0x80
        found = bytes(raw)
        # The first six bits are the first character of the text; 62 is "-", which command lines take for an option.
        if raw[0] >> 2 != 62 and found not in _RESERVED_IDS and found not in image.topic_names:
            return found


class _Creation:
    """One CreateTopics request at work: what it has decided so far counts for its later topics."""

    def __init__(
        self,
        image: ClusterImage,
        defaults: TopicDefaults,
        rules: ConfigRules,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._image = image
        self._defaults = defaults
        self._rules = rules
        self._random_bytes = random_bytes
        self._brokers = usable_brokers(image)
        self._collisions: dict[str, str] | None = None
        self.records: list[Record] = []

    def create(self, topic: NewTopic) -> CreatedTopic:
        """Decide on one topic; KafkaError when it cannot be."""
        self._check_name(topic.name)
        if topic.name in self._image.topics:
            raise KafkaError(ErrorCode.TOPIC_ALREADY_EXISTS, f"Topic '{topic.name}' already exists.")
        configs = self._configs(topic)
        replicas = self._replicas(topic)
        topic_id = new_topic_id(self._image, self._random_bytes)
        self.records.append(TopicRecord(topic.name, topic_id))
        epoch = self._image.first_leader_epoch(topic.name)
        self.records += _partition_records(topic_id, 0, replicas, self._brokers, epoch)
        for name, value in configs.items():
            self.records.append(ConfigRecord(ResourceType.TOPIC, topic.name, name, value))
        if self._collisions is not None and _collides(topic.name):
            self._collisions[topic.name.replace(".", "_")] = topic.name
        return CreatedTopic(
            topic.name,
            topic_id=topic_id,
            partitions=len(replicas),
            replication_factor=len(replicas[0]),
            configs=configs,
        )

    def _check_name(self, name: str) -> None:
        why = name_error(name)
        if why is None and name not in self._image.topics and _collides(name):
            if self._collisions is None:
                self._collisions = {n.replace(".", "_"): n for n in self._image.topics if _collides(n)}
            other = self._collisions.get(name.replace(".", "_"))
            if other is not None:
                why = f"Topic '{name}' collides with existing topic: {other}"
        if why is not None:
            raise KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION, why)
        if name == METADATA_TOPIC:
            raise KafkaError(ErrorCode.INVALID_REQUEST, f"Creation of internal topic {METADATA_TOPIC} is prohibited.")

    def _configs(self, topic: NewTopic) -> dict[str, str]:
        configs: dict[str, str] = {}
        for name, value in topic.configs:
            if value is None:
                raise KafkaError(ErrorCode.INVALID_CONFIG, f"Null value not supported for topic configs: {name}")
            configs[name] = value
        self._rules.validate(self._image, ResourceType.TOPIC, topic.name, configs)
        return configs

    def _replicas(self, topic: NewTopic) -> list[tuple[int, ...]]:
        if topic.assignments:
            return self._assigned(topic)
        if topic.replication_factor < -1 or topic.replication_factor == 0:
            raise KafkaError(
                ErrorCode.INVALID_REPLICATION_FACTOR,
                "Replication factor must be larger than 0, or -1 to use the default value.",
            )
        if topic.partitions < -1 or topic.partitions == 0:
            raise KafkaError(
                ErrorCode.INVALID_PARTITIONS, "Number of partitions was set to an invalid non-positive value."
            )
        count = self._defaults.partitions if topic.partitions == -1 else topic.partitions
        factor = self._defaults.replication_factor if topic.replication_factor == -1 else topic.replication_factor
        return place(self._brokers, range(count), factor)

    def _assigned(self, topic: NewTopic) -> list[tuple[int, ...]]:
        for field, value in (("replication factor", topic.replication_factor), ("numPartitions", topic.partitions)):
            if value != -1:
                raise KafkaError(
                    ErrorCode.INVALID_REQUEST,
                    f"A manual partition assignment was specified, but {field} was not set to -1.",
                )
        assigned: dict[int, tuple[int, ...]] = {}
        size: int | None = None
        for index, replicas in topic.assignments:
            if index in assigned:
                raise KafkaError(
                    ErrorCode.INVALID_REPLICA_ASSIGNMENT,
                    f"Found multiple manual partition assignments for partition {index}",
                )
            check_assignment(self._image, replicas, size, index)
            size = len(replicas)
            assigned[index] = replicas
        if set(assigned) != set(range(len(assigned))):
            raise KafkaError(
                ErrorCode.INVALID_REPLICA_ASSIGNMENT, "partitions should be a consecutive 0-based integer sequence"
            )
        return [assigned[index] for index in range(len(assigned))]


def _collides(name: str) -> bool:
    """Metrics replace dots by underscores, so names that differ only in these would share them."""
    return "." in name or "_" in name


def check_assignment(image: ClusterImage, replicas: Sequence[int], size: int | None, index: int) -> None:
    """KafkaError 39 unless these are distinct, known nodes, as many as those of the partitions before."""

    def refuse(why: str) -> KafkaError:
        return KafkaError(ErrorCode.INVALID_REPLICA_ASSIGNMENT, why)

    if not replicas:
        raise refuse("The manual partition assignment includes an empty replica list.")
    previous = None
    for replica in sorted(replicas):
        if replica not in image.brokers:
            raise refuse(
                f"The manual partition assignment includes broker {replica}, but no such broker is registered."
            )
        if replica == previous:
            raise refuse(f"The manual partition assignment includes the broker {replica} more than once.")
        previous = replica
    if size is not None and len(replicas) != size:
        raise refuse(
            f"The manual partition assignment includes a partition with {len(replicas)} replica(s), but this is not "
            f"consistent with previous partitions, which have {size} replica(s)."
        )
    if all(image.brokers[replica].fenced for replica in replicas):
        raise refuse(
            f"All brokers specified in the manual partition assignment for partition {index} are fenced or in "
            "controlled shutdown."
        )


def _partition_records(
    topic_id: Uuid, first: int, replicas: Iterable[tuple[int, ...]], usable: Sequence[int], epoch: int
) -> Iterable[Record]:
    alive = set(usable)
    for index, nodes in enumerate(replicas, first):
        isr = tuple(node for node in nodes if node in alive)
        yield PartitionRecord(topic_id, index, nodes, isr, isr[0], epoch, 0)


def create_topics(
    image: ClusterImage,
    request: CreateTopics,
    defaults: TopicDefaults,
    rules: ConfigRules,
    random_bytes: Callable[[int], bytes],
) -> tuple[list[Record], CreateTopicsReply]:
    """Records that create what can be created, and the outcome for each name."""
    counts = Counter(topic.name for topic in request.topics)
    too_many = _wanted_partitions(request, defaults) > MAX_PARTITIONS_PER_REQUEST
    creation = _Creation(image, defaults, rules, random_bytes)
    results: dict[str, CreatedTopic] = {}
    for topic in request.topics:
        if topic.name in results:
            continue
        try:
            if counts[topic.name] > 1:
                raise KafkaError(ErrorCode.INVALID_REQUEST, "Duplicate topic name.")
            if too_many:
                raise KafkaError(ErrorCode.POLICY_VIOLATION, "Excessively large number of partitions per request.")
            results[topic.name] = creation.create(topic)
        except KafkaError as error:
            results[topic.name] = CreatedTopic(topic.name, error.code, error.why or error.code.message)
    return creation.records, CreateTopicsReply(tuple(results.values()))


def _wanted_partitions(request: CreateTopics, defaults: TopicDefaults) -> int:
    total = 0
    for topic in request.topics:
        if topic.assignments:
            total += len(topic.assignments)
        else:
            total += defaults.partitions if topic.partitions == -1 else max(0, topic.partitions)
    return total


def delete_topics(image: ClusterImage, request: DeleteTopics, enabled: bool) -> tuple[list[Record], DeleteTopicsReply]:
    """Records that delete what can be deleted, and the outcome for each topic."""
    if not enabled:
        why = "Topic deletion is disabled."
        return [], DeleteTopicsReply(
            tuple(DeletedTopic(t.name, t.topic_id, ErrorCode.TOPIC_DELETION_DISABLED, why) for t in request.topics)
        )
    counts = Counter(_identity(image, topic) for topic in request.topics)
    records: list[Record] = []
    results: list[DeletedTopic] = []
    told: set[object] = set()
    for topic in request.topics:
        identity = _identity(image, topic)
        if identity in told:
            continue
        told.add(identity)
        try:
            found = _find(image, topic, counts[identity])
            records.append(RemoveTopicRecord(found.topic_id))
            results.append(DeletedTopic(found.name, found.topic_id))
        except KafkaError as error:
            results.append(DeletedTopic(topic.name, topic.topic_id, error.code, error.why or error.code.message))
    return records, DeleteTopicsReply(tuple(results))


def _identity(image: ClusterImage, topic: TopicRef) -> object:
    """What makes two references the same topic: a name and the id that belongs to it count as one."""
    if topic.name is not None and topic.topic_id != ZERO_UUID:
        return (topic.name, topic.topic_id)
    if topic.name is None:
        return image.topic_names.get(topic.topic_id, topic.topic_id)
    return topic.name


def _find(image: ClusterImage, topic: TopicRef, times: int) -> TopicImage:
    if topic.name is not None and topic.topic_id != ZERO_UUID:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "You may not specify both topic name and topic id.")
    if topic.name is None and topic.topic_id == ZERO_UUID:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "Neither topic name nor id were specified.")
    if times > 1:
        kind = "id" if topic.name is None else "name"
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"Duplicate topic {kind}.")
    if topic.name is None:
        by_id = image.topic_by_id(topic.topic_id)
        if by_id is None:
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_ID, None)
        return by_id
    by_name = image.topics.get(topic.name)
    if by_name is None:
        raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, None)
    return by_name


def create_partitions(image: ClusterImage, request: CreatePartitions) -> tuple[list[Record], CreatePartitionsReply]:
    """Records for the partitions that can be added, and the outcome for each topic."""
    counts = Counter(topic.name for topic in request.topics)
    records: list[Record] = []
    results: dict[str, TopicResult] = {}
    for topic in request.topics:
        if topic.name in results:
            continue
        try:
            if counts[topic.name] > 1:
                raise KafkaError(ErrorCode.INVALID_REQUEST, "Duplicate topic name.")
            more = list(_more_partitions(image, topic))
            if len(records) + len(more) > MAX_PARTITIONS_PER_REQUEST:
                raise KafkaError(ErrorCode.POLICY_VIOLATION, "Excessively large number of partitions per request.")
            records += more
            results[topic.name] = TopicResult(topic.name)
        except KafkaError as error:
            results[topic.name] = TopicResult(topic.name, error.code, error.why or error.code.message)
    return records, CreatePartitionsReply(tuple(results.values()))


def _more_partitions(image: ClusterImage, wanted: MorePartitions) -> Iterable[Record]:
    topic = image.topics.get(wanted.name)
    if topic is None:
        raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, None)
    present = len(topic.partitions)
    if wanted.count == present:
        raise KafkaError(ErrorCode.INVALID_PARTITIONS, f"Topic already has {present} partition(s).")
    if wanted.count < present:
        raise KafkaError(
            ErrorCode.INVALID_PARTITIONS,
            f"The topic {wanted.name} currently has {present} partition(s); {wanted.count} would not be an increase.",
        )
    additional = wanted.count - present
    if additional > MAX_PARTITIONS_PER_REQUEST:
        raise KafkaError(ErrorCode.POLICY_VIOLATION, "Excessively large number of partitions per request.")
    size = len(topic.partitions[0].replicas)
    brokers = usable_brokers(image)
    if wanted.assignments is None:
        replicas = place(brokers, range(present, wanted.count), size)
    else:
        if len(wanted.assignments) != additional:
            raise KafkaError(
                ErrorCode.INVALID_REPLICA_ASSIGNMENT,
                f"Attempted to add {additional} additional partition(s), but only {len(wanted.assignments)} "
                "assignment(s) were specified.",
            )
        for index, nodes in enumerate(wanted.assignments, present):
            check_assignment(image, nodes, size, index)
        replicas = list(wanted.assignments)
    return _partition_records(topic.topic_id, present, replicas, brokers, image.first_leader_epoch(wanted.name))
