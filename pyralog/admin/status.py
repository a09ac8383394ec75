"""The endpoints that the operations guide names: is this node well, what does it serve, what does an ack mean here."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from pyralog.admin.routes_model import Args, Document, HttpRefusal, Json
from pyralog.admin.sources import Sources, inherited_min_isr, min_isr, registrations, served, space
from pyralog.config.units import readable_size
from pyralog.model import PartitionRegistration, TopicPartition, uuid_text

OK, UNAVAILABLE, NOT_FOUND = 200, 503, 404
# Partitions between two turns of the event loop.
PER_TURN = 200


def state(sources: Sources) -> tuple[str, str | None]:
    """ok, draining or failed, and why."""
    failure = sources.failure()
    if failure is not None:
        return "failed", f"{sources.directory}: a write or sync has failed ({failure}); no records are taken"
    if sources.draining:
        return "draining", "this node is stopping"
    return "ok", None


def _health(sources: Sources) -> dict[str, Json]:
    status, reason = state(sources)
    found: dict[str, Any] = {"status": status, **sources.identity()}
    if reason is not None:
        found["reason"] = reason
    return found


async def health(sources: Sources, args: Args) -> Document:
    """200 while the node takes records; 503 when its log directory has failed or it is stopping."""
    found = _health(sources)
    return Document(found, OK if found["status"] == "ok" else UNAVAILABLE)


async def live(sources: Sources, args: Args) -> Document:
    """200 while the event loop and the data plane turn: a restart would not help a node that answers this."""
    return Document(_health(sources))


async def ready(sources: Sources, args: Args) -> Document:
    """200 when clients are let in; 503 while draining, without a controller, or when the log directory has failed."""
    found = _health(sources)
    if found["status"] == "ok" and sources.image.controller_id < 0:
        found |= {"status": "no controller", "reason": "the metadata quorum has no leader"}
    return Document(found, OK if found["status"] == "ok" else UNAVAILABLE)


async def status(sources: Sources, args: Args) -> Document:
    """The cluster as this node sees it, and what an acknowledgement means under the present settings."""
    image = sources.image
    counts = served(sources)
    room = await sources.work.run(space, sources.directory)
    engine = sources.plane.engine.counters()
    found = _health(sources) | {
        "started_ms": sources.started_ms,
        "uptime_ms": max(0, sources.now_ms() - sources.started_ms),
        "controller_id": image.controller_id,
        "metadata": {"offset": image.offset, "term": image.epoch, "waiting": sources.quorum.in_flight},
        "brokers": brokers(sources),
        "topics": len(image.topics),
        "partitions": counts._asdict(),
        "log_dirs": [{"path": sources.directory, **room._asdict(), "failed": sources.failure() is not None}],
        "traffic": traffic(sources),
        "connections": {"kafka": engine["open_connections"], "limit": sources.config.network.max_connections},
        "acknowledgement": acknowledgement(sources),
    }
    return Document(found)


def traffic(sources: Sources) -> dict[str, Json]:
    """What this node has received, sent and answered since it started."""
    counted, stats = sources.plane.engine.counters(), sources.stats.requests
    python = sum(count for api, count in stats.items() if api not in ("Produce", "Fetch"))
    return {
        "received_bytes": counted["bytes_received"],
        "sent_bytes": counted["bytes_sent"],
        "requests": counted["requests_produce"] + counted["requests_fetch"] + counted["requests_static"] + python,
    }


def brokers(sources: Sources) -> list[Json]:
    """Registered nodes; host and port are what they listen on."""
    image = sources.image
    return [
        {
            "node_id": one.node_id,
            "host": one.host,
            "port": one.port,
            "rack": one.rack,
            "fenced": one.fenced,
            "controller": one.node_id == image.controller_id,
            "epoch": one.broker_epoch,
        }
        for _, one in sorted(image.brokers.items())
    ]


def acknowledgement(sources: Sources) -> dict[str, Json]:
    """What a producer may rely on when it is answered."""
    storage, quorum = sources.config.storage, sources.config.replication.quorum
    cache = storage.cache_config
    synced = storage.segment_config.sync_on_write or not cache.enabled
    copies = min(quorum.write_quorum, quorum.replication_factor)
    if synced:
        local = "synced to the disk of this node"
    else:
        local = (
            f"written to this node's files, which survives kill -9; synced to disk within "
            f"{cache.max_buffer_time_ms} ms or {readable_size(cache.max_size)}, "
            f"so a power failure can take the last of them"
        )
    elsewhere = "" if copies <= 1 else f", and held by {copies} in-sync replicas"
    return {
        "acks_0": "nothing: the producer is not answered",
        "acks_1": f"the records are {local}",
        "acks_all": f"the records are {local}{elsewhere}",
        "sync_on_write": storage.segment_config.sync_on_write,
        "write_cache": cache.enabled,
        "synced_within_ms": 0 if synced else cache.max_buffer_time_ms,
        "replication_factor": quorum.replication_factor,
        "write_quorum": quorum.write_quorum,
        "read_quorum": quorum.read_quorum,
        "survives_process_crash": True,
        "survives_power_failure": synced,
        "survives_lost_nodes": copies - 1,
    }


# --- partitions ---


def partition(sources: Sources, tp: TopicPartition, registration: PartitionRegistration, least: int) -> dict[str, Json]:
    """One partition; offsets are null where this node does not host it."""
    snapshot = sources.plane.snapshot(tp)
    failed = sources.lifecycle.failed.get(tp)
    wanted = min(least, len(registration.replicas))
    found: dict[str, Any] = {
        "topic": tp.topic,
        "partition": tp.partition,
        "state": partition_state(sources, tp, registration, wanted),
        "leader": registration.leader,
        "leader_epoch": registration.leader_epoch,
        "partition_epoch": registration.partition_epoch,
        "replicas": list(registration.replicas),
        "isr": list(registration.isr),
        "min_insync_replicas": least,
        "log_start_offset": None,
        "high_watermark": None,
        "last_stable_offset": None,
        "log_end_offset": None,
        "synced_offset": None,
        "size_bytes": None,
    }
    if snapshot is not None:
        found |= {
            "log_start_offset": snapshot.log_start,
            "high_watermark": snapshot.high_watermark,
            "last_stable_offset": snapshot.last_stable,
            "log_end_offset": snapshot.log_end,
            "synced_offset": snapshot.synced,
            "size_bytes": snapshot.size_bytes,
        }
    if failed is not None:
        found["reason"] = str(failed)
    return found


def partition_state(sources: Sources, tp: TopicPartition, registration: PartitionRegistration, wanted: int) -> str:
    """ok, or the worst that can be said of it."""
    snapshot = sources.plane.snapshot(tp)
    if registration.leader < 0:
        return "offline"
    if registration.leader == sources.node_id and (snapshot is None or snapshot.failed):
        return "failed"
    if len(registration.isr) < wanted:
        return "under_min_isr"
    if len(registration.isr) < len(registration.replicas):
        return "under_replicated"
    return "ok"


async def numbered_partition(sources: Sources, args: Args) -> Document:
    """The partition of this number of every topic, or of `topic` alone; 404 when none has it. Internal topics last."""
    number = args.number("partition")
    wanted = args.get("topic")
    image = sources.image
    if wanted is not None and wanted not in image.topics:
        raise HttpRefusal(NOT_FOUND, f"there is no topic {wanted!r}")
    inherited = inherited_min_isr(sources)
    names = [wanted] if wanted is not None else sorted(image.topics, key=lambda name: (name.startswith("__"), name))
    found = []
    for count, name in enumerate(names, 1):
        if number < len(image.topics[name].partitions):
            registration = image.topics[name].partitions[number]
            least = min_isr(image, name, inherited)
            found.append(partition(sources, TopicPartition(name, number), registration, least))
        if count % PER_TURN == 0:
            await asyncio.sleep(0)
    if wanted is not None and not found:
        raise HttpRefusal(NOT_FOUND, f"topic {wanted!r} has no partition {number}")
    if number and not found:  # every topic has a partition 0: nothing there says that there are no topics
        raise HttpRefusal(NOT_FOUND, f"no topic has a partition {number}")
    return Document({"partition": number, "count": len(found), "partitions": found})


async def topic_partition(sources: Sources, args: Args) -> Document:
    """One partition of one topic."""
    tp = TopicPartition(args["topic"], args.number("partition"))
    image = sources.image
    registration = image.partition(*tp)
    if registration is None:
        known = tp.topic in image.topics
        message = f"topic {tp.topic!r} has no partition {tp.partition}" if known else f"there is no topic {tp.topic!r}"
        raise HttpRefusal(NOT_FOUND, message)
    least = min_isr(image, tp.topic, inherited_min_isr(sources))
    topic_id = uuid_text(image.topics[tp.topic].topic_id)
    return Document({"topic_id": topic_id, **partition(sources, tp, registration, least)})


async def replication(sources: Sources, args: Args) -> Document:
    """How far each follower of a partition led here is behind; without followers the list is empty."""
    image = sources.image
    counts = served(sources)
    followers: list[Json] = []
    for tp, registration in registrations(image):
        if registration.leader != sources.node_id:
            continue
        for replica in registration.replicas:
            if replica != sources.node_id:
                followers.append(_follower(tp, registration, replica))
    return Document(
        {
            "node_id": sources.node_id,
            "leaders": counts.leaders,
            "under_replicated": counts.under_replicated,
            "under_min_isr": counts.under_min_isr,
            "offline": counts.offline,
            "max_lag_records": 0,
            "followers": followers,
        }
    )


def _follower(tp: TopicPartition, registration: PartitionRegistration, replica: int) -> Mapping[str, Json]:
    in_sync = replica in registration.isr
    return {"topic": tp.topic, "partition": tp.partition, "follower": replica, "in_sync": in_sync, "lag_records": None}
