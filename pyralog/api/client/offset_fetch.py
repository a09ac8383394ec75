"""OffsetFetch (key 9, versions 1-10): where groups have got to.

Contract
- Null topics ask for all offsets of a group (v2+); a partition without one answers -1 and "", never 0, also when
  topic or group do not exist. v8+: many groups, each with its own outcome. The metadata text comes back as it was.
- DESCRIBE on the group, else GROUP_AUTHORIZATION_FAILED; topics not to be described are TOPIC_AUTHORIZATION_FAILED
  by name and left out of a listing of all.
- require_stable (v7+, KIP-447): a partition with an offset in a transaction that has not ended answers
  UNSTABLE_OFFSET_COMMIT.
- Member and member epoch (v9+) are checked by groups of the newer protocol: UNKNOWN_MEMBER_ID, STALE_MEMBER_EPOCH.
- v10: topics by id; an unknown id is UNKNOWN_TOPIC_ID, and what a listing of all holds of deleted topics is left out.
- Errors of a group stand on it from v8, on the answer in v2-7, and on every partition in v1.
"""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from pyralog.api.authorizer import Operation
from pyralog.api.context import Context
from pyralog.api.coordinators import demand_group
from pyralog.api.handler import Api
from pyralog.coordinator.group.offset_requests import FetchOffsets
from pyralog.errors import ErrorCode, KafkaError
from pyralog.runtime import Pending
from pyralog.wire.messages import (
    OffsetFetchRequest,
    OffsetFetchResponse,
    OffsetFetchResponseGroup,
    OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

GROUPS_FROM, IDS_FROM, TOP_ERROR_FROM = 8, 10, 2


class _Asked(NamedTuple):
    """What the coordinator is asked for a group, and the topics that are answered without it."""

    request: FetchOffsets
    refused: list[OffsetFetchResponseTopics]


def handle(request: OffsetFetchRequest, context: Context) -> OffsetFetchResponse | Awaitable[OffsetFetchResponse]:
    """Ask each group's coordinator."""
    if context.version < GROUPS_FROM:
        one = _group(request.group_id, None, -1, request.topics, request.require_stable, context)
        return one.map(lambda group: _single(request, group, context.version))
    asked = [
        _group(group.group_id, group.member_id, group.member_epoch, group.topics, request.require_stable, context)
        for group in request.groups
    ]
    return _all(asked)


def _all(asked: list[Pending[OffsetFetchResponseGroup]]) -> Pending[OffsetFetchResponse]:
    """The answer when every group's is there."""
    result: Pending[OffsetFetchResponse] = Pending()
    groups: dict[int, Any] = {}

    def take(index: int, group: Any) -> None:
        if isinstance(group, BaseException):
            result.resolve(group)
            return
        groups[index] = group
        if len(groups) == len(asked):
            result.resolve(OffsetFetchResponse(groups=[groups[at] for at in range(len(asked))]))

    if not asked:
        result.resolve(OffsetFetchResponse(groups=[]))
    for index, pending in enumerate(asked):
        pending.then(partial(take, index))
    return result


def _group(
    group_id: str,
    member_id: str | None,
    member_epoch: int,
    topics: Sequence[Any] | None,
    require_stable: bool,
    context: Context,
) -> Pending[OffsetFetchResponseGroup]:
    try:
        demand_group(Operation.DESCRIBE, group_id, context)
        asked = _asked(group_id, member_id, member_epoch, topics, require_stable, context)
        pending = context.services.groups.submit(group_id, asked.request, len(context.frame))
    except KafkaError as error:
        return Pending.of(OffsetFetchResponseGroup(group_id=group_id, error_code=error.code))
    answered = pending.map(lambda group: _shown(group, asked, context))
    return answered.recover(lambda error: _failed(group_id, error))


def _failed(group_id: str, error: Any) -> OffsetFetchResponseGroup:
    if not isinstance(error, KafkaError):
        raise error
    return OffsetFetchResponseGroup(group_id=group_id, error_code=error.code)


def _asked(
    group_id: str,
    member_id: str | None,
    member_epoch: int,
    topics: Sequence[Any] | None,
    require_stable: bool,
    context: Context,
) -> _Asked:
    if topics is None:
        return _Asked(FetchOffsets(group_id, member_id, member_epoch, None, require_stable), [])
    wanted, refused = [], []
    for topic in topics:
        name, topic_id, code = "", bytes(16), ErrorCode.NONE
        if context.version >= IDS_FROM:
            topic_id = topic.topic_id
            found = context.image.topic_by_id(topic_id)
            if found is None:
                code = ErrorCode.UNKNOWN_TOPIC_ID
            else:
                name = found.name
        else:
            name = topic.name
        if code is ErrorCode.NONE and not context.allows(Operation.DESCRIBE, name):
            code = ErrorCode.TOPIC_AUTHORIZATION_FAILED
        if code is ErrorCode.NONE:
            wanted.append((name, tuple(topic.partition_indexes)))
        else:
            nothing = [_nothing(index, code) for index in topic.partition_indexes]
            refused.append(OffsetFetchResponseTopics(name=name, topic_id=topic_id, partitions=nothing))
    return _Asked(FetchOffsets(group_id, member_id, member_epoch, tuple(wanted), require_stable), refused)


def _nothing(index: int, code: ErrorCode) -> OffsetFetchResponsePartitions:
    return OffsetFetchResponsePartitions(partition_index=index, committed_offset=-1, metadata="", error_code=code)


def _shown(group: OffsetFetchResponseGroup, asked: _Asked, context: Context) -> OffsetFetchResponseGroup:
    """What this client may see of the coordinator's answer, with ids where it asks for those."""
    if asked.request.topics is None:
        group.topics = [topic for topic in group.topics if context.allows(Operation.DESCRIBE, topic.name)]
    if context.version >= IDS_FROM:
        image = context.image
        known = [(topic, image.topics.get(topic.name)) for topic in group.topics]
        group.topics = []
        for topic, found in known:
            if found is not None:
                topic.topic_id = found.topic_id
                group.topics.append(topic)
    if group.error_code == ErrorCode.NONE:
        group.topics.extend(asked.refused)
    return group


def _single(request: OffsetFetchRequest, group: OffsetFetchResponseGroup, version: int) -> OffsetFetchResponse:
    """The form before v8."""
    if group.error_code != ErrorCode.NONE:
        return _whole(request, ErrorCode(group.error_code), version)  # type: ignore[call-arg]
    topics = [
        OffsetFetchResponseTopic(
            name=topic.name,
            partitions=[
                OffsetFetchResponsePartition(
                    partition_index=one.partition_index,
                    committed_offset=one.committed_offset,
                    committed_leader_epoch=one.committed_leader_epoch,
                    metadata=one.metadata,
                    error_code=one.error_code,
                )
                for one in topic.partitions
            ],
        )
        for topic in group.topics
    ]
    return OffsetFetchResponse(topics=topics)


def _whole(request: OffsetFetchRequest, code: ErrorCode, version: int) -> OffsetFetchResponse:
    """An error of the group before v8: v1 has partitions only to put it on."""
    if version >= TOP_ERROR_FROM:
        return OffsetFetchResponse(error_code=code)
    return fail(request, code, None)


def fail(request: OffsetFetchRequest, code: ErrorCode, why: str | None) -> OffsetFetchResponse:
    """The error everywhere where the version may look for it."""
    return OffsetFetchResponse(
        error_code=code,
        topics=[
            OffsetFetchResponseTopic(
                name=topic.name,
                partitions=[
                    OffsetFetchResponsePartition(
                        partition_index=index, committed_offset=-1, metadata="", error_code=code
                    )
                    for index in topic.partition_indexes
                ],
            )
            for topic in request.topics or ()
        ],
        groups=[OffsetFetchResponseGroup(group_id=group.group_id, error_code=code) for group in request.groups],
    )


API = Api(9, "OffsetFetch", 1, 10, handle, fail)
