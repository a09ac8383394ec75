"""CreatePartitions (key 37, versions 0-3): more partitions for existing topics.

Contract
- Counts only rise: INVALID_PARTITIONS otherwise. Null assignments let the controller choose; given ones must be one
  list of replicas for each new partition, so that an empty list is INVALID_REPLICA_ASSIGNMENT.
- One result per topic; a name that comes twice is INVALID_REQUEST. ValidateOnly changes nothing.
- ALTER on the topic, else TOPIC_AUTHORIZATION_FAILED.
- The answer leaves when the change is committed and this node serves its new partitions. Records that producers spread
  by key go to other partitions from then on; that is the client's choice, as in Kafka.
- v3 differs only in the errors that quotas may add; there are none here yet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pyralog.api.authorizer import Operation
from pyralog.api.context import Context
from pyralog.api.handler import Api
from pyralog.cluster.requests import CreatePartitions, CreatePartitionsReply, MorePartitions, TopicResult
from pyralog.errors import ErrorCode
from pyralog.wire.messages import (
    CreatePartitionsRequest,
    CreatePartitionsResponse,
    CreatePartitionsTopic,
    CreatePartitionsTopicResult,
)


async def handle(request: CreatePartitionsRequest, context: Context) -> CreatePartitionsResponse:
    """Ask the controller for the partitions that the client may add."""
    times = Counter(topic.name for topic in request.topics)
    outcomes = [
        TopicResult(name, ErrorCode.INVALID_REQUEST, "the topic is named twice") for name in times if times[name] > 1
    ]
    wanted = []
    for topic in request.topics:
        if times[topic.name] > 1:
            continue
        if context.allows(Operation.ALTER, topic.name):
            wanted.append(_more(topic))
        else:
            outcomes.append(TopicResult(topic.name, ErrorCode.TOPIC_AUTHORIZATION_FAILED))
    if wanted:
        work = _create(wanted, request.validate_only, context)
        outcomes.extend(await context.within(context.bounded(request.timeout_ms), work))
    return CreatePartitionsResponse(results=[_result(outcome) for outcome in outcomes])


def _more(topic: CreatePartitionsTopic) -> MorePartitions:
    assignments = topic.assignments
    return MorePartitions(
        topic.name, topic.count, None if assignments is None else tuple(tuple(one.broker_ids) for one in assignments)
    )


async def _create(wanted: Sequence[MorePartitions], validate_only: bool, context: Context) -> Sequence[TopicResult]:
    reply = await context.services.quorum.submit(CreatePartitions(tuple(wanted), validate_only))
    assert isinstance(reply, CreatePartitionsReply)
    return reply.topics


def _result(outcome: TopicResult) -> CreatePartitionsTopicResult:
    return CreatePartitionsTopicResult(
        name=outcome.name,
        error_code=outcome.error,
        error_message=None if outcome.error is ErrorCode.NONE else outcome.message or outcome.error.message,
    )


def fail(request: CreatePartitionsRequest, code: ErrorCode, why: str | None) -> CreatePartitionsResponse:
    """The error on every topic."""
    names = {topic.name: None for topic in request.topics}
    return CreatePartitionsResponse(results=[_result(TopicResult(name, code, why)) for name in names])


API = Api(37, "CreatePartitions", 0, 3, handle, fail)
