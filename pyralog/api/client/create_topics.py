"""CreateTopics (key 19, versions 2-7): new topics, or what would become of them.

Contract
- -1 partitions and -1 replicas take the cluster's defaults (KIP-464; Streams and Connect ask so). Manual assignments
  replace both counts. The controller decides and validates: INVALID_PARTITIONS, INVALID_REPLICATION_FACTOR,
  INVALID_REPLICA_ASSIGNMENT, INVALID_TOPIC_EXCEPTION, TOPIC_ALREADY_EXISTS, INVALID_CONFIG.
- A name that comes twice is INVALID_REQUEST for that name alone. Each topic succeeds or fails by itself.
- Configurations: all of Kafka's topic keys are accepted, unknown ones are INVALID_CONFIG, none is ignored (trap 20).
- The answer leaves when the change is committed and this node serves its partitions. TimeoutMs bounds the wait, and
  so does network.request_timeout_ms: REQUEST_TIMED_OUT then, and the topic may still come to be.
- v5+: counts and the whole effective configuration come back, never a null list; without the right to describe
  configurations TopicConfigErrorCode says so (KIP-525). v7: the topic id.
- CREATE on the cluster or on the topic's name, else TOPIC_AUTHORIZATION_FAILED (trap 21).
"""

from __future__ import annotations

from pyralog.api.authorizer import Operation
from pyralog.api.context import Context
from pyralog.api.creation import create
from pyralog.api.handler import Api
from pyralog.cluster.requests import CreatedTopic, NewTopic
from pyralog.errors import ErrorCode
from pyralog.wire.messages import (
    CreatableTopic,
    CreatableTopicConfigs,
    CreatableTopicResult,
    CreateTopicsRequest,
    CreateTopicsResponse,
)

NOT_TOLD = -1


async def handle(request: CreateTopicsRequest, context: Context) -> CreateTopicsResponse:
    """Ask the controller for the topics that the client may create."""
    anywhere = context.allows_on_cluster(Operation.CREATE)
    wanted, denied = [], {}
    for topic in request.topics:
        if anywhere or context.allows(Operation.CREATE, topic.name):
            wanted.append(_new_topic(topic))
        else:
            denied[topic.name] = _failed(topic.name, ErrorCode.TOPIC_AUTHORIZATION_FAILED, None)
    results = list(denied.values())
    if wanted:
        work = create(wanted, request.validate_only, context)
        for outcome in await context.within(context.bounded(request.timeout_ms), work):
            results.append(_result(outcome, context))
    return CreateTopicsResponse(topics=results)


def _new_topic(topic: CreatableTopic) -> NewTopic:
    return NewTopic(
        topic.name,
        topic.num_partitions,
        topic.replication_factor,
        tuple((one.partition_index, tuple(one.broker_ids)) for one in topic.assignments),
        tuple((one.name, one.value) for one in topic.configs),
    )


def _result(outcome: CreatedTopic, context: Context) -> CreatableTopicResult:
    if outcome.error is not ErrorCode.NONE:
        return _failed(outcome.name, outcome.error, outcome.message)
    result = CreatableTopicResult(name=outcome.name, topic_id=outcome.topic_id, error_message=None)
    if not context.allows(Operation.DESCRIBE_CONFIGS, outcome.name):
        result.topic_config_error_code = ErrorCode.TOPIC_AUTHORIZATION_FAILED
        result.num_partitions = result.replication_factor = NOT_TOLD
        result.configs = []
        return result
    result.num_partitions = outcome.partitions
    result.replication_factor = outcome.replication_factor
    result.configs = [
        CreatableTopicConfigs(
            name=entry.name,
            value=entry.value,
            read_only=entry.read_only,
            config_source=entry.source,
            is_sensitive=entry.sensitive,
        )
        for entry in context.services.configs.topic(outcome.configs, context.image)
    ]
    return result


def _failed(name: str, code: ErrorCode, why: str | None) -> CreatableTopicResult:
    return CreatableTopicResult(name=name, error_code=code, error_message=why or code.message, configs=[])


def fail(request: CreateTopicsRequest, code: ErrorCode, why: str | None) -> CreateTopicsResponse:
    """The error on every topic."""
    return CreateTopicsResponse(topics=[_failed(name, code, why) for name in {t.name: None for t in request.topics}])


API = Api(19, "CreateTopics", 2, 7, handle, fail)
