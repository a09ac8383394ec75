"""ConsumerGroupDescribe: a group and its members as Kafka shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyralog.coordinator.consumer_group.group import NO_ASSIGNMENT, ConsumerGroup
from pyralog.coordinator.consumer_group.member import Member
from pyralog.coordinator.outcome import Outcome, Reply
from pyralog.errors import ErrorCode
from pyralog.wire.messages import (
    ConsumerGroupDescribeRequest,
    ConsumerGroupDescribeResponse,
    ConsumerGroupDescribeResponseAssignment,
    ConsumerGroupDescribeResponseDescribedGroup,
    ConsumerGroupDescribeResponseMember,
    ConsumerGroupDescribeResponseTopicPartitions,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyralog.cluster.image import ClusterImage
    from pyralog.coordinator.group.shard import GroupShard
    from pyralog.coordinator.outcome import ClientRequest
    from pyralog.model import Uuid

CLASSIC_MEMBER, CONSUMER_MEMBER = 0, 1


def describe(shard: GroupShard, request: ClientRequest, ticket: int, now_ms: int) -> Outcome:
    """Each group that is asked for; GROUP_ID_NOT_FOUND for what is none of this protocol."""
    message = request.message
    assert isinstance(message, ConsumerGroupDescribeRequest)
    groups = [_described(shard, group_id) for group_id in message.group_ids]
    return Outcome(replies=(Reply(ticket, ConsumerGroupDescribeResponse(groups=groups)),))


def _described(shard: GroupShard, group_id: str) -> ConsumerGroupDescribeResponseDescribedGroup:
    group = shard.groups.get(group_id)
    if not isinstance(group, ConsumerGroup):
        why = f"Group {group_id} not found." if group is None else f"Group {group_id} is not a consumer group."
        return ConsumerGroupDescribeResponseDescribedGroup(
            group_id=group_id, error_code=ErrorCode.GROUP_ID_NOT_FOUND, error_message=why
        )
    return ConsumerGroupDescribeResponseDescribedGroup(
        group_id=group_id,
        group_state=group.state_name(),
        group_epoch=group.epoch,
        assignment_epoch=group.target_epoch,
        assignor_name=group.preferred_assignor(shard.settings.consumer_assignors[0]),
        members=[_member(group, member, shard.image) for member in group.members.values()],
    )


def _member(group: ConsumerGroup, member: Member, image: ClusterImage) -> ConsumerGroupDescribeResponseMember:
    held: dict[Uuid, set[int]] = {}
    for owned in (member.owned, member.revoking):
        for topic_id, partitions in owned.items():
            held.setdefault(topic_id, set()).update(partitions)
    return ConsumerGroupDescribeResponseMember(
        member_id=member.member_id,
        instance_id=member.instance_id,
        rack_id=member.rack_id,
        member_epoch=member.epoch,
        client_id=member.client_id,
        client_host=member.client_host,
        subscribed_topic_names=sorted(member.topics),
        subscribed_topic_regex=member.regex,
        assignment=_assignment(held, image),
        target_assignment=_assignment(group.target.get(member.member_id, NO_ASSIGNMENT), image),
        member_type=CONSUMER_MEMBER if member.classic is None else CLASSIC_MEMBER,
    )


def _assignment(
    partitions: Mapping[Uuid, Iterable[int]], image: ClusterImage
) -> ConsumerGroupDescribeResponseAssignment:
    """With the names of topics; a topic that is gone is left out, as it has none."""
    return ConsumerGroupDescribeResponseAssignment(
        topic_partitions=[
            ConsumerGroupDescribeResponseTopicPartitions(
                topic_id=topic_id, topic_name=image.topic_names[topic_id], partitions=sorted(each)
            )
            for topic_id, each in partitions.items()
            if topic_id in image.topic_names
        ]
    )
