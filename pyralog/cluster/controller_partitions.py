"""The controller's rules for single partitions: elections and reassignments. Messages and codes are Kafka's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pyralog.cluster.image import ClusterImage, TopicImage
from pyralog.cluster.placement import usable_brokers
from pyralog.cluster.records import PartitionChangeRecord, Record
from pyralog.cluster.requests import ElectLeaders, PartitionResult, PartitionsReply, ReassignPartitions
from pyralog.errors import ErrorCode
from pyralog.model import PartitionRegistration


class _Election(NamedTuple):
    """The answer for one partition, and the record that elects its leader, if it gets one."""

    result: PartitionResult
    record: PartitionChangeRecord | None = None


def elect_leaders(image: ClusterImage, request: ElectLeaders) -> tuple[list[Record], PartitionsReply]:
    """Elect where it is needed. A request for all partitions names only those that were elected or could not be."""
    live = frozenset(usable_brokers(image))
    wanted = request.partitions
    if wanted is None:
        wanted = tuple((topic.name, tuple(range(len(topic.partitions)))) for topic in image.topics.values())
    records: list[Record] = []
    topics = []
    for name, indexes in wanted:
        results = []
        # A partition that is named twice is elected once; the same answer stands twice, as in Kafka.
        known: dict[int, _Election] = {}
        for index in indexes:
            election = known.get(index) or _elect(image, name, index, request.unclean, live)
            if index not in known and election.record is not None:
                records.append(election.record)
            known[index] = election
            if request.partitions is not None or election.result.error is not ErrorCode.ELECTION_NOT_NEEDED:
                results.append(election.result)
        topics.append((name, tuple(results)))
    return records, PartitionsReply(tuple(topics))


def _elect(image: ClusterImage, name: str, index: int, unclean: bool, live: frozenset[int]) -> _Election:
    topic = image.topics.get(name)
    if topic is None:
        return _refused(index, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"No such topic as {name}")
    if not 0 <= index < len(topic.partitions):
        return _refused(index, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"No such partition as {name}-{index}")
    registration = topic.partitions[index]
    preferred = registration.replicas[0]
    if registration.leader == preferred if not unclean else registration.leader in live:
        return _refused(index, ErrorCode.ELECTION_NOT_NEEDED, "Leader election not needed for topic partition.")
    if not unclean:
        if preferred not in live or preferred not in registration.isr:
            return _refused(index, ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE, "The preferred leader was not available.")
        return _elected(topic, index, registration, preferred, registration.isr)
    candidates = [node for node in registration.replicas if node in live]
    if not candidates:
        return _refused(
            index, ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE, "Eligible topic partition leaders are not available."
        )
    return _elected(topic, index, registration, candidates[0], (candidates[0],))


def _refused(index: int, code: ErrorCode, why: str) -> _Election:
    return _Election(PartitionResult(index, code, why))


def _elected(
    topic: TopicImage, index: int, registration: PartitionRegistration, leader: int, isr: tuple[int, ...]
) -> _Election:
    record = PartitionChangeRecord(
        topic.topic_id, index, leader, registration.leader_epoch + 1, isr, registration.replicas
    )
    return _Election(PartitionResult(index), record)


def reassign_partitions(image: ClusterImage, request: ReassignPartitions) -> tuple[list[Record], PartitionsReply]:
    """Judge the wanted replicas.

    A node has a partition or has it not: as long as a cluster has one node, the one valid set of replicas is the one
    that the partition has, so that no move ever begins, and there is none to take back.
    """
    live = usable_brokers(image)
    topics = []
    for name, partitions in request.topics:
        results = tuple(_reassign(image, name, index, wanted, live, request) for index, wanted in partitions)
        topics.append((name, results))
    return [], PartitionsReply(tuple(topics))


def _reassign(
    image: ClusterImage,
    name: str,
    index: int,
    wanted: tuple[int, ...] | None,
    live: Sequence[int],
    request: ReassignPartitions,
) -> PartitionResult:
    if name not in image.topics:
        return PartitionResult(index, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"Unable to find a topic named {name}.")
    registration = image.partition(name, index)
    if registration is None:
        return PartitionResult(index, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"Unable to find partition {name}:{index}.")
    if wanted is None:
        return PartitionResult(index, ErrorCode.NO_REASSIGNMENT_IN_PROGRESS)
    why = _assignment_error(wanted, live)
    if why is not None:
        return PartitionResult(
            index, ErrorCode.INVALID_REPLICA_ASSIGNMENT, f"The manual partition assignment includes {why}."
        )
    if not request.change_replication_factor and len(wanted) != len(registration.replicas):
        return PartitionResult(
            index,
            ErrorCode.INVALID_REPLICATION_FACTOR,
            f"The replication factor is changed from {len(registration.replicas)} to {len(wanted)}",
        )
    assert wanted == registration.replicas, f"{name}-{index} cannot move from {registration.replicas} to {wanted}"
    return PartitionResult(index)


def _assignment_error(wanted: Sequence[int], live: Sequence[int]) -> str | None:
    """What an assignment includes that it must not, in Kafka's words."""
    if not wanted:
        return "an empty replica list"
    # Kafka goes through them in order of their ids.
    nodes = sorted(wanted)
    for before, node in zip([None, *nodes], nodes, strict=False):
        if node == before:
            return f"the broker {node} more than once"
        if node not in live:
            return f"broker {node}, but no such broker is registered"
    return None
