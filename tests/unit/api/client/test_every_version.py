"""Every API in every version: requests that ask for little and for much are decoded, handled and encoded."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from pyralog.api.handler import Done
from pyralog.api.registry import CLIENT_APIS
from pyralog.cluster.requests import CreateTopics, NewTopic
from pyralog.errors import ErrorCode
from pyralog.model import TopicPartition
from pyralog.net.plane_types import ProducerInfo, SegmentInfo
from pyralog.wire import messages as m
from pyralog.wire.protocol import API, encode_request, encode_response
from tests.unit.api.fakes import Node, request_frame

EVERY_VERSION = [
    (key, version) for key, api in CLIENT_APIS.items() for version in range(api.min_version, api.max_version + 1)
]
FORWARDED_ONLY = (0, 1)
# Coordinators refuse what these requests name, here an unknown transactional id and an empty one.
REFUSED_FULL: dict[Any, ErrorCode] = {
    25: ErrorCode.INVALID_PRODUCER_ID_MAPPING,
    26: ErrorCode.INVALID_PRODUCER_ID_MAPPING,
    (11, 4): ErrorCode.MEMBER_ID_REQUIRED,
    12: ErrorCode.UNKNOWN_MEMBER_ID,
    **{(13, version): ErrorCode.UNKNOWN_MEMBER_ID for version in range(3)},
    14: ErrorCode.UNKNOWN_MEMBER_ID,
    (14, 5): ErrorCode.INCONSISTENT_GROUP_PROTOCOL,  # v5 names the protocol
    47: ErrorCode.GROUP_ID_NOT_FOUND,
}
NO_ERROR_FIELD = {(24, version) for version in range(4)}
REFUSED_EMPTY: dict[Any, ErrorCode] = {
    **dict.fromkeys((24, 25, 26, 68), ErrorCode.INVALID_REQUEST),
    **dict.fromkeys((11, 12, 13, 14), ErrorCode.INVALID_GROUP_ID),
    (14, 5): ErrorCode.INCONSISTENT_GROUP_PROTOCOL,
    47: ErrorCode.INVALID_GROUP_ID,
}
PARKED = (11, 14)  # what may wait for other members


def by_version(versions: dict[int, Any], version: int) -> Any:
    """The entry of the highest version not above this one."""
    return versions[max(known for known in versions if known <= version)]


def full_request(key: int, version: int, node: Node) -> Any:
    """A request of this API that names the topic "t", a missing one, and fills what the version has."""
    topic_id = node.quorum.image.topics["t"].topic_id
    match key:
        case 0:
            return m.ProduceRequest(
                acks=-1,
                topic_data=[
                    m.TopicProduceData(**named, partition_data=[m.PartitionProduceData(index=0, records=b"x")])
                    for named in (
                        [{"topic_id": topic_id}, {"topic_id": bytes([9] * 16)}]
                        if version >= 13
                        else [{"name": "t"}, {"name": "missing"}]
                    )
                ],
            )
        case 1:
            by_id = {"topic_id": topic_id} if version >= 13 else {"topic": "t"}
            return m.FetchRequest(
                topics=[m.FetchRequestFetchTopic(partitions=[m.FetchRequestFetchPartition(partition=0)], **by_id)]
            )
        case 2:
            stamps = [
                -1,
                -2,
                5,
                *by_version({1: [], 7: [-3], 8: [-3, -4], 9: [-3, -4, -5], 11: [-3, -4, -5, -6]}, version),
            ]
            return m.ListOffsetsRequest(
                topics=[
                    m.ListOffsetsTopic(
                        name="t",
                        partitions=[
                            m.ListOffsetsPartition(partition_index=index, timestamp=stamp)
                            for index, stamp in enumerate(stamps)
                        ],
                    )
                ]
            )
        case 3:
            topics = [m.MetadataRequestTopic(name="t"), m.MetadataRequestTopic(name="missing")]
            if version >= 12:
                topics.append(m.MetadataRequestTopic(name=None, topic_id=topic_id))
                topics.append(m.MetadataRequestTopic(name=None, topic_id=bytes([9] * 16)))
            return m.MetadataRequest(
                topics=topics,
                allow_auto_topic_creation=version < 4,
                include_topic_authorized_operations=version >= 8,
                include_cluster_authorized_operations=8 <= version <= 10,
            )
        case 18:
            return m.ApiVersionsRequest(client_software_name="test", client_software_version="1.0")
        case 19:
            return m.CreateTopicsRequest(
                topics=[
                    m.CreatableTopic(name="new", num_partitions=2, replication_factor=1),
                    m.CreatableTopic(
                        name="placed",
                        num_partitions=-1,
                        replication_factor=-1,
                        assignments=[m.CreatableReplicaAssignment(partition_index=0, broker_ids=[1])],
                        configs=[m.CreatableTopicConfig(name="retention.ms", value="1000")],
                    ),
                    m.CreatableTopic(name="t", num_partitions=1, replication_factor=1),
                    m.CreatableTopic(name="a/b", num_partitions=1, replication_factor=1),
                ],
                validate_only=version % 2 == 0,
            )
        case 20:
            if version < 6:
                return m.DeleteTopicsRequest(topic_names=["t", "missing"])
            return m.DeleteTopicsRequest(
                topics=[m.DeleteTopicState(topic_id=topic_id), m.DeleteTopicState(name="missing")]
            )
        case 21:
            partitions = [m.DeleteRecordsPartition(partition_index=index, offset=-1) for index in (0, 99)]
            return m.DeleteRecordsRequest(topics=[m.DeleteRecordsTopic(name="t", partitions=partitions)])
        case 22:
            return m.InitProducerIdRequest(transactional_id=None, transaction_timeout_ms=1000)
        case 23:
            partitions = [m.OffsetForLeaderPartition(partition=index, leader_epoch=0) for index in (0, 99)]
            return m.OffsetForLeaderEpochRequest(
                replica_id=-1 if version >= 3 else -2,
                topics=[m.OffsetForLeaderTopic(topic="t", partitions=partitions)],
            )
        case 32:
            return m.DescribeConfigsRequest(
                resources=[
                    m.DescribeConfigsResource(resource_type=kind, resource_name=name, configuration_keys=None)
                    for kind, name in ((2, "t"), (2, "missing"), (4, "1"), (4, ""), (8, "1"), (16, "x"), (99, ""))
                ],
                include_synonyms=True,
                include_documentation=version >= 3,
            )
        case 33:
            configs = [m.AlterConfigsRequestAlterableConfig(name="retention.ms", value="5")]
            return m.AlterConfigsRequest(
                resources=[
                    m.AlterConfigsRequestAlterConfigsResource(resource_type=2, resource_name=name, configs=configs)
                    for name in ("t", "missing")
                ]
            )
        case 35:
            return m.DescribeLogDirsRequest(topics=[m.DescribableLogDirTopic(topic="t", partitions=[0, 99])])
        case 37:
            return m.CreatePartitionsRequest(
                topics=[
                    m.CreatePartitionsTopic(name="t", count=20, assignments=None),
                    m.CreatePartitionsTopic(name="missing", count=20, assignments=None),
                ]
            )
        case 43:
            partitions = [m.ElectLeadersRequestTopicPartitions(topic=name, partitions=[0, 99]) for name in ("t", "u")]
            return m.ElectLeadersRequest(topic_partitions=partitions)
        case 45:
            moves = [m.ReassignablePartition(partition_index=index, replicas=[1]) for index in (0, 99)]
            moves.append(m.ReassignablePartition(partition_index=1, replicas=None))
            topics = [m.ReassignableTopic(name=name, partitions=moves) for name in ("t", "missing")]
            return m.AlterPartitionReassignmentsRequest(topics=topics)
        case 46:
            return m.ListPartitionReassignmentsRequest(
                topics=[m.ListPartitionReassignmentsTopics(name="t", partition_indexes=[0, 99])]
            )
        case 55:
            partition = m.DescribeQuorumRequestPartitionData(partition_index=0)
            topic = m.DescribeQuorumRequestTopicData(topic_name="__cluster_metadata", partitions=[partition])
            return m.DescribeQuorumRequest(topics=[topic])
        case 44:
            change = m.IncrementalAlterConfigsRequestAlterableConfig(name="retention.ms", config_operation=0, value="5")
            return m.IncrementalAlterConfigsRequest(
                resources=[
                    m.IncrementalAlterConfigsRequestAlterConfigsResource(
                        resource_type=2, resource_name=name, configs=[change]
                    )
                    for name in ("t", "missing")
                ]
            )
        case 60:
            return m.DescribeClusterRequest(
                include_cluster_authorized_operations=True, include_fenced_brokers=version >= 2
            )
        case 61:
            return m.DescribeProducersRequest(
                topics=[m.DescribeProducersRequestTopicRequest(name="t", partition_indexes=[0, 99])]
            )
        case 74:
            return m.ListConfigResourcesRequest(resource_types=[2, 4, 8, 16, 32] if version else [])
        case 75:
            return m.DescribeTopicPartitionsRequest(
                topics=[m.DescribeTopicPartitionsRequestTopicRequest(name=name) for name in ("t", "missing")],
                response_partition_limit=3,
            )
        case 24:
            topics = [m.AddPartitionsToTxnTopic(name=name, partitions=[0, 1]) for name in ("t", "missing")]
            if version < 4:
                return m.AddPartitionsToTxnRequest(v3_and_below_transactional_id="x", v3_and_below_topics=topics)
            transactions = [
                m.AddPartitionsToTxnTransaction(transactional_id="x", verify_only=only, topics=topics)
                for only in (False, True)
            ]
            return m.AddPartitionsToTxnRequest(transactions=transactions)
        case 27:
            marked = [m.WritableTxnMarkerTopic(name=name, partition_indexes=[0, 99]) for name in ("t", "missing")]
            return m.WriteTxnMarkersRequest(markers=[m.WritableTxnMarker(producer_id=1, topics=marked)])
        case 57:
            update = m.FeatureUpdateKey(feature="metadata.version", max_version_level=33)
            return m.UpdateFeaturesRequest(feature_updates=[update])
        case 65:
            return m.DescribeTransactionsRequest(transactional_ids=["x", ""])
        case 66:
            return m.ListTransactionsRequest(
                state_filters=["Ongoing", "Nonsense"],
                producer_id_filters=[1],
                duration_filter=1 if version >= 1 else -1,
                transactional_id_pattern="x.*" if version >= 2 else None,
            )
        case 25:
            return m.AddOffsetsToTxnRequest(transactional_id="x", group_id="g")
        case 26:
            return m.EndTxnRequest(transactional_id="x", committed=True)
    if (request := group_request(key, version, topic_id)) is not None:
        return request
    raise AssertionError(f"no request for key {key}")


def group_request(key: int, version: int, topic_id: bytes) -> Any:
    """The same for the APIs of groups."""
    by_id = [{"topic_id": topic_id}, {"topic_id": bytes([9] * 16)}]
    by_name = [{"name": "t"}, {"name": "missing"}]
    match key:
        case 8:
            one = m.OffsetCommitRequestPartition(partition_index=0, committed_offset=5, committed_metadata="here")
            topics = by_id if version >= 10 else by_name
            return m.OffsetCommitRequest(
                group_id="g", topics=[m.OffsetCommitRequestTopic(partitions=[one], **topic) for topic in topics]
            )
        case 9:
            if version < 8:
                asked = [m.OffsetFetchRequestTopic(partition_indexes=[0, 99], **topic) for topic in by_name]
                return m.OffsetFetchRequest(group_id="g", topics=asked, require_stable=version >= 7)
            topics = by_id if version >= 10 else by_name
            asked = [m.OffsetFetchRequestTopics(partition_indexes=[0, 99], **topic) for topic in topics]
            groups = [m.OffsetFetchRequestGroup(group_id=name, topics=asked) for name in ("g", "")]
            return m.OffsetFetchRequest(groups=[*groups, m.OffsetFetchRequestGroup(group_id="all", topics=None)])
        case 10:
            if version >= 4:
                return m.FindCoordinatorRequest(key_type=1, coordinator_keys=["x", "y"])
            return m.FindCoordinatorRequest(key="g", key_type=1 if version else 0)
        case 11:
            return m.JoinGroupRequest(
                group_id="g",
                session_timeout_ms=10_000,
                rebalance_timeout_ms=10_000 if version else -1,
                protocol_type="consumer",
                group_instance_id="i" if version >= 5 else None,
                protocols=[m.JoinGroupRequestProtocol(name="range", metadata=b"x")],
            )
        case 12:
            return m.HeartbeatRequest(group_id="g", generation_id=1, member_id="x")
        case 13:
            if version < 3:
                return m.LeaveGroupRequest(group_id="g", member_id="x")
            return m.LeaveGroupRequest(group_id="g", members=[m.MemberIdentity(member_id="x")])
        case 14:
            assignments = [m.SyncGroupRequestAssignment(member_id="x", assignment=b"a")]
            return m.SyncGroupRequest(group_id="g", generation_id=1, member_id="x", assignments=assignments)
        case 15:
            return m.DescribeGroupsRequest(groups=["g", ""], include_authorized_operations=version >= 3)
        case 16:
            return m.ListGroupsRequest(
                states_filter=["Stable"] if version >= 4 else [], types_filter=["classic"] if version >= 5 else []
            )
        case 28:
            one = m.TxnOffsetCommitRequestPartition(partition_index=0, committed_offset=5, committed_metadata="here")
            topics = by_id if version >= 6 else by_name
            asked = [m.TxnOffsetCommitRequestTopic(partitions=[one], **topic) for topic in topics]
            return m.TxnOffsetCommitRequest(transactional_id="x", group_id="g", producer_id=1, topics=asked)
        case 42:
            return m.DeleteGroupsRequest(groups_names=["g", ""])
        case 47:
            one = m.OffsetDeleteRequestPartition(partition_index=0)
            asked = [m.OffsetDeleteRequestTopic(partitions=[one], **topic) for topic in by_name]
            return m.OffsetDeleteRequest(group_id="g", topics=asked)
        case 68:
            return m.ConsumerGroupHeartbeatRequest(
                group_id="g",
                member_id="m" if version else "",
                member_epoch=0,
                rebalance_timeout_ms=10_000,
                subscribed_topic_names=["t"],
                topic_partitions=[],
            )
        case 69:
            return m.ConsumerGroupDescribeRequest(group_ids=["g", ""], include_authorized_operations=True)
    return None


async def with_topic(node: Node) -> Node:
    await node.quorum.submit(CreateTopics((NewTopic("t", 10, 1),)))
    tp = TopicPartition("t", 2)
    node.plane.logs[tp].segments = [SegmentInfo(0, 10, 100, 7, 3, 0)]
    node.plane.logs[tp].end = 10
    node.logs.records[tp] = [(3, 7, 0)]
    node.plane.logs[TopicPartition("t", 0)].producers = [ProducerInfo(1, 2, 3, 4)]
    return node


@pytest.mark.parametrize(("key", "version"), EVERY_VERSION)
async def test_full_request(new_node: Callable[..., Node], key: int, version: int) -> None:
    node = await with_topic(new_node(auto_create_topics=False))
    token = node.post(key, version, full_request(key, version, node))
    await node.settle()
    if key in FORWARDED_ONLY:
        assert node.plane.resubmitted == {token: None}
        assert ("User:ANONYMOUS", "t") in node.plane.permits
        return
    answer = node.answer(key, version, token)
    assert type(answer).__name__ == API[key].name + "Response"
    assert node.plane.closed == []
    assert getattr(answer, "error_code", 0) == REFUSED_FULL.get((key, version), REFUSED_FULL.get(key, 0))
    # Trap 9: the field is there from the version that has it on, and 0 while there are no quotas.
    assert getattr(answer, "throttle_time_ms", 0) == 0


@pytest.mark.parametrize(("key", "version"), EVERY_VERSION)
async def test_empty_request(node: Node, key: int, version: int) -> None:
    request = getattr(m, API[key].name + "Request")()
    if key == 18:
        request = m.ApiVersionsRequest(client_software_name="test", client_software_version="1.0")
    if key == 22:
        request.transactional_id = None
    token = node.post(key, version, request)
    await node.settle()
    if key in FORWARDED_ONLY:
        assert node.plane.resubmitted == {token: None}
    else:
        code = getattr(node.answer(key, version, token), "error_code", 0)
        assert code == (
            0 if (key, version) in NO_ERROR_FIELD else REFUSED_EMPTY.get((key, version), REFUSED_EMPTY.get(key, 0))
        )


@pytest.mark.parametrize(("key", "version"), EVERY_VERSION)
async def test_failure_is_well_formed(new_node: Callable[..., Node], key: int, version: int) -> None:
    node = await with_topic(new_node())
    api = CLIENT_APIS[key]
    answer = api.fail(full_request(key, version, node), ErrorCode.UNKNOWN_SERVER_ERROR, None)
    if answer is Done.CLOSE:
        return
    body = encode_response(key, version, answer)
    # Trap 14: no leader hint rather than a stale one.
    for topic in getattr(answer, "responses", ()) if key in (0, 1) else ():
        partitions = topic.partition_responses if key == 0 else topic.partitions
        assert all(partition.current_leader.leader_id == -1 for partition in partitions)
    assert b"\xff\xff" in body or (key == 35 and version < 3), "the error is nowhere in the answer"


@pytest.mark.parametrize(("key", "version"), EVERY_VERSION)
async def test_cut_request_never_answers_nonsense(new_node: Callable[..., Node], key: int, version: int) -> None:
    """Trap 7: a body cut anywhere ends the connection and nothing else."""

    node = await with_topic(new_node(auto_create_topics=False))
    body = encode_request(key, version, full_request(key, version, node))
    image = node.quorum.image
    for size in range(len(body)):
        token = node.send(request_frame(key, version, body[:size]))
        assert node.plane.closed[-1:] == [token], f"cut at {size}"
    assert node.dispatcher.stats.malformed == len(body)
    assert node.quorum.image is image


@pytest.mark.parametrize("key", list(CLIENT_APIS))
async def test_damaged_requests_get_exactly_one_outcome(new_node: Callable[..., Node], key: int) -> None:
    """Trap 7: whatever the bytes, a request is answered, handed back or its connection closed; nothing is raised."""
    groups = {"groups": {"initial_rebalance_delay_ms": 0}}
    node = await with_topic(new_node(auto_create_topics=False, config_tree=groups))
    rng = random.Random(key)
    api = CLIENT_APIS[key]
    tokens = []
    for _ in range(300):
        version = rng.randint(api.min_version, api.max_version)
        if "t" not in node.quorum.image.topics:
            await with_topic(node)
        frame = bytearray(request_frame(key, version, encode_request(key, version, full_request(key, version, node))))
        for _ in range(rng.randint(1, 4)):
            frame[rng.randrange(8, len(frame))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        tokens.append(node.send(bytes(frame)))
        if key in PARKED:
            await asyncio.sleep(0)
        else:
            await node.settle()
    if key in PARKED:
        assert len(tokens) == len({*node.plane.replies, *node.plane.closed}) + node.dispatcher.stats.waiting
        return
    outcomes = [*node.plane.replies, *node.plane.closed, *node.plane.resubmitted]
    assert sorted(outcomes) == tokens


def test_table_is_that_of_the_single_node_broker() -> None:
    """Trap 4: Fetch by topic id comes with Metadata by id. Trap 3: no Produce 12, no groups, no transactions yet."""
    assert {api.name: api.advertised for api in CLIENT_APIS.values()} == {
        "Produce": (0, 13),
        "Fetch": (4, 18),
        "ListOffsets": (1, 11),
        "Metadata": (0, 13),
        "ApiVersions": (0, 5),
        "CreateTopics": (2, 7),
        "DeleteTopics": (1, 6),
        "DeleteRecords": (0, 2),
        "InitProducerId": (0, 5),
        "OffsetForLeaderEpoch": (2, 4),
        "DescribeConfigs": (1, 4),
        "AlterConfigs": (0, 2),
        "DescribeLogDirs": (1, 5),
        "CreatePartitions": (0, 3),
        "IncrementalAlterConfigs": (0, 1),
        "DescribeCluster": (0, 2),
        "DescribeProducers": (0, 0),
        "ListConfigResources": (0, 1),
        "DescribeTopicPartitions": (0, 0),
        "ElectLeaders": (0, 2),
        "AlterPartitionReassignments": (0, 1),
        "ListPartitionReassignments": (0, 0),
        "DescribeQuorum": (0, 2),
        "OffsetCommit": (2, 10),
        "OffsetFetch": (1, 10),
        "FindCoordinator": (0, 6),
        "JoinGroup": (0, 9),
        "Heartbeat": (0, 4),
        "LeaveGroup": (0, 5),
        "SyncGroup": (0, 5),
        "DescribeGroups": (0, 6),
        "ListGroups": (0, 5),
        "DeleteGroups": (0, 3),
        "OffsetDelete": (0, 0),
        "TxnOffsetCommit": (0, 6),
        "AddPartitionsToTxn": (0, 5),
        "AddOffsetsToTxn": (0, 4),
        "EndTxn": (0, 5),
        "WriteTxnMarkers": (1, 2),
        "UpdateFeatures": (0, 2),
        "DescribeTransactions": (0, 0),
        "ListTransactions": (0, 2),
        "ConsumerGroupHeartbeat": (0, 1),
        "ConsumerGroupDescribe": (0, 1),
    }
    for api in CLIENT_APIS.values():
        assert API[api.key].min_version <= api.min_version
        assert api.max_version <= API[api.key].max_version
        assert api.name == API[api.key].name
