"""The table of client APIs: what is served, in which versions; ApiVersions shows exactly this."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from pyralog.api.client import (
    add_offsets_to_txn,
    add_partitions_to_txn,
    alter_configs,
    alter_partition_reassignments,
    api_versions,
    consumer_group_describe,
    consumer_group_heartbeat,
    create_partitions,
    create_topics,
    delete_groups,
    delete_records,
    delete_topics,
    describe_cluster,
    describe_configs,
    describe_groups,
    describe_log_dirs,
    describe_producers,
    describe_quorum,
    describe_topic_partitions,
    describe_transactions,
    elect_leaders,
    end_txn,
    fetch,
    find_coordinator,
    heartbeat,
    incremental_alter_configs,
    init_producer_id,
    join_group,
    leave_group,
    list_config_resources,
    list_groups,
    list_offsets,
    list_partition_reassignments,
    list_transactions,
    metadata,
    offset_commit,
    offset_delete,
    offset_fetch,
    offset_for_leader_epoch,
    produce,
    sync_group,
    txn_offset_commit,
    update_features,
    write_txn_markers,
)
from pyralog.api.handler import Api
from pyralog.wire.messages import ApiVersionsResponse
from pyralog.wire.protocol import encode_response

if TYPE_CHECKING:
    from pyralog.net.plane import Plane

CLIENT_APIS: Mapping[int, Api] = MappingProxyType(
    {
        api.key: api
        for api in (
            produce.API,
            fetch.API,
            list_offsets.API,
            metadata.API,
            api_versions.API,
            create_topics.API,
            delete_topics.API,
            delete_records.API,
            offset_commit.API,
            offset_fetch.API,
            txn_offset_commit.API,
            offset_delete.API,
            find_coordinator.API,
            join_group.API,
            heartbeat.API,
            leave_group.API,
            sync_group.API,
            describe_groups.API,
            list_groups.API,
            init_producer_id.API,
            offset_for_leader_epoch.API,
            add_partitions_to_txn.API,
            add_offsets_to_txn.API,
            end_txn.API,
            write_txn_markers.API,
            describe_configs.API,
            alter_configs.API,
            describe_log_dirs.API,
            create_partitions.API,
            delete_groups.API,
            elect_leaders.API,
            incremental_alter_configs.API,
            alter_partition_reassignments.API,
            list_partition_reassignments.API,
            describe_quorum.API,
            update_features.API,
            describe_cluster.API,
            describe_producers.API,
            describe_transactions.API,
            list_transactions.API,
            consumer_group_heartbeat.API,
            consumer_group_describe.API,
            list_config_resources.API,
            describe_topic_partitions.API,
        )
    }
)

# ApiVersions answers that hold no feature and check no client name: the plane gives them by itself.
CONSTANT_API_VERSIONS = (0, 1, 2)


def install_answers(plane: Plane, apis: Mapping[int, Api]) -> None:
    """Teach the plane the answers that never change."""
    response = ApiVersionsResponse(api_keys=api_versions.table(apis))
    for version in CONSTANT_API_VERSIONS:
        plane.install_answer(api_versions.KEY, version, encode_response(api_versions.KEY, version, response))
