"""The table of client APIs: what is served, in which versions; ApiVersions shows exactly this.

Most handlers are imported when they are first asked for, or soon after the start: together they would take a third of
the time that a node has to be ready. The rows here say what each module's own API says; a test holds them together.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pyralog.api.client import api_versions, metadata
from pyralog.api.handler import Api
from pyralog.wire.messages import ApiVersionsResponse
from pyralog.wire.protocol import encode_response

if TYPE_CHECKING:
    from pyralog._speedups.desk import Desk
    from pyralog._speedups.plane.delivery import Lane
    from pyralog.api.context import Context, Services
    from pyralog.errors import ErrorCode
    from pyralog.net.plane import Plane

_MODULES: dict[int, str] = {}


def _later(
    module: str,
    key: int,
    name: str,
    low: int,
    high: int,
    *,
    cacheable: bool = False,
    lane: bool = False,
    advertised_min: int | None = None,
) -> Api:
    """The row of a module that is imported when it is needed."""
    _MODULES[key] = f"pyralog.api.client.{module}"

    @functools.cache
    def load() -> Api:
        found: Api = importlib.import_module(_MODULES[key]).API
        return found

    def handle(request: Any, context: Context) -> Any:
        return load().handle(request, context)

    def fail(request: Any, code: ErrorCode, why: str | None) -> Any:
        return load().fail(request, code, why)

    def make_lane(services: Services, desk: Desk) -> Lane:
        make = load().lane
        assert make is not None
        return make(services, desk)

    return Api(
        key,
        name,
        low,
        high,
        handle,
        fail,
        cacheable=cacheable,
        lane=make_lane if lane else None,
        advertised_min=advertised_min,
    )


CLIENT_APIS: Mapping[int, Api] = MappingProxyType(
    {
        api.key: api
        for api in (
            _later("produce", 0, "Produce", 3, 13, advertised_min=0),
            _later("fetch", 1, "Fetch", 4, 18),
            _later("list_offsets", 2, "ListOffsets", 1, 11),
            metadata.API,
            api_versions.API,
            _later("create_topics", 19, "CreateTopics", 2, 7),
            _later("delete_topics", 20, "DeleteTopics", 1, 6),
            _later("delete_records", 21, "DeleteRecords", 0, 2),
            _later("offset_commit", 8, "OffsetCommit", 2, 10, lane=True),
            _later("offset_fetch", 9, "OffsetFetch", 1, 10),
            _later("txn_offset_commit", 28, "TxnOffsetCommit", 0, 6),
            _later("offset_delete", 47, "OffsetDelete", 0, 0),
            _later("find_coordinator", 10, "FindCoordinator", 0, 6),
            _later("join_group", 11, "JoinGroup", 0, 9),
            _later("heartbeat", 12, "Heartbeat", 0, 4),
            _later("leave_group", 13, "LeaveGroup", 0, 5),
            _later("sync_group", 14, "SyncGroup", 0, 5),
            _later("describe_groups", 15, "DescribeGroups", 0, 6),
            _later("list_groups", 16, "ListGroups", 0, 5),
            _later("init_producer_id", 22, "InitProducerId", 0, 5),
            _later("offset_for_leader_epoch", 23, "OffsetForLeaderEpoch", 2, 4),
            _later("add_partitions_to_txn", 24, "AddPartitionsToTxn", 0, 5, lane=True),
            _later("add_offsets_to_txn", 25, "AddOffsetsToTxn", 0, 4),
            _later("end_txn", 26, "EndTxn", 0, 5, lane=True),
            _later("write_txn_markers", 27, "WriteTxnMarkers", 1, 2),
            _later("describe_configs", 32, "DescribeConfigs", 1, 4),
            _later("alter_configs", 33, "AlterConfigs", 0, 2),
            _later("describe_log_dirs", 35, "DescribeLogDirs", 1, 5),
            _later("create_partitions", 37, "CreatePartitions", 0, 3),
            _later("delete_groups", 42, "DeleteGroups", 0, 3),
            _later("elect_leaders", 43, "ElectLeaders", 0, 2),
            _later("incremental_alter_configs", 44, "IncrementalAlterConfigs", 0, 1),
            _later("alter_partition_reassignments", 45, "AlterPartitionReassignments", 0, 1),
            _later("list_partition_reassignments", 46, "ListPartitionReassignments", 0, 0),
            _later("describe_quorum", 55, "DescribeQuorum", 0, 2),
            _later("update_features", 57, "UpdateFeatures", 0, 2),
            _later("describe_cluster", 60, "DescribeCluster", 0, 2, cacheable=True),
            _later("describe_producers", 61, "DescribeProducers", 0, 0),
            _later("describe_transactions", 65, "DescribeTransactions", 0, 0),
            _later("list_transactions", 66, "ListTransactions", 0, 2),
            _later("consumer_group_heartbeat", 68, "ConsumerGroupHeartbeat", 0, 1),
            _later("consumer_group_describe", 69, "ConsumerGroupDescribe", 0, 1),
            _later("list_config_resources", 74, "ListConfigResources", 0, 1),
            _later("describe_topic_partitions", 75, "DescribeTopicPartitions", 0, 0, cacheable=True),
        )
    }
)


def import_handlers() -> None:
    """Import what has been put off, so that no client waits for it; for the work pool, once the node is ready."""
    for module in _MODULES.values():
        importlib.import_module(module)


# ApiVersions answers that hold no feature and check no client name: the plane gives them by itself.
CONSTANT_API_VERSIONS = (0, 1, 2)


def install_answers(plane: Plane, apis: Mapping[int, Api]) -> None:
    """Teach the plane the answers that never change."""
    response = ApiVersionsResponse(api_keys=api_versions.table(apis))
    for version in CONSTANT_API_VERSIONS:
        plane.install_answer(api_versions.KEY, version, encode_response(api_versions.KEY, version, response))
