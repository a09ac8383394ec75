"""Making topics: what the controller is asked, and what becomes of topics that clients only mention."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pyralog.api.audit import tell
from pyralog.api.context import Context
from pyralog.cluster.requests import CreatedTopic, CreateTopics, CreateTopicsReply, NewTopic
from pyralog.errors import ErrorCode, KafkaError

AUTOMATIC_MS = 5000  # how long a Metadata request waits for the topics it makes before it says "not yet"


async def create(topics: Sequence[NewTopic], validate_only: bool, context: Context) -> Sequence[CreatedTopic]:
    """One outcome per name. The quorum answers when this node serves the topics."""
    reply = await context.services.quorum.submit(CreateTopics(tuple(topics), validate_only))
    assert isinstance(reply, CreateTopicsReply)
    return reply.topics


async def create_automatically(names: Iterable[str], context: Context) -> dict[str, ErrorCode]:
    """Make topics with the cluster's defaults; the errors of those that are not there afterwards, by name.

    A topic that somebody else makes meanwhile is as good as ours.
    """
    wanted = [NewTopic(name) for name in names]
    timeout_ms = min(AUTOMATIC_MS, context.services.settings.request_timeout_ms)
    try:
        created = await context.within(timeout_ms, create(wanted, False, context))
    except KafkaError as error:
        if error.code is not ErrorCode.REQUEST_TIMED_OUT:
            raise
        return {topic.name: ErrorCode.LEADER_NOT_AVAILABLE for topic in wanted}
    for topic in created:
        if topic.error is not ErrorCode.TOPIC_ALREADY_EXISTS:
            tell("topic.create", topic.name, topic.error, {"automatic": True}, context)
    return {
        topic.name: topic.error
        for topic in created
        if topic.error not in (ErrorCode.NONE, ErrorCode.TOPIC_ALREADY_EXISTS)
    }
