"""DeleteTopics (key 20, versions 1-6): delete topics by name or, from v6, by id.

Contract
- delete.topic.enable=false: the controller says TOPIC_DELETION_DISABLED (73) for every topic; v1 and v2 say
  INVALID_REQUEST, as in Kafka.
- The same topic twice, also once by name and once by id, or an entry with both or neither: INVALID_REQUEST.
- Unknown names: UNKNOWN_TOPIC_OR_PARTITION; unknown ids: UNKNOWN_TOPIC_ID.
- DELETE on the topic, else TOPIC_AUTHORIZATION_FAILED. Who may not describe it learns no more than that: by id the
  answer is then TOPIC_AUTHORIZATION_FAILED without the name (trap 21).
- The answer leaves when the deletion is committed; the topic is gone for every request after it. Its id is never
  used again, and a topic of the same name starts with higher leader epochs (traps 4, 5).
"""

from __future__ import annotations

from collections.abc import Sequence

from pyralog.api.authorizer import Operation
from pyralog.api.context import Context
from pyralog.api.handler import Api
from pyralog.cluster.requests import DeletedTopic, DeleteTopics, DeleteTopicsReply, TopicRef
from pyralog.errors import ErrorCode
from pyralog.wire.messages import DeletableTopicResult, DeleteTopicsRequest, DeleteTopicsResponse

IDS_FROM = 6
DISABLED_CODE_FROM = 3


async def handle(request: DeleteTopicsRequest, context: Context) -> DeleteTopicsResponse:
    """Ask the controller to delete what the client may delete."""
    refs = _refs(request, context.version)
    outcomes, wanted = _judge(refs, context)
    if wanted:
        work = _delete(wanted, context)
        outcomes.extend(await context.within(context.bounded(request.timeout_ms), work))
    if context.version < DISABLED_CODE_FROM:
        outcomes = [_without_73(outcome) for outcome in outcomes]
    return DeleteTopicsResponse(responses=[_result(outcome) for outcome in outcomes])


def _refs(request: DeleteTopicsRequest, version: int) -> list[TopicRef]:
    if version < IDS_FROM:
        return [TopicRef(name) for name in request.topic_names]
    return [TopicRef(topic.name, topic.topic_id) for topic in request.topics]


def _judge(refs: Sequence[TopicRef], context: Context) -> tuple[list[DeletedTopic], list[TopicRef]]:
    """Refusals, and what is left to ask the controller."""
    outcomes: list[DeletedTopic] = []
    wanted: list[TopicRef] = []
    for ref in refs:
        by_id = ref.name is None
        name = context.image.topic_names.get(ref.topic_id) if by_id else ref.name
        if name is not None and not context.allows(Operation.DELETE, name):
            told = ref.name if by_id and not context.allows(Operation.DESCRIBE, name) else name
            outcomes.append(DeletedTopic(told, ref.topic_id, ErrorCode.TOPIC_AUTHORIZATION_FAILED))
        else:
            wanted.append(ref)
    return outcomes, wanted


async def _delete(wanted: Sequence[TopicRef], context: Context) -> Sequence[DeletedTopic]:
    reply = await context.services.quorum.submit(DeleteTopics(tuple(wanted)))
    assert isinstance(reply, DeleteTopicsReply)
    return reply.topics


def _without_73(outcome: DeletedTopic) -> DeletedTopic:
    """TOPIC_DELETION_DISABLED came with v3 (KIP-322)."""
    if outcome.error is ErrorCode.TOPIC_DELETION_DISABLED:
        return outcome._replace(error=ErrorCode.INVALID_REQUEST)
    return outcome


def _result(outcome: DeletedTopic) -> DeletableTopicResult:
    return DeletableTopicResult(
        name=outcome.name,
        topic_id=outcome.topic_id,
        error_code=outcome.error,
        error_message=None if outcome.error is ErrorCode.NONE else outcome.message or outcome.error.message,
    )


def fail(request: DeleteTopicsRequest, code: ErrorCode, why: str | None) -> DeleteTopicsResponse:
    """The error on every topic; of both ways to name topics the request holds one."""
    refs = [TopicRef(name) for name in request.topic_names] or [TopicRef(t.name, t.topic_id) for t in request.topics]
    return DeleteTopicsResponse(responses=[_result(DeletedTopic(r.name, r.topic_id, code, why)) for r in refs])


API = Api(20, "DeleteTopics", 1, 6, handle, fail)
