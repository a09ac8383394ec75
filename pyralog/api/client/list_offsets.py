"""ListOffsets (key 2, versions 1-11): the offset that belongs to a point in time, or to an end of the log (trap 13).

Contract
- -1 latest: the high watermark, or with read_committed (v2+) the last stable offset. -2 earliest: the log start.
  -3 (v7) the first record with the greatest timestamp. -4 (v8) the earliest offset on local disk: the log start, as
  nothing is tiered. -5 (v9) the last tiered offset and -6 (v11) the first one still to be tiered: there is none, so
  offset -1 without error. A special timestamp below its version, or below -6: UNSUPPORTED_VERSION for that partition.
- Any other timestamp: the first record at or after it, looked for inside compressed batches too. No such record, or one
  that readers may not see yet: offset and timestamp -1, no error.
- LeaderEpoch (v4+) is the epoch under which the record at that offset was written; with -1 the current one.
- CurrentLeaderEpoch (v4+), when given, must be ours (KIP-320). A partition named twice: INVALID_REQUEST, once.
- DESCRIBE on the topic, else TOPIC_AUTHORIZATION_FAILED. Only the leader answers.
- Searches by time read segment files on the work pool; TimeoutMs (v10, KIP-1075) bounds them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable
from typing import TYPE_CHECKING, NamedTuple

from pyralog.api.authorizer import Operation
from pyralog.api.context import Context
from pyralog.api.handler import Api
from pyralog.api.logs import NO_RECORD, FoundRecord
from pyralog.api.topics import epoch_error, led_partition
from pyralog.errors import ErrorCode, KafkaError
from pyralog.model import TopicPartition
from pyralog.runtime import now_ms
from pyralog.wire.messages import (
    ListOffsetsPartition,
    ListOffsetsPartitionResponse,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopicResponse,
)

if TYPE_CHECKING:
    from pyralog.net.plane_types import PartitionSnapshot

LATEST, EARLIEST, MAX_TIMESTAMP, EARLIEST_LOCAL, LATEST_TIERED, EARLIEST_PENDING_UPLOAD = -1, -2, -3, -4, -5, -6
SINCE = {MAX_TIMESTAMP: 7, EARLIEST_LOCAL: 8, LATEST_TIERED: 9, EARLIEST_PENDING_UPLOAD: 11}
READ_COMMITTED = 1
TIMEOUT_FROM = 10
EPOCHS_FROM = 4
ANSWERED = -1


class Search(NamedTuple):
    """A search by time still to be made, and the answer it belongs into."""

    tp: TopicPartition
    timestamp: int
    limit: int
    result: ListOffsetsPartitionResponse


def handle(request: ListOffsetsRequest, context: Context) -> ListOffsetsResponse | Awaitable[ListOffsetsResponse]:
    """Ends of logs are answered at once, searches by time after reading."""
    times = Counter((topic.name, asked.partition_index) for topic in request.topics for asked in topic.partitions)
    committed = request.isolation_level == READ_COMMITTED
    response, searches = ListOffsetsResponse(), []
    for topic in request.topics:
        results = []
        for asked in topic.partitions:
            tp = TopicPartition(topic.name, asked.partition_index)
            if times[tp] == ANSWERED:
                continue
            result = ListOffsetsPartitionResponse(partition_index=asked.partition_index)
            results.append(result)
            try:
                if times[tp] > 1:
                    times[tp] = ANSWERED
                    raise KafkaError(ErrorCode.INVALID_REQUEST)
                snapshot = _readable(tp, asked, context)
                limit = snapshot.last_stable if committed else snapshot.high_watermark
                found = _end(tp, asked.timestamp, limit, snapshot, context)
            except KafkaError as error:
                result.error_code = error.code
                continue
            if found is None:
                searches.append(Search(tp, asked.timestamp, limit, result))
            else:
                _fill(result, found, context)
        response.topics.append(ListOffsetsTopicResponse(name=topic.name, partitions=results))
    if not searches:
        return response
    timeout_ms = context.bounded(request.timeout_ms if context.version >= TIMEOUT_FROM else 0)
    return _search(response, searches, timeout_ms, context)


def _readable(tp: TopicPartition, asked: ListOffsetsPartition, context: Context) -> PartitionSnapshot:
    """The state of a partition that this node leads and the client may ask about."""
    if not context.allows(Operation.DESCRIBE, tp.topic):
        raise KafkaError(ErrorCode.TOPIC_AUTHORIZATION_FAILED)
    if asked.timestamp < EARLIEST_PENDING_UPLOAD or context.version < SINCE.get(asked.timestamp, 0):
        raise KafkaError(ErrorCode.UNSUPPORTED_VERSION)
    registration = led_partition(tp, context)
    if isinstance(registration, ErrorCode):
        raise KafkaError(registration)
    snapshot = context.snapshot(tp)
    wrong = epoch_error(snapshot.leader_epoch, asked.current_leader_epoch)
    if wrong is not ErrorCode.NONE:
        raise KafkaError(wrong)
    return snapshot


def _end(
    tp: TopicPartition, timestamp: int, limit: int, snapshot: PartitionSnapshot, context: Context
) -> FoundRecord | None:
    """What needs no reading; None when the log has to be searched."""
    if timestamp == LATEST:
        return FoundRecord(limit, -1, snapshot.leader_epoch)
    if timestamp in (EARLIEST, EARLIEST_LOCAL):
        start = snapshot.log_start
        return FoundRecord(start, -1, context.services.logs.epoch_at(tp, start))
    if timestamp in (LATEST_TIERED, EARLIEST_PENDING_UPLOAD):
        return NO_RECORD
    return None


async def _search(
    response: ListOffsetsResponse, searches: list[Search], timeout_ms: int, context: Context
) -> ListOffsetsResponse:
    deadline_ms = now_ms() + timeout_ms
    for search in searches:
        try:
            found = await context.within(deadline_ms - now_ms(), _first_at(search, context))
        except KafkaError as error:
            search.result.error_code = error.code
        else:
            _fill(search.result, found, context)
    return response


async def _first_at(search: Search, context: Context) -> FoundRecord:
    plane = context.services.plane
    timestamp = search.timestamp
    if timestamp == MAX_TIMESTAMP:
        timestamp = max((segment.max_timestamp for segment in await plane.segments(search.tp)), default=-1)
        if timestamp < 0:
            return NO_RECORD
    place = await plane.locate_timestamp(search.tp, timestamp)
    if place is None:
        return NO_RECORD
    found = await context.services.logs.find_record(search.tp, place, timestamp)
    return found if found is not None and found.offset < search.limit else NO_RECORD


def _fill(result: ListOffsetsPartitionResponse, found: FoundRecord, context: Context) -> None:
    result.offset, result.timestamp = found.offset, found.timestamp
    if context.version >= EPOCHS_FROM:  # older versions cannot carry it (KIP-320)
        result.leader_epoch = found.leader_epoch


def fail(request: ListOffsetsRequest, code: ErrorCode, why: str | None) -> ListOffsetsResponse:
    """The error on every partition."""
    return ListOffsetsResponse(
        topics=[
            ListOffsetsTopicResponse(
                name=topic.name,
                partitions=[
                    ListOffsetsPartitionResponse(partition_index=one.partition_index, error_code=code)
                    for one in topic.partitions
                ],
            )
            for topic in request.topics
        ]
    )


API = Api(2, "ListOffsets", 1, 11, handle, fail)
