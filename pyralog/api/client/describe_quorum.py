"""DescribeQuorum (key 55, versions 0-2): leader, epoch, high watermark and voters of the metadata log (KIP-595).

Contract
- Exactly the partition `__cluster_metadata`-0; anything else, or anything beside it, is UNKNOWN_TOPIC_OR_PARTITION.
- The one voter leads; what is in its log is committed, so its log end is the high watermark. It has caught up now.
- v2 adds the directory id of the voter (KIP-853) and the nodes; ours has no listener for controllers to name.
- DESCRIBE on the cluster, else CLUSTER_AUTHORIZATION_FAILED.
"""

from __future__ import annotations

from pyralog.api.authorizer import Operation
from pyralog.api.context import Context
from pyralog.api.handler import Api
from pyralog.cluster.controller_topics import METADATA_TOPIC
from pyralog.errors import ErrorCode
from pyralog.model import ZERO_UUID
from pyralog.runtime import now_ms
from pyralog.wire.messages import (
    DescribeQuorumRequest,
    DescribeQuorumResponse,
    DescribeQuorumResponsePartitionData,
    DescribeQuorumResponseReplicaState,
    DescribeQuorumResponseTopicData,
    Node,
)

DIRECTORY_IDS_FROM = 2  # KIP-853
NOT_HOSTED = "This server does not host this topic-partition."


def handle(request: DescribeQuorumRequest, context: Context) -> DescribeQuorumResponse:
    """The state of the metadata quorum."""
    context.demand_on_cluster(Operation.DESCRIBE)
    asked = [(topic.topic_name, one.partition_index) for topic in request.topics for one in topic.partitions]
    if not asked:
        return DescribeQuorumResponse()
    known = asked == [(METADATA_TOPIC, 0)]
    response = DescribeQuorumResponse(
        topics=[
            DescribeQuorumResponseTopicData(
                topic_name=topic.topic_name,
                partitions=[
                    _quorum(context)
                    if known
                    else DescribeQuorumResponsePartitionData(
                        partition_index=one.partition_index,
                        error_code=ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
                        error_message=NOT_HOSTED,
                    )
                    for one in topic.partitions
                ],
            )
            for topic in request.topics
        ]
    )
    if known and context.version >= DIRECTORY_IDS_FROM:
        response.nodes = [Node(node_id=context.services.settings.node_id)]
    return response


def _quorum(context: Context) -> DescribeQuorumResponsePartitionData:
    image, now = context.image, now_ms()
    node = image.brokers.get(image.controller_id)
    log_end = image.offset + 1
    return DescribeQuorumResponsePartitionData(
        partition_index=0,
        leader_id=image.controller_id,
        leader_epoch=image.epoch,
        high_watermark=log_end,
        current_voters=[
            DescribeQuorumResponseReplicaState(
                replica_id=image.controller_id,
                replica_directory_id=ZERO_UUID
                if node is None or context.version < DIRECTORY_IDS_FROM
                else node.directory_id,
                log_end_offset=log_end,
                last_fetch_timestamp=now,
                last_caught_up_timestamp=now,
            )
        ],
    )


def fail(request: DescribeQuorumRequest, code: ErrorCode, why: str | None) -> DescribeQuorumResponse:
    """The error on the whole."""
    return DescribeQuorumResponse(error_code=code, error_message=why or code.message)


API = Api(55, "DescribeQuorum", 0, 2, handle, fail)
