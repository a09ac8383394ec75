"""cluster/controller_partitions: who may lead, who is elected, which reassignments are refused."""

from types import MappingProxyType

import pytest

from pyralog.cluster.controller_partitions import elect_leaders, reassign_partitions
from pyralog.cluster.image import BrokerRegistration, ClusterImage, TopicImage
from pyralog.cluster.records import PartitionChangeRecord
from pyralog.cluster.requests import ElectLeaders, PartitionResult, ReassignPartitions
from pyralog.errors import ErrorCode
from pyralog.model import PartitionRegistration

ID = b"i" * 16


def image(*partitions: PartitionRegistration, nodes: dict[int, bool] | None = None) -> ClusterImage:
    """A cluster with one topic; `nodes` says which nodes are fenced."""
    brokers = {
        node: BrokerRegistration(node, 1, b"n" * 16, b"d" * 16, "host", 9092, None, fenced)
        for node, fenced in (nodes or {1: False, 2: False, 3: False}).items()
    }
    return ClusterImage(
        topics=MappingProxyType({"t": TopicImage("t", ID, partitions)}),
        topic_names=MappingProxyType({ID: "t"}),
        brokers=MappingProxyType(brokers),
    )


def partition(leader: int, isr: tuple[int, ...] = (1, 2)) -> PartitionRegistration:
    return PartitionRegistration((1, 2), isr, leader, 4, 7)


def elect(state: ClusterImage, *, unclean: bool = False, all: bool = False) -> tuple[list[object], list[object]]:
    records, reply = elect_leaders(state, ElectLeaders(unclean, None if all else (("t", (0,)),)))
    ((name, results),) = reply.topics
    assert name == "t"
    return list(records), list(results)


def test_a_preferred_leader_takes_over_in_the_next_epoch() -> None:
    records, results = elect(image(partition(leader=2)))
    assert records == [PartitionChangeRecord(ID, 0, 1, 5, (1, 2), (1, 2))]
    assert results == [PartitionResult(0)]


def test_a_partition_that_is_named_twice_is_elected_once() -> None:
    records, reply = elect_leaders(image(partition(leader=2)), ElectLeaders(False, (("t", (0, 0)),)))
    assert len(records) == 1
    assert reply.topics == (("t", (PartitionResult(0), PartitionResult(0))),)


@pytest.mark.parametrize(
    ("state", "unclean", "code"),
    [
        (image(partition(leader=1)), False, ErrorCode.ELECTION_NOT_NEEDED),
        (image(partition(leader=2)), True, ErrorCode.ELECTION_NOT_NEEDED),
        (image(partition(leader=2, isr=(2,))), False, ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE),
        (image(partition(leader=2), nodes={1: True, 2: False}), False, ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE),
        (image(partition(leader=-1), nodes={1: True, 2: True}), True, ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE),
    ],
)
def test_elections_that_do_not_happen(state: ClusterImage, unclean: bool, code: ErrorCode) -> None:
    records, results = elect(state, unclean=unclean)
    assert not records
    assert [result.error for result in results] == [code]  # type: ignore[attr-defined]


def test_an_unclean_election_leaves_the_new_leader_alone_in_the_isr() -> None:
    records, _ = elect(image(partition(leader=-1, isr=(1,)), nodes={1: True, 2: False}), unclean=True)
    assert records == [PartitionChangeRecord(ID, 0, 2, 5, (2,), (1, 2))]


def test_an_election_of_all_names_only_what_it_did() -> None:
    records, results = elect(image(partition(leader=1), partition(leader=2)), all=True)
    assert [record.partition for record in records] == [1]  # type: ignore[attr-defined]
    assert results == [PartitionResult(1)]


def test_what_is_not_there_is_said_by_name() -> None:
    _, reply = elect_leaders(image(partition(leader=1)), ElectLeaders(False, (("t", (9,)), ("u", (0,)))))
    codes = [result for _, results in reply.topics for result in results]
    unknown = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    assert codes == [
        PartitionResult(9, unknown, "No such partition as t-9"),
        PartitionResult(0, unknown, "No such topic as u"),
    ]


@pytest.mark.parametrize(
    ("replicas", "change", "code", "why"),
    [
        ((1,), True, ErrorCode.NONE, None),
        (None, True, ErrorCode.NO_REASSIGNMENT_IN_PROGRESS, None),
        ((), True, ErrorCode.INVALID_REPLICA_ASSIGNMENT, "an empty replica list"),
        ((1, 1), True, ErrorCode.INVALID_REPLICA_ASSIGNMENT, "the broker 1 more than once"),
        ((2,), False, ErrorCode.INVALID_REPLICA_ASSIGNMENT, "broker 2, but no such broker is registered"),
        ((-1,), True, ErrorCode.INVALID_REPLICA_ASSIGNMENT, "broker -1, but no such broker is registered"),
    ],
)
def test_on_one_node_a_partition_stays_where_it_is(
    replicas: tuple[int, ...] | None, change: bool, code: ErrorCode, why: str | None
) -> None:
    state = image(PartitionRegistration((1,), (1,), 1, 4, 7), nodes={1: False})
    records, reply = reassign_partitions(state, ReassignPartitions((("t", ((0, replicas),)),), change))
    assert not records
    message = None if why is None else f"The manual partition assignment includes {why}."
    assert reply.topics == (("t", (PartitionResult(0, code, message),)),)


def test_a_reassignment_of_what_is_not_there() -> None:
    state = image(partition(leader=1))
    _, reply = reassign_partitions(state, ReassignPartitions((("t", ((9, (1,)),)), ("u", ((0, None),)))))
    assert [results[0].error for _, results in reply.topics] == [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION] * 2
