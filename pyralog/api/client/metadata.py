"""Metadata (key 3, versions 0-13): topics, partitions, leaders, brokers, and the topics that producers need made.

Contract
- Topics: null asks for all (v1+), an empty list for none; in v0 the empty list asks for all. Twice the same name is
  answered once. By id from v12; in v10-11, or without name and id, INVALID_REQUEST for the whole request (Kafka
  answers -1 to the latter).
- A topic that does not exist is made if the request (v4+, before that always) and auto.create.topics.enable allow it,
  with the cluster's default partitions and replicas. The answer waits until the topic is led here and is then complete,
  so the first produce cannot meet a partition that is not open; what is not there in time says LEADER_NOT_AVAILABLE,
  which clients retry. Kafka answers UNKNOWN_TOPIC_OR_PARTITION first; both are retriable. Internal topics are
  never made here: their coordinators make them.
- Names that no topic may have: INVALID_TOPIC_EXCEPTION (17). Unknown ids: UNKNOWN_TOPIC_ID with a null name.
- Topics that may not be described are left out of a listing of all, and TOPIC_AUTHORIZATION_FAILED without id by name:
  their existence does not leak (trap 21). Authorised operations only when asked.
- Fenced brokers are not listed; the controller id is a live broker; this node's address is the one by which this very
  connection reaches it (trap 15).
- v13: a top-level error (REBOOTSTRAP_REQUIRED is for clusters that are gone; this release never sends it).
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from pyralog.api.authorizer import CLUSTER_NAME, Operation, ResourceType
from pyralog.api.brokers import controller_id, endpoint_of, offline_replicas
from pyralog.api.context import Context
from pyralog.api.creation import create_automatically
from pyralog.api.handler import Api, Done
from pyralog.api.topics import absent_topic, is_internal, is_legal
from pyralog.cluster.image import TopicImage
from pyralog.errors import ErrorCode, KafkaError
from pyralog.model import ZERO_UUID, PartitionRegistration, Uuid
from pyralog.wire.messages import (
    MetadataRequest,
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)

IDS_FROM = 12  # KIP-516: ids in the request are understood from here


def handle(request: MetadataRequest, context: Context) -> MetadataResponse | Awaitable[MetadataResponse]:
    """Answer from the image; wait only if topics have to be made."""
    if request.topics is None or (context.version == 0 and not request.topics):
        context.keep = True
        return _response(request, context, _all_topics(request, context))
    wanted = _wanted(request, context)
    missing = [] if not request.allow_auto_topic_creation else _missing(wanted, context)
    if missing and context.services.settings.auto_create_topics:
        return _create_then_answer(request, context, wanted, missing)
    topics = [_topic(name, topic_id, request, context) for name, topic_id in wanted]
    context.keep = all(topic.error_code == ErrorCode.NONE for topic in topics)
    return _response(request, context, topics)


def _wanted(request: MetadataRequest, context: Context) -> Sequence[tuple[str | None, Uuid]]:
    """The (name, id) pairs asked for, each once and in order."""
    wanted: dict[tuple[str | None, Uuid], None] = {}
    for topic in request.topics or ():
        by_id = topic.topic_id != ZERO_UUID
        if context.version < IDS_FROM and (topic.name is None or by_id):
            raise KafkaError(ErrorCode.INVALID_REQUEST, f"topics are asked for by name in version {context.version}")
        if topic.name is None and not by_id:
            raise KafkaError(ErrorCode.INVALID_REQUEST, "a topic with neither name nor id")
        wanted[(None, topic.topic_id) if by_id else (topic.name, ZERO_UUID)] = None
    return list(wanted)


def _missing(wanted: Sequence[tuple[str | None, Uuid]], context: Context) -> list[str]:
    """Those of the names that could become topics and that this client may make."""
    topics = context.image.topics
    names = [
        name
        for name, _ in wanted
        if name is not None
        and name not in topics
        and is_legal(name)
        and not is_internal(name)
        and context.allows(Operation.DESCRIBE, name)
    ]
    if not names or context.allows_on_cluster(Operation.CREATE):
        return names
    return [name for name in names if context.allows(Operation.CREATE, name)]


async def _create_then_answer(
    request: MetadataRequest, context: Context, wanted: Sequence[tuple[str | None, Uuid]], missing: list[str]
) -> MetadataResponse:
    errors = await create_automatically(missing, context)
    topics = []
    for name, topic_id in wanted:
        if name is not None and name in errors:
            topics.append(_absent(errors[name], name, request, context))
        else:
            topics.append(_topic(name, topic_id, request, context))
    return _response(request, context, topics)


def _all_topics(request: MetadataRequest, context: Context) -> list[MetadataResponseTopic]:
    return [
        _described(topic, request, context)
        for name, topic in context.image.topics.items()
        if context.allows(Operation.DESCRIBE, name)
    ]


def _topic(name: str | None, topic_id: Uuid, request: MetadataRequest, context: Context) -> MetadataResponseTopic:
    """One topic by name or by id, or the reason why it cannot be described."""
    if name is None:
        found = context.image.topic_names.get(topic_id)
        if found is None:
            return _no_topic(ErrorCode.UNKNOWN_TOPIC_ID, None, topic_id)
        if not context.allows(Operation.DESCRIBE, found):
            return _no_topic(ErrorCode.TOPIC_AUTHORIZATION_FAILED, None, topic_id)
        return _described(context.image.topics[found], request, context)
    if not context.allows(Operation.DESCRIBE, name):
        return _no_topic(ErrorCode.TOPIC_AUTHORIZATION_FAILED, name)
    topic = context.image.topics.get(name)
    if topic is not None:
        return _described(topic, request, context)
    if _may_not_create(name, request, context):
        return _no_topic(ErrorCode.TOPIC_AUTHORIZATION_FAILED, name)
    return _absent(absent_topic(name), name, request, context)


def _absent(code: ErrorCode, name: str, request: MetadataRequest, context: Context) -> MetadataResponseTopic:
    """A topic that is not there, and what the client, which may know so, could do with it (as Kafka tells it)."""
    answer = _no_topic(code, name)
    answer.topic_authorized_operations = context.operations(
        ResourceType.TOPIC, name, request.include_topic_authorized_operations
    )
    return answer


def _may_not_create(name: str, request: MetadataRequest, context: Context) -> bool:
    """True when the topic would be made if only this client were allowed to."""
    return (
        request.allow_auto_topic_creation
        and context.services.settings.auto_create_topics
        and not context.allows_on_cluster(Operation.CREATE)
        and not context.allows(Operation.CREATE, name)
    )


def _no_topic(code: ErrorCode, name: str | None, topic_id: Uuid = ZERO_UUID) -> MetadataResponseTopic:
    internal = name is not None and is_internal(name)
    return MetadataResponseTopic(error_code=code, name=name, topic_id=topic_id, is_internal=internal)


def _described(topic: TopicImage, request: MetadataRequest, context: Context) -> MetadataResponseTopic:
    return MetadataResponseTopic(
        name=topic.name,
        topic_id=topic.topic_id,
        is_internal=is_internal(topic.name),
        partitions=[_partition(index, partition, context) for index, partition in enumerate(topic.partitions)],
        topic_authorized_operations=context.operations(
            ResourceType.TOPIC, topic.name, request.include_topic_authorized_operations
        ),
    )


def _partition(index: int, partition: PartitionRegistration, context: Context) -> MetadataResponsePartition:
    return MetadataResponsePartition(
        error_code=ErrorCode.NONE if partition.leader >= 0 else ErrorCode.LEADER_NOT_AVAILABLE,
        partition_index=index,
        leader_id=partition.leader,
        leader_epoch=partition.leader_epoch,
        replica_nodes=list(partition.replicas),
        isr_nodes=list(partition.isr),
        offline_replicas=offline_replicas(partition.replicas, context),
    )


def _response(request: MetadataRequest, context: Context, topics: list[MetadataResponseTopic]) -> MetadataResponse:
    brokers = []
    for broker in context.image.brokers.values():
        if not broker.fenced:
            host, port = endpoint_of(broker, context)
            brokers.append(MetadataResponseBroker(node_id=broker.node_id, host=host, port=port, rack=broker.rack))
    return MetadataResponse(
        brokers=brokers,
        cluster_id=context.image.cluster_id,
        controller_id=controller_id(context),
        topics=topics,
        cluster_authorized_operations=context.operations(
            ResourceType.CLUSTER, CLUSTER_NAME, request.include_cluster_authorized_operations
        ),
    )


def fail(request: MetadataRequest, code: ErrorCode, why: str | None) -> MetadataResponse | Done:
    """The error on every topic asked for, and at the top from v13; a listing of all before v13 has no place for it."""
    if not request.topics:
        return Done.CLOSE
    return MetadataResponse(
        topics=[_no_topic(code, topic.name or "", topic.topic_id) for topic in request.topics], error_code=code
    )


API = Api(3, "Metadata", 0, 13, handle, fail, cacheable=True)
