"""The read-only JSON under /api/v1: cluster, nodes, topics, partitions, groups and lag, transactions, configs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pyralog.admin.group_view import GroupRow, committed_of, group_row, group_rows, lag_of, members_of, partitions_of
from pyralog.admin.routes_model import Args, Document, HttpRefusal, Json, Parameter
from pyralog.admin.sources import Sources, inherited_min_isr, min_isr, overrides, registrations, served
from pyralog.admin.status import NOT_FOUND, PER_TURN, UNAVAILABLE, acknowledgement, brokers, partition, state
from pyralog.cluster.image import TopicImage
from pyralog.config.describe import ConfigEntry, Source
from pyralog.config.topics import ConfigType
from pyralog.coordinator.transaction.state import STATE_NAMES
from pyralog.errors import KafkaError
from pyralog.model import TopicPartition, uuid_text
from pyralog.version import __version__

DEFAULT_LIMIT, MAX_LIMIT = 1000, 10_000
MAX_OFFSET = 2**31 - 1

PAGE = (
    Parameter("limit", "integer", f"Most items; {DEFAULT_LIMIT} unless given, at most {MAX_LIMIT}."),
    Parameter("offset", "integer", "Items to pass over; `next` of an answer is where the next page begins."),
)
INTERNAL = Parameter("internal", "boolean", "Internal topics as well.")


async def in_turns(names: Iterable[Any], make: Any) -> list[Json]:
    """What is made of each name, unless that is gone meanwhile."""
    items = []
    for count, name in enumerate(names, 1):
        made = make(name)
        if made is not None:
            items.append(made)
        if count % PER_TURN == 0:
            await asyncio.sleep(0)
    return items


async def page(args: Args, names: Sequence[Any], make: Any) -> dict[str, Json]:
    """One page of items, made a few at a time so that the event loop goes on."""
    limit = args.limit("limit", DEFAULT_LIMIT, MAX_LIMIT)
    offset = args.limit("offset", 0, MAX_OFFSET)
    items = await in_turns(names[offset : offset + limit], make)
    end = offset + limit
    return {"items": items, "total": len(names), "next": end if end < len(names) else None}


async def cluster(sources: Sources, args: Args) -> Document:
    """Who the cluster is, how many of what it has, and whether all is well."""
    image = sources.image
    status, reason = state(sources)
    return Document(
        {
            "cluster_id": image.cluster_id,
            "version": __version__,
            "node_id": sources.node_id,
            "status": status,
            "reason": reason,
            "controller_id": image.controller_id,
            "brokers": len(image.brokers),
            "topics": sum(not name.startswith("__") for name in image.topics),
            "internal_topics": sum(name.startswith("__") for name in image.topics),
            "groups": sum(1 for _ in group_rows(sources.groups)),
            "partitions": served(sources)._asdict(),
            "features": dict(image.features),
            "acknowledgement": acknowledgement(sources),
        }
    )


async def nodes(sources: Sources, args: Args) -> Document:
    """Registered nodes."""
    found = brokers(sources)
    return Document({"items": found, "total": len(found), "next": None})


async def topics(sources: Sources, args: Args) -> Document:
    """Topics by name."""
    internal = args.flag("internal")
    names = sorted(name for name in sources.image.topics if internal or not name.startswith("__"))

    def make(name: str) -> Json:
        topic = sources.image.topics.get(name)
        return None if topic is None else _topic(sources, topic)

    return Document(await page(args, names, make))


def _topic(sources: Sources, topic: TopicImage) -> dict[str, Json]:
    size = records = bytes_in = bytes_out = records_in = 0
    for index in range(len(topic.partitions)):
        tp = TopicPartition(topic.name, index)
        snapshot = sources.plane.snapshot(tp)
        if snapshot is None:
            continue
        size += snapshot.size_bytes
        records += snapshot.high_watermark - snapshot.log_start
        traffic = sources.plane.traffic(tp)
        bytes_in += traffic[0]
        bytes_out += traffic[1]
        records_in += traffic[2]
    own = overrides(sources.image, topic)
    return {
        "topic": topic.name,
        "topic_id": uuid_text(topic.topic_id),
        "internal": topic.name.startswith("__"),
        "partitions": len(topic.partitions),
        "replication_factor": len(topic.partitions[0].replicas) if topic.partitions else 0,
        "cleanup_policy": sources.configs.topic_value(own, "cleanup.policy", sources.image),
        "offsets": records,
        "size_bytes": size,
        "received_bytes": bytes_in,
        "sent_bytes": bytes_out,
        "received_records": records_in,
    }


def _known_topic(sources: Sources, args: Args) -> TopicImage:
    topic = sources.image.topics.get(args["topic"])
    if topic is None:
        raise HttpRefusal(NOT_FOUND, f"there is no topic {args['topic']!r}")
    return topic


async def topic(sources: Sources, args: Args) -> Document:
    """One topic with its partitions and the groups that have committed offsets of it."""
    found = _known_topic(sources, args)
    least = min_isr(sources.image, found.name, inherited_min_isr(sources))

    def make(index: int) -> Json:
        return partition(sources, TopicPartition(found.name, index), found.partitions[index], least)

    rows = await in_turns(range(min(len(found.partitions), MAX_LIMIT)), make)
    groups = sorted({row.group for row in committed_of(sources.groups, topic=found.name)})
    return Document({**_topic(sources, found), "items": rows, "groups": groups, "config": dict(_own(sources, found))})


def _own(sources: Sources, found: TopicImage) -> Mapping[str, str]:
    return overrides(sources.image, found)


async def partitions(sources: Sources, args: Args) -> Document:
    """Partitions of all topics by topic and number."""
    internal, wanted = args.flag("internal"), args.get("topic")
    if wanted is not None and wanted not in sources.image.topics:
        raise HttpRefusal(NOT_FOUND, f"there is no topic {wanted!r}")
    inherited = inherited_min_isr(sources)
    names = [
        tp
        for tp, _ in registrations(sources.image)
        if (wanted == tp.topic if wanted is not None else internal or not tp.topic.startswith("__"))
    ]

    def make(tp: TopicPartition) -> Json:
        registration = sources.image.partition(*tp)
        if registration is None:
            return None
        return partition(sources, tp, registration, min_isr(sources.image, tp.topic, inherited))

    return Document(await page(args, names, make))


# --- groups and transactions ---


async def groups(sources: Sources, args: Args) -> Document:
    """Groups of both protocols that this node coordinates, with the sum of their lag."""
    rows = sorted(group_rows(sources.groups))

    def make(row: GroupRow) -> Json:
        lags = [lag_of(sources.plane, one)["lag"] for one in committed_of(sources.groups, group=row.group)]
        known = [lag for lag in lags if lag is not None]
        return {**row._asdict(), "lag": sum(known) if known else None, "partitions": len(lags)}

    return Document(await page(args, rows, make))


async def group(sources: Sources, args: Args) -> Document:
    """One group: its members, and each partition that has a committed offset or a member: offset, lag, who has it."""
    name = args["group"]
    row = group_row(sources.groups, name)
    if row is None:
        raise HttpRefusal(NOT_FOUND, f"this node knows no group {name!r}")
    members = members_of(sources.groups, sources.image, name)
    items = partitions_of(sources.plane, committed_of(sources.groups, group=name), members)
    known = [one["lag"] for one in items if one["lag"] is not None]
    return Document(
        {
            **row._asdict(),
            "lag": sum(known) if known else None,
            "members": members,
            "items": items,
        }
    )


async def transactions(sources: Sources, args: Args) -> Document:
    """Transactional ids that this node coordinates."""
    try:
        found = await sources.transactions.list() if sources.transactions.topic.partitions else []
    except KafkaError as error:
        raise HttpRefusal(UNAVAILABLE, f"the transaction coordinator is still loading ({error.code.name})") from error

    def make(item: Any) -> Json:
        name, entry = item
        return {
            "transactional_id": name,
            "state": STATE_NAMES[entry.state],
            "producer_id": entry.producer_id,
            "producer_epoch": entry.epoch,
            "timeout_ms": entry.timeout_ms,
            "start_ms": entry.start_ms,
            "updated_ms": entry.updated_ms,
            "partitions": [{"topic": tp.topic, "partition": tp.partition} for tp in sorted(entry.partitions)],
        }

    return Document(await page(args, sorted(found, key=lambda item: item[0]), make))


# --- configs ---


async def topic_configs(sources: Sources, args: Args) -> Document:
    """Every config of a topic: value, where it comes from, and what it means."""
    found = _known_topic(sources, args)
    return _configs({"topic": found.name}, sources.configs.topic(_own(sources, found), sources.image))


async def broker_configs(sources: Sources, args: Args) -> Document:
    """Every config of this node by Kafka's names."""
    return _configs({"node_id": sources.node_id}, sources.configs.broker(sources.image))


def _configs(head: dict[str, Json], entries: Iterable[ConfigEntry]) -> Document:
    items: list[Json] = [
        {
            "name": one.name,
            "value": None if one.sensitive else one.value,
            "source": Source(one.source).name.lower(),
            "type": ConfigType(one.kind).name.lower(),
            "read_only": one.read_only,
            "sensitive": one.sensitive,
            "documentation": one.documentation,
        }
        for one in entries
    ]
    return Document({**head, "items": items, "total": len(items), "next": None})
