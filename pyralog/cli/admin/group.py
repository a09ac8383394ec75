"""`pyralog-admin group`: members, lag, seek, delete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pyralog.cli.admin.ask import Ask, Rows, asks, end_without, fail, note
from pyralog.cli.admin.metadata import parse_partition, places_of
from pyralog.cli.admin.offsets import Place, ends_of, resolve, spec_of
from pyralog.cli.admin.telling import answered, count, named
from pyralog.cli.admin.tree import command, state_option
from pyralog.cli.admin.tree import group as admin_group

if TYPE_CHECKING:
    from kafka.admin import KafkaAdminClient

DEAD = ("Dead", "")
STATES = ("PreparingRebalance", "CompletingRebalance", "Stable", "Dead", "Empty", "Assigning", "Reconciling")


@admin_group("group")
def group() -> None:
    """Consumer groups: members, lag, seek, delete."""


@command("list")
@state_option(STATES, "groups")
@asks
def group_list(ask: Ask, states: tuple[str, ...]) -> None:
    """Every group: state, type, protocol."""
    with ask.connected() as client:
        found = client.list_groups(states_filter=list(states) or None)
    ask.show(
        [
            {
                "group": each["group_id"],
                "state": each.get("group_state", ""),
                "type": each.get("group_type", ""),
                "protocol": each.get("protocol_type", ""),
            }
            for each in sorted(found, key=lambda each: str(each["group_id"]))
        ],
        empty="There are no groups.",
    )


def committed(client: KafkaAdminClient, name: str) -> dict[Place, int]:
    """What the group has committed."""
    found = client.list_group_offsets(name)[name]
    return {(tp.topic, tp.partition): each.offset for tp, each in found.items() if each.offset >= 0}


def _owners(told: dict[str, Any]) -> dict[Place, str]:
    """Which member has which partition, as far as the protocol is the consumers'."""
    owners: dict[Place, str] = {}
    for member in told.get("members", ()):
        assigned = member.get("member_assignment")
        topics = assigned.get("assigned_partitions", ()) if isinstance(assigned, dict) else ()
        for each in topics:
            for number in each["partitions"]:
                owners[each["topic"], number] = member["member_id"]
    return owners


@command("describe")
@click.argument("names", nargs=-1, required=True)
@click.option("--members", is_flag=True, help="The members instead of the partitions.")
@asks
def group_describe(ask: Ask, names: tuple[str, ...], members: bool) -> None:
    """Committed offsets, ends and lag of each partition, or the members."""
    from pyralog.cli.admin.newer_groups import describe_newer

    rows: Rows = []
    missing: list[str] = []
    with ask.connected() as client:
        told = client.describe_groups(list(names))
        told |= describe_newer(client, [name for name in names if str(told[name].get("group_state", "")) in DEAD])
        for name in names:
            offsets = committed(client, name)
            state = str(told[name].get("group_state", ""))
            if state in DEAD and not offsets:
                missing.append(name)
                continue
            rows += _members(name, told[name]) if members else _lags(client, name, state, told[name], offsets)
    found = len(missing) < len(names)
    if found:
        ask.show(
            rows,
            wide=("member",) if not members else (),
            empty="There are no members." if members else "There are no committed offsets and no members.",
        )
        if not members:
            note(f"Total lag: {sum(row['lag'] or 0 for row in rows)}")
    end_without("group", missing, found=found)


def _members(name: str, told: dict[str, Any]) -> Rows:
    owners = list(_owners(told).items())
    return [
        {
            "group": name,
            "member": each["member_id"],
            "instance": each.get("group_instance_id"),
            "client": each["client_id"],
            "host": each["client_host"],
            "partitions": [f"{t}:{p}" for (t, p), owner in owners if owner == each["member_id"]],
        }
        for each in told.get("members", ())
    ]


def _lags(client: KafkaAdminClient, name: str, state: str, told: dict[str, Any], offsets: dict[Place, int]) -> Rows:
    owners = _owners(told)
    places = sorted(set(offsets) | set(owners))
    known = set(places_of(client))
    ends = ends_of(client, [place for place in places if place in known])
    rows: Rows = []
    for place in places:
        end = ends[place][1] if place in ends else None
        at = offsets.get(place)
        rows.append(
            {
                "group": name,
                "state": state,
                "topic": place[0],
                "partition": place[1],
                "committed": at,
                "end": end,
                "lag": None if end is None or at is None else max(end - at, 0),
                "member": owners.get(place),
            }
        )
    return rows


