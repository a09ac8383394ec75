"""OffsetCommit (key 8, versions 2-10): where a group has got to.

Contract
- READ on the group, else GROUP_AUTHORIZATION_FAILED on every partition; READ on each topic, else
  TOPIC_AUTHORIZATION_FAILED. A topic or partition that does not exist: UNKNOWN_TOPIC_OR_PARTITION; by id (v10)
  UNKNOWN_TOPIC_ID. These fail alone, the rest is committed.
- The group checks member, generation or member epoch: UNKNOWN_MEMBER_ID, ILLEGAL_GENERATION, FENCED_INSTANCE_ID,
  REBALANCE_IN_PROGRESS, STALE_MEMBER_EPOCH; an unknown group with a generation is ILLEGAL_GENERATION, from v9
  GROUP_ID_NOT_FOUND. Without member and generation anybody may commit for a group without members (trap 16).
- Metadata longer than offset.metadata.max.bytes: OFFSET_METADATA_TOO_LARGE for that partition; null is kept as "".
- RetentionTimeMs (v2-4) makes these offsets expire then, whatever offsets.retention.minutes says.
- The answer leaves when the commit is in the log. Nobody reads an offset before that.
- Group id "" is accepted, as in Kafka.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from pyralog._speedups.lane import CommitLane
from pyralog.api.authorizer import AllowAll, Operation, ResourceType
from pyralog.api.context import Context, Services
from pyralog.api.coordinators import ask_group, demand_group, judge_offset_topics
from pyralog.api.handler import Api
from pyralog.api.offset_answers import OffsetAnswers, written_code
from pyralog.coordinator.group.offsets import MAKE_COMMITTED
from pyralog.coordinator.partitioner import partition_for
from pyralog.errors import ErrorCode
from pyralog.wire.messages import (
    OffsetCommitRequest,
    OffsetCommitResponse,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
)

if TYPE_CHECKING:
    from pyralog._speedups.desk import Desk

# An enum's member is looked up slowly.
READ, GROUP, TOPIC = Operation.READ, ResourceType.GROUP, ResourceType.TOPIC
IDS_FROM = 10
ANSWERS = OffsetAnswers(OffsetCommitResponse, OffsetCommitResponseTopic, OffsetCommitResponsePartition)


def handle(request: OffsetCommitRequest, context: Context) -> OffsetCommitResponse | Awaitable[OffsetCommitResponse]:
    """Set aside what cannot be committed, and ask the group for the rest."""
    demand_group(Operation.READ, request.group_id, context)
    refused = judge_offset_topics(request.topics, context, by_id=context.version >= IDS_FROM)
    kept = [topic for topic in request.topics if topic.partitions]
    if not refused and len(kept) == len(request.topics):
        return ask_group(request.group_id, request, context)
    if not kept:
        return ANSWERS.merged((), refused)
    request.topics = kept
    asked = ask_group(request.group_id, request, context).recover(lambda error: fail(request, error.code, error.why))
    return asked.map(lambda response: ANSWERS.merged(response.topics, refused))


def lane(services: Services, desk: Desk) -> CommitLane:
    """The way of commits without anything to refuse, which is what nearly all are."""
    plane, allows = services.plane, services.authorizer.allows

    def rights(connection: int, group: str, topics: list[str]) -> bool:
        found = plane.connection(connection)
        if found is None or not allows(found.principal, READ, GROUP, group):
            return False
        return all(allows(found.principal, READ, TOPIC, topic) for topic in topics)

    return CommitLane(
        quorum=services.quorum,
        groups=services.groups,
        told=services.auditor.told_commits,
        rights=None if type(services.authorizer) is AllowAll else rights,
        make=MAKE_COMMITTED,
        partition_for=partition_for,
        desk=desk,
    )


def fail(request: OffsetCommitRequest, code: ErrorCode, why: str | None) -> OffsetCommitResponse:
    """The error on every partition."""
    return ANSWERS.failed(request.topics, written_code(code))


API = Api(8, "OffsetCommit", 2, 10, handle, fail, lane=lane)
