"""The controller's rules for configurations of topics, brokers and groups, changed one by one or as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from pyralog.cluster.controller_topics import ConfigRules
from pyralog.cluster.image import ClusterImage, ResourceType
from pyralog.cluster.records import ConfigRecord, Record
from pyralog.cluster.requests import (
    AlterConfigs,
    AlterConfigsReply,
    ConfigChange,
    ConfigOp,
    IncrementalAlterConfigs,
    ResourceChange,
    ResourceConfig,
    ResourceResult,
)
from pyralog.errors import ErrorCode, KafkaError


def alter_configs(
    image: ClusterImage, request: AlterConfigs | IncrementalAlterConfigs, rules: ConfigRules
) -> tuple[list[Record], AlterConfigsReply]:
    """Records for the resources whose change is legal as a whole, and the outcome for each resource."""
    counts = Counter((resource.resource_type, resource.resource_name) for resource in request.resources)
    records: list[Record] = []
    results: dict[tuple[int, str], ResourceResult] = {}
    for resource in request.resources:
        key = (resource.resource_type, resource.resource_name)
        if key in results:
            continue
        try:
            if counts[key] > 1:
                raise KafkaError(ErrorCode.INVALID_REQUEST, "Each resource must appear at most once.")
            check_resource(image, *key)
            before = image.config(*key)
            if isinstance(resource, ResourceChange):
                after = _changed(image, before, resource, rules)
            else:
                after = _replaced(resource)
            rules.validate(image, *key, after)
            records += _difference(key, before, after)
            results[key] = ResourceResult(*key)
        except KafkaError as error:
            results[key] = ResourceResult(*key, error.code, error.why or error.code.message)
    return records, AlterConfigsReply(tuple(results.values()))


def check_resource(image: ClusterImage, resource_type: int, name: str) -> None:
    """KafkaError unless this is a topic or broker that exists (broker "" = all brokers), or any group: it may come
    later than its configuration."""
    if resource_type == ResourceType.TOPIC:
        if name == "":
            raise KafkaError(ErrorCode.INVALID_REQUEST, "Default topic resources are not allowed.")
        if name not in image.topics:
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"The topic '{name}' does not exist.")
    elif resource_type == ResourceType.BROKER:
        if name == "":
            return
        # int() would also take spaces, signs, underscores and foreign digits.
        if not (name.isascii() and name.isdigit()):
            raise KafkaError(ErrorCode.INVALID_REQUEST, f"Node id must be an integer, but it is: {name}")
        if int(name) not in image.brokers:
            raise KafkaError(ErrorCode.BROKER_ID_NOT_REGISTERED, f"No broker with id {name} is registered.")
    elif resource_type == ResourceType.GROUP:
        if name == "":
            raise KafkaError(ErrorCode.INVALID_REQUEST, "Default group resources are not allowed.")
    else:
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"Configurations of resource type {resource_type} cannot be set.")


def _unique(names: Iterable[str]) -> None:
    if any(count > 1 for count in Counter(names).values()):
        raise KafkaError(ErrorCode.INVALID_REQUEST, "Error due to duplicate config keys")


def _not_null(pairs: Iterable[tuple[str, str | None]]) -> None:
    nulls = [name for name, value in pairs if value is None]
    if nulls:
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"Null value not supported for : {', '.join(nulls)}")


def _replaced(resource: ResourceConfig) -> dict[str, str]:
    _unique(name for name, _ in resource.configs)
    _not_null(resource.configs)
    return {name: value for name, value in resource.configs if value is not None}


def _changed(
    image: ClusterImage, before: Mapping[str, str], resource: ResourceChange, rules: ConfigRules
) -> dict[str, str]:
    _unique(change.name for change in resource.changes)
    _not_null((change.name, change.value) for change in resource.changes if change.op != ConfigOp.DELETE)
    after = dict(before)
    for change in resource.changes:
        if change.op == ConfigOp.DELETE:
            after.pop(change.name, None)
        elif change.op == ConfigOp.SET:
            after[change.name] = change.value or ""
        elif change.op in (ConfigOp.APPEND, ConfigOp.SUBTRACT):
            default = rules.list_default(image, resource.resource_type, change.name)
            after[change.name] = _list_change(before, change, default)
        else:
            raise KafkaError(ErrorCode.INVALID_REQUEST, f"Unknown config operation {change.op}")
    return after


def _list_change(before: Mapping[str, str], change: ConfigChange, default: str | None) -> str:
    """The list with elements added that it lacks, or taken away; it starts as what is set, else as the default."""
    if default is None:
        raise KafkaError(
            ErrorCode.INVALID_CONFIG,
            f"Can't {ConfigOp(change.op).name} to key {change.name} because its type is not LIST.",
        )
    items = _split(before.get(change.name, default))
    for item in _split(change.value or ""):
        if change.op == ConfigOp.APPEND and item not in items:
            items.append(item)
        elif change.op == ConfigOp.SUBTRACT and item in items:
            items.remove(item)
    return ",".join(items)


def _split(text: str) -> list[str]:
    return [item for item in (part.strip() for part in text.split(",")) if item]


def _difference(key: tuple[int, str], before: Mapping[str, str], after: Mapping[str, str]) -> Iterable[Record]:
    for name, value in after.items():
        if before.get(name) != value:
            yield ConfigRecord(*key, name, value)
    for name in before:
        if name not in after:
            yield ConfigRecord(*key, name, None)
