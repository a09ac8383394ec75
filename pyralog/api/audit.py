"""Which requests the audit log is told of, and what: one event for each resource, when its result is known."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pyralog.api.authorizer import Operation, ResourceType
from pyralog.api.handler import Done
from pyralog.cluster.image import ResourceType as ConfigResource
from pyralog.cluster.requests import ConfigOp
from pyralog.errors import ErrorCode
from pyralog.logfiles.audit import DENIED, OK, AuditEvent, audit, masked

if TYPE_CHECKING:
    from pyralog.api.context import Context

log = logging.getLogger(__name__)

# Event, resource, error code, details.
Told = Iterator[tuple[str, str, int, dict[str, object]]]

REPEAT_DENIAL_S = 60.0  # the same refusal again within this time is only counted
MAX_REMEMBERED = 10_000
NO_MEMBER = 0  # generations of a commit below this come from nobody in the group
REFUSALS = frozenset(
    {
        ErrorCode.TOPIC_AUTHORIZATION_FAILED,
        ErrorCode.GROUP_AUTHORIZATION_FAILED,
        ErrorCode.CLUSTER_AUTHORIZATION_FAILED,
        ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    }
)


def _create_topics(request: Any, response: Any) -> Told:
    asked = {topic.name: topic for topic in request.topics}
    for one in response.topics:
        topic = asked.get(one.name)
        details: dict[str, object] = {}
        if topic is not None:
            details = {"partitions": topic.num_partitions, "replication_factor": topic.replication_factor}
            if topic.configs:
                details["configs"] = {config.name: masked(config.name, config.value) for config in topic.configs}
        yield "topic.create", one.name, one.error_code, _tried(request, details)


def _delete_topics(_: Any, response: Any) -> Told:
    for one in response.responses:
        yield "topic.delete", one.name or one.topic_id.hex(), one.error_code, {}


def _create_partitions(request: Any, response: Any) -> Told:
    counts = {topic.name: topic.count for topic in request.topics}
    for one in response.results:
        details = {"partitions": counts.get(one.name)}
        yield "topic.add_partitions", one.name, one.error_code, _tried(request, details)


def _delete_records(request: Any, response: Any) -> Told:
    before = {(topic.name, p.partition_index): p.offset for topic in request.topics for p in topic.partitions}
    for topic in response.topics:
        for code, partitions in _by_code(topic.partitions):
            offsets = {str(p.partition_index): before.get((topic.name, p.partition_index)) for p in partitions}
            yield "topic.delete_records", topic.name, code, {"before_offsets": offsets}


def _alter_configs(request: Any, response: Any) -> Told:
    asked = {(one.resource_type, one.resource_name): one.configs for one in request.resources}
    for one in response.responses:
        changes: dict[str, object] = {}
        for config in asked.get((one.resource_type, one.resource_name), ()):
            operation = getattr(config, "config_operation", ConfigOp.SET)
            value = masked(config.name, config.value)
            changes[config.name] = value if operation == ConfigOp.SET else f"{_op(operation)} {value or ''}".strip()
        resource = f"{_kind(one.resource_type)} {one.resource_name}".strip()
        yield "config.alter", resource, one.error_code, _tried(request, {"changes": changes})


def _op(number: int) -> str:
    return ConfigOp(number).name.lower() if number in list(ConfigOp) else f"operation {number}"


def _kind(number: int) -> str:
    return ConfigResource(number).name.lower() if number in list(ConfigResource) else f"resource type {number}"


def _delete_groups(_: Any, response: Any) -> Told:
    for one in response.results:
        yield "group.delete", one.group_id, one.error_code, {}


def _delete_offsets(request: Any, response: Any) -> Told:
    if response.error_code:
        yield "group.delete_offsets", request.group_id, response.error_code, {}
    for topic in response.topics:
        for code, partitions in _by_code(topic.partitions):
            details = {"topic": topic.name, "partitions": _numbers(partitions)}
            yield "group.delete_offsets", request.group_id, code, details


def _commit(request: Any, response: Any) -> Told:
    asked = {
        (t.name or t.topic_id, p.partition_index): p.committed_offset for t in request.topics for p in t.partitions
    }
    for topic in response.topics:
        for code, partitions in _by_code(topic.partitions):
            key = topic.name or topic.topic_id
            offsets = {str(p.partition_index): asked.get((key, p.partition_index)) for p in partitions}
            details: dict[str, object] = {"topic": topic.name or topic.topic_id.hex(), "offsets": offsets}
            yield "group.set_offsets", request.group_id, code, details


def _remove_members(request: Any, response: Any) -> Told:
    for one in response.members:
        if not one.member_id and one.group_instance_id:
            code = one.error_code or response.error_code
            yield "group.remove_member", request.group_id, code, {"group_instance_id": one.group_instance_id}


def _elect_leaders(request: Any, response: Any) -> Told:
    details: dict[str, object] = {"election": "unclean" if request.election_type == 1 else "preferred"}
    if response.error_code:
        yield "partition.elect_leader", "", response.error_code, details
    for topic in response.replica_election_results:
        for one in topic.partition_result:
            yield "partition.elect_leader", f"{topic.topic}-{one.partition_id}", one.error_code, details


def _reassign(request: Any, response: Any) -> Told:
    asked = {(topic.name, p.partition_index): p.replicas for topic in request.topics for p in topic.partitions}
    if response.error_code:
        yield "partition.reassign", "", response.error_code, {}
    for topic in response.responses:
        for one in topic.partitions:
            details: dict[str, object] = {"replicas": asked.get((topic.name, one.partition_index))}
            yield "partition.reassign", f"{topic.name}-{one.partition_index}", one.error_code, details


def _update_features(request: Any, response: Any) -> Told:
    codes = {one.feature: one.error_code for one in response.results}
    for one in request.feature_updates:
        details: dict[str, object] = {"level": one.max_version_level}
        yield "feature.update", one.feature, codes.get(one.feature, response.error_code), _tried(request, details)


def _write_markers(request: Any, response: Any) -> Told:
    commits = {one.producer_id: one.transaction_result for one in request.markers}
    for marker in response.markers:
        how = "commit" if commits.get(marker.producer_id) else "abort"
        for topic in marker.topics:
            for one in topic.partitions:
                resource = f"{topic.name}-{one.partition_index}"
                yield f"transaction.{how}", resource, one.error_code, {"producer_id": marker.producer_id}


def _tried(request: Any, details: dict[str, object]) -> dict[str, object]:
    return {**details, "validate_only": True} if request.validate_only else details


def _by_code(partitions: Iterable[Any]) -> Iterator[tuple[int, list[Any]]]:
    """The partitions of a topic by their results, so that a topic of a thousand partitions is one event."""
    found: dict[int, list[Any]] = {}
    for one in partitions:
        found.setdefault(one.error_code, []).append(one)
    yield from found.items()


def _numbers(partitions: Iterable[Any]) -> str:
    return ",".join(str(one.partition_index) for one in partitions)


OFFSET_COMMIT = 8
AUDITED: Mapping[int, Callable[[Any, Any], Told]] = MappingProxyType(
    {
        OFFSET_COMMIT: _commit,
        13: _remove_members,
        19: _create_topics,
        20: _delete_topics,
        21: _delete_records,
        27: _write_markers,
        33: _alter_configs,
        37: _create_partitions,
        42: _delete_groups,
        43: _elect_leaders,
        44: _alter_configs,
        45: _reassign,
        47: _delete_offsets,
        57: _update_features,
    }
)


class Auditor:
    """Tells the audit log of answers: administrative changes, and whatever was refused for lack of rights."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._denied: dict[tuple[str, str, int, int, str], float] = {}
        # Commits of nobody that have been told of: (connection id, group).
        self.told_commits: set[tuple[int, str]] = set()

    def answered(self, key: int, request: Any, result: Any, context: Context) -> None:
        """A request is about to be answered. Never raises: the answer must leave."""
        try:
            if context.refused is not None and key not in AUDITED:
                for operation, kind, name in context.refused:
                    self._refused(operation, kind, name, context)
            if key in AUDITED and not isinstance(result, Done) and self._wanted(key, request, context):
                for event, resource, code, details in AUDITED[key](request, result):
                    tell(event, resource, code, details, context)
        except Exception:
            log.exception("an answer to API key %d could not be audited", key)

    def _wanted(self, key: int, request: Any, context: Context) -> bool:
        """Commits are an administrator's when no member makes them. A consumer that assigns partitions to itself
        makes such too, all the time, over one connection: of those the first is told."""
        if key != OFFSET_COMMIT:
            return True
        if request.generation_id_or_member_epoch >= NO_MEMBER or request.member_id:
            return False
        if (context.connection.id, request.group_id) in self.told_commits:
            return False
        if len(self.told_commits) >= MAX_REMEMBERED:
            self.told_commits.clear()
        self.told_commits.add((context.connection.id, request.group_id))
        return True

    def _refused(self, operation: Operation, kind: ResourceType, name: str, context: Context) -> None:
        now = self._clock()
        mark = (context.principal, context.connection.peer_host, operation, kind, name)
        if self._denied.get(mark, 0.0) > now:
            return
        if len(self._denied) >= MAX_REMEMBERED:
            self._denied = {other: until for other, until in self._denied.items() if until > now}
            if len(self._denied) >= MAX_REMEMBERED:
                self._denied.clear()
        self._denied[mark] = now + REPEAT_DENIAL_S
        details: dict[str, object] = {"operation": operation.name.lower()}
        tell(f"{kind.name.lower()}.denied", name, ErrorCode.CLUSTER_AUTHORIZATION_FAILED, details, context)


def tell(event: str, resource: str, code: int, details: Mapping[str, object], context: Context) -> None:
    """One event of this request."""
    result = OK if code == ErrorCode.NONE else DENIED if code in REFUSALS else ErrorCode(code).name  # type: ignore[call-arg]
    client_id = context.header.client_id or ""
    audit(AuditEvent(event, resource, result, context.principal, context.peer, client_id, details))