@command("seek")
@click.argument("name")
@click.option("--to", metavar="start|end|TIME|OFFSET", required=True, help="Where the group shall go on.")
@click.option("--topic", "topics", multiple=True, help="In this topic only; otherwise where it has committed.")
@click.option("--partition", "only", multiple=True, metavar="TOPIC:NUMBER", help="In this partition only.")
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@asks
def group_seek(ask: Ask, name: str, to: str, topics: tuple[str, ...], only: tuple[str, ...], dry_run: bool) -> None:
    """Move a group's offsets. It must have no members; an offset outside a log becomes its nearest end."""
    spec = spec_of(to)
    with ask.connected() as client:
        before = committed(client, name)
        places = {parse_partition(each) for each in only}
        if topics:
            places |= set(places_of(client, topics))
        places = places or set(before)
        if not places:
            fail(f"group {name} has committed nothing: name the topic with --topic")
        ends = ends_of(client, places)
        resolved = resolve(client, dict.fromkeys(places, spec))
        targets = {place: min(max(at, ends[place][0]), ends[place][1]) for place, at in resolved.items()}
        rows: Rows = [
            {"topic": t, "partition": p, "from": before.get((t, p)), "to": at, "lag": ends[t, p][1] - at, "error": ""}
            for (t, p), at in sorted(targets.items())
        ]
        if not dry_run:
            ask.confirm(f"Move {count(len(rows), 'offset')} of group {name}?")
            _commit(client, name, rows)
    if dry_run:
        note("Nothing was changed.")
    ask.outcomes(rows)


def _commit(client: KafkaAdminClient, name: str, rows: Rows) -> None:
    from kafka import TopicPartition
    from kafka.structs import OffsetAndMetadata

    offsets = {TopicPartition(row["topic"], row["partition"]): OffsetAndMetadata(row["to"], "", -1) for row in rows}
    answer = client.alter_group_offsets(name, offsets)
    for row in rows:
        error = answer.get(TopicPartition(row["topic"], row["partition"]))
        if error is None or error.errno:
            row["error"] = "no answer" if error is None else error_name(error)


def error_name(error: type[Exception]) -> str:
    """An error of the client library, as a user reads it."""
    name = named(error)
    return f"{name} (the group has members)" if name == "UNKNOWN_MEMBER_ID" else name


@command("delete")
@click.argument("names", nargs=-1, required=True)
@asks
def group_delete(ask: Ask, names: tuple[str, ...]) -> None:
    """Delete groups without members, and their offsets."""
    ask.confirm(f"Delete {', '.join(names)} and the offsets in {'it' if len(names) == 1 else 'them'}?")
    with ask.connected() as client:
        answer = client.delete_groups(list(names))
    ask.outcomes([{"group": name, "error": answered(answer.get(name, "no answer"))} for name in names])


@command("delete-offsets")
@click.argument("name")
@click.argument("places", nargs=-1, required=True, metavar="TOPIC[:NUMBER]...")
@asks
def group_delete_offsets(ask: Ask, name: str, places: tuple[str, ...]) -> None:
    """Forget what a group has committed in topics or partitions."""
    from kafka import TopicPartition

    with ask.connected() as client:
        before = committed(client, name)
        wanted = {place for place in before if place[0] in places or f"{place[0]}:{place[1]}" in places}
        if not wanted:
            fail(f"group {name} has committed nothing in {', '.join(places)}")
        ask.confirm(f"Forget {count(len(wanted), 'offset')} of group {name}?")
        answer = client.delete_group_offsets(name, [TopicPartition(*place) for place in sorted(wanted)])
    ask.outcomes(
        [
            {"topic": tp.topic, "partition": tp.partition, "error": error_name(error) if error.errno else ""}
            for tp, error in sorted(answer.items())
        ]
    )


for each in (group_list, group_describe, group_seek, group_delete, group_delete_offsets):
    group.add_command(each)
