"""DescribeLogDirs (key 35, versions 1-5): the data directories of this node, their space, and what lies in them.

Contract
- Each directory by its absolute path with the size of every partition asked for that it holds; null topics ask for all.
  A directory that failed says KAFKA_STORAGE_ERROR and lists nothing.
- OffsetLag is how far the replica is behind the high watermark: 0 for what this node leads. No replica is ever
  moving between directories here, so there are no future ones.
- v4+ total and usable bytes of the file system (KIP-827). v5 IsCordoned: no directory is (KIP-1066).
- DESCRIBE on the cluster, else CLUSTER_AUTHORIZATION_FAILED (before v3, which has no place for it, no directories).
"""

from __future__ import annotations

from collections.abc import Iterable

from pyralog.api.authorizer import Operation
from pyralog.api.context import Context
from pyralog.api.handler import Api
from pyralog.errors import ErrorCode
from pyralog.model import TopicPartition
from pyralog.wire.messages import (
    DescribeLogDirsPartition,
    DescribeLogDirsRequest,
    DescribeLogDirsResponse,
    DescribeLogDirsResult,
    DescribeLogDirsTopic,
)


async def handle(request: DescribeLogDirsRequest, context: Context) -> DescribeLogDirsResponse:
    """One result for each directory; a single one so far."""
    context.demand_on_cluster(Operation.DESCRIBE)
    result = DescribeLogDirsResult(log_dir=context.services.logs.directory)
    topics, failed = _hosted(_asked(request, context), context)
    if failed:
        result.error_code = ErrorCode.KAFKA_STORAGE_ERROR
        return DescribeLogDirsResponse(results=[result])
    result.topics = topics
    result.total_bytes, result.usable_bytes = await context.services.logs.space()
    return DescribeLogDirsResponse(results=[result])


def _asked(request: DescribeLogDirsRequest, context: Context) -> Iterable[tuple[str, Iterable[int]]]:
    if request.topics is not None:
        return [(topic.topic, dict.fromkeys(topic.partitions)) for topic in request.topics]
    return [(name, range(len(topic.partitions))) for name, topic in context.image.topics.items()]


def _hosted(asked: Iterable[tuple[str, Iterable[int]]], context: Context) -> tuple[list[DescribeLogDirsTopic], bool]:
    """What of it this node holds, and whether its directory has failed."""
    topics = []
    for name, indexes in asked:
        partitions = []
        for index in indexes:
            snapshot = context.services.plane.snapshot(TopicPartition(name, index))
            if snapshot is None:
                continue
            if snapshot.failed:
                return [], True
            lag = max(snapshot.high_watermark - snapshot.log_end, 0)
            partitions.append(
                DescribeLogDirsPartition(partition_index=index, partition_size=snapshot.size_bytes, offset_lag=lag)
            )
        if partitions:
            topics.append(DescribeLogDirsTopic(name=name, partitions=partitions))
    return topics, False


def fail(request: DescribeLogDirsRequest, code: ErrorCode, why: str | None) -> DescribeLogDirsResponse:
    """The error alone."""
    return DescribeLogDirsResponse(error_code=code)


API = Api(35, "DescribeLogDirs", 1, 5, handle, fail)
